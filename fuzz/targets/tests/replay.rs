//! Replays the corpora, then runs every target over mutations of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ramson_fuzz_targets::{Target, reached_by, targets};

/// How many mutations each target gets.
const ROUNDS: usize = 4000;
/// And each machine, whose inputs take longer.
const MACHINE_ROUNDS: usize = 200;

fn corpus(target: Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target.name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn corpora_hold_and_reach_what_they_have_to() {
    let mut missing = Vec::new();
    for target in targets() {
        let inputs = corpus(target);
        assert!(inputs.len() >= 10, "{} has too few inputs", target.name);
        let mut reached = BTreeSet::new();
        for input in &inputs {
            reached.extend(reached_by(|| (target.run)(input)));
        }
        let found = target.kinds.iter().filter(|kind| reached.contains(**kind));
        let (found, of) = (found.count(), target.kinds.len());
        if of > 0 {
            println!("{}: {found} of {of} kinds reached", target.name);
        }
        let not = target.kinds.iter().filter(|kind| !reached.contains(**kind));
        missing.extend(not.map(|kind| format!("{}: {kind}", target.name)));
    }
    assert!(missing.is_empty(), "not reached:\n{}", missing.join("\n"));
}

/// Xorshift: the same on each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n.max(1)
    }
}

fn mutate(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = inputs[dice.below(inputs.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        match dice.below(6) {
            0 => input.truncate(at),
            1 => input.insert(at, b" \n\r\t=\"\\\0\xff09"[dice.below(11)]),
            2 if at < input.len() => input[at] ^= 1 << dice.below(8),
            3 if at < input.len() => drop(input.remove(at)),
            4 => {
                let other = &inputs[dice.below(inputs.len())];
                input.truncate(at);
                input.extend_from_slice(&other[dice.below(other.len())..]);
            }
            _ => {
                let end = (at + dice.below(20)).min(input.len());
                let part = input[at..end].to_vec();
                input.splice(at..at, part);
            }
        }
    }
    input
}

#[test]
fn mutations_hold() {
    for target in targets() {
        let inputs = corpus(target);
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let rounds = if target.kinds.is_empty() {
            ROUNDS
        } else {
            MACHINE_ROUNDS
        };
        for _ in 0..rounds {
            let input = mutate(&inputs, &mut dice);
            let caught = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(
                caught.is_ok(),
                "{} fails on {}",
                target.name,
                input.escape_ascii()
            );
        }
    }
}
