//! One simulated machine with a router on it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ramson_router::inbox::{Inbox, Sender};
use ramson_router::{LookupOutcome, RouterConfig, RouterHandle, RouterKeys};
use ramson_wire::RouterHash;

use crate::queue::PartId;

/// Answers to look-ups that may wait for the script.
const ANSWERS: usize = 4096;

/// Which router of a world it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Its number, from 0 on in the order in which they were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a router is like.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// What its owner told it. The published address is filled in by the world.
    pub config: RouterConfig,
    /// Whether others can connect to it.
    pub reachable: bool,
    /// What its line carries away, in bytes per second.
    pub uplink_bytes_per_s: u64,
    /// Steps of its parts at once.
    pub cores: usize,
    /// By how many milliseconds its clock is ahead.
    pub clock_ahead_ms: i64,
}

impl Default for NodeSettings {
    /// A reachable router on two cores behind 4 MB/s with the right time, which keeps at most 500
    /// RouterInfos.
    fn default() -> Self {
        Self {
            config: RouterConfig {
                max_routers: 500,
                ..RouterConfig::default()
            },
            reachable: true,
            uplink_bytes_per_s: 4_000_000,
            cores: 2,
            clock_ahead_ms: 0,
        }
    }
}

/// A machine, its router running or not.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) settings: NodeSettings,
    pub(crate) keys: RouterKeys,
    pub(crate) hash: RouterHash,
    /// Of the router that runs.
    pub(crate) handle: Option<RouterHandle>,
    pub(crate) parts: BTreeSet<PartId>,
    /// How often a router was started.
    pub(crate) starts: u32,
    /// Until when each core is busy.
    pub(crate) busy: Vec<u64>,
    /// Parts that wait for a core, and since when.
    pub(crate) waiting: Vec<(PartId, u64)>,
    /// An event for the first free core is in the queue.
    pub(crate) awaits_core: bool,
    pub(crate) uplink_free: u64,
    /// Where on the map, in millionths.
    pub(crate) place: [u64; 2],
    /// Only machines of one group reach each other.
    pub(crate) group: u8,
    /// The machine does not even say that nobody listens.
    pub(crate) silent: bool,
    pub(crate) answers: Inbox<LookupOutcome>,
    pub(crate) answer_to: Sender<LookupOutcome>,
}

impl Node {
    pub(crate) fn new(
        index: u32,
        mut settings: NodeSettings,
        keys: RouterKeys,
        place: [u64; 2],
    ) -> Self {
        let address = address(index);
        settings.config.published = settings.reachable.then_some(address);
        let answers = Inbox::new(ANSWERS);
        Self {
            address,
            hash: keys.identity().hash(),
            keys,
            handle: None,
            parts: BTreeSet::new(),
            starts: 0,
            busy: vec![0; settings.cores.max(1)],
            waiting: Vec::new(),
            awaits_core: false,
            uplink_free: 0,
            place,
            group: 0,
            silent: false,
            answer_to: answers.sender(ANSWERS),
            answers,
            settings,
        }
    }

    /// The core that is free first, and since or from when on.
    pub(crate) fn first_core(&self) -> (usize, u64) {
        let cores = self.busy.iter().copied().enumerate();
        cores.min_by_key(|(_, until)| *until).unwrap_or((0, 0))
    }

    /// How long a packet to another machine is on its way, in microseconds: 3 ms and up to about
    /// 140 by distance.
    pub(crate) fn delay_us(&self, other: &Self) -> u64 {
        let [dx, dy] = [0, 1].map(|axis: usize| {
            let of = |node: &Self| node.place.get(axis).copied().unwrap_or(0);
            of(self).abs_diff(of(other)) / 1000
        });
        3_000 + (dx * dx + dy * dy).isqrt() * 100
    }
}

/// Public IPv4 addresses, each in a /16 of its own as long as there are some.
fn address(index: u32) -> SocketAddr {
    // Neither private nor otherwise special.
    let first: Vec<u8> = (11..=197)
        .filter(|first| ![100, 127, 169, 172, 192].contains(first))
        .collect();
    let networks = first.len() as u32 * 256;
    let network = index % networks;
    let a = first.get((network / 256) as usize).copied().unwrap_or(11);
    let [.., b] = network.to_be_bytes();
    let [.., d] = (index / networks).to_be_bytes();
    let host = Ipv4Addr::new(a, b, 1, d.saturating_add(1));
    SocketAddr::new(IpAddr::V4(host), 12_345)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_distinct_and_in_networks_of_their_own() {
        let addresses: BTreeSet<SocketAddr> = (0..60_000).map(address).collect();
        assert_eq!(addresses.len(), 60_000);
        let networks: BTreeSet<[u8; 2]> = (0..40_000)
            .map(|index| match address(index).ip() {
                IpAddr::V4(v4) => [v4.octets()[0], v4.octets()[1]],
                IpAddr::V6(_) => panic!("all are IPv4"),
            })
            .collect();
        assert_eq!(networks.len(), 40_000);
    }
}
