//! What the simulator needs of the cryptography: how much public-key work a step did, and both
//! sides of one process not doing the same work twice.
//!
//! Compiled with the feature `simulation` only, and idle until a thread calls [`enable`]. Results
//! are the same with it and without it; nothing but the speed differs. The cache holds secrets of
//! simulated routers, which protect nobody.

use std::cell::RefCell;

use zeroize::Zeroizing;

/// Public-key operations of one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// X25519 key pairs made.
    pub keys: u64,
    /// X25519 agreements, also those that the cache knew.
    pub agreements: u64,
    /// Ed25519 signatures made.
    pub signed: u64,
    /// Ed25519 signatures checked, also those that were known.
    pub verified: u64,
}

/// What one pair of keys has in common.
#[derive(Clone)]
struct Shared {
    pair: [[u8; 32]; 2],
    secret: Zeroizing<[u8; 32]>,
}

struct State {
    work: Work,
    /// Each pair has one place, which the next pair of that place takes.
    shared: Vec<Option<Shared>>,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Begins to count the work of this thread, and to remember up to `places` shared secrets.
pub fn enable(places: usize) {
    STATE.with_borrow_mut(|state| {
        *state = Some(State {
            work: Work::default(),
            shared: vec![None; places],
        });
    });
}

/// Says whether this thread is one that simulates.
pub fn is_enabled() -> bool {
    STATE.with_borrow(Option::is_some)
}

/// Returns the work since the last call and begins anew.
pub fn take_work() -> Work {
    STATE.with_borrow_mut(|state| {
        let state = state.as_mut();
        state
            .map(|state| std::mem::take(&mut state.work))
            .unwrap_or_default()
    })
}

/// Counts work that was saved elsewhere, so that time passes as if it had been done.
pub fn count(add: impl FnOnce(&mut Work)) {
    STATE.with_borrow_mut(|state| {
        if let Some(state) = state {
            add(&mut state.work);
        }
    });
}

/// The pair in the order that is the same for both, and its place.
fn place(ours: &[u8; 32], theirs: &[u8; 32], places: usize) -> ([[u8; 32]; 2], usize) {
    let pair = if ours <= theirs {
        [*ours, *theirs]
    } else {
        [*theirs, *ours]
    };
    let part = |key: &[u8; 32]| key.first_chunk().copied().map_or(0, u32::from_le_bytes);
    let [first, second] = &pair;
    let mixed = (part(first) ^ part(second).rotate_left(16)) as usize;
    (pair, mixed.checked_rem(places).unwrap_or(0))
}

/// The secret of a pair of keys, if the other side has computed it. It is needed twice only.
pub(crate) fn shared(ours: &[u8; 32], theirs: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    STATE.with_borrow_mut(|state| {
        let shared = &mut state.as_mut()?.shared;
        let (pair, index) = place(ours, theirs, shared.len());
        let known = shared.get_mut(index)?.take_if(|known| known.pair == pair)?;
        Some(known.secret)
    })
}

/// Remembers a secret for the other side.
pub(crate) fn share(ours: &[u8; 32], theirs: &[u8; 32], secret: &[u8; 32]) {
    STATE.with_borrow_mut(|state| {
        let Some(State { shared, .. }) = state else {
            return;
        };
        let (pair, index) = place(ours, theirs, shared.len());
        if let Some(place) = shared.get_mut(index) {
            *place = Some(Shared {
                pair,
                secret: Zeroizing::new(*secret),
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x25519::PrivateKey;
    use crate::{SigningKey, verify};

    #[test]
    fn the_second_side_finds_what_the_first_computed_and_work_is_counted_for_both() {
        let [one, two, other] = [1, 2, 3].map(|seed| PrivateKey::from_bytes([seed; 32]));
        let expected = *one.agree(&two.public()).unwrap();
        enable(64);
        assert!(shared(&two.public(), &one.public()).is_none());
        assert_eq!(*one.agree(&two.public()).unwrap(), expected);
        assert!(shared(&two.public(), &other.public()).is_none());
        assert_eq!(*two.agree(&one.public()).unwrap(), expected);
        assert!(shared(&two.public(), &one.public()).is_none());
        let key = SigningKey::from_seed(&[4; 32]);
        let signature = key.sign(b"message");
        assert_eq!(verify(&key.public(), b"message", &signature), Ok(()));
        let work = Work {
            keys: 0,
            agreements: 2,
            signed: 1,
            verified: 1,
        };
        assert_eq!(take_work(), work);
        assert_eq!(take_work(), Work::default());
    }

    #[test]
    fn a_thread_that_did_not_ask_counts_and_remembers_nothing() {
        let [one, two] = [1, 2].map(|seed| PrivateKey::from_bytes([seed; 32]));
        one.agree(&two.public()).unwrap();
        assert!(!is_enabled());
        assert!(shared(&two.public(), &one.public()).is_none());
        assert_eq!(take_work(), Work::default());
    }
}
