use std::io;

use crate::{Failure, ResultCode};

/// Why something asked of a SAM bridge did not come about.
///
/// The texts name no host and no Destination.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bridge's host name does not resolve.
    #[error("the router's host name does not resolve")]
    Resolve {
        /// What the resolver said.
        source: io::Error,
    },
    /// No TCP connection to the bridge.
    #[error("no connection to the router's SAM port: {source}")]
    Connect {
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the router broke: {source}")]
    Io {
        /// What the operating system said.
        source: io::Error,
    },
    /// The other side does not speak SAM as it should, or ended the connection.
    #[error(transparent)]
    Failed(Failure),
    /// The bridge understood and said no.
    #[error("the router refused {what} ({code}){}", match message { Some(text) => format!(": {text}"), None => String::new() })]
    Refused {
        /// The command that was refused.
        what: &'static str,
        /// The RESULT.
        code: ResultCode,
        /// The MESSAGE, if any.
        message: Option<String>,
    },
    /// No answer within the deadline.
    #[error("timed out waiting for {waiting_for}")]
    TimedOut {
        /// What was waited for.
        waiting_for: &'static str,
    },
    /// The bridge's answer lacks what it must have.
    #[error("the router's answer to {what} makes no sense")]
    Nonsense {
        /// The command that was answered.
        what: &'static str,
    },
}

impl Error {
    /// Whether the bridge answered with a refusal, so that it lives.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. } | Self::Failed(Failure::TimedOut { .. })
        )
    }
}
