//! Hostile neighbours against a whole router in virtual time, beside one that is honest.
//!
//! In each test an honest neighbour keeps its traffic up all the time: tunnel data through a tunnel
//! of its own, and look-ups. Whatever the others do, it keeps at least half of its rate; what they
//! send is dropped under its reason; and what the router holds stays within its bounds.

mod builds;
mod clock;
mod handshakes;
mod log;
mod netdb;
mod stage;
mod tunnels;

use ramson_wire::MessageType;
use ramson_wire::i2np::{DatabaseLookup, LookupKind};

use self::stage::{Stage, TunnelOf, config, data};
use crate::core::DropReason;

/// Tunnel messages of the honest neighbour in a second.
const DATA_PER_S: u64 = 100;
/// And look-ups.
const LOOKUPS_PER_S: u64 = 5;

/// Two routers that do nothing wrong, the second being where the first one's tunnel leads.
struct Honest {
    from: usize,
    to: usize,
    tunnel: TunnelOf,
    sent: u64,
    arrived: u64,
    asked: u64,
    answered: u64,
}

impl Honest {
    /// Links them and builds the tunnel.
    fn begin(stage: &mut Stage) -> Self {
        let from = stage.neighbour("10.1.0.1");
        let to = stage.neighbour("10.2.0.1");
        stage.link(from);
        stage.link(to);
        let tunnel = stage.participant(from, to);
        Self {
            from,
            to,
            tunnel,
            sent: 0,
            arrived: 0,
            asked: 0,
            answered: 0,
        }
    }

    /// Sends what is due in the coming time and takes what came.
    fn tick(&mut self, stage: &mut Stage, passed_ms: u64) {
        let due = |per_s: u64| per_s * passed_ms / 1000;
        while self.sent < due(DATA_PER_S) {
            let body = data(self.tunnel.receive, &mut stage.random);
            stage.send(self.from, MessageType::TunnelData, body);
            self.sent += 1;
        }
        while self.asked < due(LOOKUPS_PER_S) {
            let question = DatabaseLookup {
                key: stage.hash_of(self.to).0,
                from: stage.hash_of(self.from),
                kind: LookupKind::RouterInfo,
                tunnel: None,
                excluded: Vec::new(),
                encryption: None,
            };
            let mut body = bytes::BytesMut::new();
            question.encode(&mut body).unwrap();
            stage.send(self.from, MessageType::DatabaseLookup, body);
            self.asked += 1;
        }
        for message in stage.take(self.to) {
            let ours = message.body.first_chunk() == Some(&self.tunnel.next.get().to_be_bytes());
            self.arrived += u64::from(message.kind == MessageType::TunnelData && ours);
        }
        for message in stage.take(self.from) {
            let ours = message.body.first_chunk() == Some(&stage.hash_of(self.to).0);
            self.answered += u64::from(message.kind == MessageType::DatabaseStore && ours);
        }
    }
}

/// Runs the stage for ten seconds with an honest neighbour at work and this happening each 10 ms,
/// and asserts that it kept its rate.
fn under_attack(stage: &mut Stage, mut attack: impl FnMut(&mut Stage, u64)) {
    const STEP_MS: u64 = 10;
    const STEPS: u64 = 1000;
    let mut honest = Honest::begin(stage);
    for step in 0..STEPS {
        attack(stage, step);
        honest.tick(stage, step * STEP_MS);
        stage.run(STEP_MS);
        stage.check_bounds();
    }
    stage.run(500);
    honest.tick(stage, STEPS * STEP_MS);
    let Honest {
        sent,
        arrived,
        asked,
        answered,
        ..
    } = honest;
    assert!(sent > 900 && asked > 40);
    assert!(arrived * 2 >= sent, "{arrived} of {sent} messages arrived");
    assert!(
        answered * 2 >= asked,
        "{answered} of {asked} look-ups answered"
    );
}

#[test]
fn without_an_attack_nothing_is_lost() {
    let mut stage = Stage::new(config());
    let mut honest = Honest::begin(&mut stage);
    for step in 0..200 {
        honest.tick(&mut stage, step * 10);
        stage.run(10);
    }
    stage.run(500);
    honest.tick(&mut stage, 1990);
    assert_eq!((honest.arrived, honest.sent), (199, 199));
    assert_eq!((honest.answered, honest.asked), (9, 9));
    assert_eq!(stage.drops(), [].into());
    assert_eq!(stage.relayed(|it| it.dropped_unknown), 0);
}

/// Messages of every type there is and of most that there are not, of all lengths.
#[test]
fn noise_and_messages_of_any_size_cost_nobody_else() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    under_attack(&mut stage, |stage, step| {
        for _ in 0..4 {
            let [kind] = stage.random.bytes::<1>();
            let most = if step % 10 == 0 { 60_000 } else { 1500 };
            let len = stage.random.below(most);
            let mut body = bytes::BytesMut::zeroed(len as usize);
            stage.random.fill(&mut body);
            stage.send(loud, MessageType::from_code(kind), body);
        }
        // What could be encrypted to us.
        let mut garlic = bytes::BytesMut::zeroed(4 + 600);
        stage.random.fill(&mut garlic);
        garlic[..4].copy_from_slice(&600_u32.to_be_bytes());
        stage.send(loud, MessageType::Garlic, garlic);
        // The longest of all.
        if step % 50 == 0 {
            let body = bytes::BytesMut::zeroed(ramson_proto::ntcp2::LinkMessage::MAX_BODY);
            for kind in [MessageType::Garlic, MessageType::DatabaseStore] {
                stage.send(loud, kind, body.clone());
            }
        }
        // And a RouterInfo that would be a hundred megabytes.
        if step % 100 == 0 {
            let mut body = bytes::BytesMut::zeroed(32);
            body.extend_from_slice(&[0, 0, 0, 0, 0]);
            let bomb = stage::bomb();
            body.extend_from_slice(&u16::try_from(bomb.len()).unwrap().to_be_bytes());
            body.extend_from_slice(&bomb);
            stage.send(loud, MessageType::DatabaseStore, body);
        }
    });
    let drops = stage.drops();
    for reason in [
        DropReason::UnknownType,
        DropReason::Malformed,
        DropReason::Garlic,
        DropReason::NoTunnelMessage,
        DropReason::BuildRecord,
        DropReason::StoreRefused,
    ] {
        assert!(drops.contains_key(&reason), "{reason:?}: {drops:?}");
    }
}
