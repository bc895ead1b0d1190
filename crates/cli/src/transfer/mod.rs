//! The protocol of `send` and `receive`: files over one stream, resumable, each confirmed.
//!
//! [`Plan`] is what a sender has and [`Plan::send`] one connection of it; an [`Inbox`] is a folder
//! that receives and [`Inbox::receive`] one connection to it. Both work on any byte stream, so that
//! tests need no router. `docs/transfer.md` describes the bytes.

mod error;
pub use error::{Error, Reason};

mod frame;
#[cfg(feature = "fuzzing")]
pub(crate) use frame::again;

mod name;
pub use name::{FileName, NameError};

mod part;

mod receiver;
pub use receiver::{Inbox, Limits};

mod sender;
pub use sender::{Item, Outcome, Pace, Plan, while_moving};

use std::io;

/// What happens in a transfer, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// So many files and bytes are to come.
    Began {
        /// How many files.
        files: u64,
        /// How many bytes they have together.
        bytes: u64,
    },
    /// The file begins, behind what the receiver has of it.
    Started {
        /// Its name.
        file: FileName,
        /// How many bytes of it were there.
        offset: u64,
    },
    /// So many bytes of the file are at the receiver.
    Progress {
        /// Its name.
        file: FileName,
        /// How many bytes of it.
        done: u64,
        /// Its size.
        size: u64,
    },
    /// The file is at the receiver, whole and checked.
    Done(crate::output::FileInfo),
    /// The file is not taken.
    Refused {
        /// Its name.
        file: String,
        /// Why.
        reason: Reason,
    },
}

/// Whom to tell.
pub type Watch<'a> = &'a (dyn Fn(Notice) + Send + Sync);

/// SHA-256 of a file's bytes.
pub type Digest = [u8; 32];

/// Runs file work on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the program is ending")),
    }
}

#[cfg(test)]
mod tests;
