//! Our own exploratory tunnels: building, testing, replacing (ECIES-X25519 Tunnel Creation; tunnel
//! implementation, life cycle).

mod build;
mod checks;
mod clients;
mod send;

use std::collections::BTreeMap;
use std::time::Duration;

use ramson_proto::Now;
use ramson_proto::tunnel::{Gateway, TunnelLayers};
use ramson_wire::{Instant, RouterHash, TunnelId};

use self::build::{BUILD_TIMEOUT, Pending};
use self::checks::{Test, Tests};
use self::clients::Pool;
use super::Core;
use super::selection::Profiles;
use crate::config::TunnelSettings;
use crate::destination::DestinationId;
use crate::relay::RelayMessage;

/// Builds at once.
const MAX_PENDING: usize = 8;
/// A tunnel is replaced this long before its end.
const REPLACE_BEFORE: Duration = Duration::from_secs(90);
/// Failed tests in a row after which a tunnel is dropped.
const MAX_FAILED_TESTS: u32 = 2;

/// Whose a tunnel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// An exploratory one.
    Router,
    /// A local Destination's.
    Destination(DestinationId),
}

/// Which way a tunnel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Inbound,
    Outbound,
}

/// One of something for each way.
#[derive(Debug)]
struct Ways<T> {
    inbound: T,
    outbound: T,
}

impl<T> Ways<T> {
    fn get(&self, way: Way) -> &T {
        match way {
            Way::Inbound => &self.inbound,
            Way::Outbound => &self.outbound,
        }
    }

    fn get_mut(&mut self, way: Way) -> &mut T {
        match way {
            Way::Inbound => &mut self.inbound,
            Way::Outbound => &mut self.outbound,
        }
    }
}

#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) gateway: RouterHash,
    pub(super) gateway_tunnel: TunnelId,
    /// Under which its messages come to us.
    receive: TunnelId,
    hops: Vec<RouterHash>,
    expires: Instant,
    tests: Tests,
}

#[derive(Debug)]
struct Outbound {
    first: RouterHash,
    first_tunnel: TunnelId,
    layers: TunnelLayers,
    gateway: Gateway,
    hops: Vec<RouterHash>,
    expires: Instant,
    tests: Tests,
}

/// The exploratory tunnels, and what is known of those of Destinations.
#[derive(Debug)]
pub(super) struct Tunnels {
    settings: TunnelSettings,
    pools: BTreeMap<DestinationId, Pool>,
    inbound: Vec<Inbound>,
    outbound: Vec<Outbound>,
    /// By the id of the message that answers.
    pending: BTreeMap<u32, Pending>,
    /// By the id in the message that goes around.
    testing: BTreeMap<u32, Test>,
    pub(super) profiles: Profiles,
    not_before: [Instant; 2],
    test_at: Instant,
    /// Tunnels are paired differently each time.
    test_round: usize,
    built: u64,
    failed: u64,
    tests_failed: u64,
}

impl Tunnels {
    pub(super) fn new(settings: TunnelSettings) -> Self {
        Self {
            settings,
            pools: BTreeMap::new(),
            inbound: Vec::new(),
            outbound: Vec::new(),
            pending: BTreeMap::new(),
            testing: BTreeMap::new(),
            profiles: Profiles::default(),
            not_before: [Instant::ZERO; 2],
            test_at: Instant::ZERO,
            test_round: 0,
            built: 0,
            failed: 0,
            tests_failed: 0,
        }
    }

    /// Inbound and outbound tunnels that stand.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.inbound.len(), self.outbound.len()]
    }

    /// Builds that succeeded and that failed.
    pub(super) fn builds(&self) -> [u64; 2] {
        [self.built, self.failed]
    }

    /// Says whether this id is one of ours.
    pub(super) fn receives(&self, tunnel: TunnelId) -> bool {
        self.inbound.iter().any(|it| it.receive == tunnel)
            || self.pending.values().any(|it| it.receive == tunnel)
            || self.client_receives(tunnel)
    }

    /// Which way has the next tunnel to be built, if any.
    fn wanted(&self, now: Instant) -> Option<Way> {
        let lasting = |expires: Instant| expires > now + REPLACE_BEFORE;
        let inbound = self.inbound.iter().filter(|it| lasting(it.expires)).count();
        let outbound = self
            .outbound
            .iter()
            .filter(|it| lasting(it.expires))
            .count();
        let exploratory = || self.pending.values().filter(|it| it.owner == Owner::Router);
        let pending = |way| exploratory().filter(|it| it.way == way).count();
        let quantity = self.settings.quantity;
        let [inbound_at, outbound_at] = self.not_before;
        if exploratory().count() >= MAX_PENDING {
            return None;
        }
        let missing_out = quantity.saturating_sub(outbound + pending(Way::Outbound));
        let missing_in = quantity.saturating_sub(inbound + pending(Way::Inbound));
        // Outbound first: its answer needs no tunnel, and inbound builds go out through it.
        if missing_out > 0 && outbound_at <= now && missing_out >= missing_in {
            return Some(Way::Outbound);
        }
        if missing_in > 0 && inbound_at <= now {
            return Some(Way::Inbound);
        }
        (missing_out > 0 && outbound_at <= now).then_some(Way::Outbound)
    }
}

impl Core {
    /// Builds and tests what is due.
    pub(super) fn build_tunnels(&mut self, now: Now) {
        self.expire_tunnels(now);
        // One after the other: of requests that come to an i2pd at once, the last may stay there
        // until the next one comes.
        if let Some(way) = self.tunnels.wanted(now.instant)
            && !self.build(Owner::Router, way, self.tunnels.settings.hops, now)
        {
            // Nobody to build with.
            self.tunnels.not_before = [now.instant + Duration::from_secs(1); 2];
        }
        self.test_tunnels(now);
        self.build_for_clients(now);
    }

    fn expire_tunnels(&mut self, now: Now) {
        let instant = now.instant;
        let tunnels = &mut self.tunnels;
        let relays = &mut self.relays;
        let profiles = &mut tunnels.profiles;
        let mut stands = |expires: Instant, tests: &Tests, hops: &[RouterHash]| {
            let works = tests.failed_in_a_row < MAX_FAILED_TESTS;
            if !works {
                tracing::debug!(hops = hops.len(), "a tunnel does not pass its tests");
                hops.iter().for_each(|hop| profiles.blame(*hop, instant));
            }
            works && expires > instant
        };
        tunnels
            .outbound
            .retain(|it| stands(it.expires, &it.tests, &it.hops));
        tunnels.inbound.retain(|it| {
            let keep = stands(it.expires, &it.tests, &it.hops);
            if !keep {
                let tunnel = it.receive;
                relays.post(tunnel, RelayMessage::Remove { tunnel });
            }
            keep
        });
        tunnels.profiles.sweep(instant);
        let late: Vec<u32> = tunnels
            .pending
            .iter()
            .filter(|(_, it)| it.deadline <= instant)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(pending) = tunnels.pending.remove(&id) {
                tracing::debug!(way = ?pending.way, hops = pending.hops.len(), "no answer to a tunnel build");
                tunnels.fail(&pending, std::iter::empty(), now);
                tunnels.carried(&pending, false);
                let tunnel = pending.receive;
                relays.post(tunnel, RelayMessage::Remove { tunnel });
            }
        }
    }

    /// The outbound tunnel that is most likely to work.
    pub(super) fn best_outbound(&self, now: Now) -> Option<usize> {
        self.tunnels
            .outbound
            .iter()
            .enumerate()
            .filter(|(_, it)| it.expires > now.instant + BUILD_TIMEOUT)
            .max_by_key(|(_, it)| it.tests.rank())
            .map(|(index, _)| index)
    }

    /// The inbound tunnel that is most likely to work.
    pub(super) fn best_inbound(&self, now: Now) -> Option<&Inbound> {
        self.tunnels
            .inbound
            .iter()
            .filter(|it| it.expires > now.instant + BUILD_TIMEOUT)
            .max_by_key(|it| it.tests.rank())
    }
}

#[cfg(test)]
mod tests;
