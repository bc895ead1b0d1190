use std::fmt;

use ramson_sam::aio::Traits;

use crate::DatagramKind;

/// Something that not every router can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Capability {
    /// Streams carry port numbers.
    StreamPorts,
    /// Datagrams carry port numbers.
    DatagramPorts,
    /// Datagrams of this kind.
    Datagrams(DatagramKind),
    /// Streams and datagrams on one Destination.
    StreamsAndDatagrams,
    /// Several repliable datagram kinds on one Destination.
    SeveralRepliableKinds,
    /// Raw datagrams beside a repliable kind on one Destination.
    RawBesideRepliable,
    /// `connect` waits for the peer's answer.
    ConfirmedConnect,
    /// Closing the sending side leaves the receiving side open.
    HalfClose,
    /// Tunnels without hops.
    ZeroHops,
    /// The router looks at user and password.
    Login,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamPorts => f.write_str("a port on a stream"),
            Self::DatagramPorts => f.write_str("a port on a datagram"),
            Self::Datagrams(kind) => write!(f, "the datagram kind {kind}"),
            Self::StreamsAndDatagrams => f.write_str("streams and datagrams on one Destination"),
            Self::SeveralRepliableKinds => {
                f.write_str("several repliable datagram kinds on one Destination")
            }
            Self::RawBesideRepliable => {
                f.write_str("raw datagrams beside a repliable kind on one Destination")
            }
            Self::ConfirmedConnect => f.write_str("a connection confirmed by the peer"),
            Self::HalfClose => f.write_str("closing one direction of a stream"),
            Self::ZeroHops => f.write_str("a tunnel without hops"),
            Self::Login => f.write_str("a login with user and password"),
        }
    }
}

/// What the router at hand can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    traits: Traits,
}

impl Capabilities {
    pub(crate) fn of(traits: Traits) -> Self {
        Self { traits }
    }

    /// Whether the router can do this.
    pub fn has(&self, capability: Capability) -> bool {
        let traits = &self.traits;
        match capability {
            Capability::StreamPorts => traits.stream_ports,
            Capability::DatagramPorts => traits.datagram_ports,
            Capability::Datagrams(kind) => traits.has_style(kind.style()),
            Capability::StreamsAndDatagrams => traits.subsessions || traits.shared_keys,
            Capability::SeveralRepliableKinds => !traits.one_repliable_kind,
            Capability::RawBesideRepliable => !traits.one_datagram_kind,
            Capability::ConfirmedConnect => traits.connect_confirms,
            Capability::HalfClose => traits.half_close,
            Capability::ZeroHops => traits.zero_hops,
            Capability::Login => traits.login,
        }
    }

    /// The kind of router: `i2pd`, `Java I2P`, `emissary` or `an unknown SAM bridge`.
    pub fn router(&self) -> &'static str {
        self.traits.dialect.name()
    }
}
