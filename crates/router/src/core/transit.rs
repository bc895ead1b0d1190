//! Requests to take part in other routers' tunnels (ECIES-X25519 Tunnel Creation).

use std::collections::BTreeSet;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::tunnel::build::{BuildKind, HopRequest, NextStep};
use ramson_proto::tunnel::reassembly::{EndpointKind, ReassemblyLimits};
use ramson_proto::tunnel::{DuplicateFilter, Endpoint, Gateway, HopLayer};
use ramson_wire::build::{BuildReply, HopRole, ReplyCode};
use ramson_wire::{I2npMessage, Mapping, TunnelId};

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

/// The tunnels of others that go through us.
#[derive(Debug)]
pub(super) struct Transit {
    tunnels: BTreeSet<TunnelId>,
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
            tunnels: BTreeSet::new(),
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
        self.tunnels.remove(&tunnel);
    }

    /// Says whether one more tunnel is welcome.
    fn has_room(&mut self, limit: usize) -> bool {
        let load = self.tunnels.len() as f64 / limit.max(1) as f64;
        if load >= 1.0 {
            return false;
        }
        let crowd = ((load - CROWDED) / (1.0 - CROWDED)).max(0.0);
        self.random.below(1000) as f64 >= crowd * 1000.0
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
        if let Origin::Peer(from) = origin
            && !self.quotas.build(from, now)
        {
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
        let known = self.transit.tunnels.contains(&asked.receive_tunnel)
            || self.tunnels.receives(asked.receive_tunnel);
        let next = self.links.handle(asked.next_hop, now);
        let code = if opened.is_unsupported()
            || known
            || self.draining
            || !self.transit.has_room(limit)
            || next.is_none()
        {
            ReplyCode::BANDWIDTH
        } else {
            ReplyCode::Accepted
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
            self.transit.tunnels.insert(tunnel);
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
                self.send_to(to, &message, now);
            }
            Ok(NextStep::Gateway { tunnel, message }) => {
                let us = self.own.hash();
                self.send_to_tunnel(us, tunnel, &message, now);
            }
            Err(_) => self.drop(DropReason::BuildRecord),
        }
    }
}
