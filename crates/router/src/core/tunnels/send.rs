//! What goes through our own outbound tunnels.

use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::garlic::router;
use ramson_proto::ntcp2::{LinkMessage, Priority};
use ramson_proto::tunnel::LAYERED_LEN;
use ramson_wire::i2np::TunnelData;
use ramson_wire::{CloveDelivery, GarlicClove, I2npMessage, MessageType, TunnelDelivery};

use super::Outbound;
use crate::core::{Core, DropReason};
use crate::relay::seconds_up;

/// Bytes that wait in the gateway of an own tunnel.
pub(super) const GATEWAY_BYTES: usize = 256 * 1024;

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
        while let Some(body) = next_message(tunnel, &mut self.random) {
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

/// The next message of an own outbound tunnel, with what its hops will take off put on.
pub(super) fn next_message(tunnel: &mut Outbound, random: &mut Random) -> Option<BytesMut> {
    let mut body = BytesMut::zeroed(TunnelData::LEN);
    let (id, rest) = body.split_first_chunk_mut::<4>()?;
    let message = rest.first_chunk_mut::<LAYERED_LEN>()?;
    *id = tunnel.first_tunnel.get().to_be_bytes();
    if !tunnel.gateway.flush(random, message) {
        return None;
    }
    tunnel.layers.remove_all(message);
    Some(body)
}
