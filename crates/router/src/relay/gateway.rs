//! Messages that come to a gateway, and how they leave it.

use bytes::{Bytes, BytesMut};
use ramson_proto::Now;
use ramson_proto::ntcp2::Priority;
use ramson_proto::tunnel::LAYERED_LEN;
use ramson_wire::i2np::TunnelData;
use ramson_wire::{I2npRef, MessageType, RouterHash, TunnelDelivery, TunnelId};

use super::{ReceiveTunnel, RelayShard, hand_over, tunnel_message};

impl RelayShard {
    /// A message for a tunnel whose gateway we are.
    pub(super) fn take_in(
        &mut self,
        from: Option<RouterHash>,
        tunnel: TunnelId,
        message: Bytes,
        now: Now,
    ) {
        let Ok(header) = I2npRef::parse_long_unchecked(&message) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        let id = header.id;
        match self.tunnels.get_mut(&tunnel) {
            Some((_, ReceiveTunnel::InboundGateway { gateway, .. })) => {
                if !self.limiter.take(from, message.len() as u64, now.instant) {
                    self.counters.dropped_rate += 1;
                } else if gateway
                    .handle_message(TunnelDelivery::Local, id, message)
                    .is_ok()
                {
                    self.counters.gateway += 1;
                    self.touched.insert(tunnel);
                } else {
                    self.counters.dropped_full += 1;
                }
            }
            // A tunnel of ours without hops: what comes for it is for us.
            Some((_, ReceiveTunnel::Own { layers, to, .. })) => {
                if layers.is_empty() {
                    self.counters.own += 1;
                    let message = std::iter::once(message);
                    let (core, counters) = (&mut self.to_core, &mut self.counters);
                    hand_over(to.as_ref(), tunnel, message, core, counters);
                } else {
                    self.counters.dropped_malformed += 1;
                }
            }
            Some(_) => self.counters.dropped_malformed += 1,
            None => self.counters.dropped_unknown += 1,
        }
    }

    /// Sends what a gateway has packed.
    pub(super) fn send_gateway(&mut self, tunnel: TunnelId, now: Now) {
        let Some((
            _,
            ReceiveTunnel::InboundGateway {
                next,
                next_tunnel,
                layer,
                gateway,
            },
        )) = self.tunnels.get_mut(&tunnel)
        else {
            return;
        };
        while !gateway.is_empty() {
            let mut body = BytesMut::zeroed(TunnelData::LEN);
            let Some((id, rest)) = body.split_first_chunk_mut::<4>() else {
                return;
            };
            let Some(message) = rest.first_chunk_mut::<LAYERED_LEN>() else {
                return;
            };
            *id = next_tunnel.get().to_be_bytes();
            if !gateway.flush(&mut self.random, message) {
                return;
            }
            layer.add(message);
            let message = tunnel_message(MessageType::TunnelData, body, &mut self.random, now);
            match next.send(message, Priority::Transit, now.instant) {
                Ok(()) => self.counters.transit_bytes += TunnelData::LEN as u64,
                Err(_) => self.counters.dropped_full += 1,
            }
        }
    }
}
