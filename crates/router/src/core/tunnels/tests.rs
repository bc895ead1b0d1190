use ramson_crypto::Random;
use ramson_proto::tunnel::build::{BuildPath, HopSpec, PendingBuild};
use ramson_wire::Mapping;

use super::*;
use crate::config::RouterConfig;
use crate::core::{Origin, RouterKeys};
use crate::router::Router;
use crate::testing::{at, config, router_info};

fn core() -> Core {
    let mut random = Random::from_seed([5; 32]);
    let keys = RouterKeys::generate(&mut random);
    let router = Router::new(config(4000), keys, 1, at(0), random.fork("router"));
    let mut core = router.unwrap().core;
    for seed in 1..=8 {
        core.netdb
            .seed_router(router_info(seed, false, at(0)), at(0));
    }
    core
}

#[test]
fn builds_start_one_after_the_other() {
    let mut core = core();
    let wanted = 2 * config(4000).exploratory.quantity;
    for started in 1..=wanted {
        core.build_tunnels(at(1000 + started as u64 * 250));
        assert_eq!(core.tunnels.pending.len(), started);
    }
    core.build_tunnels(at(9000));
    assert_eq!(core.tunnels.pending.len(), wanted, "more than are wanted");
}

fn id(number: u32) -> TunnelId {
    TunnelId::new(number).unwrap()
}

fn outbound() -> Outbound {
    Outbound {
        first: RouterHash([1; 32]),
        first_tunnel: id(1),
        layers: TunnelLayers::new(&[]),
        gateway: Gateway::new(1000),
        hops: Vec::new(),
        expires: at(600_000).instant,
        tests: Tests::default(),
    }
}

fn inbound() -> Inbound {
    Inbound {
        gateway: RouterHash([2; 32]),
        gateway_tunnel: id(2),
        receive: id(3),
        hops: Vec::new(),
        expires: at(600_000).instant,
        tests: Tests::default(),
    }
}

/// Tunnels with a hop each that nobody has agreed to.
fn with_tunnels() -> (Core, RouterHash) {
    let mut core = core();
    let hop = router_info(1, false, at(0)).hash();
    for number in 1..=2 {
        core.tunnels.inbound.push(Inbound {
            gateway: hop,
            gateway_tunnel: id(number),
            receive: id(10 + number),
            hops: vec![hop],
            ..inbound()
        });
        core.tunnels.outbound.push(Outbound {
            first: hop,
            first_tunnel: id(20 + number),
            hops: vec![hop],
            ..outbound()
        });
    }
    (core, hop)
}

/// How many messages wait for a router since the last time.
fn sent(core: &mut Core, to: RouterHash, millis: u64) -> usize {
    let handle = core.links.handle(to, at(millis)).unwrap();
    let mut count = 0;
    handle.attach(1);
    handle.drain(1, at(millis).instant, |_, _| {
        count += 1;
        true
    });
    count
}

#[test]
fn a_test_that_is_not_back_soon_is_sent_once_more() {
    let (mut core, hop) = with_tunnels();
    core.test_tunnels(at(1000));
    assert_eq!(sent(&mut core, hop, 1000), 2);
    // One comes back.
    let id = *core.tunnels.testing.keys().next().unwrap();
    let origin = Origin::Tunnel(TunnelId::new(11));
    assert!(core.tunnel_tested(origin, id, at(1500)));
    core.test_tunnels(at(2900));
    assert_eq!(sent(&mut core, hop, 2900), 0);
    core.test_tunnels(at(3000));
    assert_eq!(sent(&mut core, hop, 3000), 1);
    core.test_tunnels(at(5000));
    assert_eq!(sent(&mut core, hop, 5000), 0, "not a third time");
    // Either of the two will do.
    let id = *core.tunnels.testing.keys().next().unwrap();
    assert!(core.tunnel_tested(origin, id, at(5100)));
    core.test_tunnels(at(9500));
    assert_eq!(core.tunnels.tests_failed, 0);
}

#[test]
fn a_test_that_never_comes_back_has_failed() {
    let (mut core, hop) = with_tunnels();
    core.test_tunnels(at(1000));
    core.test_tunnels(at(3000));
    assert_eq!(sent(&mut core, hop, 3000), 4);
    core.test_tunnels(at(9000));
    assert_eq!(core.tunnels.tests_failed, 2);
}

fn pending(way: Way, carrier: TunnelId) -> Pending {
    let mut random = Random::from_seed([4; 32]);
    let hop = HopSpec {
        router: RouterHash([5; 32]),
        encryption_key: RouterKeys::generate(&mut random).encryption.public(),
        receive_tunnel: id(6),
        options: Mapping::default(),
    };
    let path = BuildPath::Inbound {
        us: RouterHash([0; 32]),
        receive_tunnel: id(7),
    };
    let hops = vec![hop];
    let now = at(0);
    let (build, _) = PendingBuild::start(&hops, path, 8, &mut random, now.unix).unwrap();
    Pending {
        build,
        owner: Owner::Router,
        way,
        hops,
        receive: id(7),
        carrier: Some(carrier),
        deadline: now.instant + BUILD_TIMEOUT,
        started: now.instant,
    }
}

/// Without tunnels the other way nothing can be tested, and a dead one would carry all builds.
#[test]
fn silence_of_builds_tells_of_their_carrier_where_no_test_can() {
    let mut tunnels = Tunnels::new(RouterConfig::default().exploratory);
    tunnels.outbound.push(outbound());
    let build = pending(Way::Inbound, id(1));
    let failed = |tunnels: &Tunnels| tunnels.outbound[0].tests.failed_in_a_row;
    for count in 1..=MAX_FAILED_TESTS {
        tunnels.carried(&build, false);
        assert_eq!(failed(&tunnels), count);
    }
    tunnels.carried(&build, true);
    assert_eq!(failed(&tunnels), 0);
    assert_eq!(tunnels.outbound[0].tests.passed, 1);
    // Now there are tests.
    tunnels.inbound.push(inbound());
    tunnels.carried(&build, false);
    assert_eq!(failed(&tunnels), 0);
}

#[test]
fn silence_tells_of_the_tunnel_that_takes_the_answers_too() {
    let mut tunnels = Tunnels::new(RouterConfig::default().exploratory);
    tunnels.inbound.push(inbound());
    let build = pending(Way::Outbound, id(3));
    tunnels.carried(&build, false);
    assert_eq!(tunnels.inbound[0].tests.failed_in_a_row, 1);
    assert!(tunnels.inbound[0].tests.rank() < Tests::default().rank());
    // Of one that is gone, nothing.
    tunnels.carried(&pending(Way::Outbound, id(9)), false);
    tunnels.outbound.push(outbound());
    tunnels.carried(&build, false);
    assert_eq!(tunnels.inbound[0].tests.failed_in_a_row, 1);
}
