use std::time::Duration;

use super::{Connection, Endpoint, Error, now};
use crate::{Event, Failure, Reply, Request, ResultCode, Style, Version};

/// How long a throw-away socket waits for the answer to a probing command.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Which program answers at a SAM port, as far as its behaviour tells: HELLO does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// i2pd since SAM 3.3 (2.58 and later as seen).
    I2pd,
    /// i2pd before that: answers version 3.0 when 3.0 to 3.3 are offered.
    I2pdOld,
    /// The Java router.
    Java,
    /// emissary.
    Emissary,
    /// Something else: the weakest is assumed of it.
    Unknown,
}

impl Dialect {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::I2pd => "i2pd",
            Self::I2pdOld => "i2pd (before SAM 3.3)",
            Self::Java => "Java I2P",
            Self::Emissary => "emissary",
            Self::Unknown => "an unknown SAM bridge",
        }
    }
}

/// What can be asked of the bridge at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traits {
    /// Which program it is.
    pub dialect: Dialect,
    /// The version agreed on when 3.0 to 3.3 are offered.
    pub version: Version,
    /// Signed datagrams, DATAGRAM.
    pub datagram1: bool,
    /// Signed datagrams bound to their target, DATAGRAM2.
    pub datagram2: bool,
    /// Unsigned datagrams with a sender hash, DATAGRAM3.
    pub datagram3: bool,
    /// Datagrams without a sender, RAW.
    pub raw: bool,
    /// One session may hold subsessions of several kinds (PRIMARY, SESSION ADD).
    pub subsessions: bool,
    /// Several sessions may be opened on one key, side by side.
    pub shared_keys: bool,
    /// A Destination sends one repliable kind only: that of its first datagram session.
    pub one_repliable_kind: bool,
    /// A Destination carries one datagram kind in all: the router tells them apart by port alone.
    pub one_datagram_kind: bool,
    /// Streams carry ports.
    pub stream_ports: bool,
    /// Datagrams carry ports.
    pub datagram_ports: bool,
    /// Datagrams can travel on the control socket.
    pub control_datagrams: bool,
    /// How many ACCEPTs may wait at once.
    pub accepts: usize,
    /// CONNECT says OK only after the peer answered.
    pub connect_confirms: bool,
    /// Closing one direction leaves the other open.
    pub half_close: bool,
    /// A PING of ours on a control socket does not end the session.
    pub survives_ping: bool,
    /// Tunnels without hops are possible.
    pub zero_hops: bool,
    /// USER and PASSWORD are looked at.
    pub login: bool,
    /// A key whose session ended may be dead for this long when used again.
    pub key_rest: Duration,
}

impl Traits {
    /// What is known of `dialect` speaking `version`.
    pub fn of(dialect: Dialect, version: Version) -> Self {
        let weakest = Self {
            dialect,
            version,
            datagram1: true,
            datagram2: false,
            datagram3: false,
            raw: true,
            subsessions: false,
            shared_keys: false,
            one_repliable_kind: true,
            one_datagram_kind: false,
            stream_ports: false,
            datagram_ports: false,
            control_datagrams: false,
            accepts: 1,
            connect_confirms: false,
            half_close: false,
            survives_ping: false,
            zero_hops: false,
            login: version >= Version::V3_2,
            key_rest: Duration::from_secs(10),
        };
        match dialect {
            Dialect::Unknown => weakest,
            Dialect::I2pd => Self {
                datagram2: true,
                datagram3: true,
                shared_keys: true,
                zero_hops: true,
                login: false,
                ..weakest
            },
            Dialect::I2pdOld => Self {
                shared_keys: true,
                zero_hops: true,
                login: false,
                ..weakest
            },
            Dialect::Java => Self {
                subsessions: version >= Version::V3_3,
                one_repliable_kind: false,
                stream_ports: version >= Version::V3_2,
                datagram_ports: version >= Version::V3_2,
                control_datagrams: true,
                accepts: 8,
                connect_confirms: true,
                survives_ping: version >= Version::V3_2,
                zero_hops: true,
                key_rest: Duration::from_secs(2),
                ..weakest
            },
            Dialect::Emissary => Self {
                datagram2: true,
                // Also on the 3.2 that it names.
                subsessions: true,
                one_datagram_kind: true,
                connect_confirms: true,
                login: false,
                key_rest: Duration::from_secs(2),
                ..weakest
            },
        }
    }

    /// Whether sessions of `style` can be had.
    pub fn has_style(&self, style: Style) -> bool {
        match style {
            Style::Stream => true,
            Style::Datagram => self.datagram1,
            Style::Datagram2 => self.datagram2,
            Style::Datagram3 => self.datagram3,
            Style::Raw => self.raw,
            Style::Primary | Style::Master => self.subsessions,
        }
    }
}

/// Finds out on throw-away sockets which program answers at `endpoint`.
///
/// The commands are harmless: NAMING LOOKUP of ME without a session (i2pd answers with its shared
/// Destination, Java closes the socket, others say no) and a HELLO for 3.3 alone.
pub(super) async fn probe(
    endpoint: &Endpoint,
    deadline: ramson_wire::Instant,
) -> Result<Traits, Error> {
    let mut connection =
        Connection::open(endpoint, Some(Version::V3_0), Some(Version::V3_3), deadline).await?;
    let version = connection.version();
    let timeout = PROBE_TIMEOUT.min(deadline.saturating_since(now()));
    let lookup = Request::NamingLookup {
        name: "ME".to_owned(),
        options: false,
    };
    let dialect = match connection.request(&lookup, timeout).await {
        Ok(Event::Reply(Reply::Naming { value: Some(_), .. })) if version >= Version::V3_3 => {
            Dialect::I2pd
        }
        Ok(Event::Reply(Reply::Naming { value: Some(_), .. })) => Dialect::I2pdOld,
        Err(Error::Failed(Failure::Closed { .. })) if version >= Version::V3_1 => Dialect::Java,
        Err(Error::Refused {
            code: ResultCode::KeyNotFound,
            ..
        }) => {
            // emissary says 3.2 to everybody, also to who asks for 3.3 at least.
            let strict = Some(Version::V3_3);
            match Connection::open(endpoint, strict, strict, deadline).await {
                Err(Error::Failed(Failure::NoVersion { offered: Some(_) })) => Dialect::Emissary,
                _ => Dialect::Unknown,
            }
        }
        _ => Dialect::Unknown,
    };
    tracing::debug!(dialect = dialect.name(), %version, "found out which router answers");
    Ok(Traits::of(dialect, version))
}
