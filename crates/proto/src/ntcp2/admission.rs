use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ramson_wire::Instant;
use thiserror::Error;

/// Who may start an inbound handshake: limits of half-open handshakes and the filter of replayed
/// first messages (NTCP2, SessionRequest, notes on replay and on DoS mitigation).
///
/// One for each router, asked before a link exists. In this order: [`Admission::open`] when a
/// connection comes in; [`Admission::check_key`] when the connection reports
/// [`super::Event::EphemeralKey`]; [`Admission::close`] when its handshake is over, however it
/// ended.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    by_source: BTreeMap<IpAddr, usize>,
    half_open: usize,
    keys: BTreeSet<[u8; 32]>,
    older_keys: BTreeSet<[u8; 32]>,
    rotated: Instant,
    stats: AdmissionStats,
}

/// The bounds of an [`Admission`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Half-open handshakes in all.
    pub half_open: usize,
    /// Half-open handshakes of one source: an IPv4 address or an IPv6 /64.
    pub half_open_per_source: usize,
    /// Keys in each of the two sets of the replay filter, 32 bytes each.
    pub replay_keys: usize,
    /// How long a key is remembered at least; at most it is twice that. The specification asks for
    /// twice the permitted skew, 120 s.
    pub replay_window: Duration,
}

impl Default for AdmissionLimits {
    /// 512 half-open handshakes, 16 of one source, and 16,384 keys for 120 s and more.
    fn default() -> Self {
        Self {
            half_open: 512,
            half_open_per_source: 16,
            replay_keys: 16_384,
            replay_window: Duration::from_secs(120),
        }
    }
}

/// What an [`Admission`] has done so far; all fields only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdmissionStats {
    /// Handshakes let in.
    pub opened: u64,
    /// Refused because there are too many half-open handshakes in all.
    pub refused_total: u64,
    /// Refused because there are too many half-open handshakes of that source.
    pub refused_source: u64,
    /// Refused because the first message has been seen before.
    pub refused_replay: u64,
    /// How often the replay filter was full before its time and forgot its older half.
    pub replay_filter_overflows: u64,
}

/// Why a handshake may not start or go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// Too many half-open handshakes in all.
    #[error("too many handshakes are under way")]
    Total,
    /// Too many half-open handshakes of this source.
    #[error("too many handshakes of this source are under way")]
    Source,
    /// The first message has been seen before.
    #[error("the first message of the handshake is a replay")]
    Replay,
}

/// A place among the half-open handshakes, given back by [`Admission::close`].
#[derive(Debug)]
#[must_use = "a place that is not given back is lost"]
pub struct HalfOpen {
    source: IpAddr,
}

impl Admission {
    /// Returns an admission without any handshake.
    pub fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            by_source: BTreeMap::new(),
            half_open: 0,
            keys: BTreeSet::new(),
            older_keys: BTreeSet::new(),
            rotated: Instant::ZERO,
            stats: AdmissionStats::default(),
        }
    }

    /// Takes a place for a connection from `source`.
    ///
    /// # Errors
    ///
    /// [`Refused::Total`], [`Refused::Source`]: close the socket without reading from it.
    pub fn open(&mut self, source: IpAddr) -> Result<HalfOpen, Refused> {
        if self.half_open >= self.limits.half_open {
            self.stats.refused_total += 1;
            return Err(Refused::Total);
        }
        let source = network(source);
        let of_source = self.by_source.get(&source).copied().unwrap_or(0);
        if of_source >= self.limits.half_open_per_source {
            self.stats.refused_source += 1;
            return Err(Refused::Source);
        }
        self.by_source.insert(source, of_source.saturating_add(1));
        self.half_open = self.half_open.saturating_add(1);
        self.stats.opened += 1;
        Ok(HalfOpen { source })
    }

    /// Remembers the encrypted ephemeral key of a first message.
    ///
    /// When a flood fills the filter before its time it forgets the older keys early: a replay
    /// gains little, and refusing everybody would be what the flood is for.
    ///
    /// # Errors
    ///
    /// [`Refused::Replay`] if the key was here before.
    pub fn check_key(&mut self, encrypted: &[u8; 32], now: Instant) -> Result<(), Refused> {
        let age = now.saturating_since(self.rotated);
        let window = self.limits.replay_window;
        if age >= window.saturating_mul(2) {
            self.keys.clear();
            self.older_keys.clear();
            self.rotated = now;
        } else if age >= window {
            self.rotate(now);
        }
        if self.keys.contains(encrypted) || self.older_keys.contains(encrypted) {
            self.stats.refused_replay += 1;
            return Err(Refused::Replay);
        }
        if self.keys.len() >= self.limits.replay_keys {
            self.stats.replay_filter_overflows += 1;
            self.rotate(now);
        }
        self.keys.insert(*encrypted);
        Ok(())
    }

    /// Gives a place back.
    pub fn close(&mut self, place: HalfOpen) {
        self.half_open = self.half_open.saturating_sub(1);
        if let Some(of_source) = self.by_source.get_mut(&place.source) {
            *of_source = of_source.saturating_sub(1);
            if *of_source == 0 {
                self.by_source.remove(&place.source);
            }
        }
    }

    /// Returns how many handshakes are half-open.
    pub fn half_open(&self) -> usize {
        self.half_open
    }

    /// Returns the counters.
    pub fn stats(&self) -> &AdmissionStats {
        &self.stats
    }

    fn rotate(&mut self, now: Instant) {
        self.older_keys = std::mem::take(&mut self.keys);
        self.rotated = now;
    }
}

/// Returns what counts as one source: an IPv4 address, also written as IPv6, or an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}
