//! A scripted SAM bridge inside a test, so that a program's error paths are tested without a
//! router.
//!
//! [`ScriptedBridge`] listens on a loopback port and is a small router of its own: sessions on it
//! reach each other, by streams and by datagrams. It behaves like the router of a [`Personality`],
//! except where a [`Rule`] says otherwise, and it dies, hangs and comes back when told to. Nothing
//! leaves 127.0.0.1.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use ramson::ErrorKind;
//! use ramson::testing::{ScriptedBridge, Verb, on};
//!
//! let bridge = ScriptedBridge::start().await?;
//! bridge.add(on(Verb::StreamConnect).reply("STREAM STATUS RESULT=CONNECTION_REFUSED"));
//! let i2p = bridge.i2p().await?;
//! let me = i2p.session().open().await?;
//! let peer = i2p.session().open().await?;
//! let error = me.connect(peer.address()).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::PeerRefused);
//! assert_eq!(bridge.seen_of(Verb::StreamConnect).len(), 1);
//! # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod connection;

mod datagrams;

mod personality;
pub use personality::Personality;

mod pipe;

mod rule;
pub use rule::{Rule, Verb, on};

mod scripted;
pub use scripted::{ScriptedBridge, ScriptedBridgeBuilder};

mod state;
pub use state::Seen;

pub use crate::sam::Timing;
