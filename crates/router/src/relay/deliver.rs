//! What came out of an outbound tunnel, on its way to where it says.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ramson_proto::Now;
use ramson_proto::ntcp2::{LinkMessage, Priority};
use ramson_wire::i2np::TunnelGateway;
use ramson_wire::{I2npRef, MessageType, TunnelDelivery};

use super::{RelayShard, seconds_up, tell, tunnel_message};
use crate::core::CoreMessage;

impl RelayShard {
    /// Sends a message where an outbound tunnel's owner wants it.
    pub(super) fn deliver(&mut self, delivery: TunnelDelivery, message: Bytes, now: Now) {
        let router = match delivery {
            TunnelDelivery::Local => {
                let message = CoreMessage::FromTunnel {
                    tunnel: None,
                    message,
                };
                tell(&mut self.to_core, message, &mut self.counters);
                return;
            }
            TunnelDelivery::Router(router)
            | TunnelDelivery::Tunnel {
                gateway: router, ..
            } => router,
        };
        let Ok(inner) = I2npRef::parse_long(&message) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        if inner.expires + Duration::from_secs(60) < now.unix {
            self.counters.dropped_expired += 1;
            return;
        }
        if router == self.us {
            let message = match delivery {
                TunnelDelivery::Tunnel { tunnel, .. } => {
                    CoreMessage::ToOwnGateway { tunnel, message }
                }
                _ => CoreMessage::FromTunnel {
                    tunnel: None,
                    message,
                },
            };
            tell(&mut self.to_core, message, &mut self.counters);
            return;
        }
        let message = match delivery {
            TunnelDelivery::Tunnel { tunnel, .. } => {
                let mut body = BytesMut::with_capacity(TunnelGateway::HEADER_LEN + message.len());
                body.put_u32(tunnel.get());
                body.put_u16(u16::try_from(message.len()).unwrap_or(u16::MAX));
                body.extend_from_slice(&message);
                tunnel_message(MessageType::TunnelGateway, body, &mut self.random, now)
            }
            _ => LinkMessage {
                kind: inner.kind,
                id: inner.id,
                expiration_s: seconds_up(inner.expires),
                body: BytesMut::from(inner.body),
            },
        };
        match self.targets.get(&router) {
            Some(target) => {
                if target
                    .send(message, Priority::Transit, now.instant)
                    .is_err()
                {
                    self.counters.dropped_full += 1;
                }
            }
            None => {
                let message = CoreMessage::Forward { router, message };
                tell(&mut self.to_core, message, &mut self.counters);
            }
        }
    }
}
