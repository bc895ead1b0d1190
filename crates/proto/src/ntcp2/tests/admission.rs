use super::*;

fn small() -> Admission {
    Admission::new(AdmissionLimits {
        half_open: 3,
        half_open_per_source: 2,
        replay_keys: 4,
        replay_window: Duration::from_secs(120),
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn half_open_handshakes_are_limited_per_source_and_in_all() {
    let mut admission = small();
    let first = admission.open(ip("192.0.2.1")).unwrap();
    let _second = admission.open(ip("::ffff:192.0.2.1")).unwrap();
    assert_eq!(
        admission.open(ip("192.0.2.1")).unwrap_err(),
        Refused::Source
    );
    let _third = admission.open(ip("192.0.2.2")).unwrap();
    assert_eq!(admission.open(ip("192.0.2.3")).unwrap_err(), Refused::Total);
    admission.close(first);
    let _fourth = admission.open(ip("192.0.2.1")).unwrap();
    assert_eq!(admission.half_open(), 3);
    let stats = admission.stats();
    assert_eq!(
        (stats.opened, stats.refused_source, stats.refused_total),
        (4, 1, 1)
    );
}

#[test]
fn a_64_of_ipv6_is_one_source() {
    let mut admission = small();
    let _first = admission.open(ip("2001:db8:1:2::1")).unwrap();
    let _second = admission.open(ip("2001:db8:1:2:ffff::2")).unwrap();
    assert_eq!(
        admission.open(ip("2001:db8:1:2::3")).unwrap_err(),
        Refused::Source
    );
    let _other = admission.open(ip("2001:db8:1:3::1")).unwrap();
}

#[test]
fn a_key_is_remembered_for_the_window_and_forgotten_some_time_after() {
    for inserted_s in [0, 1, 60, 119, 120, 121, 239, 240] {
        let mut admission = small();
        let at = |secs: u64| Instant::from_micros(secs * 1_000_000);
        admission.check_key(&[0; 32], at(0)).unwrap();
        admission.check_key(&[1; 32], at(inserted_s)).unwrap();
        // Others in between turn the sets.
        let _ = admission.check_key(&[2; 32], at(inserted_s + 70));
        assert_eq!(
            admission.check_key(&[1; 32], at(inserted_s + 119)),
            Err(Refused::Replay)
        );
        assert_eq!(admission.check_key(&[1; 32], at(inserted_s + 480)), Ok(()));
        assert_eq!(admission.stats().refused_replay, 1);
    }
}

#[test]
fn a_flood_of_keys_makes_the_filter_forget_but_not_grow() {
    let mut admission = small();
    for key in 0..100 {
        admission.check_key(&[key; 32], Instant::ZERO).unwrap();
    }
    assert_eq!(admission.stats().replay_filter_overflows, 24);
    assert_eq!(
        admission.check_key(&[99; 32], Instant::ZERO),
        Err(Refused::Replay)
    );
    assert_eq!(admission.check_key(&[0; 32], Instant::ZERO), Ok(()));
}
