//! Streams between ends, made again when they break, each byte checked.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use xtask::net::{SamSession, SamSocket};

use super::flow::{Flow, pattern};

/// Hops of each tunnel.
pub(super) const HOPS: usize = 2;
/// How long a session may take until its tunnels stand.
const SESSION_WITHIN: Duration = Duration::from_secs(180);
/// How long the first attempt to connect may take until something has come back; each later one
/// has this much more, up to [`MOST`].
const ATTEMPT: Duration = Duration::from_secs(6);
const MOST: Duration = Duration::from_secs(30);
/// How long an end waits for a stream before it asks anew. Between two such requests i2pd may
/// refuse one.
const CALL_WITHIN: Duration = Duration::from_secs(600);
/// A connection that brings nothing for so long although it should is made again.
const STALLED: Duration = Duration::from_secs(60);
/// How often a thread looks whether it is over.
const LOOK: Duration = Duration::from_secs(1);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// Attempts of one stream at the start.
const FIRST_WITHIN: Duration = Duration::from_secs(240);
/// The biggest piece of a stream.
const PIECE: usize = 16 * 1024;

/// A Destination on one router.
#[derive(Debug)]
pub(super) struct End {
    session: RwLock<Arc<SamSession>>,
}

impl End {
    fn session(&self) -> Arc<SamSession> {
        let session = self.session.read();
        Arc::clone(&session.unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the session anew after its router has been started again.
    pub(super) fn reopen(&self) -> Result<()> {
        let deadline = Instant::now() + SESSION_WITHIN;
        let session = self.session().reopen(HOPS, deadline)?;
        let mut place = self.session.write().unwrap_or_else(PoisonError::into_inner);
        *place = Arc::new(session);
        Ok(())
    }
}

/// One stream: who with whom, and how much.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    client: usize,
    server: usize,
    /// Bytes of each piece, and how often one is sent.
    piece: usize,
    every: Duration,
    /// To the server, and back.
    pub(super) flows: [Mutex<Flow>; 2],
    /// It has carried something in both directions once.
    up: AtomicBool,
    pub(super) connections: AtomicU64,
    /// Attempts that led to nothing.
    pub(super) attempts_failed: AtomicU64,
}

impl Stream {
    /// A few bytes, four times a second.
    pub(super) fn trickle(client: usize, server: usize) -> Self {
        Self::new("trickle", client, server, 64, Duration::from_millis(250))
    }

    /// As many bytes a second in each direction, in pieces of a twentieth.
    pub(super) fn bulk(client: usize, server: usize, bytes_per_s: usize) -> Self {
        let pieces = (bytes_per_s / PIECE + 1).max(20);
        let every = Duration::from_secs(1) / u32::try_from(pieces).unwrap_or(u32::MAX);
        Self::new("bulk", client, server, (bytes_per_s / pieces).max(1), every)
    }

    fn new(kind: &str, client: usize, server: usize, piece: usize, every: Duration) -> Self {
        Self {
            name: format!("{kind} {client}-{server}"),
            client,
            server,
            piece,
            every,
            flows: Default::default(),
            up: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            attempts_failed: AtomicU64::new(0),
        }
    }

    /// To the server, or back.
    pub(super) fn flow(&self, to_server: bool) -> MutexGuard<'_, Flow> {
        let [there, back] = &self.flows;
        let flow = if to_server { there } else { back };
        flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All streams, with the threads that work for them until this is dropped.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) ends: Vec<End>,
    pub(super) streams: Vec<Stream>,
    over: AtomicBool,
    /// Pieces that were not what was sent.
    pub(super) garbled: AtomicU64,
}

/// Ends the threads of a [`Traffic`].
#[derive(Debug)]
pub(super) struct Running(Arc<Traffic>);

impl Running {
    /// Opens a session on each of the routers and starts all streams; returns when each has
    /// carried something.
    pub(super) fn start(sams: &[std::net::SocketAddr], streams: Vec<Stream>) -> Result<Self> {
        let deadline = Instant::now() + SESSION_WITHIN;
        let sessions: Vec<_> = sams
            .iter()
            .map(|&sam| std::thread::spawn(move || SamSession::open(sam, HOPS, deadline)))
            .collect();
        let mut ends = Vec::new();
        for session in sessions {
            let session = session.join().ok().context("a thread panicked")??;
            ends.push(End {
                session: RwLock::new(Arc::new(session)),
            });
        }
        let traffic = Arc::new(Traffic {
            ends,
            streams,
            over: AtomicBool::new(false),
            garbled: AtomicU64::new(0),
        });
        let running = Self(Arc::clone(&traffic));
        for end in 0..traffic.ends.len() {
            let traffic = Arc::clone(&traffic);
            std::thread::spawn(move || traffic.serve(end));
        }
        for stream in 0..traffic.streams.len() {
            let traffic = Arc::clone(&traffic);
            std::thread::spawn(move || traffic.keep(stream));
        }
        let deadline = Instant::now() + FIRST_WITHIN;
        while let Some(missing) = traffic
            .streams
            .iter()
            .find(|it| !it.up.load(Ordering::Relaxed))
        {
            if Instant::now() >= deadline {
                let seconds = FIRST_WITHIN.as_secs();
                bail!("stream {} carried nothing within {seconds} s", missing.name);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(running)
    }
}

impl std::ops::Deref for Running {
    type Target = Traffic;

    fn deref(&self) -> &Traffic {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

impl Traffic {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Takes streams at an end, one after the other, each with threads of its own.
    fn serve(self: Arc<Self>, end: usize) {
        let Some(end) = self.ends.get(end) else {
            return;
        };
        while !self.is_over() {
            let taken = end
                .session()
                .accept(CALL_WITHIN)
                .and_then(|mut socket| socket.read_line().map(|_caller| socket));
            match taken {
                Ok(socket) => {
                    let traffic = Arc::clone(&self);
                    // What is wrong with it the other side sees as a pause.
                    std::thread::spawn(move || traffic.serve_stream(socket));
                }
                // Nobody called, or the router is down.
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    fn serve_stream(self: Arc<Self>, socket: SamSocket) -> Result<()> {
        socket.set_timeout(MOST)?;
        let mut reader = socket.into_stream();
        let mut line = String::new();
        (&mut reader).take(100).read_line(&mut line)?;
        let mut words = line.trim_end().split(' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let stream = number().context("no number of a stream")?;
        let connection = number().context("no number of a connection")?;
        let stream = usize::try_from(stream)?;
        ensure!(stream < self.streams.len(), "no stream {stream}");
        self.carry(reader, (stream, connection), false)
    }

    /// Keeps a stream up.
    fn keep(self: Arc<Self>, index: usize) {
        let Some(stream) = self.streams.get(index) else {
            return;
        };
        let mut patience = ATTEMPT;
        while !self.is_over() {
            let connection = stream.connections.fetch_add(1, Ordering::Relaxed) + 1;
            let now = Instant::now();
            for to_server in [true, false] {
                stream.flow(to_server).connect(connection, now);
            }
            let connected = self.connect(index, connection, patience);
            let worked = connected.is_ok();
            if let Ok(reader) = connected {
                stream.up.store(true, Ordering::Relaxed);
                Arc::clone(&self)
                    .carry(reader, (index, connection), true)
                    .ok();
            } else {
                stream.attempts_failed.fetch_add(1, Ordering::Relaxed);
            }
            patience = if worked {
                ATTEMPT
            } else {
                (patience + ATTEMPT).min(MOST)
            };
            std::thread::sleep(PAUSE);
        }
    }

    /// Opens a stream and waits until something came back.
    fn connect(&self, index: usize, connection: u64, patience: Duration) -> Result<Reader> {
        let stream = self.streams.get(index).context("no such stream")?;
        let client = self.ends.get(stream.client).context("no such end")?;
        let server = self.ends.get(stream.server).context("no such end")?;
        let destination = server.session().destination().to_owned();
        let mut socket = client.session().connect(&destination, patience)?;
        socket.write_all(format!("{index} {connection}\n").as_bytes())?;
        socket.set_timeout(patience)?;
        let mut reader = socket.into_stream();
        ensure!(!reader.fill_buf()?.is_empty(), "the stream ended at once");
        Ok(reader)
    }

    /// Sends and receives until the connection is of no use any more.
    fn carry(
        self: Arc<Self>,
        mut reader: Reader,
        (index, connection): (usize, u64),
        is_client: bool,
    ) -> Result<()> {
        let writer = reader.get_ref().try_clone()?;
        let closer = reader.get_ref().try_clone()?;
        let traffic = Arc::clone(&self);
        std::thread::spawn(move || {
            let sent = traffic.send(&writer, (index, connection), is_client);
            writer.shutdown(Shutdown::Both).ok();
            sent
        });
        let outcome = self.receive(&mut reader, (index, connection), !is_client);
        closer.shutdown(Shutdown::Both).ok();
        outcome
    }

    fn send(
        &self,
        mut to: &TcpStream,
        (index, connection): (usize, u64),
        to_server: bool,
    ) -> Result<()> {
        let stream = self.streams.get(index).context("no such stream")?;
        let seed = seed(index, connection, to_server);
        let mut bytes = vec![0; stream.piece];
        let mut offset = 0;
        let mut due = Instant::now();
        while !self.is_over() {
            pattern(seed, offset, &mut bytes);
            stream
                .flow(to_server)
                .sent(connection, bytes.len(), Instant::now());
            to.write_all(&bytes)?;
            offset += bytes.len() as u64;
            // What was held up is not made up for.
            due = (due + stream.every).max(Instant::now());
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    fn receive(
        &self,
        from: &mut Reader,
        (index, connection): (usize, u64),
        to_server: bool,
    ) -> Result<()> {
        let stream = self.streams.get(index).context("no such stream")?;
        let seed = seed(index, connection, to_server);
        from.get_ref().set_read_timeout(Some(LOOK))?;
        let (mut bytes, mut expected) = (vec![0; PIECE], vec![0; PIECE]);
        let mut offset = 0;
        let mut last = Instant::now();
        while !self.is_over() {
            let count = match from.read(&mut bytes) {
                Ok(0) => bail!("the other side closed"),
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    ensure!(last.elapsed() < STALLED, "nothing came for too long");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            last = Instant::now();
            let (bytes, expected) = (&bytes[..count], &mut expected[..count]);
            pattern(seed, offset, expected);
            if bytes != expected {
                self.garbled.fetch_add(1, Ordering::Relaxed);
                bail!("garbled at byte {offset}");
            }
            offset += count as u64;
            stream.flow(to_server).received(connection, count, last);
        }
        Ok(())
    }
}

type Reader = std::io::BufReader<TcpStream>;

/// No two connections carry the same.
fn seed(stream: usize, connection: u64, to_server: bool) -> u64 {
    (stream as u64) << 56 | connection << 33 | u64::from(to_server) << 32
}
