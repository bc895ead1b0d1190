use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ramson_wire::{DestinationHash, Instant};

use super::StreamConfig;

/// The limits of the streams of one Destination. The names of the I2CP options they answer to are
/// in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionsConfig {
    /// What each stream has if nothing else is said.
    pub stream: StreamConfig,
    /// Streams in all, those that are over but not yet forgotten included
    /// (`i2p.streaming.maxConcurrentStreams`).
    pub max_streams: usize,
    /// Streams of one peer's.
    pub max_streams_per_peer: u32,
    /// Bytes that all streams hold together.
    pub max_bytes: usize,
    /// Bytes that the streams of one peer hold together.
    pub max_bytes_per_peer: usize,
    /// Peers that something is remembered of.
    pub max_peers: usize,
    /// Who is let in (`i2cp.accessList`, `enableAccessList`, `enableBlackList`).
    pub access: AccessList,
    /// How often one peer is let in (`i2p.streaming.maxConnsPerMinute` and so on).
    pub per_peer: RateLimits,
    /// How often all are (`i2p.streaming.maxTotalConnsPerMinute` and so on).
    pub total: RateLimits,
    /// What those get who are not (`i2p.streaming.limitAction`).
    pub limit_action: LimitAction,
    /// How long a stream waits to be accepted.
    pub accept_timeout: Duration,
    /// Whether pings are answered (`i2p.streaming.answerPings`).
    pub answer_pings: bool,
}

impl Default for ConnectionsConfig {
    /// 4,096 streams, 512 of one peer, 256 MiB in all and 64 MiB of one peer, everyone let in.
    fn default() -> Self {
        Self {
            stream: StreamConfig::default(),
            max_streams: 4096,
            max_streams_per_peer: 512,
            max_bytes: 256 * 1024 * 1024,
            max_bytes_per_peer: 64 * 1024 * 1024,
            max_peers: 4096,
            access: AccessList::Everyone,
            per_peer: RateLimits::default(),
            total: RateLimits::default(),
            limit_action: LimitAction::Reset,
            accept_timeout: Duration::from_secs(30),
            answer_pings: true,
        }
    }
}

/// Who may open streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessList {
    /// Everyone.
    #[default]
    Everyone,
    /// These only.
    Only(BTreeSet<DestinationHash>),
    /// All but these.
    Except(BTreeSet<DestinationHash>),
}

impl AccessList {
    /// Says whether a peer is let in.
    pub fn allows(&self, peer: &DestinationHash) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(list) => list.contains(peer),
            Self::Except(list) => !list.contains(peer),
        }
    }
}

/// How many streams may be opened in a time; 0 is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// In a minute.
    pub per_minute: u32,
    /// In an hour.
    pub per_hour: u32,
    /// In a day.
    pub per_day: u32,
}

/// What happens to a stream beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LimitAction {
    /// It is reset (`reset`).
    #[default]
    Reset,
    /// Nothing (`drop`).
    Drop,
    /// It gets this answer and is finished (`http`, and what people write themselves).
    Respond(Bytes),
}

impl LimitAction {
    /// The answer of the option's value `http`.
    pub fn http() -> Self {
        Self::Respond(Bytes::from_static(
            b"HTTP/1.1 429 Denied\r\n\
              Content-Type: text/plain; charset=iso-8859-1\r\n\
              Cache-Control: no-cache\r\n\
              Connection: close\r\n\
              Proxy-Connection: close\r\n\
              \r\n\
              Too many connections. Try again later.\n",
        ))
    }
}

/// Counts of what happened in the minute, the hour and the day that are on.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    windows: [(Instant, u32); 3],
}

const WINDOWS: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// How many refusals a peer is told of in a row.
const TOLD: u32 = 3;

impl Rates {
    /// Counts one, and returns by how many the worst limit is passed.
    fn count(&mut self, limits: RateLimits, now: Instant) -> u32 {
        let limits = [limits.per_minute, limits.per_hour, limits.per_day];
        let mut excess = 0;
        for (((start, count), window), limit) in self.windows.iter_mut().zip(WINDOWS).zip(limits) {
            if now.saturating_since(*start) >= window {
                (*start, *count) = (now, 0);
            }
            *count = count.saturating_add(1);
            if limit > 0 {
                excess = excess.max(count.saturating_sub(limit));
            }
        }
        excess
    }
}

/// What is remembered of peers: how many streams they have, how often they came, and how long a
/// round trip takes.
#[derive(Debug)]
pub(super) struct Peers {
    peers: BTreeMap<DestinationHash, Peer>,
    /// Those without streams, in the order of their last use.
    idle: BTreeSet<(Instant, DestinationHash)>,
    total: Rates,
}

#[derive(Debug, Default)]
struct Peer {
    streams: u32,
    bytes: usize,
    rates: Rates,
    rtt: Option<(Duration, Duration, Instant)>,
    used: Instant,
}

/// How long a round-trip time is good for another stream (Control Block Sharing).
const RTT_LIFETIME: Duration = Duration::from_secs(600);

/// What the limits say of a stream that is to be opened by a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Admit,
    /// Too many, and the peer may be told.
    Refuse,
    /// Too many again and again.
    Ignore,
}

impl Peers {
    pub(super) fn new() -> Self {
        Self {
            peers: BTreeMap::new(),
            idle: BTreeSet::new(),
            total: Rates::default(),
        }
    }

    fn peer(&mut self, hash: DestinationHash, max: usize, now: Instant) -> &mut Peer {
        if !self.peers.contains_key(&hash) {
            while self.peers.len() >= max.max(1)
                && let Some((_, oldest)) = self.idle.pop_first()
            {
                self.peers.remove(&oldest);
            }
        }
        let peer = self.peers.entry(hash).or_default();
        if peer.streams == 0 {
            self.idle.remove(&(peer.used, hash));
            self.idle.insert((now, hash));
        }
        peer.used = now;
        peer
    }

    /// Counts a stream that a peer wants to open, and says whether it may.
    pub(super) fn judge(
        &mut self,
        hash: DestinationHash,
        config: &ConnectionsConfig,
        now: Instant,
    ) -> Verdict {
        let peer = self.peer(hash, config.max_peers, now);
        let excess = peer.rates.count(config.per_peer, now);
        let full = peer.streams >= config.max_streams_per_peer;
        if excess > TOLD {
            return Verdict::Ignore;
        }
        if excess > 0 || full {
            return Verdict::Refuse;
        }
        match self.total.count(config.total, now) {
            0 => Verdict::Admit,
            _ => Verdict::Refuse,
        }
    }

    /// Counts a stream that is there from now on.
    pub(super) fn add(&mut self, hash: DestinationHash, max: usize, now: Instant) {
        let peer = self.peer(hash, max, now);
        peer.streams = peer.streams.saturating_add(1);
        self.idle.remove(&(now, hash));
    }

    /// Counts a stream that is there no more.
    pub(super) fn remove(&mut self, hash: DestinationHash, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&hash) {
            peer.streams = peer.streams.saturating_sub(1);
            if peer.streams == 0 {
                peer.used = now;
                self.idle.insert((now, hash));
            }
        }
    }

    pub(super) fn streams(&self, hash: &DestinationHash) -> u32 {
        self.peers.get(hash).map_or(0, |peer| peer.streams)
    }

    pub(super) fn bytes(&self, hash: &DestinationHash) -> usize {
        self.peers.get(hash).map_or(0, |peer| peer.bytes)
    }

    pub(super) fn change_bytes(&mut self, hash: &DestinationHash, from: usize, to: usize) {
        if let Some(peer) = self.peers.get_mut(hash) {
            peer.bytes = peer.bytes.saturating_sub(from).saturating_add(to);
        }
    }

    pub(super) fn remember_rtt(
        &mut self,
        hash: &DestinationHash,
        rtt: (Duration, Duration),
        now: Instant,
    ) {
        if let Some(peer) = self.peers.get_mut(hash) {
            peer.rtt = Some((rtt.0, rtt.1, now));
        }
    }

    pub(super) fn rtt(&self, hash: &DestinationHash, now: Instant) -> Option<(Duration, Duration)> {
        let (smoothed, variance, at) = self.peers.get(hash)?.rtt?;
        (now.saturating_since(at) < RTT_LIFETIME).then_some((smoothed, variance))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_micros(secs * 1_000_000)
    }

    fn hash(n: u8) -> DestinationHash {
        DestinationHash([n; 32])
    }

    #[test]
    fn rates_begin_anew_with_each_window() {
        let mut peers = Peers::new();
        let mut config = ConnectionsConfig::default();
        config.per_peer.per_minute = 2;
        config.per_peer.per_hour = 5;
        let mut judge = |secs, n| peers.judge(hash(n), &config, at(secs));
        use Verdict::{Admit, Ignore, Refuse};
        let first: Vec<_> = (0..7).map(|_| judge(100, 1)).collect();
        assert_eq!(
            first,
            [Admit, Admit, Refuse, Refuse, Refuse, Ignore, Ignore]
        );
        assert_eq!(judge(100, 2), Admit);
        // The minute is over, the hour is not.
        assert_eq!(judge(160, 1), Refuse);
        assert_eq!(judge(3700, 1), Admit);
    }

    #[test]
    fn the_total_counts_who_was_let_in() {
        let mut peers = Peers::new();
        let mut config = ConnectionsConfig::default();
        config.total.per_day = 3;
        for n in 0..3 {
            assert_eq!(peers.judge(hash(n), &config, at(100)), Verdict::Admit);
        }
        assert_eq!(peers.judge(hash(9), &config, at(50_000)), Verdict::Refuse);
        assert_eq!(peers.judge(hash(9), &config, at(100_000)), Verdict::Admit);
    }

    #[test]
    fn peers_without_streams_are_forgotten_first() {
        let mut peers = Peers::new();
        let config = ConnectionsConfig {
            max_peers: 3,
            ..ConnectionsConfig::default()
        };
        peers.add(hash(1), 3, at(1));
        for n in 2..100 {
            peers.judge(hash(n), &config, at(n.into()));
            assert!(peers.len() <= 3);
        }
        assert_eq!(peers.streams(&hash(1)), 1);
        peers.remove(hash(1), at(100));
        (101..104).for_each(|n| _ = peers.judge(hash(n), &config, at(n.into())));
        assert_eq!(peers.streams(&hash(1)), 0);
        assert_eq!(peers.len(), 3);
    }

    #[test]
    fn access_lists() {
        let list = BTreeSet::from([hash(1)]);
        assert!(AccessList::Everyone.allows(&hash(2)));
        assert!(AccessList::Only(list.clone()).allows(&hash(1)));
        assert!(!AccessList::Only(list.clone()).allows(&hash(2)));
        assert!(!AccessList::Except(list.clone()).allows(&hash(1)));
        assert!(AccessList::Except(list).allows(&hash(2)));
    }
}
