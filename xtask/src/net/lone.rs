//! One router by itself, of any kind: what is measured of a router alone.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::config::Role;
use super::folder::NetworkFolder;
use super::own_address;
use super::ports::PortBlock;
use super::ramson::{self, RamsonProcess};
use super::router::{KnownRouter, RouterPlan, RouterProcess};
use crate::peers::{self, Peer};

/// What kind of router a [`LoneRouter`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoneKind {
    /// Ours, built for speed.
    Ramson,
    /// Somebody else's.
    Other(Peer),
}

impl fmt::Display for LoneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ramson => "ramson",
            Self::Other(Peer::Emissary) => "emissary",
            Self::Other(_) => "i2pd",
        })
    }
}

/// A running router that knows nobody; dropping it ends it.
///
/// It takes 20,000 transit tunnels where that can be said, logs what is wrong and nothing else, and
/// speaks NTCP2 alone. It is a floodfill, except for emissary's.
#[derive(Debug)]
pub struct LoneRouter {
    process: Lone,
    version: String,
    folder: NetworkFolder,
    ports: PortBlock,
}

#[derive(Debug)]
enum Lone {
    Ramson(RamsonProcess),
    Other(RouterProcess),
}

impl LoneRouter {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When the router cannot be had or does not start; the text names the log.
    pub fn start(kind: LoneKind) -> Result<Self> {
        let ports = PortBlock::claim(1)?;
        let folder = NetworkFolder::create(ports.network_id())?;
        let address = own_address(ports.network_id(), 0);
        let own = ports.routers();
        let own = *own.first().context("a block has ports")?;
        let (process, version) = match kind {
            LoneKind::Ramson => {
                let program = ramson::build(true)?;
                let home = folder.path().join("ramson-0");
                let router = RamsonProcess::create(0, &home, &program, address, own, (true, true))?;
                router.start()?;
                let version = concat!("ramson ", env!("CARGO_PKG_VERSION"));
                (Lone::Ramson(router), version.to_owned())
            }
            LoneKind::Other(peer) => {
                let installation = peers::install(peer)?;
                let router = RouterProcess::create(RouterPlan {
                    index: 0,
                    home: folder.path().join("router-0"),
                    peer,
                    installation: &installation,
                    ports: own,
                    role: Role::Between,
                    quiet: true,
                    address: Some(address),
                    namespace: None,
                })?;
                router.start()?;
                router.wait_for_sam()?;
                (Lone::Other(router), installation.version)
            }
        };
        Ok(Self {
            process,
            version,
            folder,
            ports,
        })
    }

    /// What the program says of its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The network id that nobody else here has.
    pub fn network_id(&self) -> u8 {
        self.ports.network_id()
    }

    /// The process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32> {
        match &self.process {
            Lone::Ramson(router) => router.pid(),
            Lone::Other(router) => router.pid(),
        }
        .context("the router has ended")
    }

    /// The address of its NTCP2 listener.
    pub fn transport(&self) -> SocketAddr {
        match &self.process {
            Lone::Ramson(router) => router.access().transport,
            Lone::Other(router) => router.info().transport,
        }
    }

    /// The file with its RouterInfo.
    pub fn router_info(&self) -> PathBuf {
        let data = match &self.process {
            Lone::Ramson(router) => &router.access().data,
            Lone::Other(router) => &router.info().data,
        };
        data.join("router.info")
    }

    /// The folder with everything of this router, kept after its end for its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program and its arguments, to be started by other means once this one was killed.
    pub fn command(&self) -> &[OsString] {
        match &self.process {
            Lone::Ramson(router) => router.command(),
            Lone::Other(router) => router.command(),
        }
    }

    /// Writes RouterInfos where the router finds them at its next start: ours in the seed, others in
    /// the network database.
    ///
    /// # Errors
    /// When something is no RouterInfo, or cannot be written.
    pub fn write_known_routers(&self, infos: &[Vec<u8>]) -> Result<()> {
        let folder = match &self.process {
            Lone::Ramson(router) => router.access().seed.clone(),
            Lone::Other(router) => router.info().data.join("netDb"),
        };
        for info in infos {
            KnownRouter::of(info.clone())?.write_to(&folder)?;
        }
        Ok(())
    }

    /// Takes those away again that were written for our own router, which keeps what it knows in a
    /// file of its own; for others nothing happens.
    ///
    /// # Errors
    /// When the folder cannot be emptied.
    pub fn clear_seed(&self) -> Result<()> {
        if let Lone::Ramson(router) = &self.process {
            let seed = &router.access().seed;
            std::fs::remove_dir_all(seed)?;
            std::fs::create_dir(seed)?;
        }
        Ok(())
    }

    /// Ends the process, without warning; files and ports stay.
    pub fn kill(&self) {
        match &self.process {
            Lone::Ramson(router) => router.kill(),
            Lone::Other(router) => router.kill(),
        }
    }
}
