//! What has to hold all the time.

use std::collections::BTreeMap;
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
/// What honest routers never give each other cause to count.
const NEVER: [DropReason; 2] = [DropReason::Malformed, DropReason::UnknownType];
/// Filters of what was seen before err once in so many thousand, or less.
const FILTER_ERRS: u64 = 5_000;

/// What was seen so far, and what was wrong with it.
#[derive(Debug)]
pub(super) struct Checks {
    honest: bool,
    good_clocks: bool,
    pipe_capacity: usize,
    next: Duration,
    /// For how many looks a router has told of more links than there are.
    ghosts: BTreeMap<NodeId, u32>,
    steps: u64,
    failures: Vec<String>,
}

impl Checks {
    pub(super) fn new(honest: bool, good_clocks: bool, pipe_capacity: usize) -> Self {
        Self {
            honest,
            good_clocks,
            pipe_capacity,
            next: Duration::ZERO,
            ghosts: BTreeMap::new(),
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
        let mut found = Vec::new();
        for router in &network.routers {
            let Some(status) = network.world.status(*router) else {
                self.ghosts.remove(router);
                continue;
            };
            self.bounds(network, *router, &status, &mut found);
            self.links(network, *router, &status, &mut found);
            if self.honest {
                self.manners(network, *router, &status, &mut found);
            }
        }
        let stats = network.world.stats();
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
        let strikes = self.ghosts.entry(router).or_default();
        *strikes = if status.links > open { *strikes + 1 } else { 0 };
        if *strikes >= PATIENCE {
            let (number, links) = (router.index(), status.links);
            found.push(format!(
                "router {number} counts {links} links, {open} are there"
            ));
        }
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
        if self.good_clocks
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
