use ramson_crypto::Random;

use super::{SEEDS, Script};
use crate::node::NodeSettings;

/// One router in ten is half a minute off, which is allowed, and one in twenty by ten minutes.
#[derive(Debug)]
pub(super) struct Skew;

impl Script for Skew {
    fn router(&mut self, number: usize, settings: &mut NodeSettings, random: &mut Random) {
        let drawn = random.below(20);
        let ahead = random.below(2) == 0;
        if number < SEEDS {
            return;
        }
        let off = match drawn {
            0 => 600_000,
            1 | 2 => 30_000,
            _ => 0,
        };
        settings.clock_ahead_ms = if ahead { off } else { -off };
    }

    fn has_good_clocks(&self) -> bool {
        false
    }
}
