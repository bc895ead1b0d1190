use ramson_crypto::{Random, fake};
use ramson_proto::garlic::router::{self, GarlicError, GarlicKey, MAX_CLOVES, OpenedGarlic};
use ramson_proto::tunnel::noise::Receiver;
use ramson_wire::GarlicClove;
use ramson_wire::clove::PayloadBlocks;
use ramson_wire::i2np::Garlic;

use super::peer::{Peer, at};
use crate::reach::{reached, reached_variant};
use crate::script::Script;

/// What the inputs of [`garlic_router`] have to reach.
pub const GARLIC: &[&str] = &[
    "clove Local",
    "clove Destination",
    "clove Router",
    "clove Tunnel",
    "block DateTime",
    "block Termination",
    "block MessageNumbers",
    "block NextKey",
    "block AckRequest",
    "block GarlicClove",
    "block Padding",
    "block Unknown",
    "fresh",
    "stale",
    "to the router",
    "under a key",
    "error Noise TooShort",
    "error Noise BadKey",
    "error Noise Decrypt",
    "error Tag",
    "error Decrypt",
    "error Decode Truncated",
    "error Decode TooMany",
    "error Decode Flags",
];

const TAG: [u8; 8] = [9; 8];

/// What opens has no more cloves than allowed, and they are the same once sealed and opened again.
///
/// The first byte chooses who opens: the router, or who has the key. If it says so, the rest is the
/// payload of a message that is otherwise in order; else it is the whole message.
pub fn garlic_router(data: &[u8]) {
    let _fake = fake::enable();
    let mut script = Script::new(data);
    let mode = script.u8();
    let (with_key, payload) = (mode & 1 != 0, mode & 2 != 0);
    let key = GarlicKey {
        tag: TAG,
        key: [1; 32],
    };
    let message = match (payload, with_key) {
        (false, _) => script.rest().to_vec(),
        (true, true) => [&TAG, script.rest(), &[0; 16]].concat(),
        (true, false) => [&[0x33; 32], script.rest(), &[0; 16]].concat(),
    };
    let receiver = Receiver::new(Peer::of(0).keys.encryption.clone());
    let garlic = Garlic(&message);
    let _ = router::replay_key(garlic);
    let opened = match with_key {
        true => router::open_with_key(&key, garlic),
        false => router::open(&receiver, garlic),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => {
            reached_variant("error", &error);
            return;
        }
    };
    reached(match with_key {
        true => "under a key",
        false => "to the router",
    });
    reached(match opened.is_fresh(at(0).unix) {
        true => "fresh",
        false => "stale",
    });
    if payload {
        for block in PayloadBlocks::new(script.rest()).flatten() {
            reached_variant("block", &block);
        }
    }
    assert!(opened.cloves.len() <= MAX_CLOVES);
    let cloves: Vec<GarlicClove<'_>> = opened
        .cloves
        .iter()
        .map(|clove| GarlicClove {
            delivery: clove.delivery,
            message: clove.message.as_ref(),
        })
        .collect();
    for clove in &cloves {
        reached_variant("clove", &clove.delivery);
    }
    if let Ok(body) = router::seal_with_key(&key, &cloves) {
        let again = again(&body, |garlic| router::open_with_key(&key, garlic));
        assert!(again.is_some_and(|again| again.cloves == opened.cloves));
    }
    let mut random = Random::from_seed([5; 32]);
    if let Ok(body) = router::seal(&receiver.public(), &cloves, 3, at(0).unix, &mut random) {
        let again = again(&body, |garlic| router::open(&receiver, garlic));
        let again = again.expect("it was sealed to this router");
        assert!(again.cloves == opened.cloves && again.is_fresh(at(0).unix));
    }
}

fn again(
    body: &[u8],
    open: impl FnOnce(Garlic<'_>) -> Result<OpenedGarlic, GarlicError>,
) -> Option<OpenedGarlic> {
    open(Garlic::parse(body).ok()?).ok()
}
