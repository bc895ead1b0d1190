use proptest::prelude::*;

use super::*;
use crate::{BandwidthClass, DecodeError};

/// See `tests/vectors/README.md`. The hashes are SHA-256 of the first 391 bytes, made with Python.
const VECTORS: [(&[u8], &str, u64); 5] = [
    (
        include_bytes!("../../tests/vectors/router1.dat"),
        "lu-q20AG8SmapDyulME-f~LrhMdeC18ZswJ8pVEmAuQ=",
        1_733_247_924_679,
    ),
    (
        include_bytes!("../../tests/vectors/router2.dat"),
        "XHiSynd0UlNCkOB~jb2J4XEUlxLd47jq488Ungc-j~s=",
        1_733_257_591_999,
    ),
    (
        include_bytes!("../../tests/vectors/router4.dat"),
        "Q2X8EdNABegC~lm0VdCAhh5rGLXMDR~aZO-gVNaP5i4=",
        1_720_256_032_847,
    ),
    (
        include_bytes!("../../tests/vectors/router5.dat"),
        "u9QdTy~qBwh8Mrcfrcqvea8MOiNmavLv8Io4XQsMDHg=",
        1_734_277_873_460,
    ),
    (
        include_bytes!("../../tests/vectors/i2pd-2.45.1.dat"),
        "tNBVDFyHjzWsYw36i0rAxSHAjhIevhRh54CKe8XGL70=",
        1_795_454_922_947,
    ),
];

fn info(bytes: &[u8]) -> RouterInfo {
    RouterInfo::from_bytes(bytes).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[5; 32])
}

fn builder() -> RouterInfoBuilder {
    let ntcp2 = Ntcp2Address {
        host: Some("198.18.1.1".parse().unwrap()),
        port: Some(12345),
        static_key: [6; 32],
        iv: Some([7; 16]),
        caps_ipv4: false,
        caps_ipv6: false,
    };
    RouterInfoBuilder {
        identity: RouterIdentity::new(&[1; 32], &key().public(), &[2; 32]),
        published: UnixTime::from_millis(1_700_000_000_123),
        addresses: vec![ntcp2.to_address()],
        options: Mapping::from_pairs([
            ("router.version", "0.9.66"),
            ("netId", "2"),
            ("caps", "LR"),
        ])
        .unwrap(),
    }
}

#[test]
fn routers_of_the_network_are_read_and_their_signatures_hold() {
    for (bytes, hash, published) in VECTORS {
        let info = info(bytes);
        assert_eq!(info.hash().to_string(), hash);
        assert_eq!(info.published(), UnixTime::from_millis(published));
        assert_eq!(info.as_bytes(), bytes);
        let verified = info.verify().unwrap();
        assert_eq!(
            RouterInfo::from_gzip(&verified.to_gzip()).as_ref(),
            Ok(&*verified)
        );
    }
}

#[test]
fn a_change_anywhere_is_noticed() {
    let (bytes, ..) = VECTORS[0];
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let verified = RouterInfo::from_bytes(&changed).map(RouterInfo::verify);
        assert!(!matches!(verified, Ok(Ok(_))), "byte {at}");
    }
    for end in 0..bytes.len() {
        assert!(
            RouterInfo::from_bytes(&bytes[..end]).is_err(),
            "{end} bytes"
        );
    }
}

#[test]
fn what_a_router_publishes_is_found() {
    let java = info(VECTORS[0].0);
    assert_eq!(java.capabilities().as_str(), "NRD");
    assert_eq!(java.capabilities().bandwidth(), Some(BandwidthClass::N));
    assert_eq!(java.net_id(), Some(2));
    assert_eq!(java.version(), Some(RouterVersion::new(0, 9, 64)));
    assert_eq!(java.addresses().len(), 2);
    let ntcp2: Vec<_> = java.ntcp2_addresses().collect();
    assert_eq!(ntcp2.len(), 1);
    assert_eq!(ntcp2[0].host, Some("2.36.209.134".parse().unwrap()));
    assert!(ntcp2[0].published().is_some());
    assert!(java.identity().encryption_key().is_some());

    // One address with a host and one with capabilities, for IPv6.
    let two = info(VECTORS[2].0);
    let published: Vec<_> = two
        .ntcp2_addresses()
        .map(|address| {
            (
                address.published().is_some(),
                address.ipv4(),
                address.ipv6(),
            )
        })
        .collect();
    assert_eq!(published, [(false, true, false), (true, false, true)]);
    assert_eq!(two.version().map(RouterVersion::digits), Some(962));
    assert!(two.capabilities().is_floodfill() && two.capabilities().is_unreachable());
}

#[test]
fn a_router_of_old_is_read_and_a_damaged_signature_found() {
    // Its encryption key is of ElGamal, six bytes of its signature are the letter a, and a line
    // end follows it.
    let bytes: &[u8] = include_bytes!("../../tests/vectors/router3.dat");
    assert_eq!(
        RouterInfo::from_bytes(bytes).unwrap_err(),
        DecodeError::TrailingBytes { extra: 1 }
    );
    let info = info(bytes.strip_suffix(b"\n").unwrap());
    assert_eq!(info.identity().encryption_key(), None);
    assert_eq!(info.version(), Some(RouterVersion::new(0, 9, 50)));
    assert_eq!(info.verify().unwrap_err(), VerifyError::Mismatch);
}

#[test]
fn what_is_built_is_read_back() {
    let built = builder().sign(&key()).unwrap();
    let again = RouterInfo::from_bytes(built.as_bytes())
        .unwrap()
        .verify()
        .unwrap();
    assert_eq!(again, built);
    assert_eq!(again.published(), UnixTime::from_millis(1_700_000_000_123));
    assert_eq!(again.addresses(), builder().addresses);
    assert_eq!(again.options(), &builder().options);
    assert_eq!(again.net_id(), Some(2));
    // With the keys of the mapping in order, as the specification asks for.
    let text = String::from_utf8_lossy(built.as_bytes()).into_owned();
    assert!(text.find("caps=") < text.find("netId="));
    assert!(text.find("netId=") < text.find("router.version="));
}

#[test]
fn only_its_own_key_signs() {
    let other = SigningKey::from_seed(&[8; 32]);
    assert_eq!(
        builder().sign(&other).unwrap_err(),
        EncodeError::KeyMismatch
    );
}

#[test]
fn what_is_too_long_is_neither_built_nor_read() {
    let mut long = builder();
    let value = "x".repeat(250);
    let pairs = (0..12).map(|i: u8| (format!("k{i:02}"), value.clone()));
    long.options = Mapping::from_pairs(pairs).unwrap();
    assert!(matches!(
        long.sign(&key()),
        Err(EncodeError::TooLong { limit: 3072, .. })
    ));
    let (actual, limit) = (3073, 3072);
    assert_eq!(
        RouterInfo::from_bytes(&[0; 3073]).unwrap_err(),
        DecodeError::TooLong { actual, limit }
    );

    let mut many = builder();
    many.addresses = vec![RouterAddress::new(1, "X", Mapping::default()).unwrap(); 17];
    let (actual, limit) = (17, 16);
    assert_eq!(
        many.sign(&key()).unwrap_err(),
        EncodeError::TooMany { actual, limit }
    );
    many.addresses.pop();
    let most = many.sign(&key()).unwrap();
    let mut bytes = most.as_bytes().to_vec();
    bytes[RouterIdentity::USUAL_LEN + 8] = 17;
    assert_eq!(
        RouterInfo::from_bytes(&bytes).unwrap_err(),
        DecodeError::TooMany { actual, limit }
    );
}

#[test]
fn a_key_twice_is_refused() {
    let mut bytes = builder().sign(&key()).unwrap().as_bytes().to_vec();
    let at = bytes
        .windows(5)
        .position(|window| window == b"netId")
        .unwrap();
    // "netId=2" becomes a second "caps" of four letters: the lengths stay.
    bytes
        .splice(at - 1..at + 8, *b"\x04caps=\x021x;")
        .for_each(drop);
    let error = RouterInfo::from_bytes(&bytes).unwrap_err();
    assert!(matches!(
        error,
        DecodeError::DuplicateKey | DecodeError::MappingSyntax
    ));
}

#[test]
fn what_follows_is_refused_and_peers_are_skipped() {
    let (bytes, ..) = VECTORS[1];
    let trailing = [bytes, &[0]].concat();
    assert_eq!(
        RouterInfo::from_bytes(&trailing).unwrap_err(),
        DecodeError::TrailingBytes { extra: 1 }
    );

    let built = builder().sign(&key()).unwrap();
    let peers_at = built.as_bytes().len() - 64 - builder().options.encoded_len() - 1;
    let mut bytes = built.as_bytes()[..built.as_bytes().len() - 64].to_vec();
    assert_eq!(bytes[peers_at], 0);
    bytes.splice(peers_at..=peers_at, [vec![1], vec![9; 32]].concat());
    let signature = key().sign(&bytes);
    bytes.extend_from_slice(&signature);
    let info = RouterInfo::from_bytes(&bytes).unwrap().verify().unwrap();
    assert_eq!(info.options(), &builder().options);
}

#[test]
fn debug_shows_no_addresses() {
    let shown = format!(
        "{:?} {:?}",
        info(VECTORS[0].0),
        info(VECTORS[0].0).addresses()
    );
    assert!(!shown.contains("2.36"), "{shown}");
}

proptest! {
    #[test]
    fn arbitrary_changes_do_not_panic(
        which in 0..VECTORS.len(),
        changes in prop::collection::vec((391usize..1000, any::<u8>()), 1..5),
    ) {
        let mut bytes = VECTORS[which].0.to_vec();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(info) = RouterInfo::from_bytes(&bytes) {
            prop_assert_eq!(info.as_bytes(), &bytes[..]);
            let _ = (info.net_id(), info.version(), info.capabilities().bandwidth());
            info.ntcp2_addresses().for_each(drop);
        }
    }
}
