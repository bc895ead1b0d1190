use proptest::prelude::*;

use super::*;
use crate::PrivateKeys;

fn keys() -> (Destination, SigningKey) {
    let keys = PrivateKeys::generate();
    let seed = keys.signing_private_key().first_chunk().unwrap();
    (keys.destination().clone(), SigningKey::from_seed(seed))
}

fn at(secs: u32) -> UnixTime {
    UnixTime::from_secs(secs)
}

/// A transient key of a Destination, good until second 1000.
fn offline(key: &SigningKey) -> (SigningKey, OfflineBlock) {
    let transient = SigningKey::generate();
    let mut block = OfflineBlock {
        expires: at(1000),
        transient_type: SigningKeyType::Ed25519,
        transient_public: transient.public().to_vec().into(),
        signature: vec![0; 64].into(),
    };
    block.signature = key.sign(&block.signed_bytes()).to_vec().into();
    (transient, block)
}

#[test]
fn the_first_kind_is_sender_signature_payload() {
    let (from, key) = keys();
    let mut bytes = Vec::new();
    Datagram1::encode(&from, &key, b"hello", &mut bytes).unwrap();
    assert_eq!(bytes.len(), from.as_bytes().len() + 64 + 5);
    assert!(bytes.ends_with(b"hello"));
    let datagram = Datagram1::parse(&bytes).unwrap();
    assert_eq!((&datagram.from, datagram.payload), (&from, &b"hello"[..]));
    assert_eq!(datagram.verify(), Ok(()));

    *bytes.last_mut().unwrap() ^= 1;
    let changed = Datagram1::parse(&bytes).unwrap();
    assert_eq!(changed.verify(), Err(VerifyError::Mismatch));
    assert!(matches!(
        Datagram1::parse(&bytes[..400]),
        Err(DecodeError::Truncated { .. })
    ));
    let other = SigningKey::generate();
    assert_eq!(
        Datagram1::encode(&from, &other, b"", &mut Vec::new()),
        Err(EncodeError::KeyMismatch)
    );
}

#[test]
fn the_second_kind_is_for_one_alone() {
    let (from, key) = keys();
    let (target, stranger) = (DestinationHash([4; 32]), DestinationHash([5; 32]));
    let mut bytes = Vec::new();
    Datagram2::encode(&from, (&key, None), &target, None, b"hello", &mut bytes).unwrap();
    assert_eq!(bytes.len(), from.as_bytes().len() + 2 + 5 + 64);
    let datagram = Datagram2::parse(&bytes).unwrap();
    assert_eq!((&datagram.from, datagram.payload), (&from, &b"hello"[..]));
    assert_eq!(datagram.verify(&target, at(0)), Ok(()));
    assert_eq!(
        datagram.verify(&stranger, at(0)),
        Err(VerifyError::Mismatch)
    );
    // Each byte behind the sender counts.
    for at_byte in from.as_bytes().len() + 2..bytes.len() {
        let mut changed = bytes.clone();
        changed[at_byte] ^= 1;
        let datagram = Datagram2::parse(&changed).unwrap();
        assert_eq!(datagram.verify(&target, at(0)), Err(VerifyError::Mismatch));
    }
}

#[test]
fn the_second_kind_may_be_signed_by_a_transient_key_and_have_options() {
    let (from, key) = keys();
    let (transient, block) = offline(&key);
    let target = DestinationHash([4; 32]);
    let options = Mapping::from_pairs([("a", "b")]).unwrap();
    let mut bytes = Vec::new();
    let signer = (&transient, Some(&block));
    Datagram2::encode(&from, signer, &target, Some(&options), b"x", &mut bytes).unwrap();
    let datagram = Datagram2::parse(&bytes).unwrap();
    assert_eq!(datagram.options.as_ref(), Some(&options));
    assert_eq!(datagram.offline.as_ref(), Some(&block));
    assert_eq!(datagram.payload, b"x");
    assert_eq!(datagram.verify(&target, at(1000)), Ok(()));
    assert_eq!(
        datagram.verify(&target, at(1001)),
        Err(VerifyError::Expired)
    );
    // A transient key that nobody has given leave to.
    let mut forged = block.clone();
    forged.signature = vec![1; 64].into();
    let mut bytes = Vec::new();
    let signer = (&transient, Some(&forged));
    Datagram2::encode(&from, signer, &target, None, b"x", &mut bytes).unwrap();
    let datagram = Datagram2::parse(&bytes).unwrap();
    assert_eq!(
        datagram.verify(&target, at(0)),
        Err(VerifyError::OfflineMismatch)
    );
}

#[test]
fn the_third_kind_names_its_sender_by_hash() {
    let options = Mapping::from_pairs([("k", "v")]).unwrap();
    for options in [None, Some(options)] {
        let datagram = Datagram3 {
            from: DestinationHash([7; 32]),
            options,
            payload: b"payload",
        };
        let mut bytes = Vec::new();
        datagram.encode(&mut bytes);
        assert_eq!(Datagram3::parse(&bytes), Ok(datagram));
    }
}

#[test]
fn another_version_is_another_kind() {
    let mut bytes = vec![7; 32];
    bytes.extend_from_slice(&[0, 2, 1]);
    assert_eq!(Datagram3::parse(&bytes), Err(DecodeError::UnknownType(2)));
    let (from, _) = keys();
    let mut bytes = from.as_bytes().to_vec();
    bytes.extend_from_slice(&[0, 3]);
    assert_eq!(Datagram2::parse(&bytes), Err(DecodeError::UnknownType(3)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..900)) {
        let _ = Datagram1::parse(&bytes).map(|it| it.verify());
        let _ = Datagram2::parse(&bytes).map(|it| it.verify(&DestinationHash([0; 32]), at(0)));
        let _ = Datagram3::parse(&bytes);
    }

    #[test]
    fn what_follows_a_sender_does_not_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let (from, _) = keys();
        let mut all = from.as_bytes().to_vec();
        all.extend_from_slice(&bytes);
        let _ = Datagram1::parse(&all).map(|it| it.verify());
        let _ = Datagram2::parse(&all).map(|it| it.verify(&DestinationHash([0; 32]), at(0)));
    }
}
