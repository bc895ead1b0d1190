//! The proof that a network works: a stream that crossed it and came back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::sam::SamSocket;

/// How long one attempt to connect may take before a new one is made.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Short tunnels, few of them: this shows that the network carries streams, not how well.
const OPTIONS: &str = "SIGNATURE_TYPE=7 i2cp.leaseSetEncType=4,0 \
     inbound.length=1 outbound.length=1 inbound.quantity=2 outbound.quantity=2";

/// How long the parts of a crossing took.
#[derive(Clone, Copy, Debug)]
pub struct Crossing {
    /// Until both sessions had their tunnels.
    pub sessions: Duration,
    /// From then until the answer had come back over the stream.
    pub stream: Duration,
    /// How often the stream had to be tried.
    pub attempts: u32,
}

/// Opens a session on each router and sends a few bytes each way.
pub(super) fn cross(from: SocketAddr, to: SocketAddr, timeout: Duration) -> Result<Crossing> {
    let began = Instant::now();
    let deadline = began + timeout;
    let client = std::thread::spawn(move || Session::open(from, deadline));
    let server = Session::open(to, deadline);
    let client = client.join().ok().context("the client thread panicked")??;
    let server = server?;
    let sessions = began.elapsed();
    let mut attempts = 0;
    loop {
        attempts += 1;
        match exchange(&client, &server) {
            Ok(()) => {
                let stream = began.elapsed() - sessions;
                return Ok(Crossing {
                    sessions,
                    stream,
                    attempts,
                });
            }
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("{attempts} attempts")));
            }
            Err(_) => {}
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
    fn open(sam: SocketAddr, deadline: Instant) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("ready-{}-{count}", std::process::id());
        let mut control = SamSocket::connect(sam)?;
        let (destination, private) = control.generate()?;
        let left = deadline.saturating_duration_since(Instant::now());
        control.set_timeout(left.max(Duration::from_secs(1)))?;
        control
            .request(&format!(
                "SESSION CREATE STYLE=STREAM ID={id} DESTINATION={private} {OPTIONS}"
            ))
            .with_context(|| format!("session on the router at {sam}"))?;
        Ok(Self {
            sam,
            id,
            destination,
            _control: control,
        })
    }

    fn stream(&self, command: &str) -> Result<SamSocket> {
        let mut socket = SamSocket::connect(self.sam)?;
        socket.set_timeout(ATTEMPT)?;
        socket.request(&format!("STREAM {command}"))?;
        Ok(socket)
    }
}

/// One stream from `client` to `server`: a question one way, its answer the other.
fn exchange(client: &Session, server: &Session) -> Result<()> {
    let mut accepted = server.stream(&format!("ACCEPT ID={}", server.id))?;
    let destination = &server.destination;
    let mut connected = client.stream(&format!(
        "CONNECT ID={} DESTINATION={destination}",
        client.id
    ))?;
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
