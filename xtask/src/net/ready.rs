//! The proof that a network works: a stream that crossed it and came back.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::session::SamSession;

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
        let client = std::thread::spawn(move || SamSession::open(from, hops, deadline));
        let server = SamSession::open(to, hops, deadline);
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

/// One stream from `client` to `server`: a question one way, its answer the other.
fn exchange(client: &SamSession, server: &SamSession, timeout: Duration) -> Result<()> {
    let mut accepted = server.accept(timeout)?;
    let mut connected = client.connect(server.destination(), timeout)?;
    // i2pd says OK before the other side has answered; only an echo proves the way.
    connected.write_all(b"ping\n")?;
    let caller = accepted.read_line()?;
    if caller.split(' ').next() != Some(client.destination()) {
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
