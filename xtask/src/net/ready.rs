//! The proof that a network works: a stream that crossed it and came back.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::sam::SamSocket;

/// How long the first attempt to connect may take; each later one has this much more. i2pd repeats
/// a lost first packet only after nine seconds, so trying anew is quicker.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How long the same two sessions are tried. A session whose first LeaseSet got lost stays
/// unreachable for long; a new one has a new chance.
const SESSIONS: Duration = Duration::from_secs(30);

/// The pause before the next attempt: i2pd refuses at once while it cannot find the LeaseSet, and
/// nothing tells when it could.
const PAUSE: Duration = Duration::from_millis(200);

/// How long the parts of a crossing took.
#[derive(Clone, Copy, Debug)]
pub struct Crossing {
    /// Until both sessions had their tunnels, and earlier ones had been given up.
    pub sessions: Duration,
    /// From then until the answer had come back over the stream.
    pub stream: Duration,
    /// How often the stream had to be tried.
    pub attempts: u32,
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sessions took {:.1} s, the stream {:.1} s in {} attempt(s)",
            self.sessions.as_secs_f64(),
            self.stream.as_secs_f64(),
            self.attempts
        )
    }
}

/// Opens a session with tunnels of `hops` hops on each router and sends a few bytes each way.
pub(super) fn cross(
    from: SocketAddr,
    to: SocketAddr,
    hops: usize,
    timeout: Duration,
) -> Result<Crossing> {
    let began = Instant::now();
    let deadline = began + timeout;
    let mut attempts = 0;
    loop {
        let client = std::thread::spawn(move || Session::open(from, hops, deadline));
        let server = Session::open(to, hops, deadline);
        let client = client.join().ok().context("the client thread panicked")??;
        let server = server?;
        let opened = Instant::now();
        for attempt in 1.. {
            attempts += 1;
            let error = match exchange(&client, &server, ATTEMPT * attempt) {
                Ok(()) => {
                    let sessions = opened - began;
                    return Ok(Crossing {
                        sessions,
                        stream: opened.elapsed(),
                        attempts,
                    });
                }
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(error.context(format!("{attempts} attempts")));
            }
            if opened.elapsed() >= SESSIONS {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A SAM session with a Destination of its own.
struct Session {
    sam: SocketAddr,
    id: String,
    destination: String,
    /// The session lives as long as this socket.
    _control: SamSocket,
}

impl Session {
    fn open(sam: SocketAddr, hops: usize, deadline: Instant) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("ready-{}-{count}", std::process::id());
        let mut control = SamSocket::connect(sam)?;
        let (destination, private) = control.generate()?;
        let left = deadline.saturating_duration_since(Instant::now());
        control.set_timeout(left.max(Duration::from_secs(1)))?;
        control
            .request(&format!(
                "SESSION CREATE STYLE=STREAM ID={id} DESTINATION={private} SIGNATURE_TYPE=7 \
                 i2cp.leaseSetEncType=4,0 inbound.length={hops} outbound.length={hops} \
                 inbound.quantity=3 outbound.quantity=3"
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

/// One stream from `client` to `server`: a question one way, its answer the other.
fn exchange(client: &Session, server: &Session, timeout: Duration) -> Result<()> {
    let mut accepted = server.stream(&format!("ACCEPT ID={}", server.id), timeout)?;
    let destination = &server.destination;
    let command = format!("CONNECT ID={} DESTINATION={destination}", client.id);
    let mut connected = client.stream(&command, timeout)?;
    // i2pd says OK before the other side has answered; only an echo proves the way.
    connected.write_all(b"ping\n")?;
    let caller = accepted.read_line()?;
    if caller.split(' ').next() != Some(client.destination.as_str()) {
        bail!("the accepted stream names another Destination than the one that called");
    }
    let mut question = [0; 5];
    accepted.read_exact(&mut question)?;
    accepted.write_all(b"pong\n")?;
    let mut answer = [0; 5];
    connected.read_exact(&mut answer)?;
    if &question != b"ping\n" || &answer != b"pong\n" {
        bail!("the stream garbled what was sent");
    }
    Ok(())
}
