use std::time::Duration;

use ramson_wire::EncryptionKeyType;

use crate::{Capability, DatagramKind};

/// The tunnels of one direction of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnels {
    pub(crate) length: u8,
    pub(crate) variance: i8,
    pub(crate) quantity: u8,
    pub(crate) backup: u8,
}

impl Default for Tunnels {
    /// Three hops, no variance, two tunnels, no backup.
    fn default() -> Self {
        Self {
            length: 3,
            variance: 0,
            quantity: 2,
            backup: 0,
        }
    }
}

impl Tunnels {
    /// Tunnels of `length` hops, 0 to 7; fewer hops are quicker and hide less.
    pub fn hops(length: u8) -> Self {
        Self {
            length: length.min(7),
            ..Self::default()
        }
    }

    /// How many tunnels carry traffic at once, 1 to 16.
    #[must_use]
    pub fn quantity(mut self, quantity: u8) -> Self {
        self.quantity = quantity.clamp(1, 16);
        self
    }

    /// How many more are kept ready, 0 to 16.
    #[must_use]
    pub fn backup(mut self, backup: u8) -> Self {
        self.backup = backup.min(16);
        self
    }

    /// Hops added at random: up to `variance` more, or when negative that many more or fewer; -7
    /// to 7.
    #[must_use]
    pub fn variance(mut self, variance: i8) -> Self {
        self.variance = variance.clamp(-7, 7);
        self
    }
}

/// What a session does with its tunnels when nothing is sent (I2CP, "Session options").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhenIdle {
    /// Keep only this many tunnels each way after this long.
    pub reduce: Option<(Duration, u8)>,
    /// Close all tunnels after this long, until there is traffic again.
    pub close_after: Option<Duration>,
}

/// Everything a session asks of the router.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionOptions {
    pub(crate) inbound: Tunnels,
    pub(crate) outbound: Tunnels,
    pub(crate) encryption: Vec<EncryptionKeyType>,
    pub(crate) name: Option<String>,
    pub(crate) when_idle: Option<WhenIdle>,
    pub(crate) required: Vec<Capability>,
    pub(crate) kinds: Vec<DatagramKind>,
    pub(crate) extra: Vec<(String, String)>,
}

impl SessionOptions {
    /// The options as SESSION CREATE takes them (I2CP, "Session options").
    pub(crate) fn to_pairs(&self, default_encryption: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut add = |key: &str, value: String| pairs.push((key.to_owned(), value));
        for (direction, tunnels) in [("inbound", self.inbound), ("outbound", self.outbound)] {
            add(&format!("{direction}.length"), tunnels.length.to_string());
            add(
                &format!("{direction}.lengthVariance"),
                tunnels.variance.to_string(),
            );
            add(
                &format!("{direction}.quantity"),
                tunnels.quantity.to_string(),
            );
            add(
                &format!("{direction}.backupQuantity"),
                tunnels.backup.to_string(),
            );
            if let Some(name) = &self.name {
                add(&format!("{direction}.nickname"), name.clone());
            }
        }
        let encryption = if self.encryption.is_empty() {
            default_encryption.to_owned()
        } else {
            let codes: Vec<String> = self
                .encryption
                .iter()
                .map(|kind| kind.code().to_string())
                .collect();
            codes.join(",")
        };
        add("i2cp.leaseSetEncType", encryption);
        if let Some(idle) = self.when_idle {
            if let Some((after, quantity)) = idle.reduce {
                add("i2cp.reduceOnIdle", "true".to_owned());
                add("i2cp.reduceIdleTime", after.as_millis().to_string());
                add("i2cp.reduceQuantity", quantity.to_string());
            }
            if let Some(after) = idle.close_after {
                add("i2cp.closeOnIdle", "true".to_owned());
                add("i2cp.closeIdleTime", after.as_millis().to_string());
            }
        }
        pairs.extend(self.extra.iter().cloned());
        pairs
    }
}

/// How `connect` goes about one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    pub(crate) deadline: Duration,
    pub(crate) attempts: Option<u32>,
    pub(crate) answer_within: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) from_port: u16,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            attempts: None,
            answer_within: Some(Duration::from_secs(120)),
            idle_timeout: None,
            from_port: 0,
        }
    }
}

impl ConnectOptions {
    /// One minute in all, as many attempts as fit in, an answer within two minutes.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long everything together may take; one minute unless told otherwise.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often a peer that cannot be reached is tried within the deadline; as often as fits in
    /// unless told otherwise: a peer that just came online is found after some seconds.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts.max(1));
        self
    }

    /// How long a read waits for the first byte on a router that says connected before the peer
    /// answered ([`Capability::ConfirmedConnect`] is missing), until it fails with
    /// [`ErrorKind::PeerSilent`](crate::ErrorKind::PeerSilent). Two minutes unless told otherwise;
    /// `None` waits for ever, for protocols in which the peer may stay silent.
    #[must_use]
    pub fn answer_within(mut self, limit: Option<Duration>) -> Self {
        self.answer_within = limit;
        self
    }

    /// Ends the stream with an error when a read or write waits longer than this; never unless
    /// told otherwise.
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// The own port, 0 unless told otherwise ([`Capability::StreamPorts`]).
    #[must_use]
    pub fn from_port(mut self, port: u16) -> Self {
        self.from_port = port;
        self
    }
}

/// How a [`Listener`](crate::Listener) takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    pub(crate) port: u16,
    pub(crate) max_streams: usize,
    pub(crate) max_streams_per_peer: Option<usize>,
    pub(crate) rate: Option<(u32, Duration)>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) forward: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            port: 0,
            max_streams: 1024,
            max_streams_per_peer: None,
            rate: None,
            idle_timeout: None,
            forward: false,
        }
    }
}

impl ListenOptions {
    /// All ports, 1024 streams at once, no limit per peer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes only streams to this port ([`Capability::StreamPorts`]); 0 takes what no other
    /// listener takes.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// How many accepted streams may be open at once; beyond that, connections wait in the router.
    #[must_use]
    pub fn max_streams(mut self, limit: usize) -> Self {
        self.max_streams = limit.clamp(1, 65_536);
        self
    }

    /// How many of them one Destination may hold; more are closed at once.
    #[must_use]
    pub fn max_streams_per_peer(mut self, limit: usize) -> Self {
        self.max_streams_per_peer = Some(limit.max(1));
        self
    }

    /// How many connections are taken in each period; the others are closed at once.
    #[must_use]
    pub fn rate(mut self, connections: u32, per: Duration) -> Self {
        self.rate = Some((connections.max(1), per));
        self
    }

    /// Ends an accepted stream when a read or write waits longer than this.
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// Uses SAM's STREAM FORWARD: the router connects to a loopback port of this program for each
    /// stream.
    ///
    /// Any local process can connect to that port as well and name whatever peer it likes: on a
    /// machine with other users or programs that are not trusted, [`Stream::peer`] then proves
    /// nothing. Without this option, streams come by STREAM ACCEPT, which has no such gap.
    ///
    /// [`Stream::peer`]: crate::Stream::peer
    #[must_use]
    pub fn forward(mut self) -> Self {
        self.forward = true;
        self
    }
}
