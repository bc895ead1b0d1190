//! What has to hold all the time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ramson_router::{DropReason, RouterStatus};

use super::Network;
use crate::node::NodeId;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// What a router tells of itself may be behind by this many looks: links come and go between what
/// it tells and what is there.
const PATIENCE: u32 = 20;
/// One write may go beyond what a pipe holds.
const ONE_WRITE: usize = 128 * 1024;
/// Steps of one router in a second, above which it runs in a circle.
const MAX_STEPS: u64 = 20_000;
/// How long a tunnel of others stays, with what clocks and looks may be off.
const TRANSIT_LASTS: Duration = Duration::from_secs(640);
/// Of about so many routers it is looked at in the same second what they know of their neighbours,
/// which takes long.
const NEWS_AT_ONCE: u64 = 150;
/// When all have begun and found each other, also in large networks.
const CALM_FROM: Duration = Duration::from_secs(120);
/// Between two dials of one router.
const LONGEST_PAUSE: Duration = Duration::from_secs(603);
/// How often it is noted how many were accepted.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// What honest routers never give each other cause to count.
const NEVER: [DropReason; 3] = [
    DropReason::DamagedFrame,
    DropReason::Malformed,
    DropReason::UnknownType,
];
/// Filters of what was seen before err once in so many thousand, or less.
const FILTER_ERRS: u64 = 5_000;

/// What a scenario lets one expect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// All routers keep to the rules.
    pub(super) honest: bool,
    /// All clocks are right.
    pub(super) good_clocks: bool,
    /// Nothing happens to the network.
    pub(super) calm: bool,
}

/// What is remembered of one router that runs.
#[derive(Debug, Default)]
struct Seen {
    /// For how many looks it has told of more links than there are.
    ghosts: u32,
    /// For how many looks it has counted more handshakes than there are.
    half_open: u32,
    /// For how many looks it has known an old RouterInfo of a neighbour.
    outdated: BTreeMap<NodeId, u32>,
    /// Requests accepted until then.
    accepted: VecDeque<(Duration, u64)>,
    /// It had all its tunnels.
    complete: bool,
}

/// What was seen so far, and what was wrong with it.
#[derive(Debug)]
pub(super) struct Checks {
    expected: Expected,
    pipe_capacity: usize,
    next: Duration,
    seen: BTreeMap<NodeId, Seen>,
    steps: u64,
    failures: Vec<String>,
}

impl Checks {
    pub(super) fn new(expected: Expected, pipe_capacity: usize) -> Self {
        Self {
            expected,
            pipe_capacity,
            next: Duration::ZERO,
            seen: BTreeMap::new(),
            steps: 0,
            failures: Vec::new(),
        }
    }

    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    pub(super) fn into_failures(self) -> Vec<String> {
        self.failures
    }

    /// Looks at everything, once a second.
    pub(super) fn tick(&mut self, network: &Network) {
        let now = network.world.now();
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        let turns = 1 + network.routers.len() as u64 / NEWS_AT_ONCE;
        let mut found = Vec::new();
        for router in &network.routers {
            let Some(status) = network.world.status(*router) else {
                self.seen.remove(router);
                continue;
            };
            self.bounds(network, *router, &status, &mut found);
            self.links(network, *router, &status, &mut found);
            if (router.index() as u64 + now.as_secs()).is_multiple_of(turns) {
                self.news(network, *router, &mut found);
            }
            self.tunnels(network, *router, &status, &mut found);
            if self.expected.honest {
                self.manners(network, *router, &status, &mut found);
            }
        }
        let stats = network.world.stats();
        if stats.hostile.wrong_answers > 0 {
            let count = stats.hostile.wrong_answers;
            found.push(format!(
                "{count} requests for tunnels were answered that were seen before or of another time"
            ));
        }
        if stats.fullest_pipe > self.pipe_capacity + ONE_WRITE {
            found.push(format!("a pipe holds {} bytes", stats.fullest_pipe));
        }
        let steps = stats.core_steps + stats.relay_steps + stats.link_steps;
        let most = MAX_STEPS * network.routers.len() as u64;
        if steps - self.steps > most {
            found.push(format!("{} steps in a second", steps - self.steps));
        }
        self.steps = steps;
        let seconds = now.as_secs_f64();
        let new = found
            .into_iter()
            .map(|what| format!("after {seconds:.1} s: {what}"));
        self.failures.extend(new);
    }

    /// Nothing grows beyond its bound.
    fn bounds(
        &self,
        network: &Network,
        router: NodeId,
        status: &RouterStatus,
        found: &mut Vec<String>,
    ) {
        let Some(config) = network.world.config(router) else {
            return;
        };
        let [inbound, outbound] = status.exploratory;
        // Each has a successor before its end.
        let tunnels = 2 * config.exploratory.quantity;
        let bounded = [
            ("links", status.links, config.max_links),
            ("RouterInfos", status.routers, config.max_routers),
            ("LeaseSets", status.lease_sets, config.max_lease_sets),
            (
                "transit tunnels",
                status.transit_tunnels,
                config.transit.tunnels,
            ),
            ("inbound tunnels", inbound, tunnels),
            ("outbound tunnels", outbound, tunnels),
        ];
        for (what, count, bound) in bounded {
            if count > bound {
                let number = router.index();
                found.push(format!(
                    "router {number} has {count} {what}, at most {bound} are allowed"
                ));
            }
        }
    }

    /// Links that are told of are there.
    fn links(
        &mut self,
        network: &Network,
        router: NodeId,
        status: &RouterStatus,
        found: &mut Vec<String>,
    ) {
        let open = network.world.open_links(router);
        let half_open = network.world.half_open_links(router);
        let seen = self.seen.entry(router).or_default();
        let number = router.index();
        if strike(&mut seen.ghosts, status.links > open) {
            let links = status.links;
            found.push(format!(
                "router {number} counts {links} links, {open} are there"
            ));
        }
        if strike(&mut seen.half_open, status.half_open > half_open) {
            let counted = status.half_open;
            found.push(format!(
                "router {number} counts {counted} handshakes of others, {half_open} are there"
            ));
        }
    }

    /// Neighbours know what one publishes of oneself, and who cannot be reached gets another chance.
    fn news(&mut self, network: &Network, router: NodeId, found: &mut Vec<String>) {
        let pause = network.world.longest_pause(router);
        if pause > LONGEST_PAUSE {
            let number = router.index();
            found.push(format!(
                "router {number} does not dial some other for {} s",
                pause.as_secs()
            ));
        }
        let seen = self.seen.entry(router).or_default();
        let mut outdated = BTreeMap::new();
        for other in network.world.neighbours(router) {
            let current = network.world.published(other);
            let known = network.world.known_since(router, other);
            if known.is_some_and(|known| current.is_some_and(|current| known < current)) {
                let mut strikes = seen.outdated.get(&other).copied().unwrap_or(0);
                if strike(&mut strikes, true) {
                    let [number, other] = [router, other].map(NodeId::index);
                    found.push(format!(
                        "router {number} keeps an old RouterInfo of its neighbour {other}"
                    ));
                }
                outdated.insert(other, strikes);
            }
        }
        seen.outdated = outdated;
    }

    /// Tunnels of others end, and own ones are replaced before they do.
    fn tunnels(
        &mut self,
        network: &Network,
        router: NodeId,
        status: &RouterStatus,
        found: &mut Vec<String>,
    ) {
        let now = network.world.now();
        let seen = self.seen.entry(router).or_default();
        let number = router.index();
        let accepted: u64 = status.transit_accepted.iter().sum();
        if seen
            .accepted
            .back()
            .is_some_and(|(_, last)| accepted < *last)
        {
            // It began anew.
            *seen = Seen::default();
        }
        let last = seen.accepted.back();
        if last.is_none_or(|(at, _)| now.saturating_sub(*at) >= NOTE_EVERY) {
            seen.accepted.push_back((now, accepted));
        }
        while let Some((at, _)) = seen.accepted.get(1)
            && *at + TRANSIT_LASTS <= now
        {
            seen.accepted.pop_front();
        }
        if let Some((at, before)) = seen.accepted.front()
            && *at + TRANSIT_LASTS <= now
            && status.transit_tunnels as u64 > accepted.saturating_sub(*before)
        {
            let (count, of) = (status.transit_tunnels, accepted.saturating_sub(*before));
            found.push(format!(
                "router {number} has {count} transit tunnels, of which {of} are not over"
            ));
        }
        let [inbound, outbound] = status.exploratory;
        let quantity = network
            .world
            .config(router)
            .map_or(0, |config| config.exploratory.quantity);
        if self.expected.calm
            && now >= CALM_FROM
            && seen.complete
            && (inbound == 0 || outbound == 0)
        {
            found.push(format!(
                "router {number} has lost its tunnels: {inbound} and {outbound} are left"
            ));
        }
        seen.complete |= inbound >= quantity && outbound >= quantity;
    }

    /// Honest routers understand each other.
    fn manners(
        &self,
        network: &Network,
        router: NodeId,
        status: &RouterStatus,
        found: &mut Vec<String>,
    ) {
        let number = router.index();
        for reason in NEVER {
            if let Some(count) = status.drops.get(&reason) {
                found.push(format!(
                    "router {number} dropped {count} messages: {reason:?}"
                ));
            }
        }
        if self.expected.good_clocks
            && let Some(count) = status.drops.get(&DropReason::BuildTime)
        {
            found.push(format!(
                "router {number} found {count} build requests from another time"
            ));
        }
        let relay = network.world.relay_counters(router);
        let passed = relay.participant + relay.gateway + relay.endpoint + relay.own;
        let replays = status
            .drops
            .get(&DropReason::BuildReplay)
            .copied()
            .unwrap_or(0);
        let accepted: u64 = status.transit_accepted.iter().sum();
        let dropped = [
            ("malformed", relay.dropped_malformed, 0),
            ("from the wrong router", relay.dropped_wrong_router, 0),
            (
                "seen before",
                relay.dropped_duplicate,
                1 + passed / FILTER_ERRS,
            ),
            (
                "with builds seen before",
                replays,
                1 + accepted / FILTER_ERRS,
            ),
        ];
        for (why, count, tolerated) in dropped {
            if count > tolerated {
                found.push(format!(
                    "router {number} dropped {count} tunnel messages: {why}"
                ));
            }
        }
    }
}

/// Counts looks in a row at which something was wrong; says whether they are too many.
fn strike(strikes: &mut u32, wrong: bool) -> bool {
    *strikes = if wrong { *strikes + 1 } else { 0 };
    *strikes >= PATIENCE
}
