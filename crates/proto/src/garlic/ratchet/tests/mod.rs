//! Pairs of machines, and a peer that breaks the rules.

mod established;
mod handshake;
mod hostile;
mod limits;
mod lossy;
mod properties;
mod ratchet;
mod tags;
mod vectors;

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ramson_crypto::Random;
use ramson_crypto::x25519::PrivateKey;
use ramson_wire::clove::PayloadBlock;
use ramson_wire::{
    CloveDelivery, DestinationHash, GarlicClove, I2npMessage, Instant, MessageType, UnixTime,
};

use super::handshake::MAC_LEN;
use super::payload::LENGTH_LEN;
use super::session::Phase;
use super::tag_set::TAG_LEN;
use super::*;
use crate::Now;

/// The moment so many milliseconds after the start of a test.
fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_micros(millis * 1000),
        unix: UnixTime::from_millis(1_700_000_000_000 + millis),
    }
}

fn after(now: Now, wait: Duration) -> Now {
    Now {
        instant: now.instant + wait,
        unix: now.unix + wait,
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sessions(seed: u8, limits: Limits) -> Sessions {
    let mut random = Random::from_seed([seed; 32]);
    let key = PrivateKey::generate(&mut random);
    Sessions::new(key, limits, random)
}

fn data(id: u32, body: &[u8]) -> I2npMessage {
    let expires = UnixTime::from_secs(1_700_000_060);
    let body = Bytes::copy_from_slice(body);
    I2npMessage::new(MessageType::Data, id, expires, body).unwrap()
}

fn lease_set(id: u32) -> I2npMessage {
    let expires = UnixTime::from_secs(1_700_000_060);
    let body = Bytes::from(vec![3; 100]);
    I2npMessage::new(MessageType::DatabaseStore, id, expires, body).unwrap()
}

fn clove(message: &I2npMessage) -> GarlicClove<'_> {
    GarlicClove {
        delivery: CloveDelivery::Destination(DestinationHash([7; 32])),
        message: message.as_ref(),
    }
}

/// Seals a message with this id.
fn seal(from: &mut Sessions, to: &PeerKey, id: u32, now: Now) -> Result<Sealed, SealError> {
    let message = data(id, b"hello");
    let out = Outgoing {
        cloves: &[clove(&message)],
        lease_set: true,
        ack: false,
    };
    from.seal(to, out, now)
}

fn open(to: &mut Sessions, body: &[u8], now: Now) -> Result<Opened, OpenError> {
    to.open(BytesMut::from(body), now)
}

/// The ids of the Data messages.
fn ids(opened: &Opened) -> Vec<u32> {
    let messages = opened.cloves.iter().map(|clove| &clove.message);
    messages
        .filter(|message| message.kind() == MessageType::Data)
        .map(I2npMessage::id)
        .collect()
}

fn has_lease_set(opened: &Opened) -> bool {
    opened.cloves.iter().any(|clove| {
        clove.delivery == CloveDelivery::Local && clove.message.kind() == MessageType::DatabaseStore
    })
}

fn events(of: &mut Sessions) -> Vec<Event> {
    std::iter::from_fn(|| of.poll_event()).collect()
}

fn transmits(of: &mut Sessions, now: Now) -> Vec<Bytes> {
    of.handle_timeout(now);
    std::iter::from_fn(|| of.poll_transmit())
        .map(|transmit| transmit.body)
        .collect()
}

/// Two machines without anything between them.
struct Pair {
    a: Sessions,
    b: Sessions,
    now: Now,
    next_id: u32,
}

impl Pair {
    fn new(limits: Limits) -> Self {
        Self {
            a: sessions(1, limits),
            b: sessions(2, limits),
            now: at(0),
            next_id: 0,
        }
    }

    /// A pair with an established session that Alice opened.
    fn established(limits: Limits) -> Self {
        let mut pair = Self::new(limits);
        pair.a_to_b();
        pair.b_to_a();
        pair.a_to_b();
        assert!(pair.a.is_established(&pair.b.public()));
        assert!(pair.b.is_established(&pair.a.public()));
        events(&mut pair.a);
        events(&mut pair.b);
        pair
    }

    fn wait(&mut self, wait: Duration) {
        self.now = after(self.now, wait);
    }

    /// Seals and opens one message.
    fn a_to_b(&mut self) -> Opened {
        self.next_id += 1;
        let sealed = seal(&mut self.a, &self.b.public(), self.next_id, self.now).unwrap();
        let opened = open(&mut self.b, &sealed.body, self.now).unwrap();
        assert_eq!(ids(&opened), [self.next_id]);
        opened
    }

    fn b_to_a(&mut self) -> Opened {
        std::mem::swap(&mut self.a, &mut self.b);
        let opened = self.a_to_b();
        std::mem::swap(&mut self.a, &mut self.b);
        opened
    }

    /// What Bob makes of an established session's message with this payload.
    fn hostile(&mut self, payload: &[u8]) -> Result<Opened, OpenError> {
        let body = existing(&mut self.a, &self.b.public(), payload);
        open(&mut self.b, &body, self.now)
    }

    /// As [`Pair::hostile`], of blocks.
    fn hostile_blocks(&mut self, blocks: &[PayloadBlock<'_>]) -> Result<Opened, OpenError> {
        self.hostile(&encoded(blocks))
    }

    /// Delivers what both have to say by themselves within a time.
    fn settle(&mut self, wait: Duration) {
        let end = after(self.now, wait);
        loop {
            for body in transmits(&mut self.a, self.now) {
                open(&mut self.b, &body, self.now).unwrap();
            }
            for body in transmits(&mut self.b, self.now) {
                open(&mut self.a, &body, self.now).unwrap();
            }
            let timeouts = [self.a.poll_timeout(), self.b.poll_timeout()];
            let next = timeouts.into_iter().flatten().min();
            match next.filter(|next| *next <= end.instant) {
                Some(next) => {
                    let wait = next.saturating_since(self.now.instant);
                    self.now = after(self.now, wait);
                }
                None => break,
            }
        }
        self.now = end;
    }
}

fn encoded(blocks: &[PayloadBlock<'_>]) -> Vec<u8> {
    let mut payload = Vec::new();
    for block in blocks {
        block.encode(&mut payload).unwrap();
    }
    payload
}

fn frame(content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_u32(u32::try_from(content.len()).unwrap());
    body.put_slice(content);
    body
}

/// The session that a peer sends on.
fn active<'a>(of: &'a mut Sessions, peer: &PeerKey) -> &'a mut super::session::Session {
    let slot = of.peers.get(peer).unwrap().active.unwrap();
    of.slots.get_mut(slot).unwrap()
}

/// Any payload as a message of the established session.
fn existing(from: &mut Sessions, to: &PeerKey, payload: &[u8]) -> Vec<u8> {
    let session = active(from, to);
    let (number, tag, key) = session.send.as_mut().unwrap().tags.take().unwrap();
    let mut sealed = payload.to_vec();
    key.seal_vec(number.into(), &tag, &mut sealed);
    frame(&[&tag[..], &sealed].concat())
}

/// Any payload as a New Session message.
fn new_session(from: &mut Sessions, to: &PeerKey, payload: &[u8]) -> Vec<u8> {
    let key = from.hidden_key();
    let mut message = vec![0; super::handshake::NEW_SESSION_HEADER];
    message.extend_from_slice(payload);
    message.extend_from_slice(&[0; MAC_LEN]);
    from.local.seal(&to.0, key, &mut message).unwrap();
    frame(&message)
}

/// Any payload as a reply to the last New Session message.
fn reply(from: &mut Sessions, to: &PeerKey, payload: &[u8]) -> Vec<u8> {
    let key = from.hidden_key();
    let slot = *from.peers.get(to).unwrap().received.back().unwrap();
    let Phase::Received(replies) = &mut from.slots.get_mut(slot).unwrap().phase else {
        panic!("not waiting");
    };
    let (_, tag) = replies.tags.take_tag().unwrap();
    let mut message = vec![0; super::handshake::REPLY_HEADER];
    message.extend_from_slice(payload);
    message.extend_from_slice(&[0; MAC_LEN]);
    replies.responder.seal(&tag, &key, &mut message).unwrap();
    frame(&message)
}

/// The tag a body begins with.
fn tag(body: &[u8]) -> [u8; TAG_LEN] {
    *body[LENGTH_LEN..].first_chunk().unwrap()
}
