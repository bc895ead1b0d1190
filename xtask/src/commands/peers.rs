//! `cargo xtask peers`.

use anyhow::Result;
use clap::Args;
use xtask::peers::{Peer, install};

/// Fetches a peer router.
#[derive(Args)]
pub(crate) struct Peers {
    /// The kind of router; emissary is built, which takes ten minutes.
    #[arg(value_enum, default_value = "current")]
    peer: Peer,
}

impl Peers {
    pub(crate) fn run(self) -> Result<()> {
        let found = install(self.peer)?;
        println!("{}", found.version);
        Ok(())
    }
}
