use super::*;

const RTT: Duration = Duration::from_millis(100);

/// A window's worth of packets each round trip, of which `lost` percent are.
struct Run {
    cubic: Cubic,
    now: Instant,
    sent: u64,
}

impl Run {
    fn new() -> Self {
        Self {
            cubic: Cubic::new(CubicConfig::default()),
            now: Instant::from_micros(1),
            sent: 0,
        }
    }

    fn round(&mut self, rtt: Duration, lost: u32) -> u32 {
        let window = self.cubic.window();
        let newest = self.sent + u64::from(window) - 1;
        self.sent += u64::from(window);
        self.now += rtt;
        let sent = self.sent;
        let lost = (window * lost).div_ceil(100);
        let acked = Acked {
            packets: window - lost,
            in_flight: window,
            newest,
            sent,
            rtt: Some(rtt),
            min_rtt: RTT,
        };
        self.cubic.handle_acked(&acked, self.now);
        if lost > 0 {
            let packets = lost;
            let lost = Lost {
                packets,
                newest,
                sent,
            };
            self.cubic.handle_lost(&lost, self.now);
        }
        self.cubic.window()
    }
}

#[test]
fn slow_start_doubles_up_to_the_limit() {
    let mut run = Run::new();
    assert_eq!(run.cubic.window(), 10);
    assert_eq!(run.cubic.pacing_percent(), 200);
    assert_eq!(run.round(RTT, 0), 20);
    assert_eq!(run.round(RTT, 0), 40);
    (0..10).for_each(|_| _ = run.round(RTT, 0));
    assert_eq!(run.cubic.window(), 512);
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut run = Run::new();
    for newest in 0..100 {
        let acked = Acked {
            packets: 1,
            in_flight: 1,
            newest,
            sent: newest + 1,
            rtt: Some(RTT),
            min_rtt: RTT,
        };
        run.cubic.handle_acked(&acked, run.now);
    }
    assert_eq!(run.cubic.window(), 10);
}

#[test]
fn loss_at_every_rate_is_not_congestion() {
    for percent in [1, 5, 15, 30] {
        let mut run = Run::new();
        (0..30).for_each(|_| _ = run.round(RTT, percent));
        assert!(run.cubic.window() > 400, "{percent} {}", run.cubic.window());
    }
}

#[test]
fn loss_beyond_a_rate_is_congestion() {
    // 100 packets each round get through, and no queue shows it.
    let mut run = Run::new();
    let windows: Vec<u32> = (0..200)
        .map(|_| {
            let window = run.cubic.window();
            run.round(RTT, window.saturating_sub(100) * 100 / window)
        })
        .collect();
    let mean = windows[50..].iter().sum::<u32>() / 150;
    assert!((70..150).contains(&mean), "{mean}");
    assert!(windows[50..].iter().all(|&window| window < 200));
}

#[test]
fn a_queue_ends_slow_start_and_with_it_a_loss_is_congestion() {
    let mut run = Run::new();
    (0..3).for_each(|_| _ = run.round(RTT, 0));
    assert_eq!(run.cubic.window(), 80);
    // A round's least tells in the next one.
    run.round(RTT * 3 / 2, 0);
    run.round(RTT * 3 / 2, 0);
    assert_eq!(run.cubic.pacing_percent(), 125);
    let before = run.cubic.window();
    assert_eq!(run.round(RTT * 3 / 2, 0), before);
    let after = run.round(RTT * 3 / 2, 1);
    assert!(after < before * 3 / 4, "{before} {after}");
}

#[test]
fn a_long_queue_shrinks_the_window_without_a_loss() {
    let mut run = Run::new();
    (0..6).for_each(|_| _ = run.round(RTT, 0));
    let before = run.cubic.window();
    (0..4).for_each(|_| _ = run.round(RTT * 5, 0));
    assert!(run.cubic.window() < before * 3 / 4);
}

#[test]
fn after_congestion_the_window_comes_back() {
    let mut run = Run::new();
    (0..5).for_each(|_| _ = run.round(RTT, 0));
    let before = run.cubic.window();
    run.cubic.queue = Queue::Some;
    let lost = Lost {
        packets: 1,
        newest: run.sent,
        sent: run.sent,
    };
    run.cubic.handle_lost(&lost, run.now);
    let after = run.cubic.window();
    assert!(after < before);
    // The same loss once more, of packets sent before it was noticed.
    let lost = Lost {
        newest: run.sent - 1,
        ..lost
    };
    run.cubic.handle_lost(&lost, run.now);
    assert_eq!(run.cubic.window(), after);
    run.cubic.queue = Queue::None;
    (0..100).for_each(|_| _ = run.round(RTT, 0));
    assert!(run.cubic.window() > before);
}

#[test]
fn silence_is_a_new_start_up_to_half_of_the_window() {
    let mut run = Run::new();
    (0..8).for_each(|_| _ = run.round(RTT, 0));
    run.cubic.handle_timeout(run.now);
    assert_eq!(run.cubic.window(), 10);
    (0..5).for_each(|_| _ = run.round(RTT, 0));
    assert_eq!(run.cubic.window(), 256);
}

#[test]
fn silence_that_was_none_changes_nothing() {
    let mut run = Run::new();
    (0..8).for_each(|_| _ = run.round(RTT, 0));
    run.cubic.handle_timeout(run.now);
    run.cubic.handle_false_timeout(run.now);
    assert_eq!(run.cubic.window(), 512);
    // Only once, and not after something else.
    run.cubic.handle_timeout(run.now);
    run.cubic.handle_overrun(None, run.now);
    run.cubic.handle_false_timeout(run.now);
    assert_eq!(run.cubic.window(), 5);
}

#[test]
fn an_overrun_caps_the_window_for_good() {
    let mut run = Run::new();
    (0..8).for_each(|_| _ = run.round(RTT, 0));
    run.cubic.handle_overrun(None, run.now);
    assert_eq!(run.cubic.window(), 256);
    run.cubic.handle_overrun(Some(64), run.now);
    assert_eq!(run.cubic.window(), 64);
    (0..200).for_each(|_| _ = run.round(RTT, 0));
    assert_eq!(run.cubic.window(), 64);
}

#[test]
fn cube_roots_are_right() {
    for x in [0.0, 0.001, 1.0, 27.0, 512.0, 1e6] {
        let root = cube_root(x);
        assert!((cube(root) - x).abs() <= x * 1e-9 + 1e-12, "{x} {root}");
    }
}
