use proptest::prelude::*;
use ramson_crypto::sha256;

use super::*;

/// The Destination of zzz.i2p, its hash in base64 and in base32: Java I2P,
/// core/java/test/junit/net/i2p/util/ConvertToHashTest.java.
const ZZZ: &str = "\
    GKapJ8koUcBj~jmQzHsTYxDg2tpfWj0xjQTzd8BhfC9c3OS5fwPBNajgF-eOD6eCjFTqTlorlh7Hnd8kXj1qblUGXT-t\
    DoR9~YV8dmXl51cJn9MVTRrEqRWSJVXbUUz9t5Po6Xa247Vr0sJn27R4KoKP8QVj1GuH6dB3b6wTPbOamC3dkO18vkQk\
    fZWUdRMDXk0d8AdjB0E0864nOT~J9Fpnd2pQE5uoFT6P0DqtQR2jsFvf9ME61aqLvKPPWpkgdn4z6Zkm-NJOcDz2Nv8S\
    i7hli94E9SghMYRsdjU-knObKvxiagn84FIwcOpepxuG~kFXdD5NfsH0v6Uri3usE3XWD7Pw6P8qVYF39jUIq4OiNMwP\
    nNYzy2N4mDMQdsdHO3LUVh~DEppOy9AAmEoHDjjJxt2BFBbGxfdpZCpENkwvmZeYUyNCCzASqTOOlNzdpne8cuesn3ND\
    XIpNnqEE6Oe5Qm5YOJykrX~Vx~cFFT3QzDGkIjjxlFBsjUJyYkFjBQAEAAcAAA==";
const ZZZ_HASH: &str = "WcI~uSICHFCVVPoufn4J7v5u~1lhxi45C60Nm43jMeg=";
const ZZZ_B32: &str = "lhbd7ojcaiofbfku7ixh47qj537g572zmhdc4oilvugzxdpdghua.b32.i2p";

/// From the tests of the JavaScript library diva-exchange/i2p-sam,
/// test/lib/i2p-sam.spec.ts, toB32.
const DIVA: &str = "\
    -hX6726R7xIX0Bvb9eKZlADgwCquImj8950Sy1zrrJK5kMFd0jHXXD3ky8iWLYmRi-MN3obBC2z4s0E1Bsl~EfVtWEAo\
    u9dlK7OnW9pbDIxQu6p1yRPBzHNdBM5jTWplZkx5VBL63FsjhIpDRBhTqGUaLFyT40jwD92ks4uAUpZkQwTeNmc9pbWA\
    ro6T2SXgVdDTF5U~8Hk9N~-126hlfATDikoPjUiFr0KD1Yi5~ufWxTwzifHwYmb6SGcBUiKc9L8wFuPOAchH33vBTmAG\
    BoyhZkhWLRjIiQKpE9U5W4LcnrLs2rB40c5F0--esAKUCHA59I~FQXtzbtSbHoFVvYjIHJNGp6UP-CmJWCJs2be9XVI5\
    ltFaiKK6qH7n3p0vKfiJeh43CqKaubX5s93LXNsl~qlil~92T~58FRL36-4FpfXo0AoSJiGgG3kvnB7cJoI2Owjw5oRE\
    7UoXHLFXr8MUpBYqAcsCt3d1tsoHfA1r2bNSuITynWJUWYBDMTocBQAEAAcAAA==";
const DIVA_B32: &str = "z3v47ifwlen474b5aprlf52k6ixa5fpnu5aamuxnulr2qhagrvmq.b32.i2p";

/// The Destination of i2p-projekt.i2p, with DSA keys: Java I2P, installer/resources/hosts.txt. Its
/// address: i2p.website, Naming and Addressbook, Incoming Subscriptions and Merging.
const PROJEKT: &str = "\
    8ZAW~KzGFMUEj0pdchy6GQOOZbuzbqpWtiApEj8LHy2~O~58XKxRrA43cA23a9oDpNZDqWhRWEtehSnX5NoCwJcXWWdO\
    1ksKEUim6cQLP-VpQyuZTIIqwSADwgoe6ikxZG0NGvy5FijgxF4EW9zg39nhUNKRejYNHhOBZKIX38qYyXoB8XCVJybK\
    g89aMMPsCT884F0CLBKbHeYhpYGmhE4YW~aV21c5pebivvxeJPWuTBAOmYxAIgJE3fFU-fucQn9YyGUFa8F3t-0Vco-9\
    qVNSEWfgrdXOdKT6orr3sfssiKo3ybRWdTpxycZ6wB4qHWgTSU5A-gOA3ACTCMZBsASN3W5cz6GRZCspQ0HNu~R~nJ8V\
    06Mmw~iVYOu5lDvipmG6-dJky6XRxCedczxMM1GWFoieQ8Ysfuxq-j8keEtaYmyUQme6TcviCEvQsxyVirr~dTC-F8aZ\
    ~y2AlG5IJz5KD02nO6TRkI2fgjHhv9OZ9nskh-I2jxAzFP6Is1kyAAAA";
const PROJEKT_B32: &str = "udhdrtrcetjm5sxzskjyr5ztpeszydbh4dpl3pl4utgqqw2v4jna.b32.i2p";

/// 384 bytes that count up, and this certificate.
fn with_certificate(certificate: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..384u32)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect();
    bytes.extend_from_slice(certificate);
    bytes
}

#[test]
fn known_destinations_have_their_known_addresses() {
    for (base64, b32) in [(ZZZ, ZZZ_B32), (DIVA, DIVA_B32)] {
        let destination = Destination::from_base64(base64).unwrap();
        assert_eq!(destination.b32(), b32);
        assert_eq!(destination.address().to_string(), b32);
        assert_eq!(destination.to_base64(), base64);
        assert_eq!(destination.as_bytes().len(), 391);
        assert_eq!(destination.signing_key_type(), SigningKeyType::Ed25519);
        assert_eq!(
            destination.encryption_key_type(),
            EncryptionKeyType::ElGamal
        );
    }
    let zzz = Destination::from_base64(ZZZ).unwrap();
    assert_eq!(base64::encode(zzz.hash().as_bytes()), ZZZ_HASH);
    assert_eq!(zzz.hash().0, sha256(zzz.as_bytes()));
}

#[test]
fn a_known_destination_with_dsa_keys_has_its_known_address() {
    let destination = Destination::from_base64(PROJEKT).unwrap();
    assert_eq!(destination.b32(), PROJEKT_B32);
    assert_eq!(destination.to_base64(), PROJEKT);
    assert_eq!(destination.as_bytes().len(), 387);
    assert_eq!(destination.signing_key_type(), SigningKeyType::DsaSha1);
}

#[test]
fn padding_may_be_missing() {
    assert_eq!(
        Destination::from_base64(ZZZ.trim_end_matches('=')),
        Destination::from_base64(ZZZ)
    );
}

#[test]
fn a_destination_without_key_certificate_has_dsa_keys() {
    let bytes = with_certificate(&[0, 0, 0]);
    let destination = Destination::from_bytes(&bytes).unwrap();
    assert_eq!(destination.signing_key_type(), SigningKeyType::DsaSha1);
    assert_eq!(
        destination.encryption_key_type(),
        EncryptionKeyType::ElGamal
    );
    assert_eq!(destination.signing_public_key().unwrap(), &bytes[256..384]);
    assert_eq!(destination.to_base64().len(), 516);
}

#[test]
fn certificates_of_old_are_kept() {
    for code in [0, 1, 2, 3, 4, 200] {
        let bytes = with_certificate(&[code, 0, 5, 1, 2, 3, 4, 5]);
        let destination = Destination::from_bytes(&bytes).unwrap();
        assert_eq!(destination.as_bytes(), bytes);
        assert_eq!(destination.signing_public_key().unwrap().len(), 128);
    }
}

#[test]
fn the_signing_key_is_at_the_end_of_its_field() {
    for (code, len) in [(1, 64), (2, 96), (7, 32), (8, 32), (11, 32)] {
        let bytes = with_certificate(&[5, 0, 4, 0, code, 0, 0]);
        let destination = Destination::from_bytes(&bytes).unwrap();
        assert_eq!(
            destination.signing_public_key().unwrap(),
            &bytes[384 - len..384]
        );
    }
}

#[test]
fn a_long_signing_key_goes_on_in_the_certificate() {
    let bytes = with_certificate(&[5, 0, 9, 0, 3, 0, 0, 0xa, 0xb, 0xc, 0xd, 0xe]);
    let destination = Destination::from_bytes(&bytes).unwrap();
    let key = destination.signing_public_key().unwrap();
    assert_eq!(key.len(), 132);
    assert_eq!(key[..128], bytes[256..384]);
    assert_eq!(key[128..], [0xa, 0xb, 0xc, 0xd]);
}

#[test]
fn an_unknown_signing_key_type_is_taken_without_a_key() {
    let bytes = with_certificate(&[5, 0, 4, 0, 12, 0, 255]);
    let destination = Destination::from_bytes(&bytes).unwrap();
    assert_eq!(destination.signing_key_type(), SigningKeyType::Unknown(12));
    assert_eq!(
        destination.encryption_key_type(),
        EncryptionKeyType::Unknown(255)
    );
    assert_eq!(destination.signing_public_key(), None);
}

#[test]
fn a_destination_is_taken_from_the_front() {
    let mut bytes = with_certificate(&[5, 0, 4, 0, 7, 0, 0]);
    bytes.extend_from_slice(b"private");
    let (destination, rest) = Destination::parse_prefix(&bytes).unwrap();
    assert_eq!(destination.as_bytes(), &bytes[..391]);
    assert_eq!(rest, b"private");
    assert_eq!(
        Destination::from_bytes(&bytes),
        Err(DecodeError::TrailingBytes { extra: 7 })
    );
}

#[test]
fn cut_destinations_are_refused() {
    let bytes = with_certificate(&[5, 0, 4, 0, 7, 0, 0]);
    for len in 0..bytes.len() {
        let error = Destination::from_bytes(&bytes[..len]).unwrap_err();
        assert!(
            matches!(error, DecodeError::Truncated { .. }),
            "{len}: {error}"
        );
    }
    assert_eq!(
        Destination::from_bytes(&bytes[..380]),
        Err(DecodeError::Truncated { missing: 4 })
    );
    let short = with_certificate(&[5, 0, 2, 0, 7]);
    assert_eq!(
        Destination::from_bytes(&short),
        Err(DecodeError::KeyCertificateTooShort {
            needed: 4,
            actual: 2
        })
    );
}

#[test]
fn hashes_are_read_with_and_without_suffix_in_either_case() {
    let hash = Destination::from_base64(ZZZ).unwrap().hash();
    for text in [
        ZZZ_B32,
        ZZZ_B32.strip_suffix(".b32.i2p").unwrap(),
        &ZZZ_B32.to_uppercase(),
        "Lhbd7ojcaiofbfku7ixh47qj537g572zmhdc4oilvugzxdpdghua.B32.i2P",
    ] {
        assert_eq!(text.parse(), Ok(hash), "{text}");
    }
    assert_eq!(hash.to_string(), ZZZ_B32);
}

#[test]
fn wrong_hashes_say_what_is_wrong() {
    let parse = |text: &str| text.parse::<DestinationHash>();
    assert_eq!(parse(""), Err(AddressError::Empty));
    assert_eq!(parse(".b32.i2p"), Err(AddressError::Empty));
    assert_eq!(
        parse(ZZZ_B32.strip_prefix('l').unwrap()),
        Err(AddressError::B32Length { chars: 51 })
    );
    assert!(matches!(parse("0-!"), Err(AddressError::Base32(_))));
    // The last of the 52 characters holds one bit only.
    let damaged = ZZZ_B32.replace("ghua.", "ghub.");
    assert!(matches!(parse(&damaged), Err(AddressError::Base32(_))));
    // 35 bytes: the shortest b33.
    assert_eq!(
        parse(&"a".repeat(56)),
        Err(AddressError::EncryptedNotSupported)
    );
}

proptest! {
    #[test]
    fn what_decodes_keeps_its_bytes(
        fields in prop::collection::vec(any::<u8>(), 384),
        code in 0u8..8,
        body in prop::collection::vec(0u8..16, 0..40),
        after: Vec<u8>,
    ) {
        let mut bytes = fields;
        bytes.push(code);
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&body);
        let len = bytes.len();
        bytes.extend_from_slice(&after);
        if let Ok((destination, rest)) = Destination::parse_prefix(&bytes) {
            prop_assert_eq!(destination.as_bytes(), &bytes[..len]);
            prop_assert_eq!(rest, after);
            prop_assert_eq!(Destination::from_base64(&destination.to_base64()), Ok(destination.clone()));
            prop_assert_eq!(destination.b32().parse(), Ok(destination.hash()));
            prop_assert_eq!(
                destination.signing_public_key().map(|key| key.len()),
                destination.signing_key_type().public_key_len()
            );
        } else {
            prop_assert_eq!(code, 5);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = Destination::from_bytes(&bytes);
    }

    #[test]
    fn hashes_print_and_read_the_same(bytes: [u8; 32]) {
        let hash = DestinationHash(bytes);
        prop_assert_eq!(hash.to_string().len(), 60);
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
