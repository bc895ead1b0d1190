//! Clocks that are set while all runs.

use super::log::Lines;
use super::stage::{Stage, config};
use super::under_attack;

const HOURS_MS: i64 = 5 * 3_600_000;

fn jumps(ways: [i64; 2]) {
    let lines = Lines::default();
    lines.record(|| {
        let mut stage = Stage::new(config());
        under_attack(&mut stage, |stage, step| match step {
            300 => stage.ahead_ms = ways[0],
            600 => stage.ahead_ms = ways[1],
            _ => {}
        });
        let offset = stage.router.handle.clock().offset_ms();
        assert_eq!(offset, -ways[1]);
        assert_eq!(stage.router_now().unix, stage.now().unix);
        stage.run(300);
        assert!(stage.router.handle.status().links >= 2);
    });
    let told = lines.with("clock was set");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("18000"), "{told:?}");
}

#[test]
fn a_clock_that_is_set_by_hours_ends_nothing() {
    jumps([HOURS_MS, -HOURS_MS]);
    jumps([-HOURS_MS, 0]);
}

/// The machine begins with a wrong clock: its neighbours say by how much.
#[test]
fn a_clock_that_is_off_is_said_to_be_with_direction_and_amount() {
    for (ahead_ms, word) in [(-40_000, "is behind"), (40_000, "is ahead")] {
        let lines = Lines::default();
        lines.record(|| {
            let mut stage = Stage::new(config());
            stage.ahead_ms = ahead_ms;
            for n in 1..=4 {
                let neighbour = stage.neighbour(&format!("10.{n}.0.1"));
                stage.link(neighbour);
            }
            stage.run(300);
            let offset = stage.router.handle.clock().offset_ms();
            assert!((offset + ahead_ms).abs() < 2000, "{offset}");
        });
        let told = lines.with(word);
        assert_eq!(told.len(), 1, "{:?}", lines.all());
        assert!(told[0].contains("seconds=39") || told[0].contains("seconds=40"));
    }
}
