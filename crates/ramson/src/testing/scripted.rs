use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ramson_sam::aio::Endpoint;
use ramson_wire::{Destination, HostName};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::task::AbortHandle;

use super::connection::serve;
use super::rule::{Rule, Verb};
use super::state::{Connected, Registered, Role, Shared};
use super::{Personality, Seen, Timing, datagrams};
use crate::{Error, I2p, I2pBuilder};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What a bridge is like.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    pub(super) personality: Personality,
    pub(super) deaf_for: Option<Duration>,
    pub(super) ping_every: Option<Duration>,
    pub(super) login: Option<(String, String)>,
}

/// A SAM bridge on a loopback port, with sessions, streams and datagrams of its own, that does
/// what a test tells it. See [the module](super).
///
/// Ends when dropped, with all its connections.
#[derive(Debug)]
pub struct ScriptedBridge {
    shared: Arc<Shared>,
    /// Bound and not listening, so that the port stays ours over a restart.
    _reserved: TcpSocket,
    accepting: Mutex<Option<AbortHandle>>,
    datagrams: AbortHandle,
}

/// Starts a [`ScriptedBridge`].
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until start()"]
pub struct ScriptedBridgeBuilder {
    config: Config,
}

impl ScriptedBridgeBuilder {
    /// Behaves like this router; like the Java router unless told otherwise.
    pub fn personality(mut self, personality: Personality) -> Self {
        self.config.personality = personality;
        self
    }

    /// A session answers OK and hears nothing when its keys were in use less than this long ago;
    /// as the personality has it (7 s on i2pd, not at all elsewhere) unless told otherwise.
    pub fn deaf_after_recreation(mut self, time: Duration) -> Self {
        self.config.deaf_for = Some(time);
        self
    }

    /// Sends a PING on connections that are silent for this long and closes them when no PONG
    /// comes in the same time; never unless told otherwise.
    pub fn ping_every(mut self, period: Duration) -> Self {
        self.config.ping_every = Some(period);
        self
    }

    /// Wants this user and password.
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.config.login = Some((user.into(), password.into()));
        self
    }

    /// Starts the bridge on a free loopback port, in the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// When the operating system gives no port.
    pub async fn start(self) -> io::Result<ScriptedBridge> {
        let reserved = reserve(0)?;
        let address = reserved.local_addr()?;
        let listener = listen(address)?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared::new(self.config, address, udp));
        let datagrams = tokio::spawn(datagrams::run(Arc::clone(&shared))).abort_handle();
        let accepting = spawn_accepting(&shared, listener);
        Ok(ScriptedBridge {
            shared,
            _reserved: reserved,
            accepting: Mutex::new(Some(accepting)),
            datagrams,
        })
    }
}

impl ScriptedBridge {
    /// Starts a bridge like the Java router's.
    ///
    /// # Errors
    ///
    /// As [`ScriptedBridgeBuilder::start`].
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Chooses what the bridge is like.
    pub fn builder() -> ScriptedBridgeBuilder {
        ScriptedBridgeBuilder::default()
    }

    /// Where it listens, with its UDP port.
    pub fn endpoint(&self) -> Endpoint {
        let (tcp, udp) = (self.shared.address, self.shared.udp.local_addr());
        let endpoint = Endpoint::new(tcp.ip().to_string(), tcp.port());
        match udp {
            Ok(udp) => endpoint.with_udp_port(udp.port()),
            Err(_) => endpoint,
        }
    }

    /// A builder for an [`I2p`] on this bridge with [`Timing::quick`], to add to.
    pub fn i2p_builder(&self) -> I2pBuilder {
        I2p::builder()
            .sam_endpoint(self.endpoint())
            .timing(Timing::quick())
    }

    /// An [`I2p`] on this bridge, with waits that suit tests.
    ///
    /// # Errors
    ///
    /// As [`I2p::start`].
    pub async fn i2p(&self) -> Result<I2p, Error> {
        self.i2p_builder().start().await
    }

    /// Adds a rule. Of several that apply, the one added first is done.
    pub fn add(&self, rule: Rule) {
        self.shared.state().rules.push(rule);
    }

    /// Forgets all rules.
    pub fn clear_rules(&self) {
        self.shared.state().rules.clear();
    }

    /// Adds a name to the bridge's address book.
    pub fn add_host(&self, name: HostName, destination: Destination) {
        self.shared.state().hosts.insert(name, destination);
    }

    /// The lines that programs said, the oldest first; at most the last 100,000.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.iter().cloned().collect()
    }

    /// Those of one kind.
    pub fn seen_of(&self, verb: Verb) -> Vec<Seen> {
        let state = self.shared.state();
        let seen = state.seen.iter().filter(|seen| seen.verb == verb);
        seen.cloned().collect()
    }

    /// How many sessions and subsessions there are.
    pub fn sessions(&self) -> usize {
        self.shared.state().sessions.len()
    }

    /// How many TCP connections of programs are open; streams between two programs count once.
    pub fn connections(&self) -> usize {
        self.shared.state().connections.len()
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        let state = self.shared.state();
        let roles = state.connections.values().map(|connected| connected.role);
        roles.filter(|role| *role == Role::Stream).count()
    }

    /// How many TCP connections were made so far.
    pub fn accepted(&self) -> u64 {
        self.shared.state().accepted
    }

    /// Closes the connections that hold sessions, as a router that ends them does.
    pub fn cut_control_connections(&self) {
        self.shared.cut(|role| role == Role::Control);
    }

    /// Closes all streams, at both ends.
    pub fn cut_streams(&self) {
        self.shared.cut(|role| role == Role::Stream);
    }

    /// From now on answers nothing, carries nothing and closes nothing, as a router that hangs;
    /// connections are still taken.
    pub fn go_silent(&self) {
        self.shared.silent.send_replace(true);
    }

    /// Goes on where [`Self::go_silent`] stopped.
    pub fn speak_again(&self) {
        self.shared.silent.send_replace(false);
    }

    /// Dies: closes everything, forgets all sessions, and refuses connections.
    pub fn stop(&self) {
        let mut accepting = self.accepting();
        if let Some(task) = accepting.take() {
            task.abort();
        }
        self.shared.cut(|_| true);
        self.shared.state().forget();
    }

    /// Comes back on the same port after [`Self::stop`], knowing no session; dies first if it
    /// lives. Rules, hosts and seen lines stay.
    ///
    /// # Errors
    ///
    /// When the operating system does not give the port back.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop();
        self.speak_again();
        // The task that had the port gives it back when it is next polled.
        let mut tries = 0;
        let listener = loop {
            match listen(self.shared.address) {
                Ok(listener) => break listener,
                Err(error) if tries > 500 => return Err(error),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        *self.accepting() = Some(spawn_accepting(&self.shared, listener));
        Ok(())
    }

    fn accepting(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ScriptedBridge {
    fn drop(&mut self) {
        self.stop();
        self.datagrams.abort();
    }
}

/// A socket bound to a loopback port.
fn reserve(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    reserve(address.port())?.listen(BACKLOG)
}

fn spawn_accepting(shared: &Arc<Shared>, listener: TcpListener) -> AbortHandle {
    tokio::spawn(accept(Arc::clone(shared), listener)).abort_handle()
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let id = {
            let mut state = shared.state();
            state.accepted += 1;
            let id = state.accepted;
            let connected = Connected {
                task: None,
                role: Role::Asking,
            };
            state.connections.insert(id, connected);
            id
        };
        let registered = Registered {
            shared: Arc::clone(&shared),
            id,
            sessions: Vec::new(),
            forwards: None,
        };
        let task = tokio::spawn(serve(registered, tcp)).abort_handle();
        if let Some(connected) = shared.state().connections.get_mut(&id) {
            connected.task = Some(task);
        }
    }
}
