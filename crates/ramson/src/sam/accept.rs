use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ramson_sam::aio::{self, Connection};
use ramson_sam::{Event as SamEvent, LineBuffer, PeerLine, Request, ResultCode};
use ramson_wire::{Address, Destination, DestinationHash, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::{Core, Generation, SamRouter};
use crate::stream::Info;
use crate::{Error, Event, ListenOptions, Stream};

/// The wait after an ACCEPT that failed, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A forwarded connection must name its peer within this time.
const PEER_LINE: Duration = Duration::from_secs(10);
/// Forwarded connections that have not named their peer yet.
const UNNAMED: usize = 64;
/// The longest line that names a peer, in bytes.
const PEER_LINE_LIMIT: usize = 16 * 1024;

/// What becomes of incoming streams, over all generations of a session.
#[derive(Debug)]
pub(crate) struct Accepting {
    core: Weak<Core>,
    events: broadcast::Sender<Event>,
    state: Mutex<State>,
    /// Counts changes that can make another ACCEPT wanted or unwanted.
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    listeners: BTreeMap<u16, Entry>,
    /// Streams on their way: ACCEPTs that wait, and forwarded ones without a peer yet.
    coming: usize,
    /// Throw-away sessions whose stream proves that this one is reachable.
    expected: BTreeMap<DestinationHash, oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Entry {
    streams: mpsc::Sender<Stream>,
    options: ListenOptions,
    slots: Arc<Mutex<Slots>>,
    /// Connections that may still be taken, and when that was reckoned.
    tokens: (f64, Instant),
}

#[derive(Debug, Default)]
struct Slots {
    open: usize,
    by_peer: BTreeMap<DestinationHash, usize>,
}

/// One of the streams that a listener may have open at once.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Mutex<Slots>>,
    peer: DestinationHash,
    changes: Arc<watch::Sender<u64>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.open = slots.open.saturating_sub(1);
        if let Some(count) = slots.by_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                slots.by_peer.remove(&self.peer);
            }
        }
        drop(slots);
        self.changes.send_modify(|changes| *changes += 1);
    }
}

/// A stream on its way, which will need a slot.
struct Coming(Arc<Accepting>);

impl Drop for Coming {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.coming = state.coming.saturating_sub(1);
        drop(state);
        self.0.changed();
    }
}

/// Waits for the stream of a throw-away session.
pub(super) struct Expectation {
    accepting: Arc<Accepting>,
    peer: DestinationHash,
    pub(super) arrived: oneshot::Receiver<()>,
}

impl Drop for Expectation {
    fn drop(&mut self) {
        self.accepting.state().expected.remove(&self.peer);
        self.accepting.changed();
    }
}

impl Accepting {
    pub(super) fn new(core: Weak<Core>, events: broadcast::Sender<Event>) -> Self {
        Self {
            core,
            events,
            state: Mutex::default(),
            changes: Arc::new(watch::Sender::new(0)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn add_listener(
        &self,
        options: ListenOptions,
    ) -> Result<mpsc::Receiver<Stream>, Error> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::Closed {
                what: "the session",
            });
        }
        if state.listeners.contains_key(&options.port) {
            return Err(Error::AlreadyListening { port: options.port });
        }
        // Each stream in the channel holds a slot, so that there is always room.
        let (streams, incoming) = mpsc::channel(options.max_streams);
        let tokens = (
            options.rate.map_or(0.0, |(count, _)| f64::from(count)),
            aio::now(),
        );
        let entry = Entry {
            streams,
            options,
            slots: Arc::default(),
            tokens,
        };
        state.listeners.insert(options.port, entry);
        drop(state);
        self.changed();
        Ok(incoming)
    }

    pub(crate) fn remove_listener(&self, port: u16) {
        self.state().listeners.remove(&port);
        self.changed();
    }

    /// Refuses connections from now on; listeners end.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.listeners.clear();
        drop(state);
        self.changed();
    }

    pub(super) fn expect(self: &Arc<Self>, peer: DestinationHash) -> Expectation {
        let (arrive, arrived) = oneshot::channel();
        self.state().expected.insert(peer, arrive);
        self.changed();
        Expectation {
            accepting: Arc::clone(self),
            peer,
            arrived,
        }
    }

    /// Waits until another stream is wanted; tells whether by STREAM FORWARD.
    async fn wanted(self: &Arc<Self>) -> (bool, Coming) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            {
                let mut state = self.state();
                let room = state.listeners.values().any(|entry| {
                    let slots = entry.slots.lock().unwrap_or_else(PoisonError::into_inner);
                    slots.open + state.coming < entry.options.max_streams
                });
                if room || !state.expected.is_empty() {
                    state.coming += 1;
                    let mut entries = state.listeners.values();
                    let forward = entries.any(|entry| entry.options.forward);
                    return (forward, Coming(Arc::clone(self)));
                }
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until nobody is there to take a stream, or the way to take them changed.
    async fn unwanted(&self, forward: bool) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            {
                let state = self.state();
                let now = state.listeners.values().any(|entry| entry.options.forward);
                let nobody = state.listeners.is_empty() && state.expected.is_empty();
                if nobody || now != forward {
                    return;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Hands an incoming stream to whom it belongs, or drops it, which closes it.
    fn deliver(
        &self,
        peer: &PeerLine,
        tcp: TcpStream,
        head: Vec<u8>,
        generation: &Arc<Generation>,
        ports: bool,
    ) -> Result<(), aio::Error> {
        generation.mark_used();
        let Ok(destination) = Destination::from_base64(&peer.destination) else {
            return Err(aio::Error::Nonsense {
                what: "STREAM ACCEPT",
            });
        };
        let hash = destination.hash();
        let mut state = self.state();
        if let Some(arrive) = state.expected.remove(&hash) {
            let _ = arrive.send(());
            return Ok(());
        }
        let (from_port, to_port) = (peer.from_port, peer.to_port);
        let wanted = to_port.unwrap_or(0);
        let key = if state.listeners.contains_key(&wanted) {
            wanted
        } else {
            0
        };
        let Some(entry) = state.listeners.get_mut(&key) else {
            return Ok(());
        };
        let slot = match entry.admit(hash, &self.changes) {
            Ok(slot) => slot,
            Err(limit) => {
                let _ = self.events.send(Event::ConnectionRefused { limit });
                return Ok(());
            }
        };
        let Some(core) = self.core.upgrade() else {
            return Ok(());
        };
        let info = Info {
            peer: Address::Destination(destination),
            local_port: to_port.filter(|_| ports),
            peer_port: from_port.filter(|_| ports),
            confirmed: true,
            answer_within: None,
            idle_timeout: entry.options.idle_timeout,
            generation: Arc::clone(generation),
            _guard: core.guard(Some(slot)),
        };
        let stream = Stream::new(tcp, head, info);
        let streams = entry.streams.clone();
        drop(state);
        // Dropped where the listener is gone; there is room otherwise.
        drop(streams.try_send(stream));
        Ok(())
    }
}

impl Entry {
    /// A slot for a stream of `peer`, or which limit keeps it out.
    fn admit(
        &mut self,
        peer: DestinationHash,
        changes: &Arc<watch::Sender<u64>>,
    ) -> Result<Slot, &'static str> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // It came while another listener had room.
        if slots.open >= self.options.max_streams {
            return Err("streams at once");
        }
        let held = slots.by_peer.get(&peer).copied().unwrap_or(0);
        if self
            .options
            .max_streams_per_peer
            .is_some_and(|limit| held >= limit)
        {
            return Err("streams per peer");
        }
        if let Some((count, per)) = self.options.rate {
            let now = aio::now();
            let elapsed = now.saturating_since(self.tokens.1).as_secs_f64();
            let gained = elapsed * f64::from(count) / per.as_secs_f64().max(1e-9);
            self.tokens = ((self.tokens.0 + gained).min(f64::from(count)), now);
            if self.tokens.0 < 1.0 {
                return Err("rate");
            }
            self.tokens.0 -= 1.0;
        }
        slots.open += 1;
        *slots.by_peer.entry(peer).or_default() += 1;
        Ok(Slot {
            slots: Arc::clone(&self.slots),
            peer,
            changes: Arc::clone(changes),
        })
    }
}

/// Takes streams from the router for as long as it runs; the supervisor aborts it.
///
/// Several may run for a session, of which the `first` alone says STREAM FORWARD.
pub(super) async fn run(
    first: bool,
    accepting: Arc<Accepting>,
    router: Arc<SamRouter>,
    generation: Arc<Generation>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let (forward, coming) = accepting.wanted().await;
        let outcome = if !forward {
            let outcome = take_one(&accepting, &router, &generation).await;
            drop(coming);
            outcome
        } else {
            drop(coming);
            if first {
                take_forwarded(&accepting, &router, &generation).await
            } else {
                accepting.unwanted(true).await;
                Ok(())
            }
        };
        match outcome {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error) => {
                tracing::debug!(%error, "taking a stream failed");
                if is_unknown_session(&error) {
                    generation.forgotten().await;
                    return;
                }
                aio::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

pub(super) fn is_unknown_session(error: &aio::Error) -> bool {
    matches!(
        error,
        aio::Error::Refused {
            code: ResultCode::InvalidId,
            ..
        }
    )
}

/// One STREAM ACCEPT.
async fn take_one(
    accepting: &Accepting,
    router: &SamRouter,
    generation: &Arc<Generation>,
) -> Result<(), aio::Error> {
    let mut connection = router.sam.open(aio::now() + router.timing.answer).await?;
    let request = Request::StreamAccept {
        id: generation.stream_id.clone(),
        silent: false,
    };
    connection.request(&request, router.timing.answer).await?;
    tokio::select! {
        biased;
        event = connection.event() => match event? {
            SamEvent::Accepted { peer } => {
                let ports = router.known_traits().stream_ports;
                let (tcp, head) = connection.into_stream();
                accepting.deliver(&peer, tcp, head, generation, ports)
            }
            _ => Err(aio::Error::Nonsense { what: "STREAM ACCEPT" }),
        },
        () = accepting.unwanted(false) => Ok(()),
    }
}

/// STREAM FORWARD: the router connects here for each stream.
async fn take_forwarded(
    accepting: &Arc<Accepting>,
    router: &Arc<SamRouter>,
    generation: &Arc<Generation>,
) -> Result<(), aio::Error> {
    let mut connection: Connection = router.sam.open(aio::now() + router.timing.answer).await?;
    let io = |source| aio::Error::Io { source };
    let local = connection.tcp().local_addr().map_err(io)?.ip();
    let from = connection.tcp().peer_addr().map_err(io)?.ip();
    let listener = TcpListener::bind(SocketAddr::new(local, 0))
        .await
        .map_err(io)?;
    let request = Request::StreamForward {
        id: generation.stream_id.clone(),
        host: Some(local.to_string()),
        port: listener.local_addr().map_err(io)?.port(),
        silent: false,
        ssl: false,
    };
    connection.request(&request, router.timing.answer).await?;
    let mut unnamed = JoinSet::new();
    loop {
        // Beyond the limits, connections wait in the listener's queue.
        let next = async {
            let (_, coming) = accepting.wanted().await;
            (listener.accept().await, coming)
        };
        tokio::select! {
            biased;
            event = connection.event() => match event? {
                SamEvent::Notice(_) => {}
                _ => return Err(aio::Error::Nonsense { what: "STREAM FORWARD" }),
            },
            () = accepting.unwanted(true) => return Ok(()),
            (accepted, coming) = next, if unnamed.len() < UNNAMED => {
                let (tcp, address) = accepted.map_err(io)?;
                if is_same_host(address.ip(), from) {
                    let accepting = Arc::clone(accepting);
                    let generation = Arc::clone(generation);
                    let ports = router.known_traits().stream_ports;
                    unnamed.spawn(async move {
                        let named = aio::timeout_at(aio::now() + PEER_LINE, read_peer(tcp)).await;
                        if let Ok(Some((tcp, peer, head))) = named {
                            let _ = accepting.deliver(&peer, tcp, head, &generation, ports);
                        }
                        drop(coming);
                    });
                }
            }
            Some(_) = unnamed.join_next() => {}
        }
    }
}

fn is_same_host(a: IpAddr, b: IpAddr) -> bool {
    a.to_canonical() == b.to_canonical()
}

/// Reads the line that names the peer of a forwarded stream.
async fn read_peer(mut tcp: TcpStream) -> Option<(TcpStream, PeerLine, Vec<u8>)> {
    let mut lines = LineBuffer::new(PEER_LINE_LIMIT);
    let mut bytes = [0; 2048];
    loop {
        let count = tcp.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        lines.push(bytes.get(..count)?);
        if let Some(line) = lines.next_line().ok()? {
            let peer = PeerLine::parse(&line).ok()?;
            return Some((tcp, peer, lines.take_remainder()));
        }
    }
}
