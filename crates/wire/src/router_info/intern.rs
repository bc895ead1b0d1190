//! One copy of equal RouterInfos for thousands of simulated routers in one process, each decoded
//! and verified once. Idle unless [`ramson_crypto::simulation::enable`] was called.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use ramson_crypto::simulation;

use super::Parts;

/// When so many are known, those that nobody holds any more are looked for.
const FIRST_SWEEP: usize = 1024;

struct Known {
    /// By the signature's last bytes and the length, which are as good as random.
    parts: BTreeMap<(u64, usize), Weak<Parts>>,
    /// The same by the gzip form, which ends with a checksum.
    zipped: BTreeMap<(u64, usize), Weak<Parts>>,
    sweep_at: usize,
}

thread_local! {
    static KNOWN: RefCell<Known> = const {
        RefCell::new(Known {
            parts: BTreeMap::new(),
            zipped: BTreeMap::new(),
            sweep_at: FIRST_SWEEP,
        })
    };
}

fn key(bytes: &[u8]) -> (u64, usize) {
    let last = bytes.last_chunk().copied().map_or(0, u64::from_le_bytes);
    (last, bytes.len())
}

/// The RouterInfo of these bytes, if somebody has it.
pub(super) fn known(bytes: &[u8]) -> Option<Arc<Parts>> {
    KNOWN.with_borrow(|known| {
        let parts = known.parts.get(&key(bytes))?.upgrade()?;
        (parts.bytes == bytes).then_some(parts)
    })
}

/// The RouterInfo of which this is the gzip form, if somebody has it.
pub(super) fn known_gzip(bytes: &[u8]) -> Option<Arc<Parts>> {
    KNOWN.with_borrow(|known| {
        let parts = known.zipped.get(&key(bytes))?.upgrade()?;
        let same = parts.gzip.get().is_some_and(|gzip| gzip == bytes);
        same.then_some(parts)
    })
}

/// Keeps a RouterInfo for the next who decodes its gzip form.
pub(super) fn remember_gzip(parts: &Arc<Parts>, gzip: &[u8]) {
    if simulation::is_enabled() {
        let parts = Arc::downgrade(parts);
        KNOWN.with_borrow_mut(|known| known.zipped.insert(key(gzip), parts));
    }
}

/// Keeps a RouterInfo for the next who decodes its bytes.
pub(super) fn remember(parts: &Arc<Parts>) {
    if !simulation::is_enabled() {
        return;
    }
    KNOWN.with_borrow_mut(|known| {
        if known.parts.len() >= known.sweep_at {
            known.parts.retain(|_, parts| parts.strong_count() > 0);
            known.zipped.retain(|_, parts| parts.strong_count() > 0);
            known.sweep_at = (known.parts.len() * 2).max(FIRST_SWEEP);
        }
        known.parts.insert(key(&parts.bytes), Arc::downgrade(parts));
    });
}

/// Says whether its signature was found good before, and counts the work as done again.
pub(super) fn is_verified(parts: &Parts) -> bool {
    let verified = simulation::is_enabled() && parts.verified.load(Ordering::Relaxed);
    if verified {
        simulation::count(|work| work.verified += 1);
    }
    verified
}

#[cfg(test)]
mod tests {
    use ramson_crypto::SigningKey;
    use ramson_crypto::simulation::{Work, enable, take_work};

    use crate::{Mapping, RouterIdentity, RouterInfo, RouterInfoBuilder, UnixTime};

    fn signed(published: u64) -> Vec<u8> {
        let key = SigningKey::from_seed(&[1; 32]);
        let builder = RouterInfoBuilder {
            identity: RouterIdentity::new(&[2; 32], &key.public(), &[3; 32]),
            published: UnixTime::from_millis(published),
            addresses: Vec::new(),
            options: Mapping::default(),
        };
        builder.sign(&key).unwrap().as_bytes().to_vec()
    }

    #[test]
    fn equal_bytes_are_kept_and_verified_once_in_a_thread_that_simulates() {
        let bytes = signed(1);
        let apart = [
            RouterInfo::from_bytes(&bytes),
            RouterInfo::from_bytes(&bytes),
        ];
        let [one, two] = apart.map(Result::unwrap);
        assert_ne!(one.as_bytes().as_ptr(), two.as_bytes().as_ptr());

        enable(0);
        let one = RouterInfo::from_bytes(&bytes).unwrap().verify().unwrap();
        let two = RouterInfo::from_bytes(&bytes).unwrap().verify().unwrap();
        assert_eq!(one.as_bytes().as_ptr(), two.as_bytes().as_ptr());
        let zipped = RouterInfo::from_gzip(&one.to_gzip()).unwrap();
        assert_eq!(one.as_bytes().as_ptr(), zipped.as_bytes().as_ptr());
        let expected = Work {
            verified: 2,
            ..Work::default()
        };
        assert_eq!(take_work(), expected);
    }

    #[test]
    fn a_wrong_signature_stays_wrong_also_beside_a_good_one() {
        enable(0);
        let good = signed(1);
        let _kept = RouterInfo::from_bytes(&good).unwrap().verify().unwrap();
        // The signature of one over the content of the other: the same last bytes.
        let mut bad = signed(2);
        let at = bad.len() - 64;
        bad[at..].copy_from_slice(&good[at..]);
        for _ in 0..2 {
            assert!(RouterInfo::from_bytes(&bad).unwrap().verify().is_err());
        }
        assert!(RouterInfo::from_bytes(&good).unwrap().verify().is_ok());
    }
}
