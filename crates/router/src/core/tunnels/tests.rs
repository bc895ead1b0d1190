use ramson_crypto::Random;

use super::*;
use crate::core::RouterKeys;
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

/// Tunnels with a hop each that nobody has agreed to.
fn with_tunnels() -> (Core, RouterHash) {
    let mut core = core();
    let hop = router_info(1, false, at(0)).hash();
    let id = |id| TunnelId::new(id).unwrap();
    let expires = at(600_000).instant;
    for number in 1..=2 {
        core.tunnels.inbound.push(Inbound {
            gateway: hop,
            gateway_tunnel: id(number),
            receive: id(10 + number),
            hops: vec![hop],
            expires,
            tests: Tests::default(),
        });
        core.tunnels.outbound.push(Outbound {
            first: hop,
            first_tunnel: id(20 + number),
            layers: TunnelLayers::new(&[]),
            gateway: Gateway::new(GATEWAY_BYTES),
            hops: vec![hop],
            expires,
            tests: Tests::default(),
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
