use std::time::Duration;

use ramson_crypto::Random;

use super::{Network, Script};

const FROM: Duration = Duration::from_secs(60);
const UNTIL: Duration = Duration::from_secs(150);

/// Two parts of the network do not reach each other for a minute and a half.
#[derive(Debug, Default)]
pub(super) struct Partition {
    parted: bool,
}

impl Script for Partition {
    fn healed_at(&self) -> Duration {
        UNTIL
    }

    fn tick(&mut self, network: &mut Network, random: &mut Random) {
        let now = network.world.now();
        let parted = (FROM..UNTIL).contains(&now);
        if parted == self.parted {
            return;
        }
        self.parted = parted;
        if parted {
            let groups: Vec<u8> = network
                .routers
                .iter()
                .map(|_| u8::from(random.below(100) < 40))
                .collect();
            network
                .world
                .part(|index| groups.get(index).copied().unwrap_or(0));
        } else {
            network.world.heal();
        }
    }
}
