use proptest::prelude::*;

use super::*;

fn random() -> Random {
    Random::from_seed([1; 32])
}

#[test]
fn a_stalled_pipe_delivers_nothing_for_its_part_of_the_time() {
    let settings = PipeSettings {
        jitter_us: 0,
        split_percent: 0,
        stalls: Some(Stalls {
            percent: 20,
            longest_us: 1_000_000,
        }),
        ..PipeSettings::default()
    };
    let (mut pipe, mut random) = (Pipe::new(), random());
    let mut stalled = 0u64;
    let mut input = BytesMut::new();
    for now in (0..10_000_000_000).step_by(50_000) {
        if pipe.arrival(now, &settings, &mut random) > now {
            stalled += 1;
        }
        pipe.read(now, &mut input);
        pipe.last = 0;
    }
    let percent = stalled * 100 / (10_000_000_000 / 50_000);
    assert!((17..=23).contains(&percent), "{percent} %");
}

#[test]
fn a_full_pipe_has_no_room_until_it_is_read() {
    let settings = PipeSettings {
        capacity: 100,
        ..PipeSettings::default()
    };
    let (mut pipe, mut random) = (Pipe::new(), random());
    assert_eq!(pipe.room(&settings), 100);
    pipe.push(BytesMut::from(&[1; 120][..]), 5, &settings, &mut random);
    assert_eq!((pipe.room(&settings), pipe.len()), (0, 120));
    let mut input = BytesMut::new();
    assert_eq!(pipe.read(4, &mut input), 0);
    assert_eq!(pipe.read(100_000, &mut input), 120);
    assert_eq!(pipe.room(&settings), 100);
}

#[test]
fn what_is_written_while_the_network_is_parted_arrives_after_it_and_the_end_last() {
    let settings = PipeSettings {
        jitter_us: 0,
        split_percent: 0,
        ..PipeSettings::default()
    };
    let (mut pipe, mut random) = (Pipe::new(), random());
    pipe.push(BytesMut::from("before "), 10, &settings, &mut random);
    pipe.hold();
    pipe.push(BytesMut::from("during "), 20, &settings, &mut random);
    pipe.finish(25);
    let mut input = BytesMut::new();
    assert_eq!(pipe.read(1000, &mut input), 7);
    assert_eq!(pipe.next(), NEVER);
    pipe.release(2000);
    assert_eq!(pipe.next(), 2000);
    assert!(!pipe.is_over(2000));
    pipe.read(2000, &mut input);
    assert_eq!(&input[..], b"before during ");
    assert!(!pipe.is_over(1999));
    assert!(pipe.is_over(2000));
}

proptest! {
    /// However writes are split and delayed, what is read is what was written, in order.
    #[test]
    fn reads_are_the_writes_in_order(
        seed: [u8; 32],
        writes in proptest::collection::vec((1usize..200, 0u64..5000), 1..40),
        split_percent in 0u64..=100,
        stalled: bool,
    ) {
        let settings = PipeSettings {
            split_percent,
            stalls: stalled.then_some(Stalls { percent: 50, longest_us: 3000 }),
            ..PipeSettings::default()
        };
        let mut random = Random::from_seed(seed);
        let (mut pipe, mut input) = (Pipe::new(), BytesMut::new());
        let (mut written, mut now) = (Vec::new(), 0);
        for (len, wait) in writes {
            now += wait;
            let start = written.len();
            written.extend((start..start + len).map(|n| n as u8));
            pipe.push(BytesMut::from(&written[start..]), now + 100, &settings, &mut random);
            pipe.read(now, &mut input);
            prop_assert_eq!(&input[..], &written[..input.len()]);
        }
        pipe.finish(now);
        while pipe.next() != NEVER && !pipe.is_over(now) {
            now = pipe.next();
            pipe.read(now, &mut input);
        }
        prop_assert!(pipe.is_over(now));
        prop_assert_eq!(&input[..], &written[..]);
        prop_assert_eq!(pipe.len(), 0);
    }
}
