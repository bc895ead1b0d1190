use proptest::prelude::*;
use ramson_crypto::{SigningKey, sha256};

use super::*;
use crate::{DestinationHash, EncodeError, EncryptionKeyType, RouterHash, TunnelId};

/// See `tests/vectors/README.md`. Hashes and times were read with Python.
const ED25519: &[u8] = include_bytes!("../../tests/vectors/ls2-ed25519.dat");
const P256: &[u8] = include_bytes!("../../tests/vectors/ls2-p256.dat");
const DSA: &[u8] = include_bytes!("../../tests/vectors/ls2-dsa.dat");
const OFFLINE: &[u8] = include_bytes!("../../tests/vectors/ls2-offline.dat");

const LEASE_SET_2: LeaseSetType = LeaseSetType::LeaseSet2;

fn parse_2(bytes: &[u8]) -> Result<StoredLeaseSet, DecodeError> {
    StoredLeaseSet::parse(LEASE_SET_2, bytes)
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[5; 32])
}

fn destination(key: &SigningKey) -> Destination {
    let bytes = [&[1; 352][..], &key.public(), &[5, 0, 4, 0, 7, 0, 0]].concat();
    Destination::from_bytes(&bytes).unwrap()
}

fn lease(number: u8) -> Lease {
    Lease {
        gateway: RouterHash([number; 32]),
        tunnel: TunnelId::new(u32::from(number)).unwrap(),
        ends: UnixTime::from_secs(1_700_000_600),
    }
}

fn builder() -> LeaseSet2Builder {
    LeaseSet2Builder {
        destination: destination(&key()),
        published: UnixTime::from_secs(1_700_000_000),
        lifetime_s: 600,
        flags: LeaseSetFlags::default(),
        offline: None,
        options: Mapping::default(),
        keys: vec![EncryptionKey::x25519(&[9; 32])],
        leases: vec![lease(1), lease(2)],
    }
}

fn offline(transient: &SigningKey) -> OfflineBlock {
    let mut block = OfflineBlock {
        expires: UnixTime::from_secs(1_800_000_000),
        transient_type: SigningKeyType::Ed25519,
        transient_public: Bytes::copy_from_slice(&transient.public()),
        signature: Bytes::new(),
    };
    block.signature = Bytes::copy_from_slice(&key().sign(&block.signed_bytes()));
    block
}

#[test]
fn lease_sets_of_the_network_are_read() {
    let cases = [
        (
            ED25519,
            "larnrirsp5fikx7n6fg3aczdxrurt5nyaaleqo4vqmnuo3xd5qeq",
            1_725_462_336,
            600,
            &[4, 0][..],
            3,
        ),
        (
            P256,
            "4bpcp4fmvyr46vb4kqjvtxlst6puz4r3dld24umooiy5mesxzspa",
            1_737_401_515,
            600,
            &[4, 0][..],
            3,
        ),
        (
            OFFLINE,
            "lhbd7ojcaiofbfku7ixh47qj537g572zmhdc4oilvugzxdpdghua",
            1_737_562_258,
            599,
            &[4][..],
            2,
        ),
        (
            DSA,
            "3mzmrus2oron5fxptw7hw2puho3bnqmw2hqy7nw64dsrrjwdilva",
            1_740_838_157,
            599,
            &[4][..],
            2,
        ),
    ];
    for (bytes, b32, published, lifetime, keys, leases) in cases {
        let lease_set = parse_2(bytes).unwrap();
        let hash = DestinationHash(lease_set.key());
        assert_eq!(hash.to_string(), format!("{b32}.b32.i2p"));
        assert_eq!(lease_set.destination().unwrap().hash(), hash);
        let published = UnixTime::from_secs(published);
        assert_eq!(lease_set.published(), published);
        let expires = published + std::time::Duration::from_secs(lifetime);
        assert_eq!(lease_set.expires(), expires);
        assert_eq!(lease_set.leases().len(), leases);
        let found = lease_set.encryption_keys().iter();
        let kinds: Vec<_> = found.clone().map(|key| key.kind.code()).collect();
        assert_eq!(kinds, keys);
        for key in found {
            assert_eq!(Some(key.bytes.len()), key.kind.public_key_len());
        }
        assert_eq!(lease_set.as_bytes(), bytes);
    }
}

#[test]
fn signatures_of_the_network_hold() {
    for bytes in [ED25519, OFFLINE, P256, DSA] {
        assert!(parse_2(bytes).unwrap().verify().is_ok());
    }
    let offline = parse_2(OFFLINE).unwrap();
    assert!(offline.flags().is_offline());
    let block = offline.offline().unwrap();
    assert_eq!(block.expires, UnixTime::from_secs(0x67d3_72b1));
    assert_eq!(block.transient_type, SigningKeyType::Ed25519);
}

#[test]
fn a_change_anywhere_is_noticed() {
    for original in [ED25519, OFFLINE] {
        for at in 0..original.len() {
            let mut changed = original.to_vec();
            changed[at] ^= 1;
            let verified = parse_2(&changed).map(StoredLeaseSet::verify);
            assert!(!matches!(verified, Ok(Ok(_))), "byte {at}");
        }
        for end in 0..original.len() {
            assert!(parse_2(&original[..end]).is_err(), "{end} bytes");
        }
    }
    // The last byte of the leave to use the transient key.
    let mut changed = OFFLINE.to_vec();
    changed[399 + 38 + 63] ^= 1;
    let verified = parse_2(&changed).unwrap().verify();
    assert_eq!(verified.unwrap_err(), VerifyError::OfflineMismatch);
}

#[test]
fn a_signature_counts_for_one_kind_only() {
    let signed = builder().sign(&key()).unwrap();
    let mut bytes = signed.as_bytes().to_vec();
    let signed_len = bytes.len() - 64;
    let without_kind = key().sign(&bytes[..signed_len]);
    bytes[signed_len..].copy_from_slice(&without_kind);
    let verified = parse_2(&bytes).unwrap().verify();
    assert_eq!(verified.unwrap_err(), VerifyError::Mismatch);
}

#[test]
fn what_is_built_is_read_back() {
    let mut builder = builder();
    builder.options = Mapping::from_pairs([("_http._tcp", "0 86400 80")]).unwrap();
    builder.flags = LeaseSetFlags::default().with_unpublished();
    let built = builder.sign(&key()).unwrap();
    let again = parse_2(built.as_bytes()).unwrap().verify().unwrap();
    assert_eq!(again, built);
    assert_eq!(again.destination(), Some(&builder.destination));
    assert_eq!(again.key(), builder.destination.hash().0);
    assert_eq!(again.published(), builder.published);
    assert_eq!(again.expires(), UnixTime::from_secs(1_700_000_600));
    assert_eq!(again.leases(), builder.leases);
    assert_eq!(again.encryption_keys(), builder.keys);
    assert_eq!(again.options(), Some(&builder.options));
    assert!(again.flags().is_unpublished() && !again.flags().is_offline());
    assert!(!again.flags().is_blinded_when_published());
    // Destination, times and flags, options, one key, two leases, signature.
    let len = 391 + 8 + builder.options.encoded_len() + 1 + 36 + 1 + 80 + 64;
    assert_eq!(again.as_bytes().len(), len);
    assert!(again.ciphertext().is_none() && again.blinded_key().is_none());
}

#[test]
fn a_transient_key_signs_with_leave() {
    let transient = SigningKey::from_seed(&[6; 32]);
    let mut builder = builder();
    builder.offline = Some(offline(&transient));
    assert_eq!(builder.sign(&key()).unwrap_err(), EncodeError::KeyMismatch);
    let built = builder.sign(&transient).unwrap();
    let again = parse_2(built.as_bytes()).unwrap().verify().unwrap();
    assert_eq!(again.offline(), builder.offline.as_ref());
    assert!(again.flags().is_offline());

    let forged = builder.offline.as_mut().unwrap();
    forged.expires = UnixTime::from_secs(1_900_000_000);
    let built = builder.sign(&transient).unwrap().into_inner();
    let verified = parse_2(built.as_bytes()).unwrap().verify();
    assert_eq!(verified.unwrap_err(), VerifyError::OfflineMismatch);
}

#[test]
fn leases_end_in_whole_seconds_rounded_down() {
    let mut builder = builder();
    builder.leases[0].ends = UnixTime::from_millis(1_700_000_600_999);
    let built = builder.sign(&key()).unwrap();
    assert_eq!(built.leases()[0].ends, UnixTime::from_secs(1_700_000_600));
}

#[test]
fn numbers_of_keys_and_leases_have_limits() {
    let sign = |change: fn(&mut LeaseSet2Builder)| {
        let mut builder = builder();
        change(&mut builder);
        builder.sign(&key()).map(|_| ())
    };
    let too_many = |actual, limit| Err(EncodeError::TooMany { actual, limit });
    assert_eq!(sign(|b| b.keys.clear()), Err(EncodeError::Empty));
    assert_eq!(sign(|b| b.leases.clear()), Err(EncodeError::Empty));
    assert_eq!(
        sign(|b| b.keys = vec![EncryptionKey::x25519(&[9; 32]); 9]),
        too_many(9, 8)
    );
    assert_eq!(sign(|b| b.leases = vec![lease(1); 17]), too_many(17, 16));
    assert_eq!(sign(|b| b.leases = vec![lease(1); 16]), Ok(()));
    let long = sign(|b| b.keys[0].bytes = vec![0; 8000].into());
    assert!(matches!(
        long,
        Err(EncodeError::TooLong { limit: 8192, .. })
    ));

    let bytes = builder().sign(&key()).unwrap().as_bytes().to_vec();
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        parse_2(&bytes).unwrap_err()
    };
    // Behind Destination, times and flags, and empty options.
    let keys_at = 391 + 8 + 2;
    let leases_at = keys_at + 1 + 36;
    assert_eq!(with(keys_at, 0), DecodeError::Empty);
    let (actual, limit) = (9, 8);
    assert_eq!(with(keys_at, 9), DecodeError::TooMany { actual, limit });
    assert_eq!(with(leases_at, 0), DecodeError::Empty);
    let (actual, limit) = (17, 16);
    assert_eq!(with(leases_at, 17), DecodeError::TooMany { actual, limit });
    assert!(matches!(
        with(leases_at, 1),
        DecodeError::TrailingBytes { extra: 40 }
    ));
    let (actual, limit) = (8193, 8192);
    assert_eq!(
        parse_2(&[0; 8193]).unwrap_err(),
        DecodeError::TooLong { actual, limit }
    );
}

#[test]
fn keys_of_unknown_types_are_kept_by_their_length() {
    let mut builder = builder();
    let unknown = EncryptionKey {
        kind: EncryptionKeyType::Unknown(99),
        bytes: Bytes::from_static(b"of any length"),
    };
    builder.keys.insert(0, unknown);
    let built = builder.sign(&key()).unwrap();
    assert_eq!(built.encryption_keys(), builder.keys);
}

#[test]
fn a_signing_type_without_lengths_is_refused() {
    let mut bytes = ED25519.to_vec();
    bytes[388] = 12;
    assert_eq!(
        parse_2(&bytes).unwrap_err(),
        DecodeError::UnknownSigningType(12)
    );
}

#[test]
fn a_lease_set_of_old_has_milliseconds_and_no_kind_before_its_signature() {
    let mut bytes = destination(&key()).as_bytes().to_vec();
    bytes.extend_from_slice(&[7; 256]);
    bytes.extend_from_slice(&[8; 32]);
    bytes.push(2);
    for (number, ends) in [(1, 1_700_000_600_123_u64), (2, 1_700_000_500_456)] {
        bytes.extend_from_slice(&[number; 32]);
        bytes.extend_from_slice(&[0, 0, 0, number]);
        bytes.extend_from_slice(&ends.to_be_bytes());
    }
    let signature = key().sign(&bytes);
    bytes.extend_from_slice(&signature);
    let parse = |bytes: &[u8]| StoredLeaseSet::parse(LeaseSetType::LeaseSet, bytes);
    let lease_set = parse(&bytes).unwrap().verify().unwrap();
    assert_eq!(lease_set.key(), destination(&key()).hash().0);
    assert_eq!(
        lease_set.published(),
        UnixTime::from_millis(1_700_000_500_456)
    );
    assert_eq!(
        lease_set.expires(),
        UnixTime::from_millis(1_700_000_600_123)
    );
    assert_eq!(lease_set.leases()[0].gateway, RouterHash([1; 32]));
    assert_eq!(lease_set.encryption_keys()[0].bytes, [7; 256][..]);
    for end in 0..bytes.len() {
        assert!(parse(&bytes[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn an_encrypted_lease_set_is_named_by_its_blinded_key() {
    let blinded = key();
    let mut bytes = vec![0, 11];
    bytes.extend_from_slice(&blinded.public());
    let name = sha256(&bytes);
    bytes.extend_from_slice(&1_700_000_000_u32.to_be_bytes());
    bytes.extend_from_slice(&[2, 88, 0, 0]);
    bytes.extend_from_slice(&[0, 3, 1, 2, 3]);
    let signature = blinded.sign(&[&[5], &bytes[..]].concat());
    bytes.extend_from_slice(&signature);
    let parse = |bytes: &[u8]| StoredLeaseSet::parse(LeaseSetType::Encrypted, bytes);
    let lease_set = parse(&bytes).unwrap().verify().unwrap();
    assert_eq!(lease_set.key(), name);
    assert_eq!(lease_set.expires(), UnixTime::from_secs(1_700_000_600));
    assert_eq!(lease_set.ciphertext(), Some(&[1, 2, 3][..]));
    assert_eq!(
        lease_set.blinded_key(),
        Some((SigningKeyType::RedDsa, &blinded.public()[..]))
    );
    assert_eq!(lease_set.destination(), None);
    assert!(lease_set.leases().is_empty() && lease_set.options().is_none());
    for end in 0..bytes.len() {
        assert!(parse(&bytes[..end]).is_err(), "{end} bytes");
    }
    bytes[1] = 99;
    assert_eq!(
        parse(&bytes).unwrap_err(),
        DecodeError::UnknownSigningType(99)
    );
}

#[test]
fn a_meta_lease_set_refers_to_others() {
    let mut bytes = destination(&key()).as_bytes().to_vec();
    bytes.extend_from_slice(&1_700_000_000_u32.to_be_bytes());
    bytes.extend_from_slice(&[0xff, 0xff, 0, 0]);
    bytes.extend_from_slice(&[0, 0, 1]);
    bytes.extend_from_slice(&[4; 32]);
    bytes.extend_from_slice(&[0, 0, 3, 7, 0, 0, 0, 9]);
    bytes.push(1);
    bytes.extend_from_slice(&[6; 32]);
    let signature = key().sign(&[&[7], &bytes[..]].concat());
    bytes.extend_from_slice(&signature);
    let parse = |bytes: &[u8]| StoredLeaseSet::parse(LeaseSetType::Meta, bytes);
    let lease_set = parse(&bytes).unwrap().verify().unwrap();
    let meta = MetaLease {
        hash: [4; 32],
        flags: [0, 0, 3],
        cost: 7,
        ends: UnixTime::from_secs(9),
    };
    assert_eq!(lease_set.meta_leases(), [meta]);
    assert_eq!(lease_set.revocations(), [[6; 32]]);
    assert_eq!(lease_set.expires(), UnixTime::from_secs(1_700_065_535));
    for end in 0..bytes.len() {
        assert!(parse(&bytes[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn debug_tells_nobody() {
    let shown = format!("{:?}", parse_2(ED25519).unwrap());
    assert!(
        shown.contains("LeaseSet2") && !shown.contains("b32"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn arbitrary_changes_do_not_panic(
        kind in prop::sample::select(&[1u8, 3, 5, 7][..]),
        which in prop::sample::select(&[ED25519, P256, DSA, OFFLINE][..]),
        from in prop::sample::select(&[0usize, 384][..]),
        changes in prop::collection::vec((0usize..900, any::<u8>()), 0..5),
    ) {
        let mut bytes = which.to_vec();
        for (at, value) in changes {
            let at = from + at % (bytes.len() - from);
            bytes[at] = value;
        }
        let kind = LeaseSetType::from_code(kind).unwrap();
        if let Ok(lease_set) = StoredLeaseSet::parse(kind, &bytes) {
            prop_assert_eq!(lease_set.as_bytes(), &bytes[..]);
            let _ = lease_set.verify();
        }
    }
}
