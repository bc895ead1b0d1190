//! The bare pipe: what a hop cannot do without. It reads NTCP2 frames of tunnel messages from one
//! socket, opens them, puts one layer on, seals them and writes them to another, and is no router:
//! no tunnels, queues, checks or timers, and nothing is copied.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ramson_crypto::{AeadKey, Aes256Encryptor, CbcJob, TAG_LEN, siphash24};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The block's header and the short I2NP header: `[3][9]`.
const HEADER: usize = 12;
/// What follows: `[tunnel: 4][IV: 16][data: 1008]`.
const BODY: usize = 1028;
const BLOCK: usize = HEADER + BODY;
/// Read at once, as a link of ours does.
const READ: usize = 64 * 1024;
/// Messages whose layers are computed together.
const BATCH: usize = 8;

/// What the pipe took with frames of one size.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct PipeFigure {
    /// Tunnel messages in a frame.
    pub(crate) messages_per_frame: usize,
    /// Whether our hops wrote as many at a time in the same run, so that this is what they are
    /// compared with.
    pub(crate) matched: bool,
    /// CPU seconds for 10^9 bytes of tunnel messages, 1,028 bytes each.
    pub(crate) cpu_s_per_gb: f64,
    /// The rate, in 10^6 bytes per second.
    pub(crate) mb_per_s: f64,
}

/// One direction of an NTCP2 session: the key, and the mask of the lengths.
struct Direction {
    key: AeadKey,
    nonce: u64,
    mask: [u8; 8],
}

impl Direction {
    fn new(seed: u8) -> Self {
        Self {
            key: AeadKey::new([seed; 32]),
            nonce: 0,
            mask: [seed; 8],
        }
    }

    fn mask(&mut self) -> u16 {
        self.mask = siphash24(1, 2, &self.mask).to_le_bytes();
        let [low, high, ..] = self.mask;
        u16::from_le_bytes([low, high])
    }

    /// Seals `[length: 2][content][room for the tag: 16]` in place.
    fn seal(&mut self, frame: &mut [u8]) {
        let (length, rest) = frame.split_first_chunk_mut::<2>().expect("has a length");
        let len = u16::try_from(rest.len()).expect("frames are shorter than 64 KiB");
        *length = (len ^ self.mask()).to_be_bytes();
        let (content, tag) = rest.split_last_chunk_mut().expect("has room for a tag");
        *tag = self.key.seal(self.nonce, &[], content);
        self.nonce += 1;
    }

    fn open(&mut self, frame: &mut [u8]) -> Result<()> {
        let opened = self.key.open_in_place(self.nonce, &[], frame);
        opened.ok().context("a frame is not authentic")?;
        self.nonce += 1;
        Ok(())
    }
}

/// Puts a layer on every message of a frame's content: iv' = E(iv), data = CBC(data, iv'),
/// iv'' = E(iv').
fn layer(iv_key: &Aes256Encryptor, data_key: &Aes256Encryptor, content: &mut [u8]) {
    let mut messages: Vec<_> = content
        .chunks_exact_mut(BLOCK)
        .filter_map(|block| block.get_mut(HEADER + 4..)?.split_first_chunk_mut::<16>())
        .collect();
    for batch in messages.chunks_mut(BATCH) {
        let mut jobs = Vec::with_capacity(BATCH);
        for (iv, data) in batch.iter_mut() {
            iv_key.encrypt_block(iv);
            jobs.push(CbcJob { iv: **iv, data });
        }
        data_key
            .cbc_encrypt_batch(&mut jobs)
            .expect("1,008 bytes are 63 blocks");
        for (iv, _) in batch {
            iv_key.encrypt_block(iv);
        }
    }
}

/// Sends `bytes` of tunnel messages through the pipe.
pub(crate) fn measure(messages_per_frame: usize, bytes: usize) -> Result<PipeFigure> {
    let frames = bytes.div_ceil(messages_per_frame * BODY);
    let (mut feed, from) = pair()?;
    let (to, mut drain) = pair()?;
    let feeder = std::thread::spawn(move || -> Result<()> {
        let mut direction = Direction::new(1);
        let mut frame = vec![0; 2 + messages_per_frame * BLOCK + TAG_LEN];
        for _ in 0..frames {
            direction.seal(&mut frame);
            feed.write_all(&frame)?;
        }
        Ok(())
    });
    let hop = std::thread::spawn(move || run(from, to));
    let began = Instant::now();
    let mut buffer = vec![0; READ];
    let mut arrived = 0;
    loop {
        match drain.read(&mut buffer)? {
            0 => break,
            count => arrived += count,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    feeder.join().ok().context("the feeder panicked")??;
    let cpu = hop.join().ok().context("the pipe panicked")??;
    let expected = frames * (2 + messages_per_frame * BLOCK + TAG_LEN);
    anyhow::ensure!(arrived == expected, "{arrived} bytes of {expected} arrived");
    let carried = (frames * messages_per_frame * BODY) as f64;
    Ok(PipeFigure {
        messages_per_frame,
        matched: false,
        cpu_s_per_gb: cpu.as_secs_f64() / carried * 1e9,
        mb_per_s: carried / seconds / 1e6,
    })
}

/// The pipe itself; returns the CPU time of its thread.
fn run(mut from: TcpStream, mut to: TcpStream) -> Result<Duration> {
    let before = clock_gettime(ClockId::ThreadCPUTime);
    let (mut inward, mut outward) = (Direction::new(1), Direction::new(2));
    let (iv_key, data_key) = (
        Aes256Encryptor::new(&[3; 32]),
        Aes256Encryptor::new(&[4; 32]),
    );
    let mut buffer = vec![0; 2 * READ];
    let mut filled = 0;
    // The length of the frame at the front, once its mask has been used.
    let mut expected = None;
    loop {
        let room = buffer.get_mut(filled..filled + READ).context("no room")?;
        match from.read(room)? {
            0 => break,
            count => filled += count,
        }
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..filled)
            && let Some(length) = rest.first_chunk::<2>()
        {
            let len = *expected
                .get_or_insert_with(|| usize::from(u16::from_be_bytes(*length) ^ inward.mask()));
            let Some(frame) = rest.get_mut(..2 + len) else {
                break;
            };
            let (_, sealed) = frame.split_at_mut(2);
            inward.open(sealed)?;
            let content = sealed.len() - TAG_LEN;
            layer(
                &iv_key,
                &data_key,
                sealed.get_mut(..content).unwrap_or_default(),
            );
            outward.seal(frame);
            done += 2 + len;
            expected = None;
        }
        to.write_all(buffer.get(..done).unwrap_or_default())?;
        buffer.copy_within(done..filled, 0);
        filled -= done;
    }
    let after = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = (after.tv_sec - before.tv_sec) as f64;
    Ok(Duration::from_secs_f64(
        seconds + (after.tv_nsec - before.tv_nsec) as f64 / 1e9,
    ))
}

/// Two ends of a connection over the loopback interface.
fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_opens_and_has_one_layer_more() {
        for count in [1, 4, 15] {
            let content = vec![7; count * BLOCK];
            let mut frame = [&[0; 2][..], &content, &[0; TAG_LEN]].concat();
            Direction::new(1).seal(&mut frame);
            let (mut feed, from) = pair().unwrap();
            let (to, mut drain) = pair().unwrap();
            feed.write_all(&frame).unwrap();
            drop(feed);
            run(from, to).unwrap();
            let mut out = Vec::new();
            drain.read_to_end(&mut out).unwrap();
            assert_eq!(out.len(), frame.len());
            Direction::new(2).open(&mut out[2..]).unwrap();
            let mut expected = content.clone();
            let keys = (
                Aes256Encryptor::new(&[3; 32]),
                Aes256Encryptor::new(&[4; 32]),
            );
            for block in expected.chunks_exact_mut(BLOCK) {
                let (iv, data) = block[HEADER + 4..].split_first_chunk_mut().unwrap();
                keys.0.encrypt_block(iv);
                keys.1.cbc_encrypt(iv, data).unwrap();
                keys.0.encrypt_block(iv);
            }
            assert_eq!(out[2..2 + content.len()], expected);
        }
    }

    #[test]
    fn all_of_it_passes() {
        let figure = measure(4, 1_000_000).unwrap();
        assert!(figure.cpu_s_per_gb > 0.0);
    }
}
