//! The smallest networks.

use std::time::Duration;

use ramson_sim::{NodeSettings, World, WorldSettings};

fn two(seed: u64) -> World {
    let mut world = World::new(WorldSettings::new(seed));
    let mut settings = NodeSettings::default();
    settings.config.floodfill = true;
    let one = world.add(settings.clone());
    let two = world.add(settings);
    assert!(world.start(one, &[]));
    assert!(world.start(two, &[one]));
    world.run_for(Duration::from_secs(5));
    world
}

#[test]
fn two_routers_link_and_know_each_other() {
    let world = two(1);
    for node in world.nodes() {
        let status = world.status(node).unwrap();
        assert_eq!(status.links, 1, "{status:?}");
        assert_eq!((status.routers, status.floodfills), (1, 1), "{status:?}");
        assert_eq!(world.open_links(node), 1);
    }
}

#[test]
fn equal_seeds_give_equal_traces_and_different_ones_do_not() {
    assert_eq!(two(7).trace(), two(7).trace());
    assert_ne!(two(7).trace(), two(8).trace());
}

#[test]
fn a_router_that_is_full_is_not_dialled_again_and_again() {
    let mut world = World::new(WorldSettings::new(3));
    let mut settings = NodeSettings::default();
    settings.config.floodfill = true;
    settings.config.max_links = 1;
    let full = world.add(settings.clone());
    settings.config.max_links = 10;
    settings.config.floodfill = false;
    let others: Vec<_> = (0..3).map(|_| world.add(settings.clone())).collect();
    world.start(full, &[]);
    for other in &others {
        world.start(*other, &[full]);
        world.run_for(Duration::from_secs(2));
    }
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.status(full).unwrap().links, 1);
    for other in others {
        let dials = world.status(other).unwrap().dials;
        assert!((1..=6).contains(&dials), "{dials} dials in a minute");
    }
}
