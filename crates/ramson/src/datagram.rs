use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ramson_sam::{Style, aio};
use ramson_wire::{Address, Destination, DestinationHash};
use tokio::sync::{Mutex, mpsc};

use crate::sam::{Core, Hub, Incoming};
use crate::session::IntoTarget;
use crate::{Capability, Error};

/// How long `open` and `send_to` wait for the session, unless told otherwise.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// The kinds of datagrams (specification "Datagrams").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DatagramKind {
    /// Protocol 17: carries the sender's Destination and signature.
    #[default]
    Datagram1,
    /// Protocol 19: the same, bound to its receiver, so that it cannot be replayed to others.
    Datagram2,
    /// Protocol 20: carries the sender's hash, unsigned.
    Datagram3,
    /// Protocol 18: carries nothing of its sender.
    Raw,
}

impl DatagramKind {
    pub(crate) fn style(self) -> Style {
        match self {
            Self::Datagram1 => Style::Datagram,
            Self::Datagram2 => Style::Datagram2,
            Self::Datagram3 => Style::Datagram3,
            Self::Raw => Style::Raw,
        }
    }
}

impl fmt::Display for DatagramKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Datagram1 => "Datagram1",
            Self::Datagram2 => "Datagram2",
            Self::Datagram3 => "Datagram3",
            Self::Raw => "raw",
        })
    }
}

/// A datagram that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram {
    /// Who sent it: a Destination, or only its hash with kind 3 on some routers; `None` for raw.
    /// Vouched for by the router with kinds 1 and 2.
    pub from: Option<Address>,
    /// The sender's port; `None` where the router has no ports.
    pub from_port: Option<u16>,
    /// The port it was sent to; `None` where the router has no ports.
    pub to_port: Option<u16>,
    /// The I2CP protocol number of a raw datagram, where the router tells it.
    pub protocol: Option<u8>,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Sends and receives datagrams of one kind on a session's Destination.
///
/// Datagrams get lost, doubled and overtaken, as with UDP. What nobody takes out in time is
/// dropped ([`Self::dropped`]). Goes on when the session heals. What the router keeps for a kind
/// stays with the session when its last socket is dropped, ready for the next one.
#[derive(Debug)]
pub struct DatagramSocket {
    core: Arc<Core>,
    hub: Arc<Hub>,
    port: u16,
    incoming: Mutex<mpsc::Receiver<Incoming>>,
}

impl DatagramSocket {
    /// Sends one datagram to a host name, address or Destination with an optional `:PORT`.
    ///
    /// Waits while the session is being brought up. `Ok` means that the router has it, not that it
    /// arrives.
    ///
    /// # Errors
    ///
    /// [`Error::DatagramTooLarge`], [`Error::DatagramTooSmall`], [`Error::BadAddress`],
    /// [`Error::NameNotFound`], [`Error::TimedOut`], [`Error::Closed`].
    pub async fn send_to(&self, payload: &[u8], target: impl IntoTarget) -> Result<(), Error> {
        let target = target.into_target()?;
        if target.port != 0 {
            self.core.demand(Capability::DatagramPorts)?;
        }
        let limit = self.max_payload();
        if payload.len() > limit {
            return Err(Error::DatagramTooLarge {
                size: payload.len(),
                limit,
            });
        }
        if payload.len() < self.min_payload() {
            let limit = self.min_payload();
            return Err(Error::DatagramTooSmall {
                size: payload.len(),
                limit,
            });
        }
        let deadline = aio::now() + DEFAULT_DEADLINE;
        self.core.ready(deadline, DEFAULT_DEADLINE).await?;
        let router = &self.core.router;
        let destination = self.hub.resolve(router, target.address).await?;
        self.hub
            .send(router, payload, &destination, self.port, target.port)
            .await
    }

    /// Waits for the next datagram. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the session is closed.
    pub async fn recv_from(&self) -> Result<Datagram, Error> {
        let mut incoming = self.incoming.lock().await;
        tokio::select! {
            biased;
            datagram = incoming.recv() => datagram.ok_or_else(|| self.core.ended()),
            () = self.core.closed() => match incoming.try_recv() {
                Ok(datagram) => Ok(datagram),
                Err(_) => Err(self.core.ended()),
            },
        }
    }

    /// The most bytes that one datagram can carry here. Above 11 kB losses grow: a datagram is cut
    /// into tunnel messages of 1 kB, and all have to arrive.
    pub fn max_payload(&self) -> usize {
        self.hub.max_payload(&self.core.router)
    }

    /// The least bytes that the router carries: i2pd loses raw datagrams of 1 and 2 bytes.
    pub fn min_payload(&self) -> usize {
        self.hub.min_payload(&self.core.router)
    }

    /// The kind that is sent. On i2pd every repliable kind is received.
    pub fn kind(&self) -> DatagramKind {
        self.hub.kind
    }

    /// The own port, 0 for all.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many datagrams of this kind came in and were dropped, because they were malformed or
    /// nobody took them out in time.
    pub fn dropped(&self) -> u64 {
        self.hub.dropped()
    }

    /// The own address.
    pub fn address(&self) -> DestinationHash {
        self.core.destination.hash()
    }

    /// The own Destination.
    pub fn destination(&self) -> &Destination {
        &self.core.destination
    }
}

impl Drop for DatagramSocket {
    fn drop(&mut self) {
        self.hub.remove(self.port);
        self.core.forget_hub(self.hub.kind);
    }
}

/// Opens a [`DatagramSocket`].
#[derive(Debug)]
#[must_use = "a builder does nothing until open()"]
pub struct DatagramBuilder {
    core: Arc<Core>,
    kind: DatagramKind,
    port: u16,
    queue: usize,
    deadline: Duration,
}

impl DatagramBuilder {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            kind: DatagramKind::default(),
            port: 0,
            queue: 256,
            deadline: DEFAULT_DEADLINE,
        }
    }

    /// The kind; [`DatagramKind::Datagram1`] unless told otherwise.
    pub fn kind(mut self, kind: DatagramKind) -> Self {
        self.kind = kind;
        self
    }

    /// The own port ([`Capability::DatagramPorts`]); 0 takes what no other socket takes.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// How many datagrams may wait for [`DatagramSocket::recv_from`]; 256 unless told otherwise.
    pub fn queue(mut self, datagrams: usize) -> Self {
        self.queue = datagrams.clamp(1, 65_536);
        self
    }

    /// How long [`Self::open`] waits for the session; one minute unless told otherwise.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a kind or port that the router has not,
    /// [`Error::KindsClash`], [`Error::DatagramsTooLate`], [`Error::PortInUse`], [`Error::TimedOut`], [`Error::Closed`].
    pub async fn open(self) -> Result<DatagramSocket, Error> {
        if self.port != 0 {
            self.core.demand(Capability::DatagramPorts)?;
        }
        let hub = self.core.hub(self.kind).await?;
        let incoming = hub.add(self.port, self.queue)?;
        let socket = DatagramSocket {
            core: self.core,
            hub,
            port: self.port,
            incoming: Mutex::new(incoming),
        };
        socket.core.open_hub(self.kind, self.deadline).await?;
        Ok(socket)
    }
}
