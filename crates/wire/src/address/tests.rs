use proptest::prelude::*;

use super::*;

const B32: &str = "lhbd7ojcaiofbfku7ixh47qj537g572zmhdc4oilvugzxdpdghua.b32.i2p";

fn parse(text: &str) -> Result<Address, AddressError> {
    text.parse()
}

#[test]
fn each_form_is_recognised_and_printed_back() {
    assert!(matches!(parse(B32), Ok(Address::Hash(_))));
    assert_eq!(parse(B32).unwrap().to_string(), B32);
    assert_eq!(parse(&B32.to_uppercase()), parse(B32));

    let Ok(Address::Name(name)) = parse("I2P-projekt.i2p") else {
        panic!("not a name")
    };
    assert_eq!(name.as_str(), "i2p-projekt.i2p");

    let destination = PrivateKeys::generate().destination().clone();
    let base64 = destination.to_base64();
    assert_eq!(
        parse(&base64),
        Ok(Address::Destination(destination.clone()))
    );
    assert_eq!(
        parse(base64.trim_end_matches('=')).unwrap().to_string(),
        base64
    );
    assert_eq!(parse(&base64).unwrap().hash(), Some(destination.hash()));
}

#[test]
fn encrypted_addresses_are_refused_by_name() {
    for len in [56, 59, 61] {
        let text = format!("{}.b32.i2p", "a".repeat(len));
        assert_eq!(
            parse(&text),
            Err(AddressError::EncryptedNotSupported),
            "{len}"
        );
    }
    assert_eq!(
        AddressError::EncryptedNotSupported.to_string(),
        "b33 addresses of encrypted LeaseSets are not supported yet"
    );
    // The same length without being base32 is damage.
    let text = format!("{}.b32.i2p", "0".repeat(56));
    assert!(matches!(parse(&text), Err(AddressError::Base32(_))));
}

#[test]
fn what_is_no_address_says_what_it_is() {
    for (text, error) in [
        ("", AddressError::Empty),
        (" example.i2p", AddressError::WhiteSpace),
        ("example.i2p\n", AddressError::WhiteSpace),
        ("my example.i2p", AddressError::WhiteSpace),
        ("http://example.i2p/", AddressError::Url),
        ("https://example.i2p:443", AddressError::Url),
        ("example.i2p/", AddressError::Url),
        ("example.i2p?i2paddresshelper=x", AddressError::Url),
        ("127.0.0.1", AddressError::IpAddress),
        ("127.0.0.1:7656", AddressError::IpAddress),
        ("::1", AddressError::IpAddress),
        ("[::1]", AddressError::IpAddress),
        ("[2001:db8::1]:80", AddressError::IpAddress),
        ("example.i2p:80", AddressError::Port),
        ("example.com", AddressError::NotI2p),
        ("example.onion", AddressError::NotI2p),
        ("localhost", AddressError::NoSuffix),
        (
            B32.strip_suffix(".b32.i2p").unwrap(),
            AddressError::NoSuffix,
        ),
        (&format!("www.{B32}"), AddressError::B32Subdomain),
        (
            B32.strip_prefix('l').unwrap(),
            AddressError::B32Length { chars: 51 },
        ),
        (&format!("aaa{B32}"), AddressError::B32Length { chars: 55 }),
        (".b32.i2p", AddressError::Empty),
        (
            "a--b.i2p",
            AddressError::HostName(HostNameError::DoubleHyphen),
        ),
        (
            "lhbd0ojcaiofbfku7ixh47qj537g572zmhdc4oilvugzxdpdghua.b32.i2p",
            AddressError::Base32(Base32Error::Symbol {
                position: 4,
                found: '0',
            }),
        ),
    ] {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_long_wrong_name_is_told_as_a_name() {
    let text = format!("{}.i2p", "a".repeat(100));
    assert_eq!(
        parse(&text),
        Err(AddressError::HostName(HostNameError::TooLong { len: 104 }))
    );
    let text = format!("http://{}.i2p/", "a".repeat(100));
    assert_eq!(parse(&text), Err(AddressError::Url));
}

#[test]
fn a_damaged_destination_is_told_as_one() {
    let base64 = PrivateKeys::generate().destination().to_base64();
    assert!(matches!(
        parse(base64.get(..400).unwrap()),
        Err(AddressError::Destination(DecodeError::Truncated {
            missing: 84
        }))
    ));
    assert!(matches!(
        parse(&base64.replacen(|_: char| true, "+", 1)),
        Err(AddressError::Destination(DecodeError::Base64(_)))
    ));
}

#[test]
fn private_keys_given_as_an_address_are_noticed() {
    let keys = PrivateKeys::generate().to_base64();
    assert_eq!(parse(&keys), Err(AddressError::PrivateKeys));
}

#[test]
fn errors_do_not_repeat_the_address() {
    for text in [
        "http://secret.i2p/",
        "secret.com",
        "secret",
        "secret.i2p:1",
        "secret..i2p",
    ] {
        assert!(
            !parse(text).unwrap_err().to_string().contains("secret"),
            "{text}"
        );
    }
}

#[test]
fn targets_have_port_0_unless_one_is_given() {
    let target: Target = "example.i2p".parse().unwrap();
    assert_eq!(
        (target.to_string().as_str(), target.port),
        ("example.i2p", 0)
    );
    let target: Target = "Example.i2p:80".parse().unwrap();
    assert_eq!(
        (target.to_string().as_str(), target.port),
        ("example.i2p:80", 80)
    );
    let target: Target = format!("{B32}:65535").parse().unwrap();
    assert_eq!(
        (target.to_string(), target.port),
        (format!("{B32}:65535"), 65535)
    );
    let destination = PrivateKeys::generate().destination().clone();
    let target: Target = format!("{destination}:7").parse().unwrap();
    assert_eq!(
        target,
        Target {
            address: destination.into(),
            port: 7
        }
    );
}

#[test]
fn wrong_targets_say_what_is_wrong() {
    for (text, error) in [
        ("example.i2p:", TargetError::Port),
        ("example.i2p:http", TargetError::Port),
        ("example.i2p:+1", TargetError::Port),
        ("example.i2p:65536", TargetError::Port),
        (
            "example.i2p:80:80",
            TargetError::Address(AddressError::Port),
        ),
        (
            "http://example.i2p",
            TargetError::Address(AddressError::Url),
        ),
        (
            "http://example.i2p:80/",
            TargetError::Address(AddressError::Url),
        ),
        ("example.i2p:80/", TargetError::Address(AddressError::Url)),
        (
            "127.0.0.1:80",
            TargetError::Address(AddressError::IpAddress),
        ),
        ("::1", TargetError::Address(AddressError::IpAddress)),
        ("[::1]:80", TargetError::Address(AddressError::IpAddress)),
        ("example.com:80", TargetError::Address(AddressError::NotI2p)),
        (":80", TargetError::Address(AddressError::Empty)),
        ("", TargetError::Address(AddressError::Empty)),
    ] {
        assert_eq!(text.parse::<Target>(), Err(error), "{text:?}");
    }
}

proptest! {
    #[test]
    fn what_is_taken_prints_and_reads_the_same(
        text in "[a-z2-7]{52}\\.b32\\.i2p|[a-zA-Z0-9.-]{1,9}\\.i2p(:[0-9]{1,6})?"
    ) {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string().parse(), Ok(target));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,90}") {
        let _ = text.parse::<Address>();
        let _ = text.parse::<Target>();
        let _ = text.parse::<DestinationHash>();
    }

    #[test]
    fn no_likely_text_panics(text in "[a-z:/.\\[\\]0-9=~-]{0,12}(\\.b32)?(\\.i2p)?[a-z:0-9.]{0,4}") {
        let _ = text.parse::<Address>();
        let _ = text.parse::<Target>();
    }
}
