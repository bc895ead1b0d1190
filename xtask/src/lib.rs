//! Real I2P routers on this machine, for people and for tests.
//!
//! [`peers`] fetches released routers into a cache below `target`, [`net`] joins some of them into
//! a closed network on 127.0.0.1, and [`process`] keeps every program it starts from outliving the
//! process that started it. The `xtask` program and the interop tests use the same code:
//!
//! ```no_run
//! use xtask::net::{Network, NetworkSpec};
//! use xtask::peers::Peer;
//!
//! # fn main() -> anyhow::Result<()> {
//! let network = Network::start(NetworkSpec::new(Peer::Current, 6))?;
//! println!("SAM of the first router: {}", network.router(0)?.sam);
//! network.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything blocks; from async code call it through the runtime's blocking pool.

pub mod net;
pub mod peers;
pub mod process;
pub mod setup;
pub mod usage;
pub mod workspace;
