//! What our own outbound tunnels have in common, whoever's they are.

use bytes::BytesMut;
use ramson_crypto::Random;
use ramson_proto::tunnel::{Gateway, LAYERED_LEN, TunnelLayers};
use ramson_wire::TunnelId;
use ramson_wire::i2np::TunnelData;

/// Bytes that wait in the gateway of an own tunnel.
pub(crate) const GATEWAY_BYTES: usize = 256 * 1024;

/// The next message of an own outbound tunnel, with what its hops will take off put on; `tunnel` is
/// the id that the first hop receives under.
pub(crate) fn next_message(
    tunnel: TunnelId,
    gateway: &mut Gateway,
    layers: &TunnelLayers,
    random: &mut Random,
) -> Option<BytesMut> {
    if gateway.is_empty() {
        return None;
    }
    let mut body = BytesMut::zeroed(TunnelData::LEN);
    let (id, rest) = body.split_first_chunk_mut::<4>()?;
    let message = rest.first_chunk_mut::<LAYERED_LEN>()?;
    *id = tunnel.get().to_be_bytes();
    if !gateway.flush(random, message) {
        return None;
    }
    layers.remove_all(message);
    Some(body)
}
