use super::*;
use crate::tunnel::testing::random;

const KEEP: Duration = Duration::from_secs(660);

fn filter(limit_bytes: usize) -> DuplicateFilter {
    DuplicateFilter::new(limit_bytes, KEEP, &mut random(1))
}

fn at(secs: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(secs)
}

fn key(number: u32) -> [u8; 16] {
    let mut key = [0x55; 16];
    for (byte, from) in key.iter_mut().zip(number.to_be_bytes()) {
        *byte = from;
    }
    key
}

#[test]
fn the_key_is_iv_xor_first_block() {
    let mut message = [0; LAYERED_LEN];
    message[..16].fill(0x0f);
    message[16..32].fill(0xf1);
    message[32..].fill(0xaa);
    assert_eq!(message_key(&message), [0xfe; 16]);
    // Swapped, it is the same message.
    message[..16].fill(0xf1);
    message[16..32].fill(0x0f);
    assert_eq!(message_key(&message), [0xfe; 16]);
}

#[test]
fn the_second_of_two_is_seen() {
    let mut filter = filter(1 << 20);
    assert!(filter.insert(&key(1), at(0)));
    assert!(filter.insert(&key(2), at(0)));
    assert!(!filter.insert(&key(1), at(0)));
    assert!(!filter.insert(&key(2), at(659)));
}

#[test]
fn all_of_a_busy_tunnels_messages_are_remembered_as_long_as_asked() {
    let mut filter = filter(8 << 20);
    // 500 messages a second for ten minutes.
    let mut wrong = 0;
    for number in 0..300_000 {
        wrong += u32::from(!filter.insert(&key(number), at(u64::from(number / 500))));
    }
    assert!(wrong < 60, "{wrong} new ones taken for old");
    assert_eq!(filter.dropped_early(), 0);
    assert!(filter.memory_bytes() <= 8 << 20);
    for number in 0..300_000 {
        assert!(!filter.insert(&key(number), at(600)), "{number} forgotten");
    }
}

#[test]
fn old_generations_go_when_their_time_is_over() {
    let mut filter = filter(1 << 20);
    for number in 0..10_000 {
        filter.insert(&key(number), at(0));
    }
    let full = filter.memory_bytes();
    assert!(!filter.insert(&key(0), at(660)));
    // Too old now, and its generation was closed long ago.
    assert!(filter.insert(&key(0), at(661)));
    assert!(filter.memory_bytes() < full);
    assert_eq!(filter.dropped_early(), 0);
}

#[test]
fn a_flood_shortens_the_memory_and_never_exceeds_it() {
    let limit = 64 << 10;
    let mut filter = filter(limit);
    for number in 0..200_000 {
        filter.insert(&key(number), at(0));
        assert!(filter.memory_bytes() <= limit);
    }
    assert!(filter.dropped_early() > 0);
    // Half of what fits is certainly still there.
    for number in 192_000..200_000 {
        assert!(!filter.insert(&key(number), at(0)));
    }
}

#[test]
fn a_quiet_filter_is_small() {
    let mut filter = filter(16 << 20);
    assert_eq!(filter.memory_bytes(), 0);
    filter.insert(&key(1), at(0));
    assert_eq!(filter.memory_bytes(), 4096);
}

#[test]
fn the_smallest_limit_still_works() {
    let mut filter = filter(0);
    for number in 0..5_000 {
        filter.insert(&key(number), at(0));
        assert!(!filter.insert(&key(number), at(0)));
    }
    assert!(filter.memory_bytes() <= 16 << 10);
}
