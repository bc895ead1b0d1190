//! Pairs under loss, reordering and duplication.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

struct Lossy {
    pair: Pair,
    random: Random,
    /// By time and turn: to Bob or to Alice, the message and which one it is a copy of.
    pipe: BTreeMap<(Instant, u64), (bool, Bytes, u64)>,
    delivered: BTreeSet<u64>,
    turn: u64,
    /// Of 100.
    loss: u64,
    copies: u64,
    delay: std::ops::Range<u64>,
    /// What was sent and not lost, and what was opened, by direction and id.
    under_way: BTreeSet<(bool, u32)>,
    opened: BTreeSet<(bool, u32)>,
    sent: u32,
    refused: u32,
}

impl Lossy {
    fn new(seed: u8, limits: Limits) -> Self {
        Self {
            pair: Pair::new(limits),
            random: Random::from_seed([seed; 32]),
            pipe: BTreeMap::new(),
            delivered: BTreeSet::new(),
            turn: 0,
            loss: 10,
            copies: 10,
            delay: 20..200,
            under_way: BTreeSet::new(),
            opened: BTreeSet::new(),
            sent: 0,
            refused: 0,
        }
    }

    fn put(&mut self, to_bob: bool, body: Bytes) -> bool {
        if self.random.below(100) < self.loss {
            return false;
        }
        let copies = 1 + u64::from(self.random.below(100) < self.copies);
        let which = self.turn;
        for copy in 0..copies {
            let delay = self.random.range(self.delay.clone()) + 100 * copy;
            let at = self.pair.now.instant + millis(delay);
            self.turn += 1;
            self.pipe
                .insert((at, self.turn), (to_bob, body.clone(), which));
        }
        true
    }

    fn send(&mut self, to_bob: bool) {
        let pair = &mut self.pair;
        let (from, to) = match to_bob {
            true => (&mut pair.a, pair.b.public()),
            false => (&mut pair.b, pair.a.public()),
        };
        let id = self.sent;
        match seal(from, &to, id, pair.now) {
            Ok(sealed) => {
                self.sent += 1;
                if self.put(to_bob, sealed.body) {
                    self.under_way.insert((to_bob, id));
                }
            }
            Err(
                SealError::WindowFull | SealError::AwaitingReply { .. } | SealError::RepliesSpent,
            ) => self.refused += 1,
            Err(error) => panic!("{error}"),
        }
    }

    /// Lets time pass in steps of 5 ms.
    fn pass(&mut self, steps: u32) {
        for _ in 0..steps {
            self.pair.wait(millis(5));
            let now = self.pair.now;
            for body in transmits(&mut self.pair.a, now) {
                self.put(true, body);
            }
            for body in transmits(&mut self.pair.b, now) {
                self.put(false, body);
            }
            while let Some(entry) = self.pipe.first_entry()
                && entry.key().0 <= now.instant
            {
                let (to_bob, body, which) = entry.remove();
                let is_copy = !self.delivered.insert(which);
                let to = match to_bob {
                    true => &mut self.pair.b,
                    false => &mut self.pair.a,
                };
                match open(to, &body, now) {
                    Ok(opened) => {
                        assert_eq!(opened.faults, []);
                        for id in ids(&opened) {
                            assert!(self.opened.insert((to_bob, id)), "opened twice");
                        }
                    }
                    Err(error) => assert!(is_copy, "{error}"),
                }
            }
        }
    }

    fn run(&mut self, rounds: u32, both: bool) {
        for _ in 0..rounds {
            self.send(true);
            if both {
                self.send(false);
            }
            self.pass(2);
        }
        self.pass(100);
    }

    /// Everything that was not lost was opened.
    fn check(&self) {
        let missing: Vec<_> = self.under_way.difference(&self.opened).collect();
        assert_eq!(missing, Vec::<&(bool, u32)>::new());
        assert_eq!(self.opened.len(), self.under_way.len());
    }
}

fn quick() -> Limits {
    Limits {
        next_key_at: 60,
        next_key_interval: Duration::ZERO,
        unknown_per_s: 10_000,
        ..Limits::default()
    }
}

#[test]
fn both_directions_under_loss_open_all_that_arrives() {
    for seed in 0..2 {
        let mut lossy = Lossy::new(seed, quick());
        lossy.run(1_500, true);
        lossy.check();
        let (a, b) = (*lossy.pair.a.stats(), *lossy.pair.b.stats());
        assert!(a.next_sets_sent > 5 && b.next_sets_sent > 5, "{a:?}");
        assert_eq!(a.ignored_next_keys + b.ignored_next_keys, 0);
        assert_eq!(a.stalled_sessions + b.stalled_sessions, 0);
        assert_eq!(a.dropped_decrypt + b.dropped_decrypt, 0);
        assert!(
            lossy.refused < lossy.sent / 4,
            "{} {}",
            lossy.refused,
            lossy.sent
        );
        assert!(lossy.pair.a.sessions() <= 16 && lossy.pair.b.sessions() <= 16);
    }
}

#[test]
fn one_direction_under_loss_opens_all_that_arrives() {
    for seed in 0..2 {
        let mut lossy = Lossy::new(seed, quick());
        lossy.run(1_500, false);
        lossy.check();
        let stats = lossy.pair.a.stats();
        assert!(
            stats.next_sets_sent > 5,
            "{} {} {stats:?}",
            lossy.sent,
            lossy.refused
        );
        assert_eq!(lossy.pair.a.stats().stalled_sessions, 0);
    }
}

#[test]
fn heavy_loss_costs_messages_but_not_the_session() {
    let mut lossy = Lossy::new(9, quick());
    lossy.loss = 50;
    lossy.run(2_000, true);
    lossy.check();
    let stats = lossy.pair.a.stats();
    assert!(stats.next_sets_sent > 3, "{stats:?}");
}

#[test]
fn after_an_outage_there_is_a_session_again() {
    let mut lossy = Lossy::new(7, quick());
    lossy.run(200, true);
    lossy.loss = 100;
    lossy.run(2_000, true);
    lossy.loss = 0;
    lossy.run(100, true);
    let before = lossy.opened.len();
    lossy.run(100, true);
    assert_eq!(lossy.opened.len(), before + 200);
    lossy.check();
}
