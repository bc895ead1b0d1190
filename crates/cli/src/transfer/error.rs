use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::NameError;

/// Why a receiver does not take a file, or anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A reason this version does not know.
    Other,
    /// Something else is there under this name.
    Exists,
    /// The name is not allowed.
    BadName,
    /// The file, or all together, is larger than allowed.
    TooLarge,
    /// There are more files than allowed.
    TooMany,
    /// This sender is not allowed.
    NotAllowed,
    /// Another sender is at this file, or there are too many senders.
    Busy,
    /// The receiver cannot write.
    CannotWrite,
    /// The versions do not fit.
    Version,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::Other,
        Self::Exists,
        Self::BadName,
        Self::TooLarge,
        Self::TooMany,
        Self::NotAllowed,
        Self::Busy,
        Self::CannotWrite,
        Self::Version,
    ];

    /// The number on the wire.
    pub(super) fn code(self) -> u8 {
        let place = Self::ALL.iter().position(|reason| *reason == self);
        place.and_then(|place| place.try_into().ok()).unwrap_or(0)
    }

    pub(super) fn from_code(code: u8) -> Self {
        Self::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or(Self::Other)
    }

    /// A word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Exists => "exists",
            Self::BadName => "bad_name",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::NotAllowed => "not_allowed",
            Self::Busy => "busy",
            Self::CannotWrite => "cannot_write",
            Self::Version => "version",
        }
    }

    /// What it means and what to do, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Other => "the receiver refuses it",
            Self::Exists => {
                "another file is there under this name and is not overwritten: rename one, or \
                 start the receiver with --overwrite"
            }
            Self::BadName => {
                "the receiver does not allow this name; for names that begin with a dot it wants \
                 --hidden"
            }
            Self::TooLarge => "it is larger than the receiver allows (--max-size there)",
            Self::TooMany => "these are more files than the receiver allows (--max-files there)",
            Self::NotAllowed => {
                "the receiver does not take files from this address (--from there, --key-file here)"
            }
            Self::Busy => "the receiver is busy with it",
            Self::CannotWrite => "the receiver cannot write it: is its disk full?",
            Self::Version => "the receiver speaks another version: update the older one",
        }
    }
}

/// Why a transfer failed. The text names no file; [`Error::detail`] does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed.
    #[error("the connection failed: {source}")]
    Stream {
        /// How.
        source: io::Error,
    },
    /// The other side went away in the middle.
    #[error("the other side ended the connection before everything was done")]
    Ended,
    /// Nothing moved for too long.
    #[error("nothing moved for {} s", .after.as_secs())]
    Stalled {
        /// The limit.
        after: Duration,
    },
    /// The other side is something else.
    #[error("the other side is no `ramson {wanted}`")]
    NotOurs {
        /// What it should be.
        wanted: &'static str,
    },
    /// The other side broke the rules of the protocol.
    #[error("the other side broke the rules of the protocol: {what}")]
    Protocol {
        /// Which one.
        what: &'static str,
    },
    /// The receiver takes nothing.
    #[error("nothing is taken: {}", .reason.text())]
    Refused {
        /// Why.
        reason: Reason,
    },
    /// A newer connection offers the same file.
    #[error("a newer connection took this transfer over")]
    Superseded,
    /// A name cannot be sent.
    #[error("a file cannot be sent under its name: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: NameError,
    },
    /// Two files would have one name.
    #[error("two of the files have the same name: send them one after the other")]
    SameName {
        /// The name.
        name: String,
    },
    /// There are more files than one transfer may have.
    #[error("these are more than {limit} files: send them as an archive, or in parts")]
    TooMany {
        /// The most.
        limit: usize,
    },
    /// A local file cannot be read or written.
    #[error("{what}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Some files were not taken.
    #[error("{count} of the files were not taken; the lines above say why")]
    SomeRefused {
        /// How many.
        count: u64,
    },
    /// It did not work for too long.
    #[error("given up after {} s without progress: {last}; the same command resumes", .after.as_secs())]
    GaveUp {
        /// The limit.
        after: Duration,
        /// The last failure.
        last: Box<Error>,
    },
}

impl Error {
    /// A word for programs and the exit code.
    pub fn kind(&self) -> (&'static str, u8) {
        match self {
            Self::Stream { .. } => ("stream", 4),
            Self::Ended => ("ended", 4),
            Self::Stalled { .. } => ("stalled", 6),
            Self::NotOurs { .. } => ("not_ours", 4),
            Self::Protocol { .. } => ("protocol", 4),
            Self::Refused { .. } => ("refused", 7),
            Self::Superseded => ("superseded", 1),
            Self::Name { .. } | Self::SameName { .. } => ("bad_name", 2),
            Self::TooMany { .. } => ("too_many", 2),
            Self::File { .. } => ("file", 1),
            Self::SomeRefused { .. } => ("refused", 7),
            Self::GaveUp { .. } => ("gave_up", 6),
        }
    }

    /// The text with what it leaves out.
    pub fn detail(&self) -> String {
        match self {
            Self::Stream { source } => match ramson::stream_error(source) {
                Some(error) => error.detail(),
                None => self.to_string(),
            },
            Self::Name { name, .. } | Self::SameName { name } => format!("{self} (name: {name:?})"),
            Self::File { path, .. } => format!("{self} (file: {})", path.display()),
            Self::GaveUp { last, .. } => format!("{self}; last: {}", last.detail()),
            _ => self.to_string(),
        }
    }

    /// Whether a new connection can go on where this one ended.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Stream { .. }
                | Self::Ended
                | Self::Stalled { .. }
                | Self::Superseded
                | Self::Refused {
                    reason: Reason::Busy
                }
        )
    }

    pub(super) fn file(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.into(),
            source,
        }
    }
}
