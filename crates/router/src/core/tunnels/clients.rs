//! The tunnels of local Destinations: built here, used there.

use std::time::Duration;

use ramson_proto::Now;
use ramson_proto::tunnel::{TunnelKeys, TunnelLayers};
use ramson_wire::{Instant, RouterHash, TunnelId};

use super::build::{AFTER_FAILURE, Pending};
use super::{Owner, REPLACE_BEFORE, Tunnels, Way, Ways};
use crate::config::{PoolSettings, TUNNEL_LIFETIME};
use crate::core::Core;
use crate::destination::{DestinationId, DestinationMessage, NewInbound, NewOutbound};
use crate::inbox::Sender;
use crate::relay::RelayMessage;

/// Destinations at once.
const MAX_POOLS: usize = 4096;
/// Builds at once, of all Destinations.
const MAX_PENDING: usize = 256;
/// Pause when there was nobody to build with.
const NOBODY: Duration = Duration::from_secs(1);

/// What `Core` knows of a Destination's tunnels.
#[derive(Debug)]
pub(super) struct Pool {
    to: Sender<DestinationMessage>,
    settings: Ways<PoolSettings>,
    standing: Vec<Standing>,
    not_before: Ways<Instant>,
}

/// A tunnel that was handed over.
#[derive(Debug)]
struct Standing {
    way: Way,
    /// The id it is received under, or sent to.
    tunnel: TunnelId,
    hops: Vec<RouterHash>,
    expires: Instant,
}

impl Pool {
    /// How many tunnels are missing, beside those that are being built.
    fn missing(&self, way: Way, pending: usize, now: Instant) -> usize {
        if *self.not_before.get(way) > now {
            return 0;
        }
        let lasting = self
            .standing
            .iter()
            .filter(|it| it.way == way && it.expires > now + REPLACE_BEFORE)
            .count();
        let wanted = self.settings.get(way).total();
        wanted.saturating_sub(lasting + pending)
    }
}

impl Tunnels {
    /// Says whether a Destination receives under this id.
    pub(super) fn client_receives(&self, tunnel: TunnelId) -> bool {
        let mut standing = self.pools.values().flat_map(|pool| &pool.standing);
        standing.any(|it| it.way == Way::Inbound && it.tunnel == tunnel)
    }

    /// Tunnels of Destinations, inbound and outbound.
    pub(in crate::core) fn client_counts(&self) -> [usize; 2] {
        let count = |way| {
            let standing = self.pools.values().flat_map(|pool| &pool.standing);
            standing.filter(|it| it.way == way).count()
        };
        [count(Way::Inbound), count(Way::Outbound)]
    }

    /// Whoever is to have what came of a build; nobody any more if it is a Destination that is gone.
    pub(super) fn pool_of(&mut self, owner: Owner) -> Option<&mut Pool> {
        match owner {
            Owner::Router => None,
            Owner::Destination(id) => self.pools.get_mut(&id),
        }
    }

    /// Tells a Destination something; whoever is behind asks again.
    pub(in crate::core) fn tell(&self, id: DestinationId, message: DestinationMessage) {
        if let Some(pool) = self.pools.get(&id) {
            let _ = pool.to.post(message);
        }
    }

    /// A build for a Destination came to nothing.
    pub(super) fn client_failed(&mut self, pending: &Pending, now: Instant) {
        if let Some(pool) = self.pool_of(pending.owner) {
            *pool.not_before.get_mut(pending.way) = now + AFTER_FAILURE;
        }
    }
}

impl Core {
    /// A Destination wants tunnels.
    pub(in crate::core) fn open_pool(
        &mut self,
        id: DestinationId,
        [inbound, outbound]: [PoolSettings; 2],
        to: Sender<DestinationMessage>,
        now: Now,
    ) {
        if self.tunnels.pools.len() >= MAX_POOLS {
            return;
        }
        let pool = Pool {
            to,
            settings: Ways {
                inbound: inbound.bounded(),
                outbound: outbound.bounded(),
            },
            standing: Vec::new(),
            not_before: Ways {
                inbound: Instant::ZERO,
                outbound: Instant::ZERO,
            },
        };
        self.tunnels.pools.insert(id, pool);
        self.build_for(id, now);
    }

    /// A Destination is gone, and its tunnels are of no use.
    pub(in crate::core) fn close_pool(&mut self, id: DestinationId) {
        let Some(pool) = self.tunnels.pools.remove(&id) else {
            return;
        };
        for it in pool.standing {
            if it.way == Way::Inbound {
                let tunnel = it.tunnel;
                self.relays.post(tunnel, RelayMessage::Remove { tunnel });
            }
        }
        self.tunnels
            .pending
            .retain(|_, it| it.owner != Owner::Destination(id));
    }

    /// A Destination found that one of its tunnels does not work.
    pub(in crate::core) fn client_tunnel_failed(
        &mut self,
        id: DestinationId,
        tunnel: TunnelId,
        now: Now,
    ) {
        let Some(pool) = self.tunnels.pools.get_mut(&id) else {
            return;
        };
        let Some(index) = pool.standing.iter().position(|it| it.tunnel == tunnel) else {
            return;
        };
        let gone = pool.standing.swap_remove(index);
        for hop in &gone.hops {
            self.tunnels.profiles.blame(*hop, now.instant);
        }
        if gone.way == Way::Inbound {
            self.relays.post(tunnel, RelayMessage::Remove { tunnel });
        }
        self.build_for(id, now);
    }

    /// Builds what Destinations are short of.
    pub(super) fn build_for_clients(&mut self, now: Now) {
        for pool in self.tunnels.pools.values_mut() {
            pool.standing.retain(|it| it.expires > now.instant);
        }
        let ids: Vec<DestinationId> = self.tunnels.pools.keys().copied().collect();
        for id in ids {
            self.build_for(id, now);
        }
    }

    fn build_for(&mut self, id: DestinationId, now: Now) {
        let owner = Owner::Destination(id);
        for way in [Way::Outbound, Way::Inbound] {
            let pending = self.tunnels.pending.values();
            let pending = pending.filter(|it| it.owner == owner && it.way == way);
            let pending = pending.count();
            let Some(pool) = self.tunnels.pools.get(&id) else {
                return;
            };
            let settings = *pool.settings.get(way);
            for _ in 0..pool.missing(way, pending, now.instant) {
                if self.tunnels.pending.len() >= MAX_PENDING {
                    return;
                }
                let hops = self.draw_hops(settings);
                let begun = match hops {
                    0 => self.add_direct(id, way, now),
                    _ => self.build(owner, way, hops, now),
                };
                if !begun && let Some(pool) = self.tunnels.pools.get_mut(&id) {
                    *pool.not_before.get_mut(way) = now.instant + NOBODY;
                    break;
                }
            }
        }
    }

    /// How long the next tunnel is to be.
    fn draw_hops(&mut self, settings: PoolSettings) -> usize {
        let variance = i64::from(settings.variance);
        let span = variance.unsigned_abs();
        let drawn = match variance {
            0 => 0,
            1.. => i64::try_from(self.random.below(span + 1)).unwrap_or(0),
            _ => i64::try_from(self.random.below(2 * span + 1)).unwrap_or(0) + variance,
        };
        let hops = (i64::from(settings.hops) + drawn).clamp(0, i64::from(PoolSettings::MAX_HOPS));
        usize::try_from(hops).unwrap_or(0)
    }

    /// A tunnel without hops: there is nothing to ask for.
    fn add_direct(&mut self, id: DestinationId, way: Way, now: Now) -> bool {
        let us = self.own.hash();
        let expires = now.instant + TUNNEL_LIFETIME;
        let Some(tunnel) = self.fresh_tunnel_id() else {
            return false;
        };
        let message = match way {
            Way::Inbound => {
                if !self.add_own(Owner::Destination(id), tunnel, us, &[], expires) {
                    return false;
                }
                DestinationMessage::Inbound(NewInbound {
                    receive: tunnel,
                    gateway: us,
                    gateway_tunnel: tunnel,
                    expires,
                })
            }
            Way::Outbound => DestinationMessage::Outbound(NewOutbound {
                tunnel,
                first: None,
                layers: TunnelLayers::new(&[]),
                expires,
            }),
        };
        self.hand_over(id, way, tunnel, Vec::new(), expires, message)
    }

    /// A tunnel of a Destination was built.
    pub(super) fn client_built(
        &mut self,
        id: DestinationId,
        pending: &Pending,
        keys: &[TunnelKeys],
        now: Now,
    ) {
        let expires = pending.started + TUNNEL_LIFETIME;
        let hops: Vec<RouterHash> = pending.hops.iter().map(|hop| hop.router).collect();
        let (Some(first), Some(last)) = (pending.hops.first(), pending.hops.last()) else {
            return;
        };
        let owner = Owner::Destination(id);
        let (tunnel, message) = match pending.way {
            Way::Inbound => {
                if !self.add_own(owner, pending.receive, last.router, keys, expires) {
                    return;
                }
                let new = NewInbound {
                    receive: pending.receive,
                    gateway: first.router,
                    gateway_tunnel: first.receive_tunnel,
                    expires,
                };
                (pending.receive, DestinationMessage::Inbound(new))
            }
            Way::Outbound => {
                let new = NewOutbound {
                    tunnel: first.receive_tunnel,
                    first: self.links.handle(first.router, now),
                    layers: TunnelLayers::new(keys),
                    expires,
                };
                (first.receive_tunnel, DestinationMessage::Outbound(new))
            }
        };
        self.hand_over(id, pending.way, tunnel, hops, expires, message);
    }

    fn hand_over(
        &mut self,
        id: DestinationId,
        way: Way,
        tunnel: TunnelId,
        hops: Vec<RouterHash>,
        expires: Instant,
        message: DestinationMessage,
    ) -> bool {
        let pool = self.tunnels.pools.get_mut(&id);
        let handed = pool.is_some_and(|pool| {
            let posted = pool.to.post(message).is_ok();
            if posted {
                pool.standing.push(Standing {
                    way,
                    tunnel,
                    hops,
                    expires,
                });
            }
            posted
        });
        if !handed && way == Way::Inbound {
            self.relays.post(tunnel, RelayMessage::Remove { tunnel });
        }
        handed
    }

    /// The way to a Destination, if it is one's.
    pub(super) fn sender_of(&self, owner: Owner) -> Option<Sender<DestinationMessage>> {
        match owner {
            Owner::Router => None,
            Owner::Destination(id) => self.tunnels.pools.get(&id).map(|pool| pool.to.clone()),
        }
    }
}
