use std::fmt;

use thiserror::Error;

use crate::{
    line::{Line, LineError, LineWriter, is_space, split_where},
    secret::Secret,
    version::Version,
};

/// What a bridge says to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `HELLO REPLY RESULT= [VERSION=] [MESSAGE=]`
    Hello {
        /// How it went.
        result: ResultCode,
        /// The version spoken from here on.
        version: Option<Version>,
        /// Words for people.
        message: Option<String>,
    },
    /// `SESSION STATUS RESULT= [DESTINATION=] [ID=] [MESSAGE=]`
    SessionStatus {
        /// How it went.
        result: ResultCode,
        /// The private keys of the session, in base 64; they begin with its Destination.
        destination: Option<Secret>,
        /// The subsession, in answers to ADD and REMOVE.
        id: Option<String>,
        /// Words for people.
        message: Option<String>,
    },
    /// `STREAM STATUS RESULT= [MESSAGE=]`
    StreamStatus {
        /// How it went.
        result: ResultCode,
        /// Words for people.
        message: Option<String>,
    },
    /// `NAMING REPLY RESULT= [NAME=] [VALUE=] [MESSAGE=] [OPTION:key=value]*`
    Naming {
        /// How it went.
        result: ResultCode,
        /// The name asked for.
        name: Option<String>,
        /// Its Destination in base 64.
        value: Option<String>,
        /// Words for people.
        message: Option<String>,
        /// The other pairs, keys with their `OPTION:`.
        extra: Vec<(String, String)>,
    },
    /// `DEST REPLY PUB= PRIV=`
    Dest {
        /// A new Destination in base 64.
        public: String,
        /// Its private keys in base 64.
        private: Secret,
    },
    /// `DEST REPLY RESULT= [MESSAGE=]`, in place of keys.
    DestError {
        /// What went wrong.
        result: ResultCode,
        /// Words for people.
        message: Option<String>,
    },
    /// `PING[ text]`
    Ping(String),
    /// `PONG[ text]`
    Pong(String),
    /// `DATAGRAM RECEIVED DESTINATION= SIZE= [FROM_PORT=] [TO_PORT=]`, followed by SIZE bytes.
    DatagramReceived {
        /// The sender in base 64, for Datagram3 its hash.
        destination: String,
        /// The length of the payload.
        size: usize,
        /// The I2CP port it came from.
        from_port: Option<u16>,
        /// The I2CP port it came to.
        to_port: Option<u16>,
    },
    /// `RAW RECEIVED SIZE= [PROTOCOL=] [FROM_PORT=] [TO_PORT=]`, followed by SIZE bytes.
    RawReceived {
        /// The length of the payload.
        size: usize,
        /// The I2CP protocol.
        protocol: Option<u8>,
        /// The I2CP port it came from.
        from_port: Option<u16>,
        /// The I2CP port it came to.
        to_port: Option<u16>,
    },
    /// `<COMMAND> STATUS RESULT= [MESSAGE=]`: answers AUTH, HELP, QUIT, STOP, EXIT and, from Java I2P, any
    /// command it does not know.
    Status {
        /// The first word, in upper case.
        command: String,
        /// How it went.
        result: ResultCode,
        /// Words for people.
        message: Option<String>,
    },
    /// A line of another kind.
    Other(Line),
}

/// The word behind `RESULT=` (samv3, RESULT Values).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultCode {
    /// `OK`
    Ok,
    /// `CANT_REACH_PEER`: the peer exists but does not answer.
    CantReachPeer,
    /// `DUPLICATED_DEST`: the Destination is in use. emissary says `DUPLICATE_DEST`.
    DuplicatedDest,
    /// `DUPLICATED_ID`: the ID is in use. emissary says `DUPLICATE_ID`.
    DuplicatedId,
    /// `I2P_ERROR`: anything else.
    I2pError,
    /// `INVALID_ID`: there is no such session. Not in the text's list; every router says it.
    InvalidId,
    /// `INVALID_KEY`: a key or name is malformed, with i2pd also not found.
    InvalidKey,
    /// `KEY_NOT_FOUND`: nobody knows the name.
    KeyNotFound,
    /// `PEER_NOT_FOUND`: the peer is not on the network.
    PeerNotFound,
    /// `TIMEOUT`
    Timeout,
    /// `NOVERSION`: no common version.
    NoVersion,
    /// `ALREADY_ACCEPTING`: an ACCEPT or FORWARD is in the way.
    AlreadyAccepting,
    /// `CONNECTION_REFUSED`: the peer said no; Java I2P.
    ConnectionRefused,
    /// `LEASESET_NOT_FOUND`
    LeasesetNotFound,
    /// `CLOSED`
    Closed,
    /// Any other word.
    Other(String),
}

const RESULTS: [(ResultCode, &str); 15] = [
    (ResultCode::Ok, "OK"),
    (ResultCode::CantReachPeer, "CANT_REACH_PEER"),
    (ResultCode::DuplicatedDest, "DUPLICATED_DEST"),
    (ResultCode::DuplicatedId, "DUPLICATED_ID"),
    (ResultCode::I2pError, "I2P_ERROR"),
    (ResultCode::InvalidId, "INVALID_ID"),
    (ResultCode::InvalidKey, "INVALID_KEY"),
    (ResultCode::KeyNotFound, "KEY_NOT_FOUND"),
    (ResultCode::PeerNotFound, "PEER_NOT_FOUND"),
    (ResultCode::Timeout, "TIMEOUT"),
    (ResultCode::NoVersion, "NOVERSION"),
    (ResultCode::AlreadyAccepting, "ALREADY_ACCEPTING"),
    (ResultCode::ConnectionRefused, "CONNECTION_REFUSED"),
    (ResultCode::LeasesetNotFound, "LEASESET_NOT_FOUND"),
    (ResultCode::Closed, "CLOSED"),
];

impl ResultCode {
    /// Returns the word of the protocol.
    pub fn as_str(&self) -> &str {
        match self {
            ResultCode::Other(word) => word,
            known => RESULTS
                .iter()
                .find(|(code, _)| code == known)
                .map_or("", |(_, word)| word),
        }
    }

    /// Tells whether it is [`ResultCode::Ok`].
    pub fn is_ok(&self) -> bool {
        *self == ResultCode::Ok
    }
}

impl From<&str> for ResultCode {
    fn from(word: &str) -> Self {
        match word {
            "DUPLICATE_ID" => ResultCode::DuplicatedId,
            "DUPLICATE_DEST" => ResultCode::DuplicatedDest,
            word => RESULTS
                .iter()
                .find(|(_, known)| *known == word)
                .map_or_else(
                    || ResultCode::Other(word.to_owned()),
                    |(code, _)| code.clone(),
                ),
        }
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a line of a known kind is no reply.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The line cannot be taken apart.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A value that must be there.
    #[error("{key} is missing")]
    Missing {
        /// Its key.
        key: &'static str,
    },
    /// A number that is none, or too large.
    #[error("{key} is not a number from 0 to {max}")]
    BadNumber {
        /// Its key.
        key: &'static str,
        /// The highest value.
        max: usize,
    },
    /// A VERSION that is none.
    #[error("VERSION is not a version")]
    BadVersion,
}

impl Reply {
    /// Reads a reply out of a line of [`Line::parse_reply`].
    ///
    /// A line of an unknown kind is [`Reply::Other`].
    ///
    /// # Errors
    ///
    /// A line of a known kind without what it must have.
    pub fn parse(line: &Line) -> Result<Reply, ReplyError> {
        let mut words = line.words.iter().map(|word| word.to_ascii_uppercase());
        let (command, kind) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let text = |key: &str| line.get(key).map(str::to_owned);
        let result = || {
            let word = line
                .get("RESULT")
                .ok_or(ReplyError::Missing { key: "RESULT" })?;
            Ok::<_, ReplyError>(ResultCode::from(word))
        };
        let message = || text("MESSAGE");
        Ok(match (&*command, &*kind) {
            ("PING", _) => Reply::Ping(line.text.clone()),
            ("PONG", _) => Reply::Pong(line.text.clone()),
            ("HELLO", "REPLY") => Reply::Hello {
                result: result()?,
                version: match line.get("VERSION") {
                    Some(version) => Some(version.parse().map_err(|_| ReplyError::BadVersion)?),
                    None => None,
                },
                message: message(),
            },
            ("SESSION", "STATUS") => Reply::SessionStatus {
                result: result()?,
                destination: line.get("DESTINATION").map(Secret::from),
                id: text("ID"),
                message: message(),
            },
            ("STREAM", "STATUS") => Reply::StreamStatus {
                result: result()?,
                message: message(),
            },
            ("NAMING", "REPLY") => Reply::Naming {
                result: result()?,
                name: text("NAME"),
                value: text("VALUE"),
                message: message(),
                extra: line
                    .pairs
                    .iter()
                    .filter(|(key, _)| !NAMING_KEYS.contains(&&**key))
                    .cloned()
                    .collect(),
            },
            ("DEST", "REPLY") => match (text("PUB"), line.get("PRIV")) {
                (Some(public), Some(private)) => Reply::Dest {
                    public,
                    private: private.into(),
                },
                _ => Reply::DestError {
                    result: result()?,
                    message: message(),
                },
            },
            ("DATAGRAM", "RECEIVED") => Reply::DatagramReceived {
                destination: text("DESTINATION")
                    .ok_or(ReplyError::Missing { key: "DESTINATION" })?,
                size: size(line)?,
                from_port: port(line, "FROM_PORT")?,
                to_port: port(line, "TO_PORT")?,
            },
            ("RAW", "RECEIVED") => Reply::RawReceived {
                size: size(line)?,
                protocol: number(line, "PROTOCOL", 255)?.and_then(|n| u8::try_from(n).ok()),
                from_port: port(line, "FROM_PORT")?,
                to_port: port(line, "TO_PORT")?,
            },
            (_, "STATUS") => Reply::Status {
                result: result()?,
                message: message(),
                command,
            },
            _ => Reply::Other(line.clone()),
        })
    }

    /// Writes the reply as one line with its newline, without a payload.
    ///
    /// No keys beyond those of the text appear, since txi2p fails on any other. Ports and protocols are left
    /// out before 3.2. Line ends in values become spaces. [`Reply::Other`] is written from its words and pairs.
    pub fn encode(&self, version: Version) -> String {
        let ports = version.has_ports();
        let mut w;
        match self {
            Reply::Hello {
                result,
                version,
                message,
            } => {
                w = LineWriter::new("HELLO REPLY");
                w.pair("RESULT", result.as_str())
                    .number("VERSION", *version);
                w.option("MESSAGE", message.as_deref());
            }
            Reply::SessionStatus {
                result,
                destination,
                id,
                message,
            } => {
                w = LineWriter::new("SESSION STATUS");
                w.pair("RESULT", result.as_str());
                w.option("DESTINATION", destination.as_ref().map(Secret::expose));
                w.option("ID", id.as_deref())
                    .option("MESSAGE", message.as_deref());
            }
            Reply::StreamStatus { result, message } => {
                w = LineWriter::new("STREAM STATUS");
                w.pair("RESULT", result.as_str())
                    .option("MESSAGE", message.as_deref());
            }
            Reply::Naming {
                result,
                name,
                value,
                message,
                extra,
            } => {
                w = LineWriter::new("NAMING REPLY");
                w.pair("RESULT", result.as_str())
                    .option("NAME", name.as_deref());
                w.option("VALUE", value.as_deref()).pairs(extra);
                w.option("MESSAGE", message.as_deref());
            }
            Reply::Dest { public, private } => {
                w = LineWriter::new("DEST REPLY");
                w.pair("PUB", public).pair("PRIV", private.expose());
            }
            Reply::DestError { result, message } => {
                w = LineWriter::new("DEST REPLY");
                w.pair("RESULT", result.as_str())
                    .option("MESSAGE", message.as_deref());
            }
            Reply::Ping(text) => {
                w = LineWriter::new("PING");
                w.text(text);
            }
            Reply::Pong(text) => {
                w = LineWriter::new("PONG");
                w.text(text);
            }
            Reply::DatagramReceived {
                destination,
                size,
                from_port,
                to_port,
            } => {
                w = LineWriter::new("DATAGRAM RECEIVED");
                w.pair("DESTINATION", destination)
                    .number("SIZE", Some(size));
                if ports {
                    w.number("FROM_PORT", *from_port)
                        .number("TO_PORT", *to_port);
                }
            }
            Reply::RawReceived {
                size,
                protocol,
                from_port,
                to_port,
            } => {
                w = LineWriter::new("RAW RECEIVED");
                w.number("SIZE", Some(size));
                if ports {
                    w.number("PROTOCOL", *protocol);
                    w.number("FROM_PORT", *from_port)
                        .number("TO_PORT", *to_port);
                }
            }
            Reply::Status {
                command,
                result,
                message,
            } => {
                w = LineWriter::new(command);
                w.text("STATUS").pair("RESULT", result.as_str());
                w.option("MESSAGE", message.as_deref());
            }
            Reply::Other(line) => {
                let mut words = line.words.iter();
                w = LineWriter::new(words.next().map_or("", String::as_str));
                for word in words {
                    w.text(word);
                }
                w.pairs(&line.pairs);
                for word in &line.bare {
                    w.text(word);
                }
            }
        }
        w.finish()
    }

    /// Returns the RESULT; `None` for lines without one.
    pub fn result(&self) -> Option<&ResultCode> {
        match self {
            Reply::Hello { result, .. }
            | Reply::SessionStatus { result, .. }
            | Reply::StreamStatus { result, .. }
            | Reply::Naming { result, .. }
            | Reply::DestError { result, .. }
            | Reply::Status { result, .. } => Some(result),
            _ => None,
        }
    }

    /// Returns the MESSAGE.
    pub fn message(&self) -> Option<&str> {
        match self {
            Reply::Hello { message, .. }
            | Reply::SessionStatus { message, .. }
            | Reply::StreamStatus { message, .. }
            | Reply::Naming { message, .. }
            | Reply::DestError { message, .. }
            | Reply::Status { message, .. } => message.as_deref(),
            _ => None,
        }
    }
}

const NAMING_KEYS: [&str; 4] = ["RESULT", "NAME", "VALUE", "MESSAGE"];

/// The first line of an accepted or forwarded stream: `DESTINATION[ FROM_PORT=n TO_PORT=n]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLine {
    /// The peer's Destination in base 64.
    pub destination: String,
    /// The I2CP port the stream came from.
    pub from_port: Option<u16>,
    /// The I2CP port the stream came to.
    pub to_port: Option<u16>,
}

impl PeerLine {
    /// Reads the line; its first word is the Destination, words it does not know are passed over.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Missing`] without a first word, and a port that is none.
    pub fn parse(text: &str) -> Result<PeerLine, ReplyError> {
        let text = text
            .trim_end_matches(['\r', '\n'])
            .trim_start_matches(is_space);
        let (destination, rest) = split_where(text, is_space);
        if destination.is_empty() {
            return Err(ReplyError::Missing { key: "DESTINATION" });
        }
        if destination.contains('\0') {
            return Err(LineError::Nul.into());
        }
        let line = rest_of_line(rest)?;
        Ok(PeerLine {
            destination: destination.to_owned(),
            from_port: port(&line, "FROM_PORT")?,
            to_port: port(&line, "TO_PORT")?,
        })
    }

    /// Writes the line with its newline.
    ///
    /// Up to 3.1 it is the bare Destination, for i2plib, i2p.socket and libsam3 decode all of it; from 3.2 on
    /// it has both ports, 0 if unknown, for yosemite, leaflet and txi2p cut at the space.
    pub fn encode(&self, version: Version) -> String {
        let mut w = LineWriter::new(&self.destination);
        if version.has_ports() {
            w.number("FROM_PORT", Some(self.from_port.unwrap_or(0)));
            w.number("TO_PORT", Some(self.to_port.unwrap_or(0)));
        }
        w.finish()
    }
}

/// The pairs behind a first word that may itself have `=`.
pub(crate) fn rest_of_line(rest: &str) -> Result<Line, LineError> {
    match Line::parse_reply(rest) {
        Err(LineError::Empty) => Ok(Line::default()),
        line => line,
    }
}

pub(crate) fn number(
    line: &Line,
    key: &'static str,
    max: usize,
) -> Result<Option<usize>, ReplyError> {
    let Some(value) = line.get(key).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = value.parse().ok().filter(|n| digits && *n <= max);
    number.map(Some).ok_or(ReplyError::BadNumber { key, max })
}

pub(crate) fn port(line: &Line, key: &'static str) -> Result<Option<u16>, ReplyError> {
    let number = number(line, key, usize::from(u16::MAX))?;
    Ok(number.and_then(|n| u16::try_from(n).ok()))
}

fn size(line: &Line) -> Result<usize, ReplyError> {
    let size = number(line, "SIZE", crate::line::PAYLOAD_LIMIT)?;
    size.ok_or(ReplyError::Missing { key: "SIZE" })
}
