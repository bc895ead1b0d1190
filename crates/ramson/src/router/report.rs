//! What a running router tells of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ramson_router::{RelayCounters, RouterStatus};

/// What the sockets of all links carried.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes received and sent.
    pub(super) fn totals(&self) -> [u64; 2] {
        [&self.received, &self.sent].map(|it| it.load(Ordering::Relaxed))
    }
}

/// Where a shard leaves its counters after each step.
#[derive(Debug, Clone, Default)]
pub(super) struct RelayReport(Arc<Mutex<RelayCounters>>);

impl RelayReport {
    pub(super) fn set(&self, counters: RelayCounters) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    pub(super) fn get(&self) -> RelayCounters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A snapshot of a router with all its parts.
#[derive(Debug, Clone)]
pub struct RouterReport {
    /// What the control plane tells.
    pub status: RouterStatus,
    /// What the owners of tunnels counted, one for each.
    pub relays: Vec<RelayCounters>,
    /// Bytes that came over all links so far.
    pub received_bytes: u64,
    /// Bytes that went over all links so far.
    pub sent_bytes: u64,
    /// How long it runs.
    pub uptime: Duration,
    /// By how much the router's clock differs from the machine's, in milliseconds.
    pub clock_offset_ms: i64,
}
