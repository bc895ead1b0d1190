use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ramson_sam::aio;
use ramson_wire::{
    Address, Destination, DestinationHash, EncryptionKeyType, HostName, PrivateKeys, Target,
};

use crate::datagram::DatagramBuilder;
use crate::options::SessionOptions;
use crate::sam::{Core, connect};
use crate::{
    Capability, ConnectOptions, DatagramKind, Error, Events, I2p, ListenOptions, Listener,
    StatusWatch, Stream, Tunnels, WhenIdle, keys,
};

/// How long [`SessionBuilder::open`] waits: i2pd takes 3 to 27 seconds, others a minute.
const DEFAULT_READY: Duration = Duration::from_secs(120);

/// An online Destination: what peers connect to, and what connects to peers.
///
/// A handle: clones are the same session. It ends when the last handle, listener, stream and
/// datagram socket of it is dropped, or by [`Self::close`]. When the router restarts or the
/// connection to it is lost, the session comes back by itself with the same Destination;
/// [`Self::events`] tells each step.
#[derive(Clone)]
pub struct Session {
    core: Arc<Core>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("status", &self.core.status.borrow())
            .finish()
    }
}

impl Session {
    pub(crate) fn from_core(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The address for others, `….b32.i2p`.
    pub fn address(&self) -> DestinationHash {
        self.destination().hash()
    }

    /// The full Destination.
    pub fn destination(&self) -> &Destination {
        &self.core.destination
    }

    /// The keys of the Destination, to keep one that was made for this session.
    pub fn keys(&self) -> &PrivateKeys {
        &self.core.keys.keys
    }

    /// Opens a stream to a host name, `….b32.i2p` address or Destination, each with an optional
    /// `:PORT`. One minute in all; see [`Self::connect_with`].
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`].
    pub async fn connect(&self, target: impl IntoTarget) -> Result<Stream, Error> {
        self.connect_with(target, ConnectOptions::default()).await
    }

    /// Opens a stream. Cancel-safe: a dropped future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`], [`Error::NameNotFound`], [`Error::PeerUnreachable`],
    /// [`Error::PeerRefused`], [`Error::TimedOut`] with the last failure within, or
    /// [`Error::Closed`].
    pub async fn connect_with(
        &self,
        target: impl IntoTarget,
        options: ConnectOptions,
    ) -> Result<Stream, Error> {
        connect(&self.core, target.into_target()?, options).await
    }

    /// Takes connections on all ports.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyListening`] when another listener is open, [`Error::Closed`].
    pub async fn listen(&self) -> Result<Listener, Error> {
        self.listen_with(ListenOptions::default()).await
    }

    /// Takes connections.
    ///
    /// # Errors
    ///
    /// As [`Self::listen`], and [`Error::Unsupported`] for a port where the router has none.
    pub async fn listen_with(&self, options: ListenOptions) -> Result<Listener, Error> {
        if options.port != 0 {
            self.core.demand(Capability::StreamPorts)?;
        }
        let incoming = self.core.accepting.add_listener(options)?;
        if self.core.is_closed() {
            self.core.accepting.remove_listener(options.port);
            return Err(self.core.ended());
        }
        Ok(Listener::new(
            Arc::clone(&self.core),
            options.port,
            incoming,
        ))
    }

    /// Prepares a datagram socket on the same Destination; signed datagrams unless told otherwise.
    pub fn datagrams(&self) -> DatagramBuilder {
        DatagramBuilder::new(Arc::clone(&self.core))
    }

    /// How far the session is.
    pub fn status(&self) -> StatusWatch {
        StatusWatch::new(self.core.status.subscribe())
    }

    /// Waits until streams and datagrams can pass.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] after `deadline` with what the session waits for, or the error that
    /// ended it.
    pub async fn ready(&self, deadline: Duration) -> Result<(), Error> {
        self.core
            .ready(aio::now() + deadline, deadline)
            .await
            .map(|_| ())
    }

    /// What happens to the session from now on; for the first to ask, also what happened since
    /// its start.
    pub fn events(&self) -> Events {
        Events::new(self.core.subscribe())
    }

    /// Makes the session anew with the same Destination: new tunnels, and the router forgets what
    /// it cached for it. Open streams end. The cure for
    /// [`ErrorKind::PeerSilent`](crate::ErrorKind::PeerSilent).
    ///
    /// Returns when the old session is being taken down; [`Self::ready`] waits for the new one.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the session is over.
    pub async fn renew(&self) -> Result<(), Error> {
        self.core.renew().await
    }

    /// What the router of this session can do.
    pub fn capabilities(&self) -> crate::Capabilities {
        self.core.capabilities()
    }

    /// Closes the session: refuses new connections, waits up to `deadline` until the open streams
    /// are dropped, and when some just were, three seconds more within the deadline, in which the
    /// router sends what it was given. Then it gives the Destination back to the router.
    ///
    /// Returns whether all streams were done in time.
    pub async fn close(&self, deadline: Duration) -> bool {
        self.core.close(deadline).await
    }

    /// Waits until [`Self::close`] was called, or the session is over: no more connections come,
    /// those that are open may still be served.
    pub async fn closing(&self) {
        self.core.draining().await;
    }

    /// Waits until the session is closed, by whatever cause.
    pub async fn closed(&self) {
        self.core.closed().await;
    }

    /// How many streams of the session are open.
    pub fn open_streams(&self) -> usize {
        self.core.open_streams()
    }
}

/// Which keys a session has.
#[derive(Debug)]
enum KeySource {
    New,
    File(PathBuf),
    Given(Box<PrivateKeys>),
}

/// Opens a [`Session`].
#[derive(Debug)]
#[must_use = "a builder does nothing until open() or start()"]
pub struct SessionBuilder {
    i2p: I2p,
    keys: KeySource,
    options: SessionOptions,
    ready_within: Duration,
}

impl SessionBuilder {
    pub(crate) fn new(i2p: I2p) -> Self {
        Self {
            i2p,
            keys: KeySource::New,
            options: SessionOptions::default(),
            ready_within: DEFAULT_READY,
        }
    }

    /// The keys in this file, which is made at the first run: the same Destination on every run.
    /// Without it, the session has a new Destination.
    ///
    /// The file is locked while the session lives.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys = KeySource::File(path.into());
        self
    }

    /// These keys.
    pub fn keys(mut self, keys: PrivateKeys) -> Self {
        self.keys = KeySource::Given(Box::new(keys));
        self
    }

    /// The tunnels through which peers reach the session.
    pub fn inbound(mut self, tunnels: Tunnels) -> Self {
        self.options.inbound = tunnels;
        self
    }

    /// The tunnels through which the session reaches peers.
    pub fn outbound(mut self, tunnels: Tunnels) -> Self {
        self.options.outbound = tunnels;
        self
    }

    /// The tunnels of both directions.
    pub fn tunnels(self, tunnels: Tunnels) -> Self {
        self.inbound(tunnels).outbound(tunnels)
    }

    /// The encryption types of the LeaseSet, the preferred first; X25519 unless told otherwise.
    pub fn encryption(mut self, kinds: &[EncryptionKeyType]) -> Self {
        self.options.encryption = kinds.to_vec();
        self
    }

    /// A name for the router's own displays; peers never see it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// What becomes of the tunnels when nothing is sent.
    pub fn when_idle(mut self, idle: WhenIdle) -> Self {
        self.options.when_idle = Some(idle);
        self
    }

    /// Makes it an error when the router cannot do this.
    ///
    /// Other options that a router does not honour become [`Event::NotHonoured`].
    ///
    /// [`Event::NotHonoured`]: crate::Event::NotHonoured
    pub fn require(mut self, capability: Capability) -> Self {
        self.options.required.push(capability);
        self
    }

    /// Opens the router's side of these datagram kinds together with the session, in this order.
    ///
    /// Needed only on i2pd: to open datagrams after the first stream
    /// ([`Error::DatagramsTooLate`]), and to use raw datagrams beside kind 2 or 3, since the first
    /// kind that is opened decides there what the Destination sends.
    pub fn datagram_kinds(mut self, kinds: &[DatagramKind]) -> Self {
        self.options.kinds = kinds.to_vec();
        self
    }

    /// Passes an option to the router as it is (I2CP, "Session options").
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.extra.push((key.into(), value.into()));
        self
    }

    /// How long [`Self::open`] waits for tunnels; two minutes unless told otherwise.
    pub fn ready_within(mut self, deadline: Duration) -> Self {
        self.ready_within = deadline;
        self
    }

    /// Opens the session and waits until it is ready.
    ///
    /// # Errors
    ///
    /// The key file ([`Error::KeyInUse`], [`Error::KeyFile`], [`Error::BadKeys`]), the router
    /// ([`Error::Router`], [`Error::SessionRefused`], [`Error::Unsupported`]) or the time
    /// ([`Error::TimedOut`]).
    pub async fn open(self) -> Result<Session, Error> {
        let deadline = self.ready_within;
        let session = self.start().await?;
        session.ready(deadline).await?;
        Ok(session)
    }

    /// Opens the session and returns while its tunnels are being built, so that
    /// [`Session::status`] can be shown.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], as far as it shows at once.
    pub async fn start(self) -> Result<Session, Error> {
        let router = Arc::clone(self.i2p.router());
        let capabilities = router.capabilities().await?;
        for &capability in &self.options.required {
            if !capabilities.has(capability) {
                return Err(Error::Unsupported {
                    capability,
                    router: capabilities.router(),
                });
            }
        }
        let keys = match self.keys {
            KeySource::New => keys::claim(PrivateKeys::generate(), true)?,
            KeySource::Given(given) => keys::claim(*given, false)?,
            KeySource::File(path) => {
                let claimed = tokio::task::spawn_blocking(move || keys::claim_file(&path)).await;
                claimed.map_err(|_| Error::Closed {
                    what: "the runtime",
                })??
            }
        };
        Core::start(router, keys, self.options)
            .await
            .map(Session::from_core)
    }
}

/// What [`Session::connect`] takes.
pub trait IntoTarget {
    /// The address and port.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] for a text that is none.
    fn into_target(self) -> Result<Target, Error>;
}

impl IntoTarget for &str {
    fn into_target(self) -> Result<Target, Error> {
        self.parse().map_err(|source| Error::BadAddress {
            text: self.to_owned(),
            source,
        })
    }
}

impl IntoTarget for &String {
    fn into_target(self) -> Result<Target, Error> {
        self.as_str().into_target()
    }
}

impl IntoTarget for String {
    fn into_target(self) -> Result<Target, Error> {
        self.as_str().into_target()
    }
}

impl IntoTarget for Target {
    fn into_target(self) -> Result<Target, Error> {
        Ok(self)
    }
}

impl IntoTarget for &Target {
    fn into_target(self) -> Result<Target, Error> {
        Ok(self.clone())
    }
}

impl IntoTarget for Address {
    fn into_target(self) -> Result<Target, Error> {
        Ok(Target {
            address: self,
            port: 0,
        })
    }
}

impl IntoTarget for &Address {
    fn into_target(self) -> Result<Target, Error> {
        self.clone().into_target()
    }
}

impl IntoTarget for &Destination {
    fn into_target(self) -> Result<Target, Error> {
        Address::Destination(self.clone()).into_target()
    }
}

impl IntoTarget for Destination {
    fn into_target(self) -> Result<Target, Error> {
        Address::Destination(self).into_target()
    }
}

impl IntoTarget for DestinationHash {
    fn into_target(self) -> Result<Target, Error> {
        Address::Hash(self).into_target()
    }
}

impl IntoTarget for HostName {
    fn into_target(self) -> Result<Target, Error> {
        Address::Name(self).into_target()
    }
}

impl<A: IntoTarget> IntoTarget for (A, u16) {
    fn into_target(self) -> Result<Target, Error> {
        Ok(Target {
            port: self.1,
            ..self.0.into_target()?
        })
    }
}
