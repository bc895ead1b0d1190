//! What is measured: who has tunnels, and how long look-ups take.

use std::collections::BTreeMap;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_wire::RouterHash;

use super::{Figure, Network, SETTLE};
use crate::node::NodeId;

/// So many tunnels each way a router should have.
const TUNNELS: usize = 2;
/// So soon a look-up should be answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many look-ups of each router are measured.
const MEASURED: usize = 3;
/// Otherwise each router looks somebody up once in this time.
const EVERY: Duration = Duration::from_secs(60);

/// How many of the routers that run have their tunnels.
pub(super) fn tunnels(network: &Network) -> Figure {
    let mut figure = Figure::new("routers with their tunnels");
    for router in &network.routers {
        let Some(status) = network.world.status(*router) else {
            continue;
        };
        let [inbound, outbound] = status.exploratory;
        let good = inbound >= TUNNELS && outbound >= TUNNELS;
        figure.count(good, || {
            let number = router.index();
            let [built, failed] = status.builds;
            format!(
                "router {number}: {inbound} and {outbound} tunnels, {built} built, {failed} failed, \
                 {} links, {} dials, {} failed, {} routers known, {} floodfills",
                status.links, status.dials, status.dials_failed, status.routers, status.floodfills
            )
        });
    }
    figure
}

/// Look-ups of random routers by random routers.
#[derive(Debug)]
pub(super) struct Surveys {
    random: Random,
    /// When who asks; the next last.
    planned: Vec<(Duration, NodeId)>,
    /// When who asked for whom.
    asked: BTreeMap<(NodeId, RouterHash), Duration>,
    next_round: Duration,
    figure: Option<Figure>,
}

impl Surveys {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            planned: Vec::new(),
            asked: BTreeMap::new(),
            next_round: SETTLE / 2,
            figure: None,
        }
    }

    /// From now on it is measured, for `time`.
    pub(super) fn measure(&mut self, network: &Network, now: Duration, time: Duration) {
        self.figure = Some(Figure::new("look-ups answered in 3 s"));
        self.planned.clear();
        self.asked.clear();
        for _ in 0..MEASURED {
            self.plan(network, now, time);
        }
    }

    /// Each router asks once within `time`.
    fn plan(&mut self, network: &Network, now: Duration, time: Duration) {
        let span = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        for router in &network.routers {
            let at = now + Duration::from_micros(self.random.below(span));
            self.planned.push((at, *router));
        }
        self.planned.sort_unstable();
        self.planned.reverse();
    }

    pub(super) fn tick(&mut self, network: &mut Network, now: Duration) {
        if self.figure.is_none() && now >= self.next_round {
            self.next_round = now + EVERY;
            self.plan(network, now, EVERY);
        }
        while let Some((at, asker)) = self.planned.last().copied()
            && at <= now
        {
            self.planned.pop();
            self.ask(network, asker, now);
        }
        for router in network.routers.clone() {
            for answer in network.world.answers(router) {
                let Some(asked) = self.asked.remove(&(router, answer.router)) else {
                    continue;
                };
                let at = Duration::from_micros(answer.at.as_micros());
                let took = at.saturating_sub(asked);
                let good = answer.found && took <= PATIENCE;
                if let Some(figure) = &mut self.figure {
                    let found = if answer.found { "found" } else { "not found" };
                    figure.count(good, || {
                        let wanted = network.world.node_of(&answer.router).map(NodeId::index);
                        let asker = router.index();
                        format!("router {asker} asked for {wanted:?} at {asked:?}: {found} after {took:?}")
                    });
                }
            }
        }
    }

    fn ask(&mut self, network: &mut Network, asker: NodeId, now: Duration) {
        let running: Vec<NodeId> = network
            .routers
            .iter()
            .copied()
            .filter(|router| network.world.is_running(*router) && *router != asker)
            .collect();
        let wanted = self.random.choose(&running).copied();
        let Some(wanted) = wanted.and_then(|wanted| network.world.hash(wanted)) else {
            return;
        };
        if !network.world.is_running(asker) || self.asked.contains_key(&(asker, wanted)) {
            return;
        }
        if network.world.look_up(asker, wanted) {
            self.asked.insert((asker, wanted), now);
        }
    }

    /// What was measured; what was not answered until now is not answered.
    pub(super) fn finish(self) -> Option<Figure> {
        let mut figure = self.figure?;
        for ((asker, _), at) in self.asked {
            figure.count(false, || {
                format!(
                    "router {} asked at {at:?}: nothing came of it yet",
                    asker.index()
                )
            });
        }
        Some(figure)
    }
}
