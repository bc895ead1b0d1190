use super::acks::AckOfUnsent;
use super::*;

const RTT: Duration = Duration::from_millis(100);

fn at(ms: u64) -> Instant {
    Instant::from_micros((1000 + ms) * 1000)
}

/// A sender whose first packet was acknowledged after 100 ms, with `packets` more on their way since.
fn sender(packets: u32) -> Sender {
    let mut sender = Sender::new(&StreamConfig::default(), at(0));
    sender.record(Bytes::from_static(b"syn"), 0, at(0));
    assert_eq!(sender.handle_ack(0, std::iter::empty(), at(100)), Ok(1));
    for _ in 0..packets {
        sender.record(Bytes::from_static(b"data"), 10, at(100));
    }
    sender
}

fn ack(sender: &mut Sender, through: u32, nacks: &[u32], ms: u64) -> u32 {
    let acked = sender.handle_ack(through, nacks.iter().copied(), at(ms));
    acked.unwrap()
}

/// Sends what is due, and returns it.
fn send(sender: &mut Sender, ms: u64) -> Vec<u32> {
    let mut sent = Vec::new();
    while let Some(action) = sender.poll(true, at(ms)) {
        match action {
            Action::Resend(sequence) => {
                sender.resend(sequence, at(ms)).unwrap();
                sent.push(sequence);
            }
            Action::New => {
                sent.push(sender.next_sequence());
                let mut packet = BytesMut::new();
                let len = sender.take_payload(10, &mut packet);
                sender.record(packet.freeze(), len, at(ms));
            }
        }
    }
    sent
}

#[test]
fn a_packet_is_lost_when_three_later_ones_arrived() {
    let mut sender = sender(8);
    assert_eq!(ack(&mut sender, 3, &[1], 200), 2);
    assert_eq!(sender.counts.lost, 0);
    assert_eq!(ack(&mut sender, 4, &[1], 200), 1);
    assert_eq!(sender.counts.lost, 1);
    assert_eq!(send(&mut sender, 200), [1]);
    // The lost one once more: those that were sent behind it tell.
    assert_eq!(ack(&mut sender, 8, &[1], 210), 4);
    assert_eq!(sender.counts.lost, 1);
    assert_eq!(sender.write(&[0; 40], usize::MAX), 40);
    assert_eq!(send(&mut sender, 220), [9, 10, 11, 12]);
    assert_eq!(ack(&mut sender, 12, &[1], 320), 4);
    assert_eq!(sender.counts.lost, 2);
    assert_eq!(send(&mut sender, 320), [1]);
    assert_eq!(ack(&mut sender, 12, &[], 420), 1);
    assert!(sender.is_idle());
}

#[test]
fn a_packet_is_lost_when_a_later_one_arrived_long_before() {
    let mut sender = sender(2);
    ack(&mut sender, 2, &[1], 200);
    assert_eq!(sender.counts.lost, 0);
    let due = sender.poll_timeout(true).unwrap();
    // A round trip and a quarter after it was sent.
    assert!((at(225)..at(230)).contains(&due), "{due:?}");
    assert!(!sender.handle_timeout(due));
    assert_eq!(sender.counts.lost, 1);
    assert_eq!(send(&mut sender, 230), [1]);
}

#[test]
fn packets_that_were_only_late_teach_patience() {
    let mut sender = sender(8);
    ack(&mut sender, 6, &[1], 200);
    assert_eq!(send(&mut sender, 200), [1]);
    // It had arrived: nothing is back so soon.
    ack(&mut sender, 6, &[], 210);
    assert_eq!(sender.counts.spurious, 1);
    sender.write(&[0; 60], usize::MAX);
    assert_eq!(send(&mut sender, 220).len(), 6);
    ack(&mut sender, 14, &[9], 320);
    assert_eq!(sender.counts.lost, 1);
    sender.handle_timeout(at(400));
    assert_eq!(sender.counts.lost, 2);
}

#[test]
fn the_first_timeout_probes_and_the_second_stops_everything() {
    let mut sender = sender(6);
    let first = sender.poll_timeout(true).unwrap();
    assert!(!sender.handle_timeout(at(300)));
    assert!(sender.handle_timeout(first));
    assert_eq!(sender.window(), 10);
    let sent = send(&mut sender, 1000);
    assert_eq!(sent, [1, 2]);
    assert_eq!(sender.in_flight(), 6);
    let second = sender.poll_timeout(true).unwrap();
    let doubled = second.saturating_since(at(1000));
    assert!(doubled > sender.rtt().timeout() * 19 / 10);
    assert!(sender.handle_timeout(second));
    assert_eq!((sender.in_flight(), sender.timeouts()), (0, 2));
    assert_eq!(send(&mut sender, 5000), [1, 2]);
    assert_eq!(send(&mut sender, 5001), []);
    // Anything that comes back opens the window again.
    ack(&mut sender, 1, &[], 5100);
    assert_eq!(send(&mut sender, 5100), [3, 4, 5, 6]);
    assert_eq!(sender.timeouts(), 0);
}

#[test]
fn backing_off_has_an_end() {
    let mut sender = sender(1);
    let mut now = at(100);
    for _ in 0..30 {
        let next = sender.poll_timeout(true).unwrap();
        assert!(next > now && next.saturating_since(now) <= Duration::from_secs(10));
        now = next;
        sender.handle_timeout(now);
        while let Some(Action::Resend(sequence)) = sender.poll(true, now) {
            sender.resend(sequence, now);
        }
    }
    assert_eq!(sender.unanswered_since(), Some(at(100)));
}

#[test]
fn an_answer_to_what_was_sent_before_a_timeout_measures_nothing() {
    let mut sender = sender(4);
    sender.handle_timeout(at(900));
    assert_eq!(send(&mut sender, 900), [1, 2]);
    // All four had arrived and their acknowledgements had not.
    ack(&mut sender, 4, &[], 1000);
    assert_eq!(sender.rtt().smoothed(), Some(RTT));
}

#[test]
fn a_longer_way_is_learned_although_everything_is_sent_twice() {
    let mut sender = sender(1);
    let mut now = 100;
    for _ in 0..20 {
        // The answer takes 900 ms now.
        let answer = now + 900;
        while let Some(due) = sender.poll_timeout(true).filter(|&due| due < at(answer)) {
            sender.handle_timeout(due);
            let ms = due.as_micros() / 1000 - 1000;
            send(&mut sender, ms);
        }
        let last = sender.next_sequence() - 1;
        ack(&mut sender, last, &[], answer);
        now = answer;
        sender.record(Bytes::from_static(b"data"), 10, at(now));
    }
    assert!(sender.rtt().timeout() > Duration::from_millis(900));
}

#[test]
fn acknowledgements_of_what_was_not_sent_change_nothing() {
    let mut sender = sender(4);
    let unsent = sender.handle_ack(5, std::iter::empty(), at(200));
    assert_eq!(unsent, Err(AckOfUnsent));
    assert_eq!(sender.handle_ack(u32::MAX, 0..9, at(200)), Err(AckOfUnsent));
    assert_eq!(sender.in_flight(), 4);
    // And old ones nothing either.
    assert_eq!(ack(&mut sender, 4, &[], 200), 4);
    assert_eq!(ack(&mut sender, 2, &[1, 2], 200), 0);
    assert!(sender.is_idle());
}

#[test]
fn what_is_written_is_cut_and_joined() {
    let mut sender = sender(0);
    for part in [&b"one"[..], b"", b"two", b"three"] {
        assert_eq!(sender.write(part, usize::MAX), part.len());
    }
    let mut out = BytesMut::new();
    assert_eq!(sender.take_payload(8, &mut out), 8);
    assert_eq!(out, b"onetwoth"[..]);
    let mut rest = Bytes::from_static(b"four");
    assert_eq!(sender.write_bytes(&mut rest, 2), 2);
    assert_eq!(rest, b"ur"[..]);
    assert_eq!(sender.take_payload(100, &mut out), 5);
    assert_eq!(out, b"onetwothreefo"[..]);
    assert_eq!(sender.take_payload(100, &mut out), 0);
}

#[test]
fn a_buffer_counts_what_is_not_acknowledged() {
    let config = StreamConfig {
        send_buffer: 100,
        ..StreamConfig::default()
    };
    let mut sender = Sender::new(&config, at(0));
    assert_eq!(sender.write(&[0; 200], usize::MAX), 100);
    send(&mut sender, 0);
    assert_eq!(sender.room(), 0);
    ack(&mut sender, 3, &[], 100);
    assert_eq!(sender.room(), 40);
    assert_eq!(sender.write(&[0; 200], 30), 30);
}

#[test]
fn chokes_are_read_as_each_peer_means_them() {
    use Pressure::{Choke, None as Nothing, Overrun, Unchoke};
    for (delay, pressure) in [
        (None, Nothing),
        (Some(0), Unchoke),
        (Some(59_999), Unchoke),
        (Some(60_000), Choke { java: false }),
        (Some(60_001), Choke { java: false }),
        (Some(61_000), Choke { java: true }),
        (Some(65_535), Overrun),
    ] {
        assert_eq!(Pressure::from_delay(delay), pressure);
    }
    let mut sender = sender(0);
    sender.handle_pressure(Choke { java: true }, false, at(200));
    assert!(sender.is_choked());
    sender.handle_pressure(Nothing, false, at(200));
    assert!(sender.is_choked());
    sender.handle_pressure(Nothing, true, at(200));
    assert!(!sender.is_choked());
}
