//! Through tunnels.

use bytes::{BufMut, Bytes, BytesMut};
use ramson_crypto::sha256;
use ramson_proto::ntcp2::LinkMessage;
use ramson_proto::tunnel::{LAYERED_LEN, TunnelLayers};
use ramson_wire::i2np::TunnelData;
use ramson_wire::{MessageType, TunnelId};

use super::stage::{Stage, config, data};
use super::{Honest, under_attack};
use crate::core::DropReason;

#[test]
fn tunnel_data_from_another_router_than_asked_for_the_tunnel_is_dropped() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    let mut sent = 0;
    let mut tunnel: Option<TunnelId> = None;
    under_attack(&mut stage, |stage, _| {
        // The honest neighbour's tunnel, whose id the attacker has learnt.
        let id = *tunnel.get_or_insert_with(|| stage.router.relays[0].some_tunnel().unwrap());
        for _ in 0..5 {
            let body = data(id, &mut stage.random);
            stage.send(loud, MessageType::TunnelData, body);
            sent += 1;
        }
    });
    assert_eq!(stage.relayed(|it| it.dropped_wrong_router), sent);
}

#[test]
fn messages_for_tunnels_that_are_not_there_are_dropped() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    under_attack(&mut stage, |stage, _| {
        for _ in 0..10 {
            let id = stage.tunnel_id();
            let body = data(id, &mut stage.random);
            stage.send(loud, MessageType::TunnelData, body);
        }
        let id = stage.tunnel_id();
        let mut body = BytesMut::new();
        body.put_u32(id.get());
        body.put_u16(100);
        body.put_bytes(7, 100);
        stage.send(loud, MessageType::TunnelGateway, body);
        stage.send(loud, MessageType::TunnelData, BytesMut::zeroed(1000));
    });
    assert!(stage.relayed(|it| it.dropped_unknown) > 9000);
    // Not as long as all are.
    assert!(stage.dropped(DropReason::NoTunnelMessage) > 900);
}

#[test]
fn a_tunnel_that_carries_more_than_its_part_takes_nothing_from_others() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    let behind = stage.neighbour("10.8.0.1");
    stage.link(loud);
    stage.link(behind);
    let tunnel = stage.participant(loud, behind);
    under_attack(&mut stage, |stage, _| {
        // Five times as much as all transit may have.
        for _ in 0..20 {
            let body = data(tunnel.receive, &mut stage.random);
            stage.send(loud, MessageType::TunnelData, body);
        }
        stage.take(behind);
    });
    assert!(stage.relayed(|it| it.dropped_rate) > 5000);
    let carried = stage.relayed(|it| it.transit_bytes);
    // The rate, over the time of the attack and of what came before.
    assert!(carried < 13 * 400_000, "{carried}");
}

#[test]
fn replayed_tunnel_data_is_dropped() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    let behind = stage.neighbour("10.8.0.1");
    stage.link(loud);
    stage.link(behind);
    let tunnel = stage.participant(loud, behind);
    let body = data(tunnel.receive, &mut stage.random);
    let mut sent = 0;
    let mut came = 0;
    under_attack(&mut stage, |stage, _| {
        for _ in 0..5 {
            stage.send(loud, MessageType::TunnelData, body.clone());
            sent += 1;
        }
        let data = |message: &LinkMessage| message.kind == MessageType::TunnelData;
        came += stage.take(behind).into_iter().filter(data).count();
    });
    assert_eq!(came, 1);
    assert_eq!(stage.relayed(|it| it.dropped_duplicate), sent - 1);
}

/// A tunnel message with one fragment: `[IV][checksum][padding][0][instructions][data]`, such that
/// the endpoint, which adds its layer, finds it clear.
fn fragment(
    tunnel: TunnelId,
    layers: &TunnelLayers,
    message_id: u32,
    first: bool,
    stage: &mut Stage,
) -> BytesMut {
    let mut content = Vec::new();
    let room = LAYERED_LEN - 16 - 4 - 1;
    if first {
        // To a router, fragmented.
        content.push(0b0100_1000);
        content.extend_from_slice(&[9; 32]);
    } else {
        // The second fragment, not the last.
        content.push(0b1000_0010);
    }
    content.extend_from_slice(&message_id.to_be_bytes());
    let size = room - content.len() - 2;
    content.extend_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
    content.resize(room, 0x55);
    let iv: [u8; 16] = stage.random.bytes();
    let sum = sha256(&[&content[..], &iv].concat());
    let mut message = [0; LAYERED_LEN];
    message[..16].copy_from_slice(&iv);
    message[16..20].copy_from_slice(&sum[..4]);
    message[21..].copy_from_slice(&content);
    layers.remove_all(&mut message);
    let mut body = BytesMut::with_capacity(TunnelData::LEN);
    body.put_u32(tunnel.get());
    body.put_slice(&message);
    body
}

#[test]
fn fragments_without_end_are_forgotten() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    let tunnels: Vec<_> = (0..4).map(|_| stage.endpoint(loud)).collect();
    under_attack(&mut stage, |stage, step| {
        for (index, (tunnel, layers)) in tunnels.iter().enumerate() {
            let id = u32::try_from(step).unwrap() * 10 + u32::try_from(index).unwrap();
            let first = step % 2 == 0;
            let body = fragment(tunnel.receive, layers, id, first, stage);
            stage.send(loud, MessageType::TunnelData, body);
        }
    });
    // Those that made room, and after a while the rest.
    assert!(stage.relayed(|it| it.dropped_fragment) > 1000);
    assert_eq!(stage.relayed(|it| it.dropped_malformed), 0);
    stage.run(12_000);
    assert_eq!(stage.router.relays[0].unfinished_bytes(), 0);
}

/// The next router takes nothing any more: what waits for it has a bound, and some is dropped
/// before that.
#[test]
fn a_router_that_reads_nothing_holds_little() {
    let mut stage = Stage::new(config());
    let mut honest = Honest::begin(&mut stage);
    let loud = stage.neighbour("10.9.0.1");
    let deaf = stage.neighbour("10.8.0.1");
    stage.link(loud);
    stage.link(deaf);
    let tunnel = stage.participant(loud, deaf);
    stage.deafen(deaf);
    for step in 0..500 {
        for _ in 0..10 {
            let body = data(tunnel.receive, &mut stage.random);
            stage.send(loud, MessageType::TunnelData, body);
        }
        honest.tick(&mut stage, step * 10);
        stage.run(10);
        stage.check_bounds();
    }
    let counters = stage.router.relays[0].counters();
    assert!(counters.dropped_full > 0, "{counters:?}");
    assert!(honest.arrived * 2 > honest.sent);
    let hash = stage.hash_of(deaf);
    let queue = stage.router.core.links().queue(&hash).unwrap();
    assert!(queue.drops().early > 0, "{:?}", queue.drops());
    // Nothing else is lost between the tunnel and the link.
    assert_eq!(stage.refused_by_links(), 0);
}

/// Whoever has tunnels that end here may not make the router look for anybody.
#[test]
fn an_endpoint_that_names_routers_without_end_finds_a_limit() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    let (tunnel, layers) = stage.endpoint(loud);
    under_attack(&mut stage, |stage, _| {
        for _ in 0..2 {
            let body = whole(tunnel.receive, &layers, stage);
            stage.send(loud, MessageType::TunnelData, body);
        }
    });
    assert!(stage.relayed(|it| it.endpoint) > 1000);
    assert!(stage.dropped(DropReason::UnknownRouterQuota) > 500);
}

/// A tunnel message with a small message for a router that nobody knows.
fn whole(tunnel: TunnelId, layers: &TunnelLayers, stage: &mut Stage) -> BytesMut {
    use ramson_wire::{I2npMessage, TunnelDelivery};
    let id = stage.random.u32();
    let expires = stage.now().unix + std::time::Duration::from_secs(20);
    let inner = I2npMessage::new(
        MessageType::DeliveryStatus,
        id,
        expires,
        Bytes::from_static(&[0; 12]),
    );
    let mut long = BytesMut::new();
    inner.unwrap().encode_long(&mut long);
    let to = ramson_wire::RouterHash(stage.random.bytes());
    let mut gateway = ramson_proto::tunnel::Gateway::new(100_000);
    gateway
        .handle_message(TunnelDelivery::Router(to), id, long.freeze())
        .unwrap();
    let mut message = [0; LAYERED_LEN];
    assert!(gateway.flush(&mut stage.random, &mut message));
    layers.remove_all(&mut message);
    let mut body = BytesMut::with_capacity(TunnelData::LEN);
    body.put_u32(tunnel.get());
    body.put_slice(&message);
    body
}
