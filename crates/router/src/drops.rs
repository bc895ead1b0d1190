//! What links and queues drop, counted where it happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::DropReason;

/// The reasons, each with its place.
pub(crate) const REASONS: [DropReason; 7] = [
    DropReason::RelayBehind,
    DropReason::CoreBehind,
    DropReason::NoTunnelMessage,
    DropReason::TooLate,
    DropReason::Unsent,
    DropReason::RouterInfoInvalid,
    DropReason::RouterInfoQuota,
];

/// Counters of drops that all links and queues of a router share. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedDrops(Arc<[AtomicU64; REASONS.len()]>);

impl SharedDrops {
    /// Counts so many more.
    pub(crate) fn add(&self, reason: DropReason, count: u64) {
        if count == 0 {
            return;
        }
        let place = REASONS.iter().position(|known| *known == reason);
        debug_assert!(place.is_some(), "{reason:?} has no place");
        if let Some(counter) = place.and_then(|place| self.0.get(place)) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// All reasons for which something was dropped, and how often.
    pub(crate) fn totals(&self) -> impl Iterator<Item = (DropReason, u64)> {
        REASONS
            .iter()
            .zip(self.0.iter())
            .map(|(reason, counter)| (*reason, counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_for_itself() {
        let drops = SharedDrops::default();
        let same = drops.clone();
        for (index, reason) in REASONS.into_iter().enumerate() {
            same.add(reason, index as u64);
        }
        let told: Vec<_> = drops.totals().collect();
        assert_eq!(told.len(), REASONS.len() - 1);
        assert!(told.contains(&(DropReason::TooLate, 3)));
    }
}
