mod encode;
mod parse;

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{line::LineError, secret::Secret, version::Version};

pub use encode::EncodeError;

/// What a client says to a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `HELLO VERSION [MIN=] [MAX=] [USER=] [PASSWORD=]`
    Hello {
        /// The lowest version the client takes.
        min: Option<Version>,
        /// The highest version the client takes.
        max: Option<Version>,
        /// The user's name, where the bridge asks for one.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// Options this crate does not know.
        extra: Vec<(String, String)>,
    },
    /// `SESSION CREATE STYLE= ID= DESTINATION= ...`
    SessionCreate {
        /// What the session carries.
        style: Style,
        /// The name other connections use it by.
        id: String,
        /// Its Destination.
        destination: DestinationSpec,
        /// Everything else.
        params: SessionParams,
    },
    /// `SESSION ADD STYLE= ID= ...`: a subsession of this socket's primary session.
    SessionAdd {
        /// What the subsession carries.
        style: Style,
        /// The name other connections use it by.
        id: String,
        /// Everything else.
        params: SessionParams,
    },
    /// `SESSION REMOVE ID=`
    SessionRemove {
        /// The subsession.
        id: String,
    },
    /// `STREAM CONNECT ID= DESTINATION= [SILENT=] [FROM_PORT=] [TO_PORT=]`
    StreamConnect {
        /// The session.
        id: String,
        /// The base 64 of a Destination, a host name or a b32 address.
        destination: String,
        /// Whether the bridge says nothing before the data.
        silent: bool,
        /// The I2CP port the stream comes from.
        from_port: Option<u16>,
        /// The I2CP port the stream goes to.
        to_port: Option<u16>,
    },
    /// `STREAM ACCEPT ID= [SILENT=]`
    StreamAccept {
        /// The session.
        id: String,
        /// Whether the bridge says nothing before the data.
        silent: bool,
    },
    /// `STREAM FORWARD ID= PORT= [HOST=] [SILENT=] [SSL=]`
    StreamForward {
        /// The session.
        id: String,
        /// Where the bridge connects to; the client's address if missing.
        host: Option<String>,
        /// The port the bridge connects to.
        port: u16,
        /// Whether the bridge leaves out the line with the peer's Destination.
        silent: bool,
        /// Whether the bridge connects over TLS.
        ssl: bool,
    },
    /// `DATAGRAM SEND DESTINATION= SIZE= ...`, followed by SIZE bytes.
    DatagramSend {
        /// The target.
        destination: String,
        /// The length of the payload.
        size: usize,
        /// The I2CP port it comes from.
        from_port: Option<u16>,
        /// The I2CP port it goes to.
        to_port: Option<u16>,
        /// `SEND_TAGS`, `TAG_THRESHOLD`, `EXPIRES`, `SEND_LEASESET` and whatever else was said.
        options: SessionOptions,
    },
    /// `RAW SEND DESTINATION= SIZE= ...`, followed by SIZE bytes.
    RawSend {
        /// The target.
        destination: String,
        /// The length of the payload.
        size: usize,
        /// The I2CP protocol.
        protocol: Option<u8>,
        /// The I2CP port it comes from.
        from_port: Option<u16>,
        /// The I2CP port it goes to.
        to_port: Option<u16>,
        /// As for [`Request::DatagramSend`].
        options: SessionOptions,
    },
    /// `NAMING LOOKUP NAME= [OPTIONS=true]`
    NamingLookup {
        /// A host name, b32 address, or `ME`.
        name: String,
        /// Whether the options of the LeaseSet are wanted, too.
        options: bool,
    },
    /// `DEST GENERATE [SIGNATURE_TYPE=]`
    DestGenerate {
        /// A signature type by its number or name.
        signature_type: Option<String>,
    },
    /// `PING[ text]`
    Ping(String),
    /// `PONG[ text]`
    Pong(String),
    /// `AUTH ...`
    Auth(Auth),
    /// `HELP`
    Help,
    /// `QUIT`
    Quit,
    /// `STOP`
    Stop,
    /// `EXIT`
    Exit,
}

/// The commands that change who may connect (samv3, Authorization Configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `AUTH ENABLE`
    Enable,
    /// `AUTH DISABLE`
    Disable,
    /// `AUTH ADD USER= PASSWORD=`
    Add {
        /// The new user.
        user: String,
        /// Their password.
        password: Secret,
    },
    /// `AUTH REMOVE USER=`
    Remove {
        /// The user to forget.
        user: String,
    },
}

/// What a session carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Streams.
    Stream,
    /// Repliable, authenticated datagrams.
    Datagram,
    /// The newer form of the same.
    Datagram2,
    /// Repliable datagrams whose sender nobody vouches for.
    Datagram3,
    /// Anonymous datagrams.
    Raw,
    /// Subsessions.
    Primary,
    /// The older name of [`Style::Primary`], the only one i2pd knows.
    Master,
}

impl Style {
    /// Every style.
    pub const ALL: [Style; 7] = [
        Style::Stream,
        Style::Datagram,
        Style::Datagram2,
        Style::Datagram3,
        Style::Raw,
        Style::Primary,
        Style::Master,
    ];

    /// Returns the word of the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Style::Stream => "STREAM",
            Style::Datagram => "DATAGRAM",
            Style::Datagram2 => "DATAGRAM2",
            Style::Datagram3 => "DATAGRAM3",
            Style::Raw => "RAW",
            Style::Primary => "PRIMARY",
            Style::Master => "MASTER",
        }
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Style {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let style = Style::ALL.into_iter().find(|style| style.as_str() == text);
        style.ok_or_else(|| RequestError::BadStyle {
            style: text.to_owned(),
        })
    }
}

/// Which Destination a session has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationSpec {
    /// A new one that ends with the session.
    Transient {
        /// A signature type by its number or name; DSA if missing.
        signature_type: Option<String>,
    },
    /// The one of these private keys, in base 64.
    Keys(Secret),
}

/// What SESSION CREATE and SESSION ADD say beside style, ID and Destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionParams {
    /// Options for I2CP and streaming.
    pub options: SessionOptions,
    /// Where datagrams are forwarded to; the client's address if missing.
    pub host: Option<String>,
    /// The port datagrams are forwarded to; without it they come on the control socket.
    pub port: Option<u16>,
    /// The default I2CP port of what is sent.
    pub from_port: Option<u16>,
    /// The default I2CP port sent to.
    pub to_port: Option<u16>,
    /// The I2CP protocol of raw datagrams sent.
    pub protocol: Option<u8>,
    /// The I2CP port listened on; in a subsession `from_port` if missing. 0 is any.
    pub listen_port: Option<u16>,
    /// The I2CP protocol listened on; in a subsession `protocol` if missing. 0 is any.
    pub listen_protocol: Option<u8>,
    /// Whether forwarded raw datagrams start with a line of ports and protocol.
    pub header: bool,
}

impl SessionParams {
    /// Whether it says something that is new in 3.2.
    fn has_ports(&self) -> bool {
        let port = self.from_port.or(self.to_port).or(self.listen_port);
        port.is_some() || self.protocol.or(self.listen_protocol).is_some() || self.header
    }
}

/// Options of I2CP and streaming in their order, such as `inbound.length=2`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions(pub Vec<(String, String)>);

impl SessionOptions {
    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Sets `key`, in its place if it was set before.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for SessionOptions {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut options = SessionOptions::default();
        pairs
            .into_iter()
            .for_each(|(key, value)| options.set(key, value));
        options
    }
}

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The line cannot be taken apart.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The first line is not `HELLO VERSION`.
    #[error("first command is not HELLO VERSION")]
    NoHello,
    /// An unknown first word.
    #[error("unknown command {command}")]
    UnknownCommand {
        /// The word, in upper case.
        command: String,
    },
    /// A command that needs a second word and has none.
    #[error("{command} without a second word")]
    MissingSubcommand {
        /// The first word, in upper case.
        command: String,
    },
    /// An unknown second word.
    #[error("unknown command {command} {subcommand}")]
    UnknownSubcommand {
        /// The first word, in upper case.
        command: String,
        /// The second word, in upper case.
        subcommand: String,
    },
    /// A value that must be there.
    #[error("{key} not specified")]
    Missing {
        /// Its key.
        key: &'static str,
    },
    /// An unknown STYLE.
    #[error("unrecognized STYLE {style}")]
    BadStyle {
        /// The value.
        style: String,
    },
    /// An ID that is empty or has white space.
    #[error("ID is empty or has white space")]
    BadId,
    /// A number that is none, or too large.
    #[error("{key} is not a number from 0 to {max}")]
    BadNumber {
        /// Its key.
        key: &'static str,
        /// The highest value.
        max: usize,
    },
    /// A MIN or MAX that is no version.
    #[error("{key} is not a version")]
    BadVersion {
        /// `MIN` or `MAX`.
        key: &'static str,
    },
}

impl Request {
    /// Returns the command words; the second is empty where there is none.
    pub fn words(&self) -> (&'static str, &'static str) {
        match self {
            Request::Hello { .. } => ("HELLO", "VERSION"),
            Request::SessionCreate { .. } => ("SESSION", "CREATE"),
            Request::SessionAdd { .. } => ("SESSION", "ADD"),
            Request::SessionRemove { .. } => ("SESSION", "REMOVE"),
            Request::StreamConnect { .. } => ("STREAM", "CONNECT"),
            Request::StreamAccept { .. } => ("STREAM", "ACCEPT"),
            Request::StreamForward { .. } => ("STREAM", "FORWARD"),
            Request::DatagramSend { .. } => ("DATAGRAM", "SEND"),
            Request::RawSend { .. } => ("RAW", "SEND"),
            Request::NamingLookup { .. } => ("NAMING", "LOOKUP"),
            Request::DestGenerate { .. } => ("DEST", "GENERATE"),
            Request::Ping(_) => ("PING", ""),
            Request::Pong(_) => ("PONG", ""),
            Request::Auth(Auth::Enable) => ("AUTH", "ENABLE"),
            Request::Auth(Auth::Disable) => ("AUTH", "DISABLE"),
            Request::Auth(Auth::Add { .. }) => ("AUTH", "ADD"),
            Request::Auth(Auth::Remove { .. }) => ("AUTH", "REMOVE"),
            Request::Help => ("HELP", ""),
            Request::Quit => ("QUIT", ""),
            Request::Stop => ("STOP", ""),
            Request::Exit => ("EXIT", ""),
        }
    }

    /// Returns the lowest version that has all that the request says.
    pub fn minimum_version(&self) -> Version {
        let ports = |any: bool| if any { Version::V3_2 } else { Version::V3_0 };
        match self {
            Request::SessionCreate {
                style: Style::Primary | Style::Master,
                ..
            }
            | Request::SessionAdd { .. }
            | Request::SessionRemove { .. } => Version::V3_3,
            Request::SessionCreate { params, .. } => ports(params.has_ports()),
            Request::StreamConnect {
                from_port, to_port, ..
            }
            | Request::DatagramSend {
                from_port, to_port, ..
            } => ports(from_port.or(*to_port).is_some()),
            Request::RawSend {
                protocol,
                from_port,
                to_port,
                ..
            } => {
                let any = protocol.is_some() || from_port.or(*to_port).is_some();
                ports(any).max(Version::V3_1)
            }
            Request::StreamForward { ssl, .. } => ports(*ssl),
            Request::DestGenerate {
                signature_type: Some(_),
            } => Version::V3_1,
            Request::Ping(_)
            | Request::Pong(_)
            | Request::Auth(_)
            | Request::Help
            | Request::Quit
            | Request::Stop
            | Request::Exit => Version::V3_2,
            _ => Version::V3_0,
        }
    }
}

/// The keys of SESSION CREATE and ADD that are not options.
const SESSION_KEYS: [&str; 12] = [
    "STYLE",
    "ID",
    "DESTINATION",
    "SIGNATURE_TYPE",
    "PORT",
    "HOST",
    "FROM_PORT",
    "TO_PORT",
    "PROTOCOL",
    "LISTEN_PORT",
    "LISTEN_PROTOCOL",
    "HEADER",
];

/// The keys of DATAGRAM SEND and RAW SEND that are not options.
const SEND_KEYS: [&str; 5] = ["DESTINATION", "SIZE", "PROTOCOL", "FROM_PORT", "TO_PORT"];

fn id_is_good(id: &str) -> bool {
    !id.is_empty() && !id.contains(char::is_whitespace)
}
