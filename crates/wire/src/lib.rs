//! The structures of I2P as bytes and as text: Destinations, private keys and addresses; what the
//! network database holds, RouterInfos and LeaseSets; I2NP messages and the blocks, cloves, fragments
//! and build records they travel in; and the encodings all of them are written in.
//!
//! Everything in here is values and functions: no socket, no file, no clock. What comes from
//! outside is decoded through a checked [`Reader`]; it never panics, and what was received keeps
//! its bytes, since hashes and signatures cover them. What is written is appended to a buffer that
//! grows, a `Vec<u8>` or a `BytesMut`; a slice that is too short for it panics.
//!
//! ```
//! use ramson_wire::{Address, PrivateKeys, Target};
//!
//! let keys = PrivateKeys::generate();
//! let file = keys.to_bytes();
//! let again = PrivateKeys::from_file_bytes(&file)?;
//! again.check()?;
//! assert_eq!(again.destination(), keys.destination());
//!
//! let target: Target = format!("{}:80", keys.destination().b32()).parse()?;
//! assert_eq!(target.address, Address::Hash(keys.destination().hash()));
//! assert_eq!(target.port, 80);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
pub use error::{DecodeError, EncodeError};

mod reader;
pub use reader::Reader;

mod time;
pub use time::{Instant, UnixTime};

pub mod base32;
pub use base32::Base32Error;

pub mod base64;
pub use base64::Base64Error;

pub mod gzip;

mod mapping;
pub use mapping::{Mapping, MappingBuilder, MappingIter};

mod key_type;
pub use key_type::{EncryptionKeyType, KeyTypeError, SigningKeyType};

mod certificate;
pub use certificate::{Certificate, KeyCertificate};

mod keys_and_cert;

mod destination;
pub use destination::{Destination, DestinationHash};

mod identity;
pub use identity::{RouterHash, RouterIdentity};

mod signature;
pub use signature::{Verified, VerifyError, verify_signature};

mod tunnel_id;
pub use tunnel_id::TunnelId;

mod capabilities;
pub use capabilities::{BandwidthClass, Capabilities, Congestion};

mod router_version;
pub use router_version::{RouterVersion, RouterVersionError};

mod router_address;
pub use router_address::{Ntcp2Address, RouterAddress};

mod router_info;
pub use router_info::{RouterInfo, RouterInfoBuilder};

mod seal;

mod share;

pub mod i2np;
pub use i2np::{I2npMessage, I2npRef, LeaseSetType, MessageType};

mod block;

pub mod ntcp2;

pub mod delivery;
pub use delivery::TunnelDelivery;

pub mod build;

pub mod clove;
pub use clove::{CloveDelivery, GarlicClove};

mod host_name;
pub use host_name::{HostName, HostNameError};

mod address;
pub use address::{Address, AddressError, Target, TargetError};

mod private_keys;
pub use private_keys::{OfflineSignature, PrivateKeys, PrivateKeysError};

mod offline_block;
pub use offline_block::OfflineBlock;

pub mod lease_set;
pub use lease_set::{Lease, LeaseSet2Builder, StoredLeaseSet};

pub mod datagram;

mod payload;
pub use payload::{PayloadError, PayloadHeader};

mod routing_key;
pub use routing_key::{Distance, RoutingKey, UtcDay};

pub mod streaming;
