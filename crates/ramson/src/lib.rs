//! I2P for applications: a program gets an anonymous address, streams and datagrams.
//!
//! ```no_run
//! # async fn run() -> Result<(), ramson::Error> {
//! let i2p = ramson::I2p::start().await?;
//! let me = i2p.session().key_file("me.keys").open().await?;
//! let stream = me.connect("example.i2p").await?;
//! # Ok(()) }
//! ```
//!
//! [`I2p`] is the way onto the network: the router to use. A [`Session`] is an online
//! [`Destination`], the key pair that others reach by its `….b32.i2p` address. It connects to peers
//! ([`Stream`], like TCP), takes their connections ([`Listener`]) and exchanges datagrams
//! ([`DatagramSocket`], like UDP). Sessions heal: when the router restarts they come back with the
//! same Destination, and [`Session::events`] and [`Session::status`] tell how far they are.

mod capability;
pub use capability::{Capabilities, Capability};

mod datagram;
pub use datagram::{Datagram, DatagramBuilder, DatagramKind, DatagramSocket};

mod error;
pub use error::{Error, ErrorKind};

mod hosts;
pub use hosts::Hosts;

mod i2p;
pub use i2p::{I2p, I2pBuilder};

pub mod keys;

mod listener;
pub use listener::Listener;

mod options;
pub use options::{ConnectOptions, ListenOptions, Tunnels, WhenIdle};

pub mod plug;

#[cfg(feature = "router")]
pub mod router;

mod sam;

mod session;
pub use session::{IntoTarget, Session, SessionBuilder};

mod status;
pub use status::{Event, Events, LostCause, Stage, Status, StatusWatch};

mod stream;
pub use stream::{Stream, StreamReader, StreamWriter, stream_error};

#[cfg(feature = "testing")]
pub mod testing;

pub use ramson_sam::aio::Endpoint;
pub use ramson_wire::{
    Address, AddressError, Destination, DestinationHash, EncryptionKeyType, HostName,
    HostNameError, OfflineSignature, PrivateKeys, PrivateKeysError, SigningKeyType, Target,
    TargetError,
};

/// The README's program.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    /// Like the types of `std` and tokio, ours cross threads by value and by reference.
    #[test]
    fn handles_are_send_and_sync() {
        fn both<T: Send + Sync>() {}
        both::<I2p>();
        both::<Session>();
        both::<Stream>();
        both::<StreamReader>();
        both::<StreamWriter>();
        both::<Listener>();
        both::<DatagramSocket>();
        both::<Events>();
        both::<StatusWatch>();
        both::<Error>();
    }
}
