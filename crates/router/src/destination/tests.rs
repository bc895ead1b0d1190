use std::num::NonZeroU32;

use bytes::BytesMut;
use ramson_proto::garlic::router as garlic;
use ramson_proto::ntcp2::LinkMessage;
use ramson_proto::tunnel::TunnelLayers;
use ramson_proto::tunnel::noise::Receiver;
use ramson_wire::i2np::{DatabaseLookup, ReplyEncryption, TunnelGateway};
use ramson_wire::{GarlicClove, PrivateKeys, RouterHash, TunnelId, UnixTime};

use super::*;
use crate::testing::at;

/// A Destination whose `Core` and floodfills are the test.
struct Stage {
    part: DestinationPart,
    core: Inbox<CoreMessage>,
    owner: Inbox<DestinationEvent>,
    millis: u64,
    /// The keys of floodfill 1, 2, 3…
    floodfills: Vec<Receiver>,
    random: Random,
}

fn hash(n: u8) -> RouterHash {
    RouterHash([n; 32])
}

fn id(n: u32) -> TunnelId {
    TunnelId::new(n).unwrap()
}

impl Stage {
    fn new() -> Self {
        let mut random = Random::from_seed([3; 32]);
        let core = Inbox::new(100);
        let owner = Inbox::new(100);
        let keys = DestinationKeys::new(&PrivateKeys::generate(), &mut random).unwrap();
        let part = DestinationPart::new(
            DestinationId(7),
            keys,
            [PoolSettings::default(); 2],
            core.sender(100),
            owner.sender(100),
            random.fork("part"),
            at(10_000),
        )
        .unwrap();
        let floodfills = (0..12)
            .map(|_| Receiver::new(x25519::PrivateKey::generate(&mut random)))
            .collect();
        let mut stage = Self {
            part,
            core,
            owner,
            millis: 10_000,
            floodfills,
            random,
        };
        let asked = stage.asked();
        assert!(matches!(asked[..], [CoreMessage::OpenPool { .. }]));
        stage
    }

    /// What `Core` was told.
    fn asked(&mut self) -> Vec<CoreMessage> {
        let mut messages = Vec::new();
        self.core.take(100, &mut messages);
        messages
    }

    fn events(&mut self) -> Vec<DestinationEvent> {
        let mut events = Vec::new();
        self.owner.take(100, &mut events);
        events
    }

    fn tell(&mut self, message: DestinationMessage) {
        self.part.take(message, at(self.millis));
    }

    fn pass(&mut self, millis: u64) {
        let end = self.millis + millis;
        while self.millis < end {
            self.millis = (self.millis + 100).min(end);
            self.part.step(at(self.millis));
        }
    }

    fn inbound(&mut self, n: u32) {
        self.tell(DestinationMessage::Inbound(NewInbound {
            receive: id(100 + n),
            gateway: hash(200),
            gateway_tunnel: id(n),
            expires: at(self.millis).instant + Duration::from_secs(600),
        }));
    }

    /// One without hops: what it sends is seen at once.
    fn outbound(&mut self, n: u32) {
        self.tell(DestinationMessage::Outbound(NewOutbound {
            tunnel: id(n),
            first: None,
            layers: TunnelLayers::new(&[]),
            expires: at(self.millis).instant + Duration::from_secs(600),
        }));
    }

    fn online(&mut self) {
        for n in 1..=2 {
            self.outbound(n);
            self.inbound(n);
        }
    }

    /// Names floodfills if they were asked for; returns what left for them, and to whom.
    fn serve(&mut self) -> Vec<(u8, I2npMessage)> {
        let mut sent = Vec::new();
        let mut asked = self.asked();
        while !asked.is_empty() {
            for message in asked.drain(..) {
                match message {
                    CoreMessage::Floodfills { key, .. } => {
                        let found = (1..).zip(&self.floodfills);
                        let found = found.map(|(n, key)| Floodfill {
                            router: hash(n),
                            encryption_key: key.public(),
                        });
                        let found = found.collect();
                        self.tell(DestinationMessage::Floodfills { key, found });
                    }
                    CoreMessage::SendTo { router, message } if router == hash(200) => {
                        // A test of the tunnels, which comes around.
                        let gateway = TunnelGateway::parse(&message.body).unwrap();
                        let message = Bytes::copy_from_slice(gateway.message);
                        self.tell(DestinationMessage::FromTunnel { message });
                    }
                    CoreMessage::SendTo { router, message } => {
                        let [n, ..] = router.0;
                        sent.push((n, self.opened(n, &message)));
                    }
                    _ => {}
                }
            }
            asked = self.asked();
        }
        sent
    }

    /// What a floodfill reads.
    fn opened(&self, n: u8, message: &LinkMessage) -> I2npMessage {
        assert_eq!(message.kind, MessageType::Garlic);
        let receiver = &self.floodfills[usize::from(n) - 1];
        let body = Garlic::parse(&message.body).unwrap();
        let mut opened = garlic::open(receiver, body).unwrap();
        assert_eq!(opened.cloves.len(), 1);
        opened.cloves.remove(0).message
    }

    fn arrives(&mut self, message: &I2npMessage) {
        let mut long = BytesMut::new();
        message.encode_long(&mut long);
        let message = long.freeze();
        self.tell(DestinationMessage::FromTunnel { message });
    }

    fn message(&mut self, kind: MessageType, body: BytesMut) -> I2npMessage {
        let expires = at(self.millis).unix + Duration::from_secs(10);
        I2npMessage::new(kind, self.random.u32(), expires, body.freeze()).unwrap()
    }

    fn confirm(&mut self, token: NonZeroU32) {
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id: token.get(),
            timestamp: at(self.millis).unix,
        };
        status.encode(&mut body);
        let message = self.message(MessageType::DeliveryStatus, body);
        self.arrives(&message);
    }

    /// An answer to a look-up, encrypted as it asks for.
    fn answer(&mut self, question: &I2npMessage, kind: MessageType, body: BytesMut) {
        let question = DatabaseLookup::parse(question.body()).unwrap();
        let Some(ReplyEncryption::Ratchet { key, tag }) = question.encryption else {
            panic!("no key to answer with");
        };
        let key = garlic::GarlicKey { tag, key: *key };
        let answer = self.message(kind, body);
        let clove = GarlicClove {
            delivery: CloveDelivery::Local,
            message: answer.as_ref(),
        };
        let sealed = garlic::seal_with_key(&key, &[clove]).unwrap();
        let sealed = self.message(MessageType::Garlic, BytesMut::from(&sealed[..]));
        self.arrives(&sealed);
    }

    fn look_up(&mut self, key: [u8; 32]) -> Inbox<LeaseSetLookup> {
        let found = Inbox::new(4);
        let reply = found.sender(4);
        self.tell(DestinationMessage::LookUp { key, reply });
        found
    }
}

fn token_of(store: &I2npMessage) -> NonZeroU32 {
    let store = DatabaseStore::parse(store.body()).unwrap();
    store.reply.unwrap().token
}

/// The LeaseSet of somebody else, and the DatabaseStore that tells of it.
fn others(now: UnixTime) -> ([u8; 32], BytesMut) {
    let mut stage = Stage::new();
    let behind = now.saturating_since(at(stage.millis).unix);
    stage.millis += u64::try_from(behind.as_millis()).unwrap();
    stage.online();
    let stores = stage.serve();
    let body = BytesMut::from(&stores[0].1.body()[..]);
    let mut store = DatabaseStore::parse(&body).unwrap();
    store.reply = None;
    let mut out = BytesMut::new();
    store.encode(&mut out).unwrap();
    (store.key, out)
}

fn outcome(inbox: &Inbox<LeaseSetLookup>) -> Option<bool> {
    let mut taken = Vec::new();
    inbox.take(1, &mut taken);
    taken.pop().map(|it| it.found.is_some())
}

#[test]
fn the_lease_set_is_published_as_soon_as_all_tunnels_stand() {
    let mut stage = Stage::new();
    stage.inbound(1);
    stage.outbound(1);
    stage.pass(200);
    assert!(stage.serve().is_empty(), "the second is on its way");
    stage.inbound(2);
    let stores = stage.serve();
    let [(1, store)] = &stores[..] else {
        panic!("{stores:?}");
    };
    let parsed = DatabaseStore::parse(store.body()).unwrap();
    let StoreEntry::LeaseSet(kind, bytes) = parsed.entry else {
        panic!("{parsed:?}");
    };
    let lease_set = StoredLeaseSet::parse(kind, bytes)
        .unwrap()
        .verify()
        .unwrap();
    assert_eq!(lease_set.leases().len(), 2);
    assert!(lease_set.leases().iter().all(|it| it.gateway == hash(200)));
    assert_eq!(lease_set.key(), stage.part.keys.destination.hash().0);
    stage.confirm(token_of(store));
    assert_eq!(stage.events().last(), Some(&DestinationEvent::Published));
    stage.pass(10_000);
    assert!(stage.serve().is_empty(), "it is published already");

    // A new tunnel is news.
    stage.inbound(3);
    stage.pass(400);
    assert_eq!(stage.serve().len(), 1);
}

#[test]
fn one_tunnel_is_enough_after_a_while() {
    let mut stage = Stage::new();
    stage.outbound(1);
    stage.inbound(1);
    stage.pass(500);
    assert_eq!(stage.serve().len(), 1);
}

#[test]
fn floodfills_that_do_not_confirm_are_passed_over() {
    let mut stage = Stage::new();
    stage.online();
    let mut told: Vec<u8> = stage.serve().iter().map(|(n, _)| *n).collect();
    for _ in 0..7 {
        stage.pass(3000);
        told.extend(stage.serve().iter().map(|(n, _)| *n));
    }
    assert_eq!(told, [1, 2, 3, 4, 5, 6], "then there is a pause");
    stage.pass(10_000);
    let again = stage.serve();
    assert_eq!(again.len(), 1);
    // A confirmation of one of before is none.
    stage.confirm(NonZeroU32::MIN);
    assert!(!stage.events().contains(&DestinationEvent::Published));
    stage.confirm(token_of(&again[0].1));
    assert!(stage.events().contains(&DestinationEvent::Published));
}

#[test]
fn a_lease_set_is_found_told_to_all_and_remembered() {
    let mut stage = Stage::new();
    stage.online();
    stage.serve();
    let (key, store) = others(at(stage.millis).unix);
    let (one, two) = (stage.look_up(key), stage.look_up(key));
    let questions = stage.serve();
    assert_eq!(questions.len(), 1);
    stage.answer(&questions[0].1, MessageType::DatabaseStore, store.clone());
    assert_eq!((outcome(&one), outcome(&two)), (Some(true), Some(true)));
    let again = stage.look_up(key);
    assert_eq!(outcome(&again), Some(true));
    assert!(stage.serve().is_empty());
    // The same answer once more is to nothing that was asked.
    stage.answer(&questions[0].1, MessageType::DatabaseStore, store);
    assert_eq!(stage.part.drops().garlic, 1);
}

#[test]
fn floodfills_are_asked_one_after_another_until_there_are_no_more() {
    let mut stage = Stage::new();
    stage.online();
    stage.serve();
    let key = [5; 32];
    let found = stage.look_up(key);
    let mut asked = Vec::new();
    loop {
        let questions = stage.serve();
        let Some((n, question)) = questions.first() else {
            break;
        };
        asked.push(*n);
        let reply = DatabaseSearchReply {
            key,
            peers: Vec::new(),
            from: hash(*n),
        };
        let mut body = BytesMut::new();
        reply.encode(&mut body).unwrap();
        stage.answer(question, MessageType::DatabaseSearchReply, body);
    }
    assert_eq!(asked, Vec::from_iter(1..=10));
    assert_eq!(outcome(&found), Some(false));

    // Nobody answers at all.
    let found = stage.look_up([6; 32]);
    stage.serve();
    for _ in 0..20 {
        stage.pass(1000);
        stage.serve();
    }
    assert_eq!(outcome(&found), Some(false));
}

#[test]
fn answers_that_are_not_what_they_say_are_dropped() {
    let mut stage = Stage::new();
    stage.online();
    stage.serve();
    let (key, store) = others(at(stage.millis).unix);
    // Somebody else's under this key.
    let wanted = [8; 32];
    let found = stage.look_up(wanted);
    let question = stage.serve().remove(0).1;
    let mut body = store.clone();
    body[..32].copy_from_slice(&wanted);
    stage.answer(&question, MessageType::DatabaseStore, body);
    assert_eq!(stage.part.drops().entry, 1);

    // A damaged one; a look-up has one answer, so each is asked for.
    let found_key = stage.look_up(key);
    let question = stage.serve().remove(0).1;
    let mut body = store.clone();
    *body.last_mut().unwrap() ^= 1;
    stage.answer(&question, MessageType::DatabaseStore, body);
    assert_eq!(stage.part.drops().entry, 2);

    // One that nobody asked for.
    let (_, other) = others(at(stage.millis).unix);
    let message = stage.message(MessageType::DatabaseStore, other);
    stage.arrives(&message);
    assert_eq!(stage.part.drops().unexpected, 1);
    // Garbage, and what no Destination takes.
    stage.tell(DestinationMessage::FromTunnel {
        message: Bytes::from_static(&[1; 40]),
    });
    assert_eq!(stage.part.drops().malformed, 1);
    let message = stage.message(MessageType::ShortTunnelBuild, BytesMut::from(&[0; 10][..]));
    stage.arrives(&message);
    assert_eq!(stage.part.drops().unknown_type, 1);
    assert_eq!((outcome(&found), outcome(&found_key)), (None, None));
}

#[test]
fn tunnels_through_which_nothing_comes_back_are_given_up() {
    let mut stage = Stage::new();
    stage.online();
    stage.serve();
    let mut failed = Vec::new();
    for _ in 0..200 {
        stage.pass(100);
        failed.extend(stage.asked().into_iter().filter_map(|it| match it {
            CoreMessage::TunnelFailed { tunnel, .. } => Some(tunnel.get()),
            _ => None,
        }));
    }
    failed.sort_unstable();
    assert_eq!(failed, [1, 2, 101, 102]);
    let last = DestinationEvent::Tunnels {
        inbound: 0,
        outbound: 0,
    };
    assert!(stage.events().contains(&last));
}

#[test]
fn it_ends_when_it_is_told_to() {
    let mut stage = Stage::new();
    stage.online();
    stage.tell(DestinationMessage::Close);
    assert!(stage.part.is_closed());
    assert_eq!(stage.part.step(at(20_000)), None);
    assert_eq!(stage.events().last(), Some(&DestinationEvent::Closed));
    let told = stage.asked();
    assert!(matches!(
        told.last(),
        Some(CoreMessage::ClosePool(DestinationId(7)))
    ));
}
