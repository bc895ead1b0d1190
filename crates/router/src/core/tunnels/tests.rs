use super::*;
use crate::config::RouterConfig;
use crate::core::RouterKeys;
use crate::testing::at;

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
