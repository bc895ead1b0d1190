use proptest::prelude::*;
use ramson_wire::{I2npRef, MessageType, RouterHash, TunnelId};

use super::*;
use crate::tunnel::testing::{random, receiver};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn message(body: &'static [u8]) -> I2npMessage {
    I2npMessage::new(MessageType::DatabaseStore, 7, NOW, body).unwrap()
}

fn cloves() -> Vec<Clove> {
    let gateway = RouterHash([1; 32]);
    let tunnel = TunnelId::new(9).unwrap();
    let deliveries = [
        CloveDelivery::Local,
        CloveDelivery::Router(gateway),
        CloveDelivery::Tunnel { gateway, tunnel },
    ];
    deliveries
        .into_iter()
        .zip([&b""[..], b"one", b"two"])
        .map(|(delivery, body)| Clove {
            delivery,
            message: message(body),
        })
        .collect()
}

fn borrowed(cloves: &[Clove]) -> Vec<GarlicClove<'_>> {
    cloves
        .iter()
        .map(|clove| GarlicClove {
            delivery: clove.delivery,
            message: clove.message.as_ref(),
        })
        .collect()
}

fn key() -> GarlicKey {
    GarlicKey::generate(&mut random(1))
}

#[test]
fn a_message_to_a_router_opens() {
    let cloves = cloves();
    for padding in [0, 1, 100] {
        let body = seal(
            &receiver().public(),
            &borrowed(&cloves),
            padding,
            NOW,
            &mut random(2),
        )
        .unwrap();
        let opened = open(&receiver(), Garlic::parse(&body).unwrap()).unwrap();
        assert_eq!(opened.date_time, Some(NOW));
        assert_eq!(opened.cloves, cloves);
    }
}

#[test]
fn an_answer_opens_with_its_key() {
    let cloves = cloves();
    let body = seal_with_key(&key(), &borrowed(&cloves)).unwrap();
    let garlic = Garlic::parse(&body).unwrap();
    assert!(garlic.0.starts_with(&key().tag));
    let opened = open_with_key(&key(), garlic).unwrap();
    assert_eq!(opened.cloves, cloves);
    assert_eq!(opened.date_time, None);
    assert!(!opened.is_fresh(NOW));
}

/// Lengths by hand: the clove block is `[11][size: 2][flags: 1][type: 1][id: 4][expires: 4][body]`.
#[test]
fn an_answer_is_laid_out_as_specified() {
    let clove = Clove {
        delivery: CloveDelivery::Local,
        message: message(b"body"),
    };
    let body = seal_with_key(&key(), &borrowed(&[clove])).unwrap();
    let mut payload = body[12..].to_vec();
    assert_eq!(body[..4], 41_u32.to_be_bytes());
    AeadKey::new(key().key)
        .open_vec(0, &key().tag, &mut payload)
        .unwrap();
    let expected = [
        &[11, 0, 14, 0, 1, 0, 0, 0, 7][..],
        &1_700_000_000_u32.to_be_bytes(),
        b"body",
    ];
    assert_eq!(payload, expected.concat());
}

#[test]
fn what_was_changed_does_not_open() {
    let body = seal_with_key(&key(), &borrowed(&cloves())).unwrap();
    for changed in 0..body.len() - 4 {
        let mut message = body[4..].to_vec();
        message[changed] ^= 1;
        let expected = match changed {
            0..8 => GarlicError::Tag,
            _ => GarlicError::Decrypt,
        };
        assert_eq!(open_with_key(&key(), Garlic(&message)), Err(expected));
    }
    let body = seal(&receiver().public(), &[], 0, NOW, &mut random(2)).unwrap();
    let mut message = body[4..].to_vec();
    message[40] ^= 1;
    assert_eq!(
        open(&receiver(), Garlic(&message)),
        Err(GarlicError::Noise(NoiseError::Decrypt))
    );
}

#[test]
fn a_router_without_a_key_gets_no_message() {
    assert_eq!(
        seal(&[0; 32], &[], 0, NOW, &mut random(1)),
        Err(SealError::BadKey)
    );
}

#[test]
fn too_much_does_not_fit() {
    let body = Bytes::from(vec![0; 65_507]);
    let message = I2npMessage::new(MessageType::Data, 1, NOW, body).unwrap();
    let clove = GarlicClove {
        delivery: CloveDelivery::Local,
        message: message.as_ref(),
    };
    assert_eq!(
        seal_with_key(&key(), &[clove]),
        Err(EncodeError::TooLong {
            actual: 3 + 10 + 65_507 + TAG_LEN + MAC_LEN,
            limit: 65_503,
        })
    );
    assert!(matches!(
        seal(&receiver().public(), &[], 70_000, NOW, &mut random(1)),
        Err(SealError::Encode(EncodeError::TooLong { .. }))
    ));
}

#[test]
fn more_cloves_than_anyone_sends_are_refused() {
    let clove = GarlicClove {
        delivery: CloveDelivery::Local,
        message: I2npRef {
            kind: MessageType::Data,
            id: 1,
            expires: NOW,
            body: &[],
        },
    };
    let seal = |count| seal_with_key(&key(), &vec![clove; count]).unwrap();
    let open = |body: Bytes| open_with_key(&key(), Garlic::parse(&body).unwrap()).map(drop);
    assert_eq!(open(seal(MAX_CLOVES)), Ok(()));
    assert_eq!(
        open(seal(MAX_CLOVES + 1)),
        Err(GarlicError::Decode(DecodeError::TooMany {
            actual: MAX_CLOVES + 1,
            limit: MAX_CLOVES
        }))
    );
}

#[test]
fn messages_are_fresh_for_five_minutes_and_two_ahead() {
    let opened = |secs: i64| {
        let secs = u32::try_from(1_700_000_000 + secs).unwrap();
        OpenedGarlic {
            date_time: Some(UnixTime::from_secs(secs)),
            cloves: vec![],
        }
    };
    assert!(opened(-300).is_fresh(NOW));
    assert!(!opened(-301).is_fresh(NOW));
    assert!(opened(120).is_fresh(NOW));
    assert!(!opened(121).is_fresh(NOW));
}

#[test]
fn the_replay_key_is_of_the_ephemeral_key() {
    let first = seal(&receiver().public(), &[], 0, NOW, &mut random(1)).unwrap();
    let second = seal(&receiver().public(), &[], 0, NOW, &mut random(2)).unwrap();
    let key = |body: &[u8]| replay_key(Garlic::parse(body).unwrap());
    assert_eq!(key(&first).unwrap(), first[4..20]);
    assert_ne!(key(&first), key(&second));
    assert_eq!(replay_key(Garlic(&[0; 15])), None);
}

proptest! {
    #[test]
    fn arbitrary_messages_do_not_panic(message: Vec<u8>) {
        prop_assert!(open(&receiver(), Garlic(&message)).is_err());
        let tagged = [&key().tag[..], &message].concat();
        prop_assert_eq!(open_with_key(&key(), Garlic(&tagged)), Err(GarlicError::Decrypt));
    }

    #[test]
    fn arbitrary_payloads_do_not_panic(payload: Vec<u8>) {
        let _ = OpenedGarlic::parse(payload.into());
    }
}
