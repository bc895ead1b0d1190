//! Every scenario with a small network, twice: it reaches what it should, and the same seed gives
//! the same run.

use ramson_sim::scenario::{Options, Report, Scenario, run};

fn run_twice(scenario: Scenario, routers: usize) -> Report {
    let options = Options {
        routers,
        ..Options::new(scenario)
    };
    let report = run(&options);
    assert!(report.failures.is_empty(), "{report}");
    let again = run(&options);
    assert_eq!(report.trace, again.trace, "the second run was another one");
    assert_eq!(report.events, again.events);
    report
}

#[test]
fn routers_join_a_network_and_another_seed_is_another_run() {
    let report = run_twice(Scenario::Join, 16);
    let other = Options {
        seed: 2,
        ..report.options
    };
    assert_ne!(run(&other).trace, report.trace);
}

#[test]
fn routers_leave_and_come_back() {
    run_twice(Scenario::Churn, 16);
}

#[test]
fn links_stall() {
    run_twice(Scenario::Stalls, 16);
}

#[test]
fn a_network_is_parted_and_becomes_whole_again() {
    run_twice(Scenario::Partition, 16);
}

#[test]
fn clocks_differ() {
    run_twice(Scenario::Skew, 16);
}

#[test]
fn hostile_routers_flood() {
    let report = run_twice(Scenario::Floods, 16);
    let hostile = report.stats.hostile;
    assert!(hostile.links > 0 && hostile.answers > 0, "{report}");
    assert_eq!(hostile.wrong_answers, 0);
}

#[test]
fn a_network_of_one_reaches_nothing_and_has_a_command_that_repeats_it() {
    let options = Options {
        seed: 9,
        routers: 1,
        extra_seconds: 5,
        ..Options::new(Scenario::Join)
    };
    let report = run(&options);
    // Nobody to build tunnels with.
    assert!(!report.failures.is_empty(), "{report}");
    assert_eq!(
        options.command(),
        "cargo xtask sim join --seed 9 --routers 1 --seconds 5"
    );
    let name = Scenario::Partition.name();
    assert_eq!(name.parse(), Ok(Scenario::Partition));
    assert!("no such".parse::<Scenario>().is_err());
}
