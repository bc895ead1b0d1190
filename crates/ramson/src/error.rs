use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ramson_sam::aio::EndpointError;
use ramson_sam::{ResultCode, aio};
use ramson_wire::{PrivateKeysError, TargetError};

use crate::{Capability, DatagramKind};

/// What a program does about an [`Error`], without reading its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something was asked for in a wrong way: no router named, an impossible option.
    Configuration,
    /// Nothing answers where the router should be.
    RouterUnreachable,
    /// Something answers there, but it speaks no SAM that this library understands.
    RouterIncompatible,
    /// The router wants a user and password, or others than these.
    LoginRefused,
    /// The router went away while it was in use; sessions heal, open streams end.
    RouterLost,
    /// The router refused the session.
    SessionRefused,
    /// The key file is in use by another session or program.
    KeyInUse,
    /// The key file cannot be read or holds no usable keys.
    BadKey,
    /// The text is no address on I2P.
    BadAddress,
    /// The name or the Destination is not known to the router.
    NotFound,
    /// The peer cannot be reached now.
    PeerUnreachable,
    /// The peer answered and refused the connection.
    PeerRefused,
    /// The router said connected, but nothing ever came from the peer.
    PeerSilent,
    /// A deadline passed.
    TimedOut,
    /// The router at hand cannot do this.
    Unsupported,
    /// The session, listener or socket was closed by this program.
    Closed,
    /// A limit set by this program or the protocol.
    LimitExceeded,
    /// The operating system failed.
    Io,
}

/// Everything that can go wrong with routers, sessions, streams and datagrams.
///
/// The text names the cause and the next step, but no peer, host or file; [`Error::detail`] has
/// those. Programs decide by [`Error::kind`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `I2p::start()` was not told which router to use.
    #[error(
        "no I2P router was chosen: set RAMSON_ROUTER=sam:HOST:PORT (i2pd and Java I2P listen on \
         sam:127.0.0.1:7656 once SAM is switched on), or name it with I2p::builder().sam(…); the \
         router sees your private keys, so it is never guessed"
    )]
    NoRouter,
    /// `RAMSON_ROUTER` holds something else than a router.
    #[error("RAMSON_ROUTER is not understood: write sam:HOST:PORT")]
    BadRouterVariable {
        /// What stands there.
        value: String,
    },
    /// The router's address is malformed.
    #[error("the router's address is malformed: {source}")]
    BadEndpoint {
        /// What is wrong with it.
        source: EndpointError,
    },
    /// No connection to the router, or it does not answer as a SAM bridge does.
    #[error("{}", router_text(.source))]
    Router {
        /// Where the router should be.
        endpoint: String,
        /// What happened.
        source: aio::Error,
    },
    /// The router refused the session.
    #[error(
        "the router refused the session ({code}){}; {}",
        message_text(.message),
        after_refusal(.code)
    )]
    SessionRefused {
        /// The RESULT of SAM.
        code: ResultCode,
        /// The router's words.
        message: Option<String>,
    },
    /// The router went away while this was in use.
    #[error(
        "the connection to the router was lost; the session heals by itself, this stream is over"
    )]
    RouterLost,
    /// A session of this Destination is open already.
    #[error("this Destination's keys are in use by another session: close it, or use other keys")]
    KeyInUse {
        /// The key file, if the keys came from one.
        path: Option<PathBuf>,
    },
    /// The key file could not be read or written.
    #[error("the key file cannot be used: {source}; check the path and its permissions")]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The key file holds no usable keys.
    #[error(
        "these keys cannot be used: {source}; restore the key file from a backup, or name another \
         file to get a new Destination"
    )]
    BadKeys {
        /// The key file, if the keys came from one.
        path: Option<PathBuf>,
        /// What is wrong with them.
        source: PrivateKeysError,
    },
    /// The hosts file is malformed.
    #[error("line {line} of the hosts file is wrong: {reason}")]
    BadHosts {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text is no address.
    #[error("{source}")]
    BadAddress {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: TargetError,
    },
    /// The router does not know the name.
    #[error(
        "the router does not know this name: add it to its address book or to a hosts file, or use the .b32.i2p address"
    )]
    NameNotFound {
        /// The name.
        name: String,
    },
    /// No LeaseSet of the peer was found, or it cannot be reached over its tunnels.
    #[error(
        "the peer cannot be reached: it is offline, or its LeaseSet was not found yet ({code}){}; \
         try again later",
        message_text(.message)
    )]
    PeerUnreachable {
        /// The peer.
        peer: String,
        /// The RESULT of SAM.
        code: ResultCode,
        /// The router's words.
        message: Option<String>,
    },
    /// The peer refused the connection.
    #[error("the peer refused the connection: check that it listens")]
    PeerRefused {
        /// The peer.
        peer: String,
    },
    /// The router said connected, and then nothing came from the peer.
    #[error(
        "nothing came from the peer within {} s of the connection, although the router said \
         connected: the peer may be offline, or it restarted and this router still uses its old \
         LeaseSet, which Session::renew() cures", .after.as_secs()
    )]
    PeerSilent {
        /// How long nothing came.
        after: Duration,
    },
    /// The stream was idle for longer than allowed.
    #[error("the stream was idle for {} s", .after.as_secs())]
    Idle {
        /// The limit.
        after: Duration,
    },
    /// A deadline passed.
    #[error("timed out after {:.1} s waiting for {waiting_for}", .after.as_secs_f64())]
    TimedOut {
        /// What was waited for.
        waiting_for: &'static str,
        /// How long.
        after: Duration,
        /// The last failure while waiting, if there was one.
        last: Option<Box<Error>>,
    },
    /// The router at hand cannot do this.
    #[error("{capability} is not to be had from this router ({router})")]
    Unsupported {
        /// What was asked for.
        capability: Capability,
        /// The router's kind.
        router: &'static str,
    },
    /// The router cannot carry this datagram kind beside another that is open.
    #[error(
        "this router cannot carry this datagram kind beside {open} on one Destination: use that \
         kind, or a second session with other keys"
    )]
    KindsClash {
        /// The kind that is open, or was fixed by opening raw first.
        open: DatagramKind,
    },
    /// The router cannot open datagrams on a Destination whose streams were used.
    #[error(
        "this router cannot open datagrams on a Destination whose streams were used already: name \
         the kinds when the session is opened, with SessionBuilder::datagram_kinds"
    )]
    DatagramsTooLate,
    /// Another listener of this session holds the port.
    #[error("a listener is open on port {port} of this session already")]
    AlreadyListening {
        /// The port on I2P, 0 for all.
        port: u16,
    },
    /// Another datagram socket of this session holds the port.
    #[error("a datagram socket of this kind is open on port {port} of this session already")]
    PortInUse {
        /// The port on I2P, 0 for all.
        port: u16,
    },
    /// A datagram is larger than its kind allows.
    #[error("the datagram has {size} bytes, and {limit} is the most here")]
    DatagramTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The most in bytes.
        limit: usize,
    },
    /// A raw datagram is smaller than the router carries.
    #[error("the datagram has {size} bytes, and this router loses those under {limit}")]
    DatagramTooSmall {
        /// Its size in bytes.
        size: usize,
        /// The least in bytes.
        limit: usize,
    },
    /// The session, listener or socket was closed by this program.
    #[error("{what} is closed")]
    Closed {
        /// What was closed.
        what: &'static str,
    },
    /// The operating system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

fn message_text(message: &Option<String>) -> String {
    match message {
        Some(text) => format!(": {}", without_names(text)),
        None => String::new(),
    }
}

fn after_refusal(code: &ResultCode) -> &'static str {
    match code {
        ResultCode::DuplicatedDest => {
            "another program has a session with these keys: end it, or use other keys"
        }
        ResultCode::InvalidKey => "it does not take keys of this type: use other keys",
        _ => "the router's log may say more; try again later",
    }
}

/// The words of a router without those that name hosts, peers, addresses or files.
fn without_names(text: &str) -> String {
    /// No other word is as long as a hash or Destination.
    const LONGEST_WORD: usize = 40;
    let shown = |word: &'_ str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '\\');
        let lower = bare.to_ascii_lowercase();
        let named = lower.contains(".i2p")
            || lower.contains("://")
            || bare.starts_with(['/', '\\'])
            || bare.chars().count() >= LONGEST_WORD
            || bare.parse::<std::net::IpAddr>().is_ok()
            || bare.parse::<std::net::SocketAddr>().is_ok();
        if named {
            "…".to_owned()
        } else {
            word.to_owned()
        }
    };
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

fn router_text(source: &aio::Error) -> String {
    let next = match router_kind(source) {
        ErrorKind::LoginRefused => "check the user and password of its SAM bridge",
        ErrorKind::RouterIncompatible => "check that the port is that of a SAM v3 bridge",
        _ => "check that the router runs, that SAM is switched on and that the port is right",
    };
    format!("{}; {next}", without_names(&source.to_string()))
}

fn router_kind(source: &aio::Error) -> ErrorKind {
    use ramson_sam::{Awaited, Failure};
    match source {
        // A bridge that lives says HELLO.
        aio::Error::Failed(Failure::Closed {
            during: Awaited::Hello,
        }) => ErrorKind::RouterUnreachable,
        aio::Error::Failed(Failure::HelloRefused { .. }) => ErrorKind::LoginRefused,
        aio::Error::Failed(Failure::TimedOut { .. }) => ErrorKind::TimedOut,
        aio::Error::Failed(Failure::Closed { .. }) | aio::Error::Io { .. } => ErrorKind::RouterLost,
        aio::Error::Failed(_) | aio::Error::Refused { .. } | aio::Error::Nonsense { .. } => {
            ErrorKind::RouterIncompatible
        }
        aio::Error::TimedOut { .. } => ErrorKind::TimedOut,
        _ => ErrorKind::RouterUnreachable,
    }
}

impl Error {
    /// What sort of failure this is, for programs.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRouter | Self::BadRouterVariable { .. } | Self::BadEndpoint { .. } => {
                ErrorKind::Configuration
            }
            Self::BadHosts { .. } => ErrorKind::Configuration,
            Self::AlreadyListening { .. } | Self::PortInUse { .. } => ErrorKind::Configuration,
            Self::Router { source, .. } => router_kind(source),
            Self::SessionRefused {
                code: ResultCode::InvalidKey,
                ..
            } => ErrorKind::BadKey,
            Self::SessionRefused {
                code: ResultCode::DuplicatedDest,
                ..
            } => ErrorKind::KeyInUse,
            Self::SessionRefused { .. } => ErrorKind::SessionRefused,
            Self::RouterLost => ErrorKind::RouterLost,
            Self::KeyInUse { .. } => ErrorKind::KeyInUse,
            Self::KeyFile { .. } | Self::BadKeys { .. } => ErrorKind::BadKey,
            Self::BadAddress { .. } => ErrorKind::BadAddress,
            Self::NameNotFound { .. } => ErrorKind::NotFound,
            Self::PeerUnreachable { .. } => ErrorKind::PeerUnreachable,
            Self::PeerRefused { .. } => ErrorKind::PeerRefused,
            Self::PeerSilent { .. } => ErrorKind::PeerSilent,
            Self::TimedOut { .. } | Self::Idle { .. } => ErrorKind::TimedOut,
            Self::Unsupported { .. } | Self::KindsClash { .. } | Self::DatagramsTooLate => {
                ErrorKind::Unsupported
            }
            Self::DatagramTooLarge { .. } | Self::DatagramTooSmall { .. } => {
                ErrorKind::LimitExceeded
            }
            Self::Closed { .. } => ErrorKind::Closed,
            Self::Io { .. } => ErrorKind::Io,
        }
    }

    /// The text with what it leaves out: router, peer, host name, file.
    ///
    /// For the person at the machine, not for logs that others read.
    pub fn detail(&self) -> String {
        match self {
            Self::BadRouterVariable { value } => format!("{self} (it is {value:?})"),
            Self::Router { endpoint, .. } => format!("{self} (router: {endpoint})"),
            Self::KeyInUse { path: Some(path) }
            | Self::KeyFile { path, .. }
            | Self::BadKeys {
                path: Some(path), ..
            }
            | Self::BadHosts { path, .. } => format!("{self} (file: {})", path.display()),
            Self::BadAddress { text, .. } => {
                let shown: String = text.chars().take(80).collect();
                format!("{self} (address: {shown:?})")
            }
            Self::NameNotFound { name } => format!("{self} (name: {name})"),
            Self::PeerUnreachable { peer, .. } | Self::PeerRefused { peer } => {
                format!("{self} (peer: {peer})")
            }
            Self::TimedOut {
                last: Some(last), ..
            } => format!("{self}; last: {}", last.detail()),
            _ => self.to_string(),
        }
    }

    pub(crate) fn router(endpoint: &aio::Endpoint, source: aio::Error) -> Self {
        Self::Router {
            endpoint: endpoint.to_string(),
            source,
        }
    }

    /// Whether trying again later can help without anybody changing anything.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::RouterUnreachable
                | ErrorKind::RouterLost
                | ErrorKind::TimedOut
                | ErrorKind::PeerUnreachable
        )
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::TimedOut | ErrorKind::PeerSilent => io::ErrorKind::TimedOut,
            ErrorKind::RouterLost => io::ErrorKind::ConnectionAborted,
            ErrorKind::PeerRefused => io::ErrorKind::ConnectionRefused,
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::Closed => io::ErrorKind::NotConnected,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
