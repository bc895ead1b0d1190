//! Ports and a network id that no other network on this machine uses.
//!
//! The ports below the range of outgoing connections are divided into blocks, one per network id.
//! A network claims a block by holding a listener on its first port, which the kernel gives back
//! when the owner dies, so claims need no files and hold between users and work trees.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Result, bail};

const FIRST_PORT: u16 = 20_000;
const BLOCK: u16 = 48;
/// Network ids 3 to 252: 2 is the public network.
const BLOCKS: u16 = 250;
const FIRST_NETWORK_ID: u8 = 3;
const PER_ROUTER: u16 = 3;

/// How many routers fit into a block beside the claim.
pub(super) const MAX_ROUTERS: usize = ((BLOCK - 1) / PER_ROUTER) as usize;

/// The ports of one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouterPorts {
    pub(super) network_id: u8,
    /// NTCP2 on TCP and SSU2 on UDP.
    pub(super) transport: u16,
    /// One less than `sam`, the only choice i2pd 2.45 has.
    pub(super) sam_udp: u16,
    pub(super) sam: u16,
}

/// A claimed block.
#[derive(Debug)]
pub(super) struct PortBlock {
    /// Held, never accepted from.
    _claim: TcpListener,
    block: u16,
    routers: u16,
}

impl PortBlock {
    /// Claims a block all of whose needed ports are free, beginning at a random one.
    pub(super) fn claim(routers: usize) -> Result<Self> {
        let routers = u16::try_from(routers.min(MAX_ROUTERS))?;
        let begin = RandomState::new().hash_one(std::process::id()) % u64::from(BLOCKS);
        let begin = u16::try_from(begin)?;
        for step in 0..BLOCKS {
            let block = (begin + step) % BLOCKS;
            let base = FIRST_PORT + block * BLOCK;
            let Ok(claim) = TcpListener::bind((Ipv4Addr::LOCALHOST, base)) else {
                continue;
            };
            if (1..=routers * PER_ROUTER).all(|offset| is_free(base + offset)) {
                return Ok(Self {
                    _claim: claim,
                    block,
                    routers,
                });
            }
        }
        bail!(
            "no {} free ports in a row between {FIRST_PORT} and {}; end other networks first",
            routers * PER_ROUTER,
            FIRST_PORT + BLOCKS * BLOCK
        )
    }

    pub(super) fn network_id(&self) -> u8 {
        FIRST_NETWORK_ID.saturating_add(u8::try_from(self.block).unwrap_or(u8::MAX))
    }

    pub(super) fn routers(&self) -> Vec<RouterPorts> {
        let base = FIRST_PORT + self.block * BLOCK + 1;
        (0..self.routers)
            .map(|index| base + index * PER_ROUTER)
            .map(|first| RouterPorts {
                network_id: self.network_id(),
                transport: first,
                sam_udp: first + 1,
                sam: first + 2,
            })
            .collect()
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_networks_share_neither_ports_nor_network_id() {
        let one = PortBlock::claim(8).unwrap();
        let two = PortBlock::claim(MAX_ROUTERS).unwrap();
        assert_ne!(one.network_id(), two.network_id());
        assert_ne!(one.network_id(), 2);
        for ports in one.routers() {
            assert_eq!(ports.sam, ports.sam_udp + 1);
            assert!(two.routers().iter().all(|other| other.sam != ports.sam));
        }
    }
}
