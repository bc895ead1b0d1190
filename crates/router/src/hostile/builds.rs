//! With requests to take part in tunnels.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use ramson_wire::{MessageType, RouterInfo, UnixTime, Verified};

use super::stage::{Stage, config, data};
use super::{Honest, under_attack};
use crate::config::RouterConfig;
use crate::core::DropReason;
use crate::testing::router_info;

/// What looks like a request to the router until the work is done.
fn damaged(stage: &mut Stage) -> BytesMut {
    let mut body = BytesMut::zeroed(1 + 4 * 218);
    stage.random.fill(&mut body);
    body[0] = 4;
    body[1..17].copy_from_slice(&stage.router.handle.hash().0[..16]);
    body
}

#[test]
fn requests_that_cannot_be_opened_are_held_to_a_rate() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    under_attack(&mut stage, |stage, _| {
        for _ in 0..4 {
            let body = damaged(stage);
            stage.send(loud, MessageType::ShortTunnelBuild, body);
        }
    });
    let drops = stage.drops();
    assert!(drops[&DropReason::BuildQuota] > 3000, "{drops:?}");
    assert!(drops[&DropReason::BuildRecord] < 1000, "{drops:?}");
}

/// Real requests, for tunnels that lead to routers that do not exist: an honest neighbour still
/// gets its tunnels.
#[test]
fn a_flood_of_tunnels_leaves_room_for_those_of_others() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    let nobody: Vec<Verified<RouterInfo>> = (0..50)
        .map(|seed| router_info(seed, false, stage.now()))
        .collect();
    let (honest, behind) = (stage.neighbour("10.7.0.1"), stage.neighbour("10.6.0.1"));
    stage.link(honest);
    stage.link(behind);
    let (mut asked, mut built) = (0, 0);
    under_attack(&mut stage, |stage, step| {
        let now = stage.now().unix;
        let receive = stage.tunnel_id();
        if step % 2 == 0 {
            let info = &nobody[stage.random.below(50) as usize];
            let (_, body, _) = stage.build(loud, Some(info), receive, now);
            stage.send(loud, MessageType::ShortTunnelBuild, body);
        } else {
            // Those that end here are answered to whom it was that asked.
            let (_, body, _) = stage.build(loud, None, receive, now);
            stage.send(loud, MessageType::ShortTunnelBuild, body);
        }
        if step % 20 == 0 {
            let info = stage.info_of(behind).clone();
            let receive = stage.tunnel_id();
            let (_, body, _) = stage.build(honest, Some(&info), receive, now);
            stage.send(honest, MessageType::ShortTunnelBuild, body);
            asked += 1;
        }
        built += stage.take(behind).len();
    });
    let drops = stage.drops();
    for reason in [
        DropReason::BuildQuota,
        DropReason::UnknownRouterQuota,
        DropReason::TransitShare,
    ] {
        assert!(drops.contains_key(&reason), "{reason:?}: {drops:?}");
    }
    assert!(built * 2 >= asked, "{built} of {asked} were built");
    assert!(stage.router.handle.status().transit_tunnels > 100);
}

#[test]
fn a_tunnel_id_that_is_taken_stays_with_its_owner() {
    let mut stage = Stage::new(config());
    let mut honest = Honest::begin(&mut stage);
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    for step in 0..300 {
        let (now, info) = (stage.now().unix, stage.info_of(loud).clone());
        let taken = honest.tunnel.receive;
        let (_, body, _) = stage.build(honest.to, Some(&info), taken, now);
        if step % 5 == 0 {
            stage.send(loud, MessageType::ShortTunnelBuild, body);
        }
        honest.tick(&mut stage, step * 10);
        stage.run(10);
    }
    stage.run(500);
    honest.tick(&mut stage, 2990);
    assert_eq!(stage.dropped(DropReason::TransitId), 60);
    assert_eq!(honest.arrived, honest.sent);
    // And nothing can be put into it by who asked in vain.
    let body = data(honest.tunnel.receive, &mut stage.random);
    stage.send(loud, MessageType::TunnelData, body);
    stage.run(50);
    assert_eq!(stage.relayed(|it| it.dropped_wrong_router), 1);
}

#[test]
fn requests_that_are_old_from_the_future_or_were_seen_before_are_dropped() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    let behind = stage.neighbour("10.8.0.1");
    stage.link(loud);
    stage.link(behind);
    let info = stage.info_of(behind).clone();
    let mut first: Option<BytesMut> = None;
    under_attack(&mut stage, |stage, step| {
        let receive = stage.tunnel_id();
        let now = stage.now().unix;
        if step % 10 != 0 {
            return;
        }
        let old = UnixTime::from_millis(now.as_millis() - 700_000);
        let (_, body, _) = stage.build(loud, Some(&info), receive, old);
        stage.send(loud, MessageType::ShortTunnelBuild, body);
        let early = now + Duration::from_secs(600);
        let (_, body, _) = stage.build(loud, Some(&info), receive, early);
        stage.send(loud, MessageType::ShortTunnelBuild, body);
        let (_, body, _) = stage.build(loud, Some(&info), receive, now);
        let body = first.get_or_insert(body).clone();
        stage.send(loud, MessageType::ShortTunnelBuild, body);
    });
    let drops = stage.drops();
    assert_eq!(drops[&DropReason::BuildTime], 200, "{drops:?}");
    assert_eq!(drops[&DropReason::BuildReplay], 99, "{drops:?}");
    // The honest one, and the first.
    assert_eq!(stage.router.handle.status().transit_tunnels, 2);
}

#[test]
fn a_router_that_wants_no_tunnels_or_is_about_to_end_takes_none() {
    let limits = crate::TransitLimits {
        tunnels: 0,
        ..config().transit
    };
    let mut stage = Stage::new(RouterConfig {
        transit: limits,
        ..config()
    });
    let neighbour = stage.neighbour("10.9.0.1");
    stage.link(neighbour);
    let ask = |stage: &mut Stage| {
        let (receive, now) = (stage.tunnel_id(), stage.now().unix);
        let (_, body, _) = stage.build(neighbour, None, receive, now);
        stage.send(neighbour, MessageType::ShortTunnelBuild, body);
        stage.run(300);
        stage.router.handle.status().transit_tunnels
    };
    assert_eq!(ask(&mut stage), 0);
    assert_eq!(stage.dropped(DropReason::TransitFull), 1);
    // Limits that are changed hold from then on.
    stage.router.handle.set_transit_limits(config().transit);
    assert_eq!(ask(&mut stage), 1);
    stage.router.handle.drain();
    assert_eq!(ask(&mut stage), 1);
    assert_eq!(stage.dropped(DropReason::TransitDraining), 1);
    // What there is lives on until its end.
    stage.run(300);
    assert!(stage.router.handle.status().draining);
}

#[test]
fn messages_that_are_no_requests_are_dropped() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    under_attack(&mut stage, |stage, _| {
        let mut body = BytesMut::new();
        body.put_u8(200);
        body.put_bytes(1, 100);
        stage.send(loud, MessageType::ShortTunnelBuild, body.clone());
        stage.send(loud, MessageType::VariableTunnelBuild, body.clone());
        stage.send(loud, MessageType::OutboundTunnelBuildReply, body);
    });
    let drops = stage.drops();
    assert!(drops[&DropReason::BuildRecord] > 500, "{drops:?}");
    assert!(drops[&DropReason::BuildQuota] > 500, "{drops:?}");
    assert!(drops[&DropReason::UnexpectedReply] > 900, "{drops:?}");
}
