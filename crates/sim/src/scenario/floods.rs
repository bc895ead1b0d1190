use std::time::Duration;

use ramson_crypto::Random;

use super::{Network, Script};
use crate::hostile::Attack;
use crate::node::{NodeId, NodeSettings};

const FROM: Duration = Duration::from_secs(60);
const UNTIL: Duration = Duration::from_secs(120);
/// One hostile machine for so many routers.
const ROUTERS_EACH: usize = 10;
/// Messages a second of each hostile link, at most and for each router of the network: small
/// networks are for tests that should not take long, and most quotas are below that, too.
const PER_S: usize = 400;
const PER_S_OF_ROUTER: usize = 4;
/// Connections that a machine begins in a second.
const DIALS_PER_S: usize = 5;

/// Of those that are to be answered: fewer than the quotas let through.
const REPLAYS_PER_S: u32 = 20;

const ATTACKS: [Attack; 7] = [
    Attack::Builds,
    Attack::Replays,
    Attack::BadStores,
    Attack::LookUps,
    Attack::Noise,
    Attack::Garbage,
    Attack::Silence,
];

/// Machines that are no routers of the network flood some of them, for a minute and on.
#[derive(Debug, Default)]
pub(super) struct Floods {
    machines: Vec<(NodeId, NodeId, Attack)>,
    dialled: u64,
    over: bool,
}

impl Script for Floods {
    fn healed_at(&self) -> Duration {
        UNTIL
    }

    fn tick(&mut self, network: &mut Network, random: &mut Random) {
        let now = network.world.now();
        if now < FROM || self.over {
            return;
        }
        if self.machines.is_empty() {
            self.recruit(network, random);
        }
        let due = (now - FROM).as_millis() as u64 * DIALS_PER_S as u64 / 1000;
        if now >= UNTIL {
            for (machine, ..) in self.machines.drain(..) {
                network.world.kill(machine);
            }
            self.over = true;
            return;
        }
        let flood = PER_S.min(PER_S_OF_ROUTER * network.routers.len());
        let flood = u32::try_from(flood).unwrap_or(u32::MAX);
        while self.dialled < due {
            self.dialled += 1;
            for (machine, target, attack) in &self.machines {
                // One link is enough for those who have one.
                let links = !matches!(attack, Attack::Garbage | Attack::Silence);
                let per_s = match attack {
                    Attack::Replays => REPLAYS_PER_S,
                    _ => flood,
                };
                if !(links && network.world.hostile_links(*machine) > 0) {
                    network.world.attack(*machine, *target, *attack, per_s);
                }
            }
        }
    }

    fn is_honest(&self) -> bool {
        false
    }
}

impl Floods {
    fn recruit(&mut self, network: &mut Network, random: &mut Random) {
        let count = (network.routers.len() / ROUTERS_EACH).max(ATTACKS.len());
        // Those who can be reached, more often than others those who store for others.
        let targets: Vec<NodeId> = network
            .routers
            .iter()
            .copied()
            .filter(|router| {
                let config = network.world.config(*router);
                config.is_some_and(|config| config.published.is_some())
            })
            .collect();
        for attack in ATTACKS.into_iter().cycle().take(count) {
            let settings = NodeSettings {
                reachable: false,
                uplink_bytes_per_s: 10_000_000,
                ..NodeSettings::default()
            };
            let machine = network.world.add(settings);
            if let Some(target) = random.choose(&targets).copied() {
                self.machines.push((machine, target, attack));
            }
        }
    }
}
