//! On the port, before and right after a handshake.

use std::net::SocketAddr;

use bytes::BytesMut;
use ramson_crypto::Random;

use super::stage::{Stage, config};
use super::under_attack;
use crate::config::RouterConfig;
use crate::core::DropReason;
use crate::link::LinkPart;

/// Connections that nobody but the attacker drives.
#[derive(Default)]
struct Crowd(Vec<(LinkPart, BytesMut)>);

impl Crowd {
    fn connect(&mut self, stage: &mut Stage, from: [u8; 4]) -> bool {
        let from = SocketAddr::from((from, 999));
        let link = stage.router.handle.accept(from, stage.router_now());
        let accepted = link.is_ok();
        self.0.extend(link.ok().map(|link| (link, BytesMut::new())));
        accepted
    }

    /// Drives all of them, with these bytes for each.
    fn run(&mut self, stage: &Stage, mut bytes: impl FnMut() -> Vec<u8>) {
        let now = stage.router_now();
        let mut out = BytesMut::new();
        for (link, input) in &mut self.0 {
            input.extend_from_slice(&bytes());
            link.handle_input(input, now);
            link.step(now);
            while link.poll_transmit(now, &mut out) {}
            assert!(input.len() < 5000, "{}", input.len());
        }
        self.0.retain(|(link, _)| !link.is_closed());
        assert!(out.is_empty(), "nothing is answered to nonsense");
    }
}

#[test]
fn connections_that_say_nothing_have_a_bound_and_an_end() {
    let mut stage = Stage::new(config());
    let mut crowd = Crowd::default();
    let mut tried = 0;
    under_attack(&mut stage, |stage, step| {
        for n in 0..3 {
            let [a, b] = u16::try_from(step).unwrap().to_be_bytes();
            crowd.connect(stage, [20, n, a, b]);
            tried += 1;
        }
        // All from one address.
        crowd.connect(stage, [9, 9, 9, 9]);
        crowd.run(stage, Vec::new);
        assert!(crowd.0.len() <= 20, "{}", crowd.0.len());
    });
    let drops = stage.drops();
    assert!(drops[&DropReason::HandshakesFull] > 1000, "{drops:?}");
    // As soon as they are given up, others have their place.
    assert!(tried > 2900);
    stage.run(11_000);
    crowd.run(&stage, Vec::new);
    assert_eq!(crowd.0.len(), 0);
    let late = stage.neighbour("10.5.0.1");
    stage.link(late);
}

#[test]
fn one_source_has_few_handshakes_at_once() {
    let mut stage = Stage::new(RouterConfig {
        max_links: 200,
        ..config()
    });
    let mut crowd = Crowd::default();
    under_attack(&mut stage, |stage, _| {
        crowd.connect(stage, [9, 9, 9, 9]);
        crowd.run(stage, Vec::new);
        assert!(crowd.0.len() <= 16);
    });
    assert!(stage.dropped(DropReason::HandshakesOfSource) > 900);
}

#[test]
fn garbage_is_read_for_a_while_and_holds_its_place_so_long() {
    let mut stage = Stage::new(config());
    let mut crowd = Crowd::default();
    let mut random = Random::from_seed([8; 32]);
    under_attack(&mut stage, |stage, step| {
        let [a, b] = u16::try_from(step).unwrap().to_be_bytes();
        crowd.connect(stage, [20, 1, a, b]);
        crowd.connect(stage, [20, 2, a, b]);
        crowd.run(stage, || random.bytes::<100>().to_vec());
        assert!(crowd.0.len() <= 20, "{}", crowd.0.len());
    });
    assert!(stage.dropped(DropReason::HandshakesFull) > 0);
}

#[test]
fn bytes_that_trickle_in_buy_no_time() {
    let mut stage = Stage::new(config());
    let mut crowd = Crowd::default();
    for n in 0..20 {
        assert!(crowd.connect(&mut stage, [20, 3, 0, n]));
    }
    // A byte each second.
    for second in 0..11 {
        crowd.run(&stage, || vec![second]);
        stage.run(1000);
    }
    crowd.run(&stage, Vec::new);
    assert_eq!(crowd.0.len(), 0);
    stage.run(300);
    assert_eq!(stage.router.handle.status().half_open, 0);
}

#[test]
fn a_first_message_that_comes_again_is_not_answered() {
    let mut stage = Stage::new(config());
    let honest = stage.neighbour("10.7.0.1");
    let first = stage.first_message(honest);
    let mut crowd = Crowd::default();
    let mut random = Random::from_seed([9; 32]);
    // What was answered once is answered never again.
    let answered = |stage: &mut Stage, from: u8| {
        let from = SocketAddr::from(([20, 4, 0, from], 999));
        let mut link = stage
            .router
            .handle
            .accept(from, stage.router_now())
            .unwrap();
        let mut input = BytesMut::from(&first[..]);
        let now = stage.router_now();
        link.handle_input(&mut input, now);
        link.step(now);
        let mut out = BytesMut::new();
        link.poll_transmit(now, &mut out)
    };
    assert!(answered(&mut stage, 0));
    for n in 1..10 {
        assert!(!answered(&mut stage, n));
    }
    assert_eq!(stage.dropped(DropReason::HandshakeReplay), 9);
    // A flood of them, with noise behind.
    under_attack(&mut stage, |stage, step| {
        let [a, b] = u16::try_from(step).unwrap().to_be_bytes();
        if crowd.connect(stage, [20, 5, a, b])
            && let Some((_, input)) = crowd.0.last_mut()
        {
            input.extend_from_slice(&first);
        }
        crowd.run(stage, || random.bytes::<3>().to_vec());
    });
    assert!(stage.dropped(DropReason::HandshakeReplay) > 20);
}

/// Routers that are real, but far too many.
#[test]
fn a_crowd_of_links_leaves_room_for_whom_the_router_dials() {
    let mut stage = Stage::new(config());
    let mut crowd = Vec::new();
    for n in 0..60_u8 {
        let neighbour = stage.neighbour(&format!("11.{n}.0.1"));
        crowd.push(neighbour);
        stage.dial(neighbour).unwrap();
        stage.run(100);
        stage.check_bounds();
    }
    let up = crowd.iter().filter(|it| stage.is_up(**it)).count();
    // Thirty came in, and some of the others the router has dialled itself.
    assert!((30..40).contains(&up), "{up}");
    let refused = stage.dropped(DropReason::LinksFull);
    assert!((20..=30).contains(&refused), "{refused}");
    assert!(stage.connections() <= 40);
    // A tunnel through us makes us dial.
    let far = stage.neighbour("12.0.0.1");
    let info = stage.info_of(far).clone();
    stage.router.handle.seed(vec![info.clone()]);
    let (receive, now) = (stage.tunnel_id(), stage.now().unix);
    let (_, body, _) = stage.build(crowd[0], Some(&info), receive, now);
    stage.send(crowd[0], ramson_wire::MessageType::ShortTunnelBuild, body);
    stage.run(500);
    assert!(stage.is_up(far));
    assert_eq!(stage.take(far).len(), 1);
}

/// Who connects again and again under new names fills no table.
#[test]
fn names_that_come_and_go_fill_nothing() {
    let mut stage = Stage::new(config());
    for n in 0..200_u8 {
        let neighbour = stage.neighbour(&format!("11.{n}.0.1"));
        stage.link(neighbour);
        stage.unlink(neighbour);
        stage.run(50);
        stage.check_bounds();
    }
    let late = stage.neighbour("10.5.0.1");
    stage.link(late);
}
