//! Streams over SAM between the ends of a network, with the hops said.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xtask::net::SamSocket;

/// How long a session may take to have its tunnels.
const SESSION_WITHIN: Duration = Duration::from_secs(120);
/// How long a stream is tried for.
const STREAM_WITHIN: Duration = Duration::from_secs(120);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// i2pd refuses at once while it cannot find a LeaseSet.
const PAUSE: Duration = Duration::from_millis(500);
/// Nothing may stand still for longer.
const SILENCE: Duration = Duration::from_secs(120);

/// A session with tunnels through routers that were chosen.
pub(crate) struct Session {
    sam: SocketAddr,
    id: String,
    destination: String,
    /// The session lives as long as this socket.
    _control: SamSocket,
}

impl Session {
    /// Opens a session on the i2pd at `sam`; each of its tunnels leads through `hops`, router hashes
    /// in base 64.
    pub(crate) fn open(sam: SocketAddr, hops: &[String]) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("bench-{}-{count}", std::process::id());
        let mut control = SamSocket::connect(sam)?;
        let (destination, private) = control.generate()?;
        control.set_timeout(SESSION_WITHIN)?;
        let (length, hops) = (hops.len(), hops.join(","));
        control
            .request(&format!(
                "SESSION CREATE STYLE=STREAM ID={id} DESTINATION={private} SIGNATURE_TYPE=7 \
                 i2cp.leaseSetEncType=4 inbound.length={length} outbound.length={length} \
                 explicitPeers={hops}"
            ))
            .with_context(|| format!("session on the router at {sam}"))?;
        Ok(Self {
            sam,
            id,
            destination,
            _control: control,
        })
    }

    fn stream(&self, command: &str, timeout: Duration) -> Result<SamSocket> {
        let mut socket = SamSocket::connect(self.sam)?;
        socket.set_timeout(timeout)?;
        socket.request(&format!("STREAM {command}"))?;
        Ok(socket)
    }
}

/// One end of a stream.
pub(crate) struct End {
    pub(crate) read: SamSocket,
    pub(crate) write: TcpStream,
}

impl End {
    fn new(socket: SamSocket) -> Result<Self> {
        socket.set_timeout(SILENCE)?;
        Ok(Self {
            write: socket.writer()?,
            read: socket,
        })
    }
}

/// Connects two sessions and sends a few bytes each way: i2pd says OK before the other side has
/// answered.
pub(crate) fn connect(client: &Session, server: &Session) -> Result<(End, End)> {
    let deadline = Instant::now() + STREAM_WITHIN;
    loop {
        match attempt(client, server) {
            Ok(ends) => return Ok(ends),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn attempt(client: &Session, server: &Session) -> Result<(End, End)> {
    let mut accepted = server.stream(&format!("ACCEPT ID={}", server.id), ATTEMPT)?;
    let destination = &server.destination;
    let command = format!("CONNECT ID={} DESTINATION={destination}", client.id);
    let mut connected = client.stream(&command, ATTEMPT)?;
    connected.write_all(b"ping\n")?;
    let caller = accepted.read_line()?;
    if caller.split(' ').next() != Some(client.destination.as_str()) {
        bail!("another Destination called");
    }
    let mut bytes = [0; 5];
    accepted.read_exact(&mut bytes)?;
    accepted.write_all(b"pong\n")?;
    connected.read_exact(&mut bytes)?;
    Ok((End::new(connected)?, End::new(accepted)?))
}

/// Sends `bytes` each way at once; returns how long it took until all had arrived.
pub(crate) fn transfer(one: &mut End, other: &mut End, bytes: usize) -> Result<Duration> {
    let began = Instant::now();
    let send = |mut to: &TcpStream| -> Result<()> {
        // i2pd compresses what it sends, a packet at a time.
        let mut chunk = vec![0; 32 * 1024];
        ramson_crypto::random::fill(&mut chunk);
        let mut left = bytes;
        while left > 0 {
            let next = chunk.get(..left.min(chunk.len())).unwrap_or_default();
            to.write_all(next).context("a stream broke off")?;
            left -= next.len();
        }
        Ok(())
    };
    let take = |from: &mut SamSocket| -> Result<()> {
        let mut chunk = vec![0; 32 * 1024];
        let mut left = bytes;
        while left > 0 {
            let size = left.min(chunk.len());
            from.read_exact(chunk.get_mut(..size).unwrap_or_default())
                .with_context(|| format!("{left} of {bytes} bytes did not come"))?;
            left -= size;
        }
        Ok(())
    };
    let End { read, write } = one;
    let End {
        read: other_read,
        write: other_write,
    } = other;
    std::thread::scope(|scope| {
        let tasks = [
            scope.spawn(|| send(write)),
            scope.spawn(|| send(other_write)),
            scope.spawn(|| take(read)),
            scope.spawn(|| take(other_read)),
        ];
        for task in tasks {
            task.join().ok().context("a transfer panicked")??;
        }
        Ok(began.elapsed())
    })
}

/// Bytes of a small message.
const SMALL: usize = 100;

/// Sends small messages there and back, one after the other with a pause, until `done` says so;
/// returns the round trips in milliseconds.
pub(crate) fn round_trips(
    (one, other): (&mut End, &mut End),
    pause: Duration,
    done: impl Fn(usize) -> bool,
) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    let mut bytes = [7; SMALL];
    while !done(times.len()) {
        let began = Instant::now();
        one.write.write_all(&bytes)?;
        other.read.read_exact(&mut bytes)?;
        other.write.write_all(&bytes)?;
        one.read.read_exact(&mut bytes)?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(pause);
    }
    Ok(times)
}
