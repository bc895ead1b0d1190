use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use ramson_wire::EncodeError;

/// Why a router does not start.
///
/// The text names the cause and the next step, but no file or address; [`RouterError::detail`] has
/// those.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouterError {
    /// The file with the router's keys is in use by another router, or cannot be read or made.
    #[error(transparent)]
    KeyFile(#[from] crate::Error),
    /// The file with the router's keys is damaged; it is never replaced.
    #[error(
        "the file with the router's keys is damaged: put a copy of it in its place, or move it \
         away, and the router begins as a new one"
    )]
    DamagedKeys {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder of the router cannot be written or read.
    #[error("a file of the router cannot be read or written: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The address that is to be listened on cannot be had.
    #[error("the router cannot listen: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration makes no RouterInfo.
    #[error("the configuration makes no RouterInfo: {0}")]
    RouterInfo(#[from] EncodeError),
    /// The system gives no threads.
    #[error("the router's threads cannot be started: {0}")]
    Threads(#[source] io::Error),
}

impl RouterError {
    /// Returns the text with file and address.
    pub fn detail(&self) -> String {
        match self {
            Self::KeyFile(error) => error.detail(),
            Self::DamagedKeys { path } | Self::File { path, .. } => {
                format!("{self} (file: {})", path.display())
            }
            Self::Listen { address, .. } => format!("{self} (address: {address})"),
            Self::RouterInfo(_) | Self::Threads(_) => self.to_string(),
        }
    }
}
