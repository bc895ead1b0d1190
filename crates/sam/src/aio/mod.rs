//! The async client on tokio: connections, dialects and a clock that notices sleep.
//!
//! [`Connection`] carries one [`Client`](crate::Client) machine over TCP. [`Router`] is one SAM
//! address: it opens connections, finds out which program answers ([`Dialect`]) and tells whether
//! it still lives. What a session is, and how it heals, is decided above this crate.

mod clock;
pub use clock::{Elapsed, now, sleep, sleep_until, timeout_at, unix_now};

mod connection;
pub use connection::Connection;

mod dialect;
pub use dialect::{Dialect, Traits};

mod endpoint;
pub use endpoint::{Endpoint, EndpointError, Login};

mod error;
pub use error::Error;

mod router;
pub use router::Router;
