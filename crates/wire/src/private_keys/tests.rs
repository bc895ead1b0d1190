use proptest::prelude::*;

use super::*;

/// Private keys with this key certificate's types; the keys are bytes that count up.
fn keys_of(signing: u16, encryption: u16) -> Vec<u8> {
    let kind = SigningKeyType::from_code(signing);
    let excess = kind.public_key_len().unwrap().saturating_sub(128);
    let mut bytes = vec![9; 384];
    bytes.push(5);
    bytes.extend_from_slice(&u16::try_from(excess + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(&signing.to_be_bytes());
    bytes.extend_from_slice(&encryption.to_be_bytes());
    bytes.extend(vec![8; excess]);
    let encryption = EncryptionKeyType::from_code(encryption)
        .private_key_len()
        .unwrap();
    let private = encryption + kind.private_key_len().unwrap();
    bytes.extend((0..private).map(|i| u8::try_from(i % 251).unwrap()));
    bytes
}

/// Ed25519 keys kept elsewhere, with a transient key; returns the transient key's seed too.
fn offline_keys(expires_secs: u32) -> (Vec<u8>, [u8; 32]) {
    let keys = PrivateKeys::generate();
    let long_term = SigningKey::from_seed(keys.signing_private_key().try_into().unwrap());
    let transient = SigningKey::generate();
    let mut signed = expires_secs.to_be_bytes().to_vec();
    signed.extend_from_slice(&[0, 7]);
    signed.extend_from_slice(&transient.public());

    let mut bytes = keys.destination().as_bytes().to_vec();
    bytes.extend_from_slice(keys.encryption_private_key());
    bytes.extend_from_slice(&[0; 32]);
    bytes.extend_from_slice(&signed);
    bytes.extend_from_slice(&long_term.sign(&signed));
    bytes.extend_from_slice(transient.seed().as_slice());
    (bytes, *transient.seed())
}

/// Measured at i2pd's SAM bridge.
#[test]
fn generated_keys_have_the_lengths_of_other_programs() {
    let keys = PrivateKeys::generate();
    assert_eq!(keys.destination().to_base64().len(), 524);
    assert_eq!(keys.to_base64().len(), 908);
    assert_eq!(keys.to_bytes().len(), 679);
    assert_eq!(keys.check(), Ok(()));
    assert_eq!(
        keys.destination().signing_key_type(),
        SigningKeyType::Ed25519
    );
    assert_eq!(keys.encryption_key_type(), EncryptionKeyType::ElGamal);
    assert!(keys.destination().to_base64().ends_with("BQAEAAcAAA=="));
    assert!(keys.offline().is_none());
}

/// Type, PUB and PRIV as i2pd made them; the file says how.
const I2PD: &str = include_str!("../../testdata/i2pd-2.45.1-dest-generate.txt");

#[test]
fn keys_made_by_i2pd_are_read_and_written_back() {
    let mut types = Vec::new();
    for line in I2PD.lines().filter(|line| !line.starts_with('#')) {
        let [code, public, private] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let kind: SigningKeyType = code.parse().unwrap();
        let keys = PrivateKeys::from_base64(private).unwrap();
        assert_eq!(keys.destination().signing_key_type(), kind);
        assert_eq!(keys.destination().to_base64(), public);
        assert_eq!(keys.to_base64().as_str(), private);
        assert_eq!(keys.check(), Ok(()), "{kind}");
        assert_eq!(
            PrivateKeys::from_base64(public).unwrap_err(),
            PrivateKeysError::PublicOnly
        );
        types.push(kind.code());
    }
    assert_eq!(types, [0, 1, 2, 3, 7, 11]);
}

#[test]
fn generated_padding_is_random_and_does_not_repeat() {
    let keys = PrivateKeys::generate();
    let mut blocks: Vec<_> = keys.destination().as_bytes()[..384].chunks(32).collect();
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len(), 12);
}

#[test]
fn only_ed25519_can_be_generated() {
    assert!(PrivateKeys::generate_with(SigningKeyType::Ed25519).is_ok());
    for kind in [
        SigningKeyType::DsaSha1,
        SigningKeyType::RedDsa,
        SigningKeyType::Unknown(12),
    ] {
        assert_eq!(
            PrivateKeys::generate_with(kind).unwrap_err(),
            PrivateKeysError::CannotGenerate(kind)
        );
    }
}

#[test]
fn dsa_keys_without_key_certificate_are_read() {
    let mut bytes = vec![9; 384];
    bytes.extend_from_slice(&[0, 0, 0]);
    bytes.extend_from_slice(&[1; 256 + 20]);
    let keys = PrivateKeys::from_bytes(&bytes).unwrap();
    assert_eq!(keys.to_base64().len(), 884);
    assert_eq!(keys.destination().to_base64().len(), 516);
    assert_eq!(keys.signing_private_key(), [1; 20]);
    assert_eq!(keys.check(), Ok(()), "keys of this type cannot be compared");
}

#[test]
fn every_known_type_is_read_and_written_back() {
    for signing in [0, 1, 2, 3, 4, 5, 6, 7, 8, 11] {
        for encryption in [0, 1, 2, 3, 4, 5, 6, 7] {
            let bytes = keys_of(signing, encryption);
            let keys = PrivateKeys::from_bytes(&bytes).unwrap();
            assert_eq!(*keys.to_bytes(), bytes, "types {signing} and {encryption}");
            let kind = SigningKeyType::from_code(signing);
            assert_eq!(
                Some(keys.signing_private_key().len()),
                kind.private_key_len()
            );
        }
    }
    // Certificate 0007 0004: a field of 32 bytes, and so 391 + 32 + 32.
    assert_eq!(keys_of(7, 4).len(), 455);
}

#[test]
fn base64_is_read_with_and_without_padding() {
    let keys = PrivateKeys::generate();
    let text = keys.to_base64();
    for text in [text.as_str(), text.trim_end_matches('=')] {
        assert_eq!(
            PrivateKeys::from_base64(text).unwrap().to_bytes(),
            keys.to_bytes()
        );
    }
}

#[test]
fn key_files_are_read_raw_and_as_text() {
    let keys = PrivateKeys::generate();
    let text = keys.to_base64();
    let text = text.as_str();
    for contents in [
        keys.to_bytes().to_vec(),
        text.into(),
        format!("{text}\n").into(),
        format!("{text}\r\n").into(),
        text.trim_end_matches('=').into(),
    ] {
        let read = PrivateKeys::from_file_bytes(&contents).unwrap();
        assert_eq!(read.to_bytes(), keys.to_bytes());
    }
}

#[test]
fn wrong_key_files_say_what_is_wrong() {
    let read = |contents: &[u8]| PrivateKeys::from_file_bytes(contents).unwrap_err();
    let keys = PrivateKeys::generate();
    assert_eq!(read(b""), PrivateKeysError::Empty);
    assert_eq!(read(b"\n"), PrivateKeysError::Empty);
    assert!(matches!(
        read(b"# my keys\n"),
        PrivateKeysError::NotBase64(_)
    ));
    assert!(matches!(
        read("schlüssel".as_bytes()),
        PrivateKeysError::NotBase64(_)
    ));
    assert_eq!(
        read(keys.destination().as_bytes()),
        PrivateKeysError::PublicOnly
    );
    assert_eq!(
        read(keys.destination().to_base64().as_bytes()),
        PrivateKeysError::PublicOnly
    );
    assert_eq!(
        read(&keys.to_base64().as_bytes()[..900]),
        PrivateKeysError::Truncated { missing: 4 }
    );
    let two = [
        keys.to_base64().as_bytes(),
        b"\n",
        keys.to_base64().as_bytes(),
    ]
    .concat();
    assert!(matches!(read(&two), PrivateKeysError::NotBase64(_)));
}

#[test]
fn cut_and_long_keys_are_counted() {
    let bytes = PrivateKeys::generate().to_bytes();
    for len in 1..bytes.len() {
        let error = PrivateKeys::from_bytes(&bytes[..len]).unwrap_err();
        if len == 391 {
            assert_eq!(error, PrivateKeysError::PublicOnly);
        } else if len > 391 {
            assert_eq!(error, PrivateKeysError::Truncated { missing: 679 - len });
        } else {
            assert!(
                matches!(error, PrivateKeysError::Truncated { .. }),
                "{len}: {error}"
            );
        }
    }
    let long = [bytes.as_slice(), b"\n"].concat();
    assert_eq!(
        PrivateKeys::from_bytes(&long).unwrap_err(),
        PrivateKeysError::TrailingBytes { extra: 1 }
    );
}

#[test]
fn unknown_types_are_named() {
    let mut bytes = keys_of(7, 0);
    bytes[388] = 12;
    assert_eq!(
        PrivateKeys::from_bytes(&bytes).unwrap_err(),
        PrivateKeysError::UnknownSigningType(12)
    );
    let mut bytes = keys_of(7, 0);
    bytes[390] = 255;
    assert_eq!(
        PrivateKeys::from_bytes(&bytes).unwrap_err(),
        PrivateKeysError::UnknownEncryptionType(255)
    );
}

#[test]
fn keys_that_do_not_belong_together_are_noticed() {
    let mut bytes = PrivateKeys::generate().to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let keys = PrivateKeys::from_bytes(&bytes).unwrap();
    assert_eq!(keys.check(), Err(PrivateKeysError::KeyMismatch));
}

#[test]
fn offline_keys_are_read_checked_and_written_back() {
    let (bytes, seed) = offline_keys(1_900_000_000);
    let keys = PrivateKeys::from_bytes(&bytes).unwrap();
    let offline = keys.offline().unwrap();
    assert_eq!(offline.expires(), UnixTime::from_secs(1_900_000_000));
    assert_eq!(offline.transient_key_type(), SigningKeyType::Ed25519);
    assert_eq!(offline.transient_private_key(), seed);
    assert_eq!(
        offline.transient_public_key(),
        SigningKey::from_seed(&seed).public()
    );
    assert_eq!(offline.signature().len(), 64);
    assert_eq!(keys.signing_private_key(), [0; 32]);
    assert_eq!(*keys.to_bytes(), bytes);
    assert_eq!(keys.check(), Ok(()));
}

#[test]
fn wrong_offline_keys_are_noticed() {
    let (bytes, _) = offline_keys(1_900_000_000);
    let start = 391 + 256 + 32;
    let check = |change: usize| {
        let mut bytes = bytes.clone();
        bytes[change] ^= 1;
        PrivateKeys::from_bytes(&bytes).unwrap().check()
    };
    assert_eq!(
        check(start),
        Err(PrivateKeysError::OfflineSignature),
        "expiry"
    );
    assert_eq!(
        check(start + 6),
        Err(PrivateKeysError::KeyMismatch),
        "transient public key"
    );
    assert_eq!(
        check(start + 38),
        Err(PrivateKeysError::OfflineSignature),
        "signature"
    );
    assert_eq!(
        check(start + 102),
        Err(PrivateKeysError::KeyMismatch),
        "transient private key"
    );

    for len in start..bytes.len() {
        let error = PrivateKeys::from_bytes(&bytes[..len]).unwrap_err();
        assert!(
            matches!(error, PrivateKeysError::Truncated { .. }),
            "{len}: {error}"
        );
    }
    let mut unknown = bytes.clone();
    unknown[start + 5] = 12;
    assert_eq!(
        PrivateKeys::from_bytes(&unknown).unwrap_err(),
        PrivateKeysError::UnknownSigningType(12)
    );
}

#[test]
fn debug_shows_the_address_alone() {
    let keys = PrivateKeys::generate();
    let address = keys.destination().b32();
    assert_eq!(format!("{keys:?}"), format!("PrivateKeys({address})"));
    let (bytes, _) = offline_keys(5);
    let keys = PrivateKeys::from_bytes(&bytes).unwrap();
    assert_eq!(
        format!("{:?}", keys.offline().unwrap()),
        "OfflineSignature { expires: UnixTime(5000), transient_key_type: Ed25519, .. }"
    );
}

proptest! {
    #[test]
    fn what_decodes_is_written_back(
        fields in prop::collection::vec(any::<u8>(), 384),
        signing in 0u8..12,
        encryption in 0u8..8,
        rest in prop::collection::vec(0u8..2, 0..700),
    ) {
        let mut bytes = fields;
        bytes.extend_from_slice(&[5, 0, 4, 0, signing, 0, encryption]);
        bytes.extend_from_slice(&rest);
        if let Ok(keys) = PrivateKeys::from_bytes(&bytes) {
            prop_assert_eq!(&*keys.to_bytes(), &bytes);
        }
        // The errors tell the right length, where the types are known.
        if let Err(PrivateKeysError::TrailingBytes { extra }) = PrivateKeys::from_bytes(&bytes) {
            bytes.truncate(bytes.len() - extra);
            let keys = PrivateKeys::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&*keys.to_bytes(), &bytes);
        }
    }

    #[test]
    fn no_bytes_and_no_text_panic(bytes in prop::collection::vec(any::<u8>(), 0..800), text: String) {
        let _ = PrivateKeys::from_bytes(&bytes);
        let _ = PrivateKeys::from_file_bytes(&bytes);
        let _ = PrivateKeys::from_file_bytes(text.as_bytes());
        let _ = PrivateKeys::from_base64(&text);
    }
}
