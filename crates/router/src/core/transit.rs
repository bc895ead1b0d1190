//! Requests to take part in other routers' tunnels (ECIES-X25519 Tunnel Creation).

use std::collections::BTreeMap;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::tunnel::build::{BuildKind, HopRequest, NextStep};
use ramson_proto::tunnel::reassembly::{EndpointKind, ReassemblyLimits};
use ramson_proto::tunnel::{DuplicateFilter, Endpoint, Gateway, HopLayer};
use ramson_wire::build::{BuildReply, HopRole, ReplyCode};
use ramson_wire::{I2npMessage, Mapping, RouterHash, TunnelId};

use super::{Core, DropReason, MESSAGE_TTL, Origin};
use crate::config::TUNNEL_LIFETIME;
use crate::relay::{ReceiveTunnel, RelayMessage};

/// Participants keep a tunnel this much longer than its time.
const GRACE: Duration = Duration::from_secs(20);
/// Requests from before are refused silently (Java I2P's limits).
const MAX_AGE: Duration = Duration::from_secs(9 * 60);
/// Requests from the future.
const MAX_AHEAD: Duration = Duration::from_secs(6 * 60);
/// Memory of the filter of build records.
const REPLAY_BYTES: usize = 1 << 20;
/// How long records are remembered.
const REPLAY_KEEP: Duration = Duration::from_secs(60 * 60);
/// Bytes of messages that wait in an inbound gateway.
const GATEWAY_BYTES: usize = 64 * 1024;
/// From this part of the limit of tunnels on, requests are refused at random.
const CROWDED: f64 = 0.9;
/// From half of the limit on, one neighbour may have this part of it, so that it cannot keep the
/// others out.
const NEIGHBOURS_PART: usize = 8;
/// But so many in any case.
const NEIGHBOUR_LEAST: usize = 64;

/// The tunnels of others that go through us.
#[derive(Debug)]
pub(super) struct Transit {
    /// Each with the neighbour that asked for it, as far as that is known.
    tunnels: BTreeMap<TunnelId, Option<RouterHash>>,
    of_neighbours: BTreeMap<RouterHash, usize>,
    replays: DuplicateFilter,
    random: Random,
    /// Inbound gateway, participant, outbound endpoint.
    pub(super) accepted: [u64; 3],
    /// Those of them with records of 528 bytes.
    pub(super) long_records: u64,
    pub(super) refused: u64,
}

impl Transit {
    pub(super) fn new(mut random: Random) -> Self {
        Self {
            tunnels: BTreeMap::new(),
            of_neighbours: BTreeMap::new(),
            replays: DuplicateFilter::new(REPLAY_BYTES, REPLAY_KEEP, &mut random),
            random,
            accepted: [0; 3],
            long_records: 0,
            refused: 0,
        }
    }

    pub(super) fn tunnels(&self) -> usize {
        self.tunnels.len()
    }

    pub(super) fn expired(&mut self, tunnel: TunnelId) {
        if let Some(Some(neighbour)) = self.tunnels.remove(&tunnel)
            && let Some(count) = self.of_neighbours.get_mut(&neighbour)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_neighbours.remove(&neighbour);
            }
        }
    }

    fn add(&mut self, tunnel: TunnelId, neighbour: Option<RouterHash>) {
        if self.tunnels.insert(tunnel, neighbour).is_none()
            && let Some(neighbour) = neighbour
        {
            *self.of_neighbours.entry(neighbour).or_default() += 1;
        }
    }

    /// Says why one more tunnel is not welcome, if it is not.
    fn refusal(&mut self, neighbour: Option<RouterHash>, limit: usize) -> Option<DropReason> {
        let count = self.tunnels.len();
        if count >= limit {
            return Some(DropReason::TransitFull);
        }
        let load = count as f64 / limit as f64;
        let crowd = ((load - CROWDED) / (1.0 - CROWDED)).max(0.0);
        if (self.random.below(1000) as f64) < crowd * 1000.0 {
            return Some(DropReason::TransitFull);
        }
        let of_one = neighbour.and_then(|neighbour| self.of_neighbours.get(&neighbour));
        let most = (limit / NEIGHBOURS_PART).max(NEIGHBOUR_LEAST);
        if count >= limit / 2 && of_one.is_some_and(|of_one| *of_one >= most) {
            return Some(DropReason::TransitShare);
        }
        None
    }
}

impl Core {
    /// Somebody builds a tunnel through us.
    pub(super) fn build_request(
        &mut self,
        kind: BuildKind,
        origin: Origin,
        message: &I2npMessage,
        now: Now,
    ) {
        let neighbour = origin.neighbour();
        if !self.quotas.build(neighbour, now) {
            self.drop(DropReason::BuildQuota);
            return;
        }
        let Ok(request) = HopRequest::find(kind, self.own.hash(), message.body()) else {
            self.drop(DropReason::BuildRecord);
            return;
        };
        if !self
            .transit
            .replays
            .insert(&request.replay_key(), now.instant)
        {
            self.drop(DropReason::BuildReplay);
            return;
        }
        let Ok(opened) = request.open(self.own.receiver()) else {
            self.drop(DropReason::BuildRecord);
            return;
        };
        let asked = opened.request().clone();
        if asked.requested + MAX_AGE < now.unix || asked.requested > now.unix + MAX_AHEAD {
            self.drop(DropReason::BuildTime);
            return;
        }
        // Whoever hands a request on is whom the tunnel's messages come from.
        let previous = match (asked.role, origin) {
            (_, Origin::Peer(from)) => Some(from),
            (HopRole::InboundGateway, _) => None,
            _ => {
                self.drop(DropReason::BuildRecord);
                return;
            }
        };
        let limit = self.config.transit.tunnels;
        let known = self.transit.tunnels.contains_key(&asked.receive_tunnel)
            || self.tunnels.receives(asked.receive_tunnel);
        self.load.asked();
        let refusal = if opened.is_unsupported() {
            Some(DropReason::TransitUnsupported)
        } else if known {
            Some(DropReason::TransitId)
        } else if self.draining {
            Some(DropReason::TransitDraining)
        } else if let Some(why) = self.transit.refusal(neighbour, limit) {
            self.load.refused();
            Some(why)
        } else if !self.may_reach(asked.next_hop, neighbour, now) {
            // Counted already, and not to be answered: the answer would go there.
            self.transit.refused += 1;
            return;
        } else {
            None
        };
        let next = match refusal {
            None => self.links.handle(asked.next_hop, now),
            Some(_) => None,
        };
        let code = if next.is_some() {
            ReplyCode::Accepted
        } else {
            self.drop(refusal.unwrap_or(DropReason::TransitNext));
            ReplyCode::BANDWIDTH
        };
        if let (ReplyCode::Accepted, Some(next)) = (code, next) {
            let layer = HopLayer::new(opened.tunnel_keys());
            let receive = match (asked.role, previous) {
                (HopRole::Participant, Some(previous)) => ReceiveTunnel::Participant {
                    previous,
                    next,
                    next_tunnel: asked.next_tunnel,
                    layer,
                },
                (HopRole::InboundGateway, _) => ReceiveTunnel::InboundGateway {
                    next,
                    next_tunnel: asked.next_tunnel,
                    layer,
                    gateway: Gateway::new(GATEWAY_BYTES),
                },
                (HopRole::OutboundEndpoint, Some(previous)) => ReceiveTunnel::OutboundEndpoint {
                    previous,
                    layer,
                    endpoint: Endpoint::new(EndpointKind::Outbound, ReassemblyLimits::TRANSIT),
                },
                _ => return,
            };
            // It has to be there before the first message can come.
            let tunnel = asked.receive_tunnel;
            let added = self.relays.post(
                tunnel,
                RelayMessage::Add {
                    tunnel,
                    receive: Box::new(receive),
                    expires: now.instant + TUNNEL_LIFETIME + GRACE,
                },
            );
            if !added {
                self.drop(DropReason::QueueFull);
                return;
            }
            self.transit.add(tunnel, neighbour);
            self.transit.long_records += u64::from(kind == BuildKind::Long);
            let [gateway, participant, endpoint] = &mut self.transit.accepted;
            *match asked.role {
                HopRole::InboundGateway => gateway,
                HopRole::Participant => participant,
                HopRole::OutboundEndpoint => endpoint,
            } += 1;
        } else {
            self.transit.refused += 1;
        }
        let reply = BuildReply {
            code,
            options: Mapping::default(),
        };
        let expires = now.unix + MESSAGE_TTL;
        match opened.reply(&reply, expires, &mut self.transit.random) {
            Ok(NextStep::Send { to, message }) => {
                if code == ReplyCode::Accepted || self.may_reach(to, neighbour, now) {
                    self.send_to(to, &message, now);
                }
            }
            Ok(NextStep::Gateway { tunnel, message }) => {
                let us = self.own.hash();
                self.send_to_tunnel(us, tunnel, &message, now);
            }
            Err(_) => self.drop(DropReason::BuildRecord),
        }
    }
}
