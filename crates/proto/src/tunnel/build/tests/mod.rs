//! Creator and hops against each other, each step through the bytes of the messages.

mod errors;
mod long;
mod short;
mod vectors;

use bytes::Bytes;
use ramson_crypto::x25519;
use ramson_wire::build::{BuildReply, HopRole, ReplyCode};
use ramson_wire::i2np::{Garlic, TunnelGateway};
use ramson_wire::{I2npMessage, Mapping, MessageType, RouterHash, TunnelId, UnixTime};

use super::creator::{BuildError, BuildFailure, ReplyError};
use super::hop::HopError;
use super::*;
use crate::tunnel::noise::Receiver;
use crate::tunnel::testing::random;

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const EXPIRES: UnixTime = UnixTime::from_secs(1_700_000_030);
const US: RouterHash = RouterHash([0xee; 32]);
const GATEWAY: RouterHash = RouterHash([0xdd; 32]);
const REPLY_ID: u32 = 0x5eed_1d00;

fn tunnel_id(id: u32) -> TunnelId {
    TunnelId::new(id).unwrap()
}

/// A router that is asked to be a hop.
struct TestHop {
    hash: RouterHash,
    receiver: Receiver,
}

fn hops(count: u8) -> Vec<TestHop> {
    (1..=count)
        .map(|number| TestHop {
            hash: RouterHash([number; 32]),
            receiver: Receiver::new(x25519::PrivateKey::from_bytes([number; 32])),
        })
        .collect()
}

fn specs(hops: &[TestHop]) -> Vec<HopSpec> {
    (100..)
        .zip(hops)
        .map(|(id, hop)| HopSpec {
            router: hop.hash,
            encryption_key: hop.receiver.public(),
            receive_tunnel: tunnel_id(id),
            options: Mapping::default(),
        })
        .collect()
}

fn outbound() -> BuildPath {
    BuildPath::Outbound {
        reply_gateway: GATEWAY,
        reply_tunnel: tunnel_id(77),
    }
}

fn inbound() -> BuildPath {
    BuildPath::Inbound {
        us: US,
        receive_tunnel: tunnel_id(88),
    }
}

fn start(hops: &[TestHop], path: BuildPath, seed: u8) -> (PendingBuild, Bytes) {
    PendingBuild::start(&specs(hops), path, REPLY_ID, &mut random(seed), NOW).unwrap()
}

impl TestHop {
    fn open(&self, body: &[u8]) -> Result<OpenedRequest, HopError> {
        HopRequest::find(BuildKind::Short, self.hash, body)?.open(&self.receiver)
    }

    fn accept(&self, body: &[u8]) -> NextStep {
        let opened = self.open(body).unwrap();
        answer(opened, ReplyCode::Accepted)
    }
}

fn answer(opened: OpenedRequest, code: ReplyCode) -> NextStep {
    opened
        .reply(&BuildReply::new(code), EXPIRES, &mut random(99))
        .unwrap()
}

/// Returns the message of a step and whom it goes to, through its bytes.
fn sent(step: NextStep) -> (RouterHash, I2npMessage) {
    let NextStep::Send { to, message } = step else {
        panic!("{step:?} is to be sent");
    };
    let mut bytes = Vec::new();
    message.encode_long(&mut bytes);
    (to, I2npMessage::parse_long(&bytes.into()).unwrap())
}

/// Brings a build message through these hops, each of which answers what `code` says, and returns
/// the body that comes to the creator.
fn through(
    hops: &[TestHop],
    pending: &PendingBuild,
    mut body: Bytes,
    mut code: impl FnMut(usize) -> ReplyCode,
) -> Bytes {
    let mut last = None;
    for (number, hop) in hops.iter().enumerate() {
        let opened = hop.open(&body).unwrap();
        let (to, message) = sent(answer(opened, code(number)));
        body = message.body().clone();
        last = Some((to, message));
    }
    let (to, message) = last.unwrap();
    if to == US {
        assert_eq!(message.kind(), MessageType::ShortTunnelBuild);
        assert_eq!(message.id(), REPLY_ID);
        return body;
    }
    assert_eq!(to, GATEWAY);
    assert_eq!(message.kind(), MessageType::TunnelGateway);
    let gateway = TunnelGateway::parse(&body).unwrap();
    assert_eq!(gateway.tunnel, tunnel_id(77));
    let garlic = gateway.inner().unwrap();
    assert_eq!(garlic.kind, MessageType::Garlic);
    let garlic = Garlic::parse(garlic.body).unwrap();
    assert!(garlic.0.starts_with(&pending.garlic_key().unwrap().tag));
    pending.open_garlic_reply(garlic).unwrap()
}

fn accepted(_: usize) -> ReplyCode {
    ReplyCode::Accepted
}
