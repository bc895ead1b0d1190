//! What goes through our own outbound tunnels.

use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_proto::garlic::router;
use ramson_proto::ntcp2::{LinkMessage, Priority};
use ramson_wire::{CloveDelivery, GarlicClove, I2npMessage, MessageType, TunnelDelivery};

use crate::core::{Core, DropReason};
use crate::own_tunnel::next_message;
use crate::relay::seconds_up;

impl Core {
    /// Sends a message through an outbound tunnel, readable for the router with this key alone;
    /// says whether it could be encrypted.
    pub(in crate::core) fn seal_through(
        &mut self,
        index: usize,
        delivery: TunnelDelivery,
        encryption_key: &[u8; 32],
        message: &I2npMessage,
        now: Now,
    ) -> bool {
        let clove = GarlicClove {
            delivery: CloveDelivery::Local,
            message: message.as_ref(),
        };
        let sealed = router::seal(encryption_key, &[clove], 0, now.unix, &mut self.random);
        let Ok(sealed) = sealed else {
            return false;
        };
        let Ok(garlic) = self.message(MessageType::Garlic, sealed, now) else {
            return false;
        };
        self.send_through(index, delivery, &garlic, now);
        true
    }

    /// Sends a message through an outbound tunnel.
    pub(super) fn send_through(
        &mut self,
        index: usize,
        delivery: TunnelDelivery,
        message: &I2npMessage,
        now: Now,
    ) {
        let Some(tunnel) = self.tunnels.outbound.get_mut(index) else {
            return;
        };
        let mut long = BytesMut::with_capacity(message.long_len());
        message.encode_long(&mut long);
        if tunnel
            .gateway
            .handle_message(delivery, message.id(), long.freeze())
            .is_err()
        {
            self.drop(DropReason::QueueFull);
            return;
        }
        let first = tunnel.first;
        let Some(handle) = self.links.handle(first, now) else {
            return;
        };
        let (id, layers) = (tunnel.first_tunnel, &tunnel.layers);
        while let Some(body) = next_message(id, &mut tunnel.gateway, layers, &mut self.random) {
            let message = LinkMessage {
                kind: MessageType::TunnelData,
                id: self.random.u32(),
                expiration_s: seconds_up(now.unix + Duration::from_secs(8)),
                body,
            };
            if handle
                .send(message, Priority::OwnData, now.instant)
                .is_err()
            {
                *self.drops.entry(DropReason::QueueFull).or_default() += 1;
            }
        }
    }
}
