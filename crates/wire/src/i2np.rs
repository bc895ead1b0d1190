//! I2NP messages (I2NP): what routers say to each other, whatever carries it.
//!
//! An [`I2npMessage`] has a type, an id, an expiry and a body; an [`I2npRef`] is the same over
//! borrowed bytes. The bodies are values of their own that parse from and append to bytes. Long
//! parts of a body are borrowed, so that looking into a message copies nothing.

mod message_type;
pub use message_type::MessageType;

mod message;
pub use message::{I2npMessage, I2npRef};

mod database_store;
pub use database_store::{DatabaseStore, LeaseSetType, StoreEntry, StoreReply};

mod database_lookup;
pub use database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};

mod search_reply;
pub use search_reply::DatabaseSearchReply;

mod tunnel;
pub use tunnel::{TunnelData, TunnelDataMut, TunnelGateway};

mod build_records;
pub use build_records::{BuildRecords, LongBuildRecords, ShortBuildRecords};

mod small;
pub use small::{Data, DeliveryStatus, Garlic};
