//! Which routers are hops of our own tunnels (Peer profiling and selection; Tunnel routing).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_wire::{BandwidthClass, Congestion, Instant, RouterHash, RouterInfo, UnixTime};

use super::Core;

/// A router that failed a build is chosen last for this long, doubled each time.
const BLAME: Duration = Duration::from_secs(60);
/// The longest.
const MAX_BLAME: Duration = Duration::from_secs(16 * 60);
/// So long after that it is remembered that it failed before.
const MEMORY: Duration = Duration::from_secs(30 * 60);
/// Routers of whom that is remembered.
const MAX_REMEMBERED: usize = 4096;
/// High congestion that was said so long ago counts as medium (proposal 162).
const HIGH_FOR: Duration = Duration::from_secs(15 * 60);
/// RouterInfos that are older are of routers that may be no more.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What we know of routers from our own tunnels.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    failed: BTreeMap<RouterHash, Failed>,
}

#[derive(Debug)]
struct Failed {
    until: Instant,
    times: u32,
}

impl Profiles {
    /// A tunnel came to nothing, and this router may be to blame.
    pub(super) fn blame(&mut self, router: RouterHash, now: Instant) {
        if self.failed.len() >= MAX_REMEMBERED && !self.failed.contains_key(&router) {
            let first = self.failed.iter().min_by_key(|(_, it)| it.until);
            if let Some(first) = first.map(|(router, _)| *router) {
                self.failed.remove(&first);
            }
        }
        let failed = self.failed.entry(router).or_insert(Failed {
            until: now,
            times: 0,
        });
        // Several tunnels that fail at once are one failure.
        if failed.until <= now {
            let doubled = BLAME.saturating_mul(1 << failed.times.min(10));
            failed.until = now + doubled.min(MAX_BLAME);
            failed.times = failed.times.saturating_add(1);
        }
    }

    /// It took part in a tunnel that was built.
    pub(super) fn praise(&mut self, router: &RouterHash) {
        self.failed.remove(router);
    }

    /// Says whether it is to be chosen last.
    pub(super) fn is_blamed(&self, router: &RouterHash, now: Instant) -> bool {
        self.failed
            .get(router)
            .is_some_and(|failed| failed.until > now)
    }

    /// Forgets what was long ago.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.failed.retain(|_, failed| failed.until + MEMORY > now);
    }
}

/// Addresses that are likely to be of one owner: a /16 of IPv4, a /32 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Network {
    V4([u8; 2]),
    V6([u8; 4]),
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.octets();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// A router that can be a hop.
#[derive(Debug, Clone)]
struct Candidate {
    router: RouterHash,
    networks: Vec<Network>,
    /// One of weight 2 is chosen twice as often as one of weight 1.
    weight: u32,
    /// Only if there are too few others.
    last: bool,
    linked: bool,
}

impl Candidate {
    /// What a router says of itself; `None` if it can be no hop.
    fn of(info: &RouterInfo, allow_local: bool, now: UnixTime) -> Option<Self> {
        let capabilities = info.capabilities();
        let hosts = info.ntcp2_addresses().filter_map(|address| {
            let (socket, _) = address.published()?;
            Some(socket.ip())
        });
        let hosts: Vec<IpAddr> = hosts.collect();
        let reachable = hosts
            .iter()
            .any(|host| allow_local || super::own::is_public(*host));
        let congestion = capabilities.congestion();
        let class = capabilities.bandwidth()?;
        if !reachable
            || capabilities.is_unreachable()
            || capabilities.is_hidden()
            || info.identity().encryption_key().is_none()
            || info.published() + MAX_AGE <= now
            || congestion == Some(Congestion::RejectsAll)
            || class <= BandwidthClass::K
        {
            return None;
        }
        let weight = match class {
            BandwidthClass::K | BandwidthClass::L | BandwidthClass::M => 2,
            BandwidthClass::N => 3,
            BandwidthClass::O => 4,
            BandwidthClass::P | BandwidthClass::X => 6,
        };
        let fresh = info.published() + HIGH_FOR > now;
        Some(Self {
            router: info.hash(),
            networks: hosts.into_iter().map(Network::of).collect(),
            // Nobody is avoided altogether for being congested: all may be.
            weight: if congestion.is_some() {
                weight / 2
            } else {
                weight
            },
            last: congestion == Some(Congestion::High) && fresh,
            linked: false,
        })
    }
}

/// Chooses so many of the candidates, the one that is to be our neighbour first; `None` if there
/// are too few.
///
/// No router is chosen twice, nor two of one network, unless that is allowed.
fn choose(
    candidates: Vec<Candidate>,
    count: usize,
    allow_same_network: bool,
    random: &mut Random,
) -> Option<Vec<RouterHash>> {
    let mut order: Vec<(bool, u32, Candidate)> = candidates
        .into_iter()
        .map(|it| {
            // The greatest of as many draws as its weight.
            let drawn = (0..it.weight.max(1)).map(|_| random.u32()).max();
            (it.last, u32::MAX - drawn.unwrap_or(0), it)
        })
        .collect();
    order.sort_by_key(|(last, drawn, it)| (*last, *drawn, it.router));
    // Our neighbour is better one we have a link with.
    let near = order.iter().position(|(last, _, it)| it.linked && !last);
    if let Some(near) = near {
        let near = order.remove(near);
        order.insert(0, near);
    }
    let mut chosen: Vec<RouterHash> = Vec::new();
    let mut networks = BTreeSet::new();
    for (_, _, it) in order {
        if chosen.len() == count {
            break;
        }
        let meets = it.networks.iter().any(|network| networks.contains(network));
        if chosen.contains(&it.router) || (meets && !allow_same_network) {
            continue;
        }
        networks.extend(it.networks);
        chosen.push(it.router);
    }
    (chosen.len() == count).then_some(chosen)
}

impl Core {
    /// Chooses the hops of a tunnel, our neighbour first.
    pub(super) fn choose_routers(&mut self, count: usize, now: Now) -> Option<Vec<RouterHash>> {
        let mut candidates = Vec::new();
        for (router, info) in self.netdb.routers() {
            if self.links.is_failing(router, now) {
                continue;
            }
            let found = Candidate::of(info, self.config.allow_local, now.unix);
            candidates.extend(found.map(|mut it| {
                it.last |= self.tunnels.profiles.is_blamed(router, now.instant);
                it.linked = self.links.is_linked(router);
                it
            }));
        }
        let same = self.config.allow_same_network;
        choose(candidates, count, same, &mut self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RouterConfig;
    use crate::core::{OwnRouter, RouterKeys};
    use crate::testing::{at, config};

    fn candidate(n: u8, network: [u8; 2]) -> Candidate {
        Candidate {
            router: RouterHash([n; 32]),
            networks: vec![Network::V4(network)],
            weight: 1,
            last: false,
            linked: false,
        }
    }

    /// What is chosen in many draws.
    fn draws(candidates: &[Candidate], count: usize, same: bool) -> Vec<Option<Vec<u8>>> {
        let mut random = Random::from_seed([4; 32]);
        (0..1000)
            .map(|_| {
                let chosen = choose(candidates.to_vec(), count, same, &mut random)?;
                Some(chosen.iter().map(|router| router.0[0]).collect())
            })
            .collect()
    }

    #[test]
    fn no_two_hops_are_of_one_network_and_none_is_chosen_twice() {
        let mut candidates: Vec<_> = (0..12).map(|n| candidate(n, [1, n / 4])).collect();
        // The same router twice, under another address.
        candidates.push(candidate(0, [9, 9]));
        for chosen in draws(&candidates, 3, false) {
            let chosen = chosen.unwrap();
            let routers: BTreeSet<u8> = chosen.iter().copied().collect();
            assert_eq!(routers.len(), 3);
            let networks: BTreeSet<u8> =
                chosen.iter().filter(|n| **n != 0).map(|n| n / 4).collect();
            let ones = chosen.iter().filter(|n| **n != 0).count();
            assert_eq!(networks.len(), ones, "{chosen:?}");
        }
        let three: Vec<_> = (0..12).map(|n| candidate(n, [1, n / 4])).collect();
        assert!(draws(&three, 4, false).iter().all(Option::is_none));
        assert!(draws(&three, 4, true).iter().all(Option::is_some));
        assert!(draws(&three, 13, true).iter().all(Option::is_none));
    }

    #[test]
    fn a_router_with_two_addresses_is_in_both_networks() {
        let mut both = candidate(1, [1, 1]);
        both.networks.push(Network::V6([0x20, 1, 0, 9]));
        let mut six = candidate(2, [2, 2]);
        six.networks = vec![Network::V6([0x20, 1, 0, 9])];
        assert!(draws(&[both, six], 2, false).iter().all(Option::is_none));
    }

    #[test]
    fn those_with_more_room_are_chosen_more_often_and_the_blamed_last() {
        let mut strong = candidate(1, [1, 1]);
        strong.weight = 3;
        let weak = candidate(2, [2, 2]);
        let mut blamed = candidate(3, [3, 3]);
        blamed.last = true;
        let candidates = [strong, weak, blamed.clone()];
        let first = |n: u8| {
            let chosen = draws(&candidates, 1, false);
            chosen.iter().filter(|it| **it == Some(vec![n])).count()
        };
        // Three quarters, give or take.
        assert!((700..800).contains(&first(1)), "{}", first(1));
        assert_eq!(first(3), 0);
        let all = draws(&candidates, 3, false);
        assert!(all.iter().flatten().all(|chosen| chosen[2] == 3));
        let mut near = candidate(4, [4, 4]);
        near.linked = true;
        blamed.linked = true;
        let candidates = [candidate(1, [1, 1]), near, blamed];
        let chosen = draws(&candidates, 2, false);
        assert!(chosen.iter().flatten().all(|chosen| chosen[0] == 4));
    }

    #[test]
    fn what_a_router_says_of_itself_counts() {
        let now = at(10_000_000);
        let of = |rate: u64, congestion, age_s: u64, host: [u8; 4], allow_local| {
            let config = RouterConfig {
                bandwidth_bytes_per_s: rate,
                published: Some((host, 999).into()),
                ..config(1)
            };
            let keys = RouterKeys::generate(&mut Random::from_seed([1; 32]));
            let published = at(10_000_000 - age_s * 1000);
            let mut own = OwnRouter::new(keys, &config, published).unwrap();
            own.resign(&config, congestion, published).unwrap();
            Candidate::of(own.info(), allow_local, now.unix)
        };
        let public = [20, 30, 40, 50];
        let good = of(500_000, None, 10, public, false).unwrap();
        assert_eq!((good.weight, good.last), (6, false));
        assert_eq!(good.networks, [Network::V4([20, 30])]);
        assert_eq!(of(70_000, None, 10, public, false).unwrap().weight, 3);
        assert!(of(5_000, None, 10, public, false).is_none());
        assert!(of(500_000, None, 10, [10, 0, 0, 1], false).is_none());
        assert!(of(500_000, None, 10, [10, 0, 0, 1], true).is_some());
        let medium = of(500_000, Some(Congestion::Medium), 10, public, false).unwrap();
        assert_eq!((medium.weight, medium.last), (3, false));
        let high = of(500_000, Some(Congestion::High), 10, public, false).unwrap();
        assert!(high.last);
        // That was long ago.
        let high = of(500_000, Some(Congestion::High), 1000, public, false).unwrap();
        assert!(!high.last);
        assert!(of(500_000, Some(Congestion::RejectsAll), 10, public, false).is_none());
    }

    #[test]
    fn who_fails_again_and_again_is_blamed_for_longer() {
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        let mut profiles = Profiles::default();
        let router = RouterHash([1; 32]);
        profiles.blame(router, at(0));
        profiles.blame(router, at(1));
        assert!(profiles.is_blamed(&router, at(59)) && !profiles.is_blamed(&router, at(60)));
        profiles.blame(router, at(100));
        assert!(profiles.is_blamed(&router, at(219)) && !profiles.is_blamed(&router, at(220)));
        for second in 3..100 {
            profiles.blame(router, at(second * 1000));
            assert!(!profiles.is_blamed(&router, at(second * 1000 + 960)));
        }
        profiles.praise(&router);
        profiles.blame(router, at(200_000));
        assert!(!profiles.is_blamed(&router, at(200_060)));
        profiles.sweep(at(300_000));
        assert!(profiles.failed.is_empty());
        for n in 0..10_000_u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            profiles.blame(RouterHash(hash), at(400_000));
        }
        assert_eq!(profiles.failed.len(), MAX_REMEMBERED);
    }
}
