use std::time::Duration;

use ramson_crypto::Random;

use super::{Network, Script};
use crate::node::NodeId;

const FROM: Duration = Duration::from_secs(40);
const UNTIL: Duration = Duration::from_secs(160);
/// A router stays away for a time between these.
const AWAY_MS: [u64; 2] = [2_000, 40_000];
/// In a minute, this part of the routers leaves, in percent.
const PERCENT_A_MINUTE: u64 = 30;

/// Routers leave and come back: with an end of their links, killed, or cut off without a word.
#[derive(Debug, Default)]
pub(super) struct Churn {
    /// Who comes back when.
    away: Vec<(Duration, NodeId)>,
    /// Who is killed when, after having ended its links.
    ending: Vec<(Duration, NodeId)>,
}

impl Script for Churn {
    fn healed_at(&self) -> Duration {
        UNTIL
    }

    fn tick(&mut self, network: &mut Network, random: &mut Random) {
        let now = network.world.now();
        for (at, router) in std::mem::take(&mut self.ending) {
            if at <= now {
                network.world.kill(router);
            } else {
                self.ending.push((at, router));
            }
        }
        for (at, router) in std::mem::take(&mut self.away) {
            if at <= now {
                network.start(router);
            } else {
                self.away.push((at, router));
            }
        }
        if !(FROM..UNTIL).contains(&now) {
            return;
        }
        for router in network.routers.clone() {
            // Ten ticks a second.
            let leaves = random.below(60_000) < PERCENT_A_MINUTE;
            // The seeds have to be there for those who come back.
            let stays = network.seeds.contains(&router);
            if !leaves || stays || !network.world.is_running(router) {
                continue;
            }
            let [least, most] = AWAY_MS;
            let back = (now + Duration::from_millis(random.range(least..most))).min(UNTIL);
            match random.below(3) {
                0 => network.world.kill(router),
                1 => network.world.vanish(router),
                _ => {
                    if self.ending.iter().any(|(_, ending)| *ending == router) {
                        continue;
                    }
                    network.world.end_links(router);
                    self.ending.push((now + Duration::from_secs(1), router));
                }
            }
            self.away
                .push((back.max(now + Duration::from_secs(2)), router));
        }
    }
}
