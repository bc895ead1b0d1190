use std::fmt;

use thiserror::Error;

use crate::{
    line::LineError,
    reply::{ReplyError, ResultCode},
    request::EncodeError,
    version::Version,
};

/// What a [`Client`](crate::Client) waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// Nothing: no request is outstanding.
    Nothing,
    /// The answer to HELLO VERSION.
    Hello,
    /// The answer to SESSION CREATE.
    SessionCreate,
    /// The answer to SESSION ADD.
    SessionAdd,
    /// The answer to SESSION REMOVE.
    SessionRemove,
    /// The answer to STREAM CONNECT.
    StreamConnect,
    /// The answer to STREAM ACCEPT.
    StreamAccept,
    /// The peer line after STREAM ACCEPT.
    Peer,
    /// The answer to STREAM FORWARD.
    StreamForward,
    /// The answer to NAMING LOOKUP.
    NamingLookup,
    /// The answer to DEST GENERATE.
    DestGenerate,
    /// The answer to an AUTH command.
    Auth,
    /// The answer to HELP.
    Help,
    /// The answer to QUIT, STOP or EXIT.
    Quit,
    /// The payload of a datagram.
    Payload,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Awaited::Nothing => "no answer",
            Awaited::Hello => "the answer to HELLO VERSION",
            Awaited::SessionCreate => "the answer to SESSION CREATE",
            Awaited::SessionAdd => "the answer to SESSION ADD",
            Awaited::SessionRemove => "the answer to SESSION REMOVE",
            Awaited::StreamConnect => "the answer to STREAM CONNECT",
            Awaited::StreamAccept => "the answer to STREAM ACCEPT",
            Awaited::Peer => "an incoming stream",
            Awaited::StreamForward => "the answer to STREAM FORWARD",
            Awaited::NamingLookup => "the answer to NAMING LOOKUP",
            Awaited::DestGenerate => "the answer to DEST GENERATE",
            Awaited::Auth => "the answer to AUTH",
            Awaited::Help => "the answer to HELP",
            Awaited::Quit => "the answer to QUIT",
            Awaited::Payload => "the payload of a datagram",
        })
    }
}

/// Why a [`Client`](crate::Client) is over.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The bridge refused the HELLO; with authorization on, for want of user and password.
    #[error("the SAM bridge refused the connection: {}", words(.result, .message))]
    HelloRefused {
        /// The RESULT.
        result: ResultCode,
        /// The bridge's words.
        message: Option<String>,
    },
    /// There is no common version, or the bridge chose one that was not offered.
    #[error("the SAM bridge speaks no version asked for")]
    NoVersion {
        /// The version the bridge named, if it did.
        offered: Option<Version>,
    },
    /// The bridge closed the connection.
    #[error("the SAM bridge closed the connection while waiting for {during}")]
    Closed {
        /// What was awaited.
        during: Awaited,
    },
    /// No answer in time.
    #[error("timed out waiting for {waiting_for}")]
    TimedOut {
        /// What was awaited.
        waiting_for: Awaited,
    },
    /// A line that is none.
    #[error("malformed line from the SAM bridge")]
    Malformed(#[source] LineError),
    /// What answered HELLO speaks something else, HTTP for example.
    #[error("no SAM bridge: the answer starts with {first_bytes:?}")]
    NotSam {
        /// Up to 64 bytes of the first line, escaped.
        first_bytes: String,
    },
    /// A line of a known kind that lacks what it must have.
    #[error("unexpected line from the SAM bridge while waiting for {during}")]
    Unexpected {
        /// What was awaited.
        during: Awaited,
        /// What is wrong with the line.
        #[source]
        error: ReplyError,
    },
    /// A line beyond the limit.
    #[error("line of more than {limit} bytes from the SAM bridge")]
    TooLong {
        /// The most bytes a line may have.
        limit: usize,
    },
}

/// Why a [`Client`](crate::Client) does not take a command now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another answer is outstanding.
    #[error("busy waiting for {waiting_for}")]
    Busy {
        /// What is awaited.
        waiting_for: Awaited,
    },
    /// The connection carries a stream, or waits for one.
    #[error("the connection is a stream")]
    Stream,
    /// The machine has failed.
    #[error("the connection is over")]
    Over,
    /// HELLO, which [`Client::new`](crate::Client::new) sends, or a datagram, which [`Client::send_datagram`](crate::Client::send_datagram) sends; and the
    /// other way round.
    #[error("{command} does not go this way")]
    WrongRequest {
        /// The first command word.
        command: &'static str,
    },
    /// A value that cannot be written.
    #[error(transparent)]
    Unencodable(#[from] EncodeError),
    /// The payload or the line is longer than any bridge takes.
    #[error("more than {limit} bytes")]
    TooLong {
        /// The most bytes.
        limit: usize,
    },
    /// Too much waits to be sent.
    #[error("send queue full")]
    Full,
}

fn words(result: &ResultCode, message: &Option<String>) -> String {
    message.clone().unwrap_or_else(|| result.to_string())
}
