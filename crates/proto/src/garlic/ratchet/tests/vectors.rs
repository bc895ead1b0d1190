//! Nobody has published vectors. These were computed from the specification's text with Python's
//! `cryptography`, `hashlib` and `hmac`, and Elligator2 in its long integers, which share no code with
//! ours; the representatives are those that i2pd's tests confirm for the same arithmetic.

use ramson_crypto::elligator2::HiddenKey;

use super::super::handshake::{Local, NEW_SESSION_HEADER, REPLY_HEADER, seal_unbound};
use super::super::tag_set::SendTags;
use super::*;
use crate::tunnel::testing::{hex, hex_array};

const EPHEMERAL_A: &str = "500102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const EPHEMERAL_B: &str = "810102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW_SESSION: &str = "f73c29596062c1f91c04501c881856adf4c2118bdf72c543501cc2cae1a334ae\
     775c07dfc8649b1e881362cf582116cf1a37ac96a574602c437829943688d4252fc20ee0a038e43022ddcacf3618d0af\
     cfdac10a694112e2dc9227b04a788c9f3d2d4cba76501360e3d41f";
const UNBOUND: &str = "f73c29596062c1f91c04501c881856adf4c2118bdf72c543501cc2cae1a3342e\
     70ff7b63dc4408d63f46bed448c97a7b3c00e647cfdc33c148a7e9268ee5c859f54a05a1a9d162d2abf52b375329849d\
     539f00065e531c299dc45816a9bd245a15ae600dd361d2ae8b13a1";
const FIRST_REPLY_TAG: &str = "1c0b4e50d80cbc67";
/// With the second tag.
const REPLY: &str = "510e34e7adcbae7c7b0399f0c929d3ab535f566c36150cca5abfc6fc90fb4cb1432c3f6eaf55ea04\
     1d7f490eb371f83c5db1132c246af80e2a55fba3a48a167c586c3c08a78ba3ca5ee4274f";
/// The second of the first set.
const EXISTING: &str = "dfb4325fc9698e8d637211a87dc647d1c0b3694916f92d580924b392";
const NEXT_SHARED: &str = "dbcc0f8cb8de72509d228b2c6d0bdbd383180949491cda1cdde85fd048cf762d";
/// The first of the set after it.
const NEXT_EXISTING: &str = "d4a1a90e8b86ecf4b4332e1d3a4153c201d0fbacf4983f69c95202d0";

/// Bytes that count up.
fn counting<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first + u8::try_from(at).unwrap())
}

fn local(first: u8) -> Local {
    Local::new(PrivateKey::from_bytes(counting(first)))
}

fn plain(header: usize, payload: &[u8]) -> Vec<u8> {
    [&vec![0; header], payload, &[0; MAC_LEN]].concat()
}

fn seal_next(tags: &mut SendTags, payload: &[u8]) -> Vec<u8> {
    let (number, tag, key) = tags.take().unwrap();
    let mut sealed = payload.to_vec();
    key.seal_vec(number.into(), &tag, &mut sealed);
    [&tag[..], &sealed].concat()
}

#[test]
fn a_whole_session_is_as_specified() {
    let payload = hex("0000046553f100fe000101");
    let (alice, bob) = (local(1), local(33));
    let ephemeral = HiddenKey::from_bytes(hex_array(EPHEMERAL_A), 0, 0x80).unwrap();
    let mut message = plain(NEW_SESSION_HEADER, &payload);
    let initiator = alice.seal(&bob.public(), ephemeral, &mut message).unwrap();
    assert_eq!(message, hex(NEW_SESSION));

    let opened = bob.open(&mut message).unwrap();
    let (from, responder) = opened.bound.unwrap();
    assert_eq!(from, alice.public());
    assert_eq!(message[NEW_SESSION_HEADER..][..payload.len()], payload);

    let mut tags = SendTags::new(responder.reply_tags());
    assert_eq!(tags.take_tag(), Some((0, hex_array(FIRST_REPLY_TAG))));
    let (_, tag) = tags.take_tag().unwrap();
    let ephemeral = HiddenKey::from_bytes(hex_array(EPHEMERAL_B), 0, 1).unwrap();
    let mut message = plain(REPLY_HEADER, &hex("fe000102"));
    let by_bob = responder.seal(&tag, &ephemeral, &mut message).unwrap();
    assert_eq!(message, hex(REPLY));

    let by_alice = initiator.open(&alice, &mut message).unwrap();
    assert_eq!(message[REPLY_HEADER..][..4], hex("fe000102"));

    for split in [by_alice, by_bob] {
        let mut tags = SendTags::new(split.initiator);
        seal_next(&mut tags, b"");
        assert_eq!(seal_next(&mut tags, &hex("fe000103")), hex(EXISTING));
        let ours = PrivateKey::from_bytes(counting(97));
        let theirs = PrivateKey::from_bytes(counting(129));
        let shared = ours.agree(&theirs.public()).unwrap();
        assert_eq!(*shared, hex_array(NEXT_SHARED));
        let mut next = SendTags::new(tags.set().after(&shared));
        assert_eq!(seal_next(&mut next, &hex("fe000104")), hex(NEXT_EXISTING));
    }
}

#[test]
fn a_message_of_nobody_is_as_specified() {
    let payload = hex("0000046553f100fe000101");
    let bob = local(33);
    let ephemeral = HiddenKey::from_bytes(hex_array(EPHEMERAL_A), 0, 0).unwrap();
    let mut message = plain(NEW_SESSION_HEADER, &payload);
    seal_unbound(&bob.public(), &ephemeral, &mut message).unwrap();
    assert_eq!(message, hex(UNBOUND));
    assert!(bob.open(&mut message).unwrap().bound.is_none());
    assert_eq!(message[NEW_SESSION_HEADER..][..payload.len()], payload);
}

#[test]
fn a_machine_takes_the_message() {
    let limits = Limits::default();
    let mut bob = Sessions::new(
        PrivateKey::from_bytes(counting(33)),
        limits,
        Random::from_seed([1; 32]),
    );
    let opened = open(&mut bob, &frame(&hex(NEW_SESSION)), at(0)).unwrap();
    let alice = PeerKey(local(1).public());
    assert!(matches!(opened.from, Sender::Peer { key, is_new: true, .. } if key == alice));
    let opened = open(&mut bob, &frame(&hex(UNBOUND)), at(0));
    // The key stream differs, the key does not.
    assert_eq!(opened.unwrap_err(), OpenError::Replayed);
}
