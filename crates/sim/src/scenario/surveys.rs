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
    let statuses = network.routers.iter().filter_map(|router| network.world.status(*router));
    let (mut good, mut of) = (0, 0);
    for status in statuses {
        of += 1;
        let [inbound, outbound] = status.exploratory;
        good += usize::from(inbound >= TUNNELS && outbound >= TUNNELS);
    }
    Figure {
        name: "routers with their tunnels",
        good,
        of,
    }
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
    measuring: bool,
    answered: usize,
    of: usize,
}

impl Surveys {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            planned: Vec::new(),
            asked: BTreeMap::new(),
            next_round: SETTLE / 2,
            measuring: false,
            answered: 0,
            of: 0,
        }
    }

    /// From now on it is measured, for `time`.
    pub(super) fn measure(&mut self, network: &Network, now: Duration, time: Duration) {
        self.measuring = true;
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
        if !self.measuring && now >= self.next_round {
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
                let good = answer.found && at.saturating_sub(asked) <= PATIENCE;
                self.answered += usize::from(self.measuring && good);
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
        self.of += usize::from(self.measuring);
        if network.world.look_up(asker, wanted) {
            self.asked.insert((asker, wanted), now);
        }
    }

    pub(super) fn figures(&self) -> Option<Figure> {
        self.measuring.then_some(Figure {
            name: "look-ups answered in 3 s",
            good: self.answered,
            of: self.of,
        })
    }
}
