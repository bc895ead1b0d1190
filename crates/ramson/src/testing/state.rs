use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ramson_sam::{ResultCode, Style, Version, aio};
use ramson_wire::{Address, Destination, DestinationHash, HostName, Instant};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::rule::{Rule, Step, Verb};
use super::scripted::Config;

/// Lines kept for [`ScriptedBridge::seen`](super::ScriptedBridge::seen).
const SEEN: usize = 100_000;
/// Streams of one session that wait for an ACCEPT, as many as i2pd lets wait.
const WAITING: usize = 1024;
/// An ACCEPT younger than this is closed by the next one on i2pd.
const YOUNG: Duration = Duration::from_secs(3);

/// A line that a program said to a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// When, since the bridge was started.
    pub after: Duration,
    /// On which TCP connection, counted from 1.
    pub connection: u64,
    /// What kind of line it is.
    pub verb: Verb,
    /// The line, with private keys and passwords replaced; empty for [`Verb::Open`].
    pub line: String,
}

/// What the tasks of a bridge share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) address: SocketAddr,
    pub(super) udp: UdpSocket,
    pub(super) started: Instant,
    /// Nothing is answered or carried while this holds.
    pub(super) silent: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sessions: BTreeMap<String, Entry>,
    pub(super) connections: BTreeMap<u64, Connected>,
    pub(super) hosts: BTreeMap<HostName, Destination>,
    pub(super) rules: Vec<Rule>,
    pub(super) seen: VecDeque<Seen>,
    /// When the last session of a key ended.
    ended: BTreeMap<DestinationHash, Instant>,
    pub(super) accepted: u64,
}

/// One TCP connection.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) task: Option<AbortHandle>,
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Asking,
    Control,
    Accepting,
    Forwarding,
    Stream,
}

/// One session or subsession.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) destination: Destination,
    pub(super) style: Style,
    pub(super) version: Version,
    /// A session of a key that was used a moment ago: answers, and gets nothing.
    pub(super) deaf: bool,
    pub(super) acceptors: VecDeque<(Instant, oneshot::Sender<Incoming>)>,
    pub(super) waiting: VecDeque<Incoming>,
    pub(super) forward: Option<Forward>,
    /// Where datagrams go; to the control connection if missing.
    pub(super) datagrams_to: Option<SocketAddr>,
    pub(super) mail: mpsc::Sender<Vec<u8>>,
    pub(super) header: bool,
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    pub(super) protocol: u8,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Forward {
    pub(super) to: SocketAddr,
    pub(super) version: Version,
    pub(super) silent: bool,
}

/// A stream on its way to an ACCEPT, which gives its socket and what came on it too early.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) from: Destination,
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    pub(super) socket: oneshot::Sender<(TcpStream, Vec<u8>)>,
}

/// Where a stream goes.
pub(super) enum Route {
    /// To an ACCEPT, now or later.
    Accept,
    Forward(Forward),
    /// To nobody, although the router says OK.
    Nowhere,
    Refused(ResultCode, &'static str),
}

impl Shared {
    pub(super) fn new(config: Config, address: SocketAddr, udp: UdpSocket) -> Self {
        Self {
            config,
            address,
            udp,
            started: aio::now(),
            silent: watch::Sender::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line and finds what is to be done about it.
    pub(super) fn note(&self, connection: u64, verb: Verb, line: String) -> Option<Vec<Step>> {
        let mut state = self.state();
        let mut steps = None;
        for rule in &mut state.rules {
            // Every rule counts; the first that applies is done.
            let met = rule.meet(verb, &line);
            steps = steps.or(met);
        }
        if state.seen.len() >= SEEN {
            state.seen.pop_front();
        }
        state.seen.push_back(Seen {
            after: aio::now().saturating_since(self.started),
            connection,
            verb,
            line,
        });
        steps
    }

    /// Ends all connections of these roles.
    pub(super) fn cut(&self, which: impl Fn(Role) -> bool) {
        let tasks: Vec<_> = self
            .state()
            .connections
            .values()
            .filter(|connected| which(connected.role))
            .filter_map(|connected| connected.task.clone())
            .collect();
        for task in tasks {
            task.abort();
        }
    }

    /// The Destination that a program means.
    pub(super) fn resolve(&self, text: &str) -> Result<Destination, ResultCode> {
        let unknown = self.config.personality.unknown_name();
        // Some programs send a whole private key file, whose front counts.
        if text.len() > 500
            && let Ok(bytes) = ramson_wire::base64::decode(text)
        {
            return match Destination::parse_prefix(&bytes) {
                Ok((destination, _)) => Ok(destination),
                Err(_) => Err(ResultCode::InvalidKey),
            };
        }
        match text.parse().map_err(|_| ResultCode::InvalidKey)? {
            Address::Destination(destination) => Ok(destination),
            Address::Name(name) => self.state().hosts.get(&name).cloned().ok_or(unknown),
            Address::Hash(hash) => self
                .state()
                .sessions
                .values()
                .find(|entry| entry.destination.hash() == hash)
                .map(|entry| entry.destination.clone())
                .ok_or(unknown),
        }
    }
}

impl State {
    /// Adds a session.
    pub(super) fn create(
        &mut self,
        config: &Config,
        id: &str,
        entry: Entry,
    ) -> Result<(), ResultCode> {
        let personality = config.personality;
        let hash = entry.destination.hash();
        let mut others = self.sessions.values();
        if !personality.shares_keys() && others.any(|other| other.destination.hash() == hash) {
            return Err(personality.duplicated_dest());
        }
        let deaf_for = config.deaf_for.unwrap_or(personality.deaf_for());
        let deaf = self
            .ended
            .get(&hash)
            .is_some_and(|ended| aio::now() < *ended + deaf_for);
        self.add(config, id, Entry { deaf, ..entry })
    }

    /// Adds a session, or a subsession on the key of another.
    pub(super) fn add(
        &mut self,
        config: &Config,
        id: &str,
        entry: Entry,
    ) -> Result<(), ResultCode> {
        if self.sessions.contains_key(id) {
            return Err(config.personality.duplicated_id());
        }
        self.sessions.insert(id.to_owned(), entry);
        Ok(())
    }

    /// Ends the session `id`, and on i2pd with it the hearing of others on the same key.
    pub(super) fn end(&mut self, config: &Config, id: &str) {
        let Some(entry) = self.sessions.remove(id) else {
            return;
        };
        let hash = entry.destination.hash();
        if config.personality.shares_keys() {
            let same = self.sessions.values_mut();
            for other in same.filter(|other| other.destination.hash() == hash) {
                other.deaf = true;
            }
        }
        self.ended.insert(hash, aio::now());
    }

    pub(super) fn forget(&mut self) {
        self.sessions.clear();
        self.ended.clear();
    }

    /// Brings a stream on its way.
    pub(super) fn route(&mut self, to: &Destination, incoming: Incoming) -> Route {
        let hash = to.hash();
        let entry = self
            .sessions
            .values_mut()
            .find(|entry| entry.style == Style::Stream && entry.destination.hash() == hash);
        let Some(entry) = entry else {
            return Route::Refused(ResultCode::CantReachPeer, "LeaseSet not found");
        };
        if entry.deaf {
            return Route::Nowhere;
        }
        if let Some(forward) = entry.forward {
            return Route::Forward(forward);
        }
        let mut incoming = incoming;
        while let Some((_, acceptor)) = entry.acceptors.pop_front() {
            match acceptor.send(incoming) {
                Ok(()) => return Route::Accept,
                Err(back) => incoming = back,
            }
        }
        entry.waiting.retain(|waiting| !waiting.socket.is_closed());
        if entry.waiting.len() >= WAITING {
            return Route::Refused(ResultCode::CantReachPeer, "too many streams wait");
        }
        entry.waiting.push_back(incoming);
        Route::Accept
    }

    /// The next stream for an ACCEPT on `entry`.
    pub(super) fn accept(entry: &mut Entry, i2pd: bool) -> oneshot::Receiver<Incoming> {
        let (send, receive) = oneshot::channel();
        while let Some(incoming) = entry.waiting.pop_front() {
            if !incoming.socket.is_closed() && !entry.deaf {
                let _ = send.send(incoming);
                return receive;
            }
        }
        entry
            .acceptors
            .retain(|(_, acceptor)| !acceptor.is_closed());
        let now = aio::now();
        if i2pd {
            // The first is active, the others are queued.
            let mut queued = entry.acceptors.iter().skip(1);
            if queued.any(|(since, _)| now.saturating_since(*since) < YOUNG) {
                entry.acceptors.truncate(1);
            }
        }
        entry.acceptors.push_back((now, send));
        receive
    }
}

impl Entry {
    pub(super) fn new(
        destination: Destination,
        style: Style,
        version: Version,
        mail: mpsc::Sender<Vec<u8>>,
    ) -> Self {
        Self {
            destination,
            style,
            version,
            deaf: false,
            acceptors: VecDeque::new(),
            waiting: VecDeque::new(),
            forward: None,
            datagrams_to: None,
            mail,
            header: false,
            from_port: 0,
            to_port: 0,
            protocol: 18,
        }
    }
}

/// A connection's place in the list, and the sessions that end with it.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) sessions: Vec<String>,
    pub(super) forwards: Option<String>,
}

impl Registered {
    pub(super) fn role(&self, role: Role) {
        if let Some(connected) = self.shared.state().connections.get_mut(&self.id) {
            connected.role = role;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.connections.remove(&self.id);
        for id in self.sessions.iter().rev() {
            state.end(&self.shared.config, id);
        }
        if let Some(entry) = self
            .forwards
            .as_ref()
            .and_then(|id| state.sessions.get_mut(id))
        {
            entry.forward = None;
        }
    }
}
