//! One build, from the choice of hops to what came of it (ECIES-X25519 Tunnel Creation).

use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_proto::tunnel::build::{BuildPath, HopAnswer, HopSpec, PendingBuild};
use ramson_proto::tunnel::reassembly::{EndpointKind, ReassemblyLimits};
use ramson_proto::tunnel::{Endpoint, Gateway, TunnelKeys, TunnelLayers};
use ramson_wire::i2np::{DeliveryStatus, Garlic};
use ramson_wire::{
    I2npMessage, Instant, Mapping, MessageType, RouterHash, TunnelDelivery, TunnelId,
};

use super::checks::Tests;
use super::{Inbound, Outbound, Owner, Tunnels, Way};
use crate::config::TUNNEL_LIFETIME;
use crate::core::{Core, DropReason};
use crate::own_tunnel::GATEWAY_BYTES;
use crate::relay::{ReceiveTunnel, RelayMessage};

/// How long a build may take; the hops may have to dial.
pub(super) const BUILD_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a build that failed, of each direction.
pub(super) const AFTER_FAILURE: Duration = Duration::from_millis(700);

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) build: PendingBuild,
    pub(super) owner: Owner,
    pub(super) way: Way,
    pub(super) hops: Vec<HopSpec>,
    /// Of an inbound tunnel, where it ends; of an outbound one, where its answer ends if no tunnel
    /// of ours takes it.
    pub(super) receive: TunnelId,
    /// The tunnel of the other direction that carries the request or takes the answer.
    pub(super) carrier: Option<TunnelId>,
    pub(super) deadline: Instant,
    pub(super) started: Instant,
}

impl Core {
    /// Starts one build; says whether there were hops for it.
    pub(super) fn build(&mut self, owner: Owner, way: Way, count: usize, now: Now) -> bool {
        let Some(hops) = self.choose_hops(way, count, now) else {
            return false;
        };
        let us = self.own.hash();
        let Some(receive) = self.fresh_tunnel_id() else {
            return false;
        };
        let (path, reply_tunnel, answer_through) = match way {
            Way::Inbound => (
                BuildPath::Inbound {
                    us,
                    receive_tunnel: receive,
                },
                None,
                None,
            ),
            Way::Outbound => match self.best_inbound(now) {
                Some(reply) => (
                    BuildPath::Outbound {
                        reply_gateway: reply.gateway,
                        reply_tunnel: reply.gateway_tunnel,
                    },
                    None,
                    Some(reply.receive),
                ),
                None => (
                    BuildPath::Outbound {
                        reply_gateway: us,
                        reply_tunnel: receive,
                    },
                    Some(receive),
                    None,
                ),
            },
        };
        let through = match way {
            Way::Inbound => self.best_outbound(now),
            Way::Outbound => None,
        };
        let ask_through = through
            .and_then(|index| self.tunnels.outbound.get(index))
            .map(|it| it.first_tunnel);
        let id = self.random.u32();
        let started = PendingBuild::start(&hops, path, id, &mut self.random, now.unix);
        let Ok((build, body)) = started else {
            return false;
        };
        if let Some(tunnel) = reply_tunnel {
            // The answer comes straight to us: a tunnel without hops.
            let last = hops.last().map_or(us, |hop| hop.router);
            self.add_own(
                Owner::Router,
                tunnel,
                last,
                &[],
                now.instant + BUILD_TIMEOUT * 2,
            );
        }
        let Some(first) = hops.first().map(|hop| hop.router) else {
            return false;
        };
        let last = hops.last().map_or(first, |hop| hop.router);
        let encryption_key = hops.first().map(|hop| hop.encryption_key);
        let pending = Pending {
            build,
            owner,
            way,
            hops,
            receive,
            carrier: ask_through.or(answer_through),
            deadline: now.instant + BUILD_TIMEOUT,
            started: now.instant,
        };
        self.tunnels.pending.insert(id, pending);
        if way == Way::Inbound {
            // The last hop needs a link to us, or our RouterInfo.
            self.greet(last, now);
        }
        let Ok(message) = I2npMessage::new(
            MessageType::ShortTunnelBuild,
            self.random.u32(),
            now.unix + Duration::from_secs(30),
            body,
        ) else {
            return false;
        };
        match (through, encryption_key) {
            (Some(outbound), Some(key)) => {
                let delivery = TunnelDelivery::Router(first);
                self.seal_through(outbound, delivery, &key, &message, now);
            }
            _ => {
                self.send_to(first, &message, now);
            }
        }
        true
    }

    /// Sees to it that a router has a link with us.
    pub(super) fn greet(&mut self, router: RouterHash, now: Now) {
        if self.links.is_linked(&router) {
            return;
        }
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id: self.random.u32(),
            timestamp: now.unix,
        };
        status.encode(&mut body);
        // Any message makes the link; this one nobody minds.
        if let Ok(message) = self.message(MessageType::DeliveryStatus, body.freeze(), now) {
            self.send_to(router, &message, now);
        }
    }

    pub(super) fn fresh_tunnel_id(&mut self) -> Option<TunnelId> {
        (0..8)
            .find_map(|_| TunnelId::new(self.random.u32()).filter(|id| !self.tunnels.receives(*id)))
    }

    /// Registers the end of an own inbound tunnel.
    pub(super) fn add_own(
        &mut self,
        owner: Owner,
        tunnel: TunnelId,
        previous: RouterHash,
        keys: &[TunnelKeys],
        expires: Instant,
    ) -> bool {
        let receive = Box::new(ReceiveTunnel::Own {
            previous,
            layers: TunnelLayers::new(keys),
            endpoint: Endpoint::new(EndpointKind::Inbound, ReassemblyLimits::OWN),
            to: self.sender_of(owner),
        });
        self.relays.post(
            tunnel,
            RelayMessage::Add {
                tunnel,
                receive,
                expires,
            },
        )
    }

    /// A message that may be the answer to a build of ours; says whether it was.
    pub(in crate::core) fn own_build_reply(&mut self, message: &I2npMessage, now: Now) -> bool {
        if !self.tunnels.pending.contains_key(&message.id()) {
            return false;
        }
        self.finish_build(message.id(), message.body(), now);
        true
    }

    /// A garlic message that may be the answer to an outbound build of ours.
    pub(in crate::core) fn own_garlic_reply(&mut self, garlic: Garlic<'_>, now: Now) -> bool {
        let Some(tag) = garlic.0.first_chunk::<8>() else {
            return false;
        };
        let found = self.tunnels.pending.iter().find_map(|(id, pending)| {
            let key = pending.build.garlic_key()?;
            if key.tag != *tag {
                return None;
            }
            Some((*id, pending.build.open_garlic_reply(garlic)))
        });
        match found {
            Some((id, Ok(body))) => {
                self.finish_build(id, &body, now);
                true
            }
            Some((_, Err(_))) => {
                self.drop(DropReason::Garlic);
                true
            }
            None => false,
        }
    }

    pub(super) fn finish_build(&mut self, id: u32, body: &[u8], now: Now) {
        let Some(pending) = self.tunnels.pending.get(&id) else {
            return;
        };
        let Ok(outcome) = pending.build.handle_reply(body) else {
            self.drop(DropReason::Malformed);
            return;
        };
        let Some(pending) = self.tunnels.pending.remove(&id) else {
            return;
        };
        self.tunnels.carried(&pending, true);
        let keys = match outcome.tunnel {
            Ok(keys) => keys,
            Err(why) => {
                tracing::debug!(%why, answers = ?outcome.answers, "a tunnel was not built");
                let refused = outcome
                    .answers
                    .iter()
                    .map(|answer| matches!(answer, HopAnswer::Refused(_)));
                self.tunnels.fail(&pending, refused, now);
                return;
            }
        };
        let expires = pending.started + TUNNEL_LIFETIME;
        let hops: Vec<RouterHash> = pending.hops.iter().map(|hop| hop.router).collect();
        let (Some(first), Some(last)) = (pending.hops.first(), pending.hops.last()) else {
            return;
        };
        let took = now.instant.saturating_since(pending.started);
        tracing::debug!(way = ?pending.way, hops = hops.len(), ?took, "a tunnel was built");
        self.tunnels.built += 1;
        for hop in &hops {
            self.tunnels.profiles.praise(hop);
        }
        if let Owner::Destination(id) = pending.owner {
            self.client_built(id, &pending, &keys, now);
            return;
        }
        match pending.way {
            Way::Inbound => {
                if !self.add_own(Owner::Router, pending.receive, last.router, &keys, expires) {
                    return;
                }
                let tunnel = Inbound {
                    gateway: first.router,
                    gateway_tunnel: first.receive_tunnel,
                    receive: pending.receive,
                    hops,
                    expires,
                    tests: Tests::default(),
                };
                self.tunnels.inbound.push(tunnel);
            }
            Way::Outbound => {
                let tunnel = Outbound {
                    first: first.router,
                    first_tunnel: first.receive_tunnel,
                    layers: TunnelLayers::new(&keys),
                    gateway: Gateway::new(GATEWAY_BYTES),
                    hops,
                    expires,
                    tests: Tests::default(),
                };
                self.tunnels.outbound.push(tunnel);
            }
        }
    }

    /// Chooses the hops of a tunnel, in its order.
    pub(super) fn choose_hops(&mut self, way: Way, count: usize, now: Now) -> Option<Vec<HopSpec>> {
        let mut chosen = self.choose_routers(count, now)?;
        if way == Way::Inbound {
            chosen.reverse();
        }
        chosen
            .into_iter()
            .map(|router| {
                let encryption_key = self.netdb.router(&router)?.identity().encryption_key()?;
                Some(HopSpec {
                    router,
                    encryption_key,
                    receive_tunnel: self.random_tunnel_id(),
                    options: Mapping::default(),
                })
            })
            .collect()
    }

    pub(super) fn random_tunnel_id(&mut self) -> TunnelId {
        loop {
            if let Some(id) = TunnelId::new(self.random.u32()) {
                return id;
            }
        }
    }
}

impl Tunnels {
    /// A build came to nothing. To blame are the hops that refused; without any, who knows.
    pub(super) fn fail(
        &mut self,
        pending: &Pending,
        refused: impl Iterator<Item = bool>,
        now: Now,
    ) {
        self.failed += 1;
        let refused: Vec<bool> = refused.collect();
        let all = !refused.contains(&true);
        for (index, hop) in pending.hops.iter().enumerate() {
            if all || refused.get(index) == Some(&true) {
                self.profiles.blame(hop.router, now.instant);
            }
        }
        if pending.owner != Owner::Router {
            self.client_failed(pending, now.instant);
            return;
        }
        let [inbound, outbound] = &mut self.not_before;
        *match pending.way {
            Way::Inbound => inbound,
            Way::Outbound => outbound,
        } = now.instant + AFTER_FAILURE;
    }

    /// What a build tells of the tunnel that carried it: an answer, whatever it says, that it
    /// works. Silence may be the fault of the new hops, and counts only where no test can tell,
    /// for want of tunnels the other way: otherwise a dead tunnel would carry builds until its end.
    pub(super) fn carried(&mut self, pending: &Pending, answered: bool) {
        let untested = match pending.way {
            Way::Inbound => self.inbound.is_empty(),
            Way::Outbound => self.outbound.is_empty(),
        };
        let Some(carrier) = pending.carrier.filter(|_| answered || untested) else {
            return;
        };
        let tests = match pending.way {
            Way::Inbound => {
                let mut outbound = self.outbound.iter_mut();
                let found = outbound.find(|it| it.first_tunnel == carrier);
                found.map(|it| &mut it.tests)
            }
            Way::Outbound => {
                let mut inbound = self.inbound.iter_mut();
                let found = inbound.find(|it| it.receive == carrier);
                found.map(|it| &mut it.tests)
            }
        };
        if let Some(tests) = tests {
            tests.count(answered);
        }
    }
}
