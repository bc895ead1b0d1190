//! Tunnel messages: a layer more and on, or out of the tunnel.

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_proto::ntcp2::Priority;
use ramson_proto::tunnel::{Endpoint, HopLayer, LAYERED_LEN, duplicates};
use ramson_wire::i2np::TunnelData;
use ramson_wire::{Instant, MessageType, RouterHash, TunnelId};

use super::{LAYER_BATCH, ReceiveTunnel, RelayCounters, RelayShard, hand_over, tunnel_message};

impl RelayShard {
    /// Tunnel messages of one tunnel.
    pub(super) fn pass_on(&mut self, group: &mut [(TunnelId, RouterHash, BytesMut)], now: Now) {
        let Some((tunnel, ..)) = group.first() else {
            return;
        };
        let tunnel = *tunnel;
        let Some((_, receive)) = self.tunnels.get_mut(&tunnel) else {
            self.counters.dropped_unknown += group.len() as u64;
            return;
        };
        let (previous, transit) = match receive {
            ReceiveTunnel::Participant { previous, .. }
            | ReceiveTunnel::OutboundEndpoint { previous, .. } => (*previous, true),
            ReceiveTunnel::Own { previous, .. } => (*previous, false),
            ReceiveTunnel::InboundGateway { .. } => {
                self.counters.dropped_malformed += group.len() as u64;
                return;
            }
        };
        let mut bodies: Vec<BytesMut> = Vec::with_capacity(group.len());
        for (_, from, body) in group.iter_mut() {
            let Some(message) = layered(body) else {
                self.counters.dropped_malformed += 1;
                continue;
            };
            if *from != previous {
                self.counters.dropped_wrong_router += 1;
            } else if !self
                .duplicates
                .insert(&duplicates::message_key(message), now.instant)
            {
                self.counters.dropped_duplicate += 1;
            } else if transit
                && !self
                    .limiter
                    .take(Some(*from), TunnelData::LEN as u64, now.instant)
            {
                self.counters.dropped_rate += 1;
            } else {
                bodies.push(std::mem::take(body));
            }
        }
        match receive {
            ReceiveTunnel::Participant {
                next,
                next_tunnel,
                layer,
                ..
            } => {
                add_layers(layer, &mut bodies);
                for mut body in bodies {
                    if let Some(id) = body.first_chunk_mut() {
                        *id = next_tunnel.get().to_be_bytes();
                    }
                    let message =
                        tunnel_message(MessageType::TunnelData, body, &mut self.random, now);
                    match next.send(message, Priority::Transit, now.instant) {
                        Ok(()) => {
                            self.counters.participant += 1;
                            self.counters.transit_bytes += TunnelData::LEN as u64;
                        }
                        Err(_) => self.counters.dropped_full += 1,
                    }
                }
            }
            ReceiveTunnel::OutboundEndpoint {
                layer, endpoint, ..
            } => {
                add_layers(layer, &mut bodies);
                take_out(endpoint, bodies, now.instant, &mut self.counters);
                let mut outputs = Vec::new();
                while let Some(output) = endpoint.poll_message() {
                    outputs.push(output);
                }
                for output in outputs {
                    self.counters.endpoint += 1;
                    self.counters.transit_bytes += output.message.len() as u64;
                    self.deliver(output.delivery, output.message, now);
                }
            }
            ReceiveTunnel::Own {
                layers,
                endpoint,
                to,
                ..
            } => {
                for message in bodies.iter_mut().filter_map(layered) {
                    layers.remove_all(message);
                }
                take_out(endpoint, bodies, now.instant, &mut self.counters);
                let mut messages = Vec::new();
                while let Some(output) = endpoint.poll_message() {
                    messages.push(output.message);
                }
                self.counters.own += messages.len() as u64;
                let (core, counters) = (&mut self.to_core, &mut self.counters);
                hand_over(to.as_ref(), tunnel, messages.into_iter(), core, counters);
            }
            ReceiveTunnel::InboundGateway { .. } => {}
        }
    }
}

/// What is layered of a TunnelData message.
fn layered(body: &mut BytesMut) -> Option<&mut [u8; LAYERED_LEN]> {
    let (_, rest) = body.split_at_mut_checked(4)?;
    rest.first_chunk_mut()
}

/// Adds our layer to messages of one tunnel, several at once.
fn add_layers(layer: &HopLayer, bodies: &mut [BytesMut]) {
    let mut messages: Vec<&mut [u8; LAYERED_LEN]> = bodies.iter_mut().filter_map(layered).collect();
    for batch in messages.chunks_mut(LAYER_BATCH) {
        layer.add_batch(batch);
    }
}

/// Gives clear messages to a tunnel's end; counts those of no use.
fn take_out(
    endpoint: &mut Endpoint,
    bodies: Vec<BytesMut>,
    now: Instant,
    counters: &mut RelayCounters,
) {
    let before = *endpoint.stats();
    for body in bodies {
        if endpoint
            .handle_message(&body.freeze().slice(4..), now)
            .is_err()
        {
            counters.dropped_malformed += 1;
        }
    }
    counters.count_fragments(&before, endpoint.stats());
}
