use proptest::prelude::*;

use super::*;

const B32: &str = "ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p";

fn login() -> Login {
    Login::random().unwrap()
}

/// What comes of a client that sends `bytes` and then ends, and what it is told.
fn shake(login: &Login, bytes: &[u8]) -> (Result<(Address, u16), Refusal>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let outcome = handshake(&mut server, login).await;
        // So that closing does not reset what was said.
        tokio::io::copy(&mut server, &mut tokio::io::sink())
            .await
            .unwrap();
        drop(server);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        (outcome, told)
    })
}

fn hello(login: &Login) -> Vec<u8> {
    let mut bytes = vec![5, 2, 0, 2, 1];
    for word in [&login.user, &login.password] {
        bytes.push(u8::try_from(word.len()).unwrap());
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes
}

/// A whole conversation that asks for `name`.
fn request(login: &Login, command: u8, name: &str, port: u16) -> Vec<u8> {
    let mut bytes = hello(login);
    bytes.extend_from_slice(&[5, command, 0, 3, u8::try_from(name.len()).unwrap()]);
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes
}

fn reply(login: &Login, bytes: &[u8]) -> Reply {
    match shake(login, bytes) {
        (Err(Refusal::Reply(reply)), told) => {
            assert_eq!(told, [5, 2, 1, 0]);
            reply
        }
        (Err(Refusal::Silent(error)), _) => panic!("{error}"),
        (Ok(target), _) => panic!("{target:?}"),
    }
}

#[test]
fn names_and_hashes_on_i2p_are_taken() {
    let login = self::login();
    for name in ["example.i2p", "Sub.Example.I2P", B32] {
        let (outcome, told) = shake(&login, &request(&login, 1, name, 8080));
        let (address, port) = outcome.ok().unwrap();
        assert_eq!(address, name.parse().unwrap());
        assert_eq!(port, 8080);
        assert_eq!(told, [5, 2, 1, 0]);
    }
}

#[test]
fn everything_else_is_refused_by_the_ruleset() {
    let login = self::login();
    for name in [
        "example.com",
        "example.i2p.com",
        "127.0.0.1",
        "localhost",
        "",
        "x\0.i2p",
    ] {
        let refused = reply(&login, &request(&login, 1, name, 80));
        assert_eq!(refused, Reply::NotAllowed, "{name:?}");
    }
    for (kind, length) in [(1, 4), (4, 16)] {
        let mut bytes = hello(&login);
        bytes.extend_from_slice(&[5, 1, 0, kind]);
        bytes.extend(std::iter::repeat_n(1, length + 2));
        assert_eq!(reply(&login, &bytes), Reply::NotAllowed);
    }
}

#[test]
fn other_commands_and_address_types_have_their_replies() {
    let login = self::login();
    for command in [0, 2, 3, 255] {
        let refused = reply(&login, &request(&login, command, "example.i2p", 80));
        assert_eq!(refused, Reply::CommandNotSupported);
    }
    let mut bytes = hello(&login);
    bytes.extend_from_slice(&[5, 1, 0, 9, 1, 2, 3]);
    assert_eq!(reply(&login, &bytes), Reply::AddressTypeNotSupported);
}

#[test]
fn who_has_not_the_credentials_gets_no_further() {
    let (login, other) = (self::login(), self::login());
    let (outcome, told) = shake(&login, &request(&other, 1, "example.i2p", 80));
    assert!(matches!(outcome, Err(Refusal::Silent(_))));
    assert_eq!(told, [5, 2, 1, 1]);
    // A right user with a wrong password, and the other way round.
    let mut mixed = Login {
        user: login.user.clone(),
        password: other.password.clone(),
    };
    assert!(!login.is(mixed.user.as_bytes(), mixed.password.as_bytes()));
    std::mem::swap(&mut mixed.user, &mut mixed.password);
    assert!(!login.is(mixed.user.as_bytes(), mixed.password.as_bytes()));
    let cut = login.password.as_bytes();
    assert!(!login.is(login.user.as_bytes(), &cut[..31]));
    assert!(!login.is(b"", b""));

    // Without a method for them there is no use in going on.
    let (outcome, told) = shake(&login, &[5, 1, 0]);
    assert!(matches!(outcome, Err(Refusal::Silent(_))));
    assert_eq!(told, [5, 0xff]);
}

#[test]
fn another_protocol_gets_no_answer() {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x04\x01\x00\x50", b""] {
        let (outcome, told) = shake(&login(), bytes);
        assert!(matches!(outcome, Err(Refusal::Silent(_))));
        assert!(told.is_empty());
    }
}

#[test]
fn the_secret_is_not_shown() {
    let login = self::login();
    assert_eq!(login.user.len(), 2 * SECRET);
    assert_ne!(login.user, login.password);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_never_gets_through(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (outcome, _) = shake(&login(), &bytes);
        prop_assert!(outcome.is_err());
    }

    #[test]
    fn garbage_in_place_of_the_request_never_gets_through(
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let login = login();
        let mut bytes = hello(&login);
        bytes.extend_from_slice(&rest);
        prop_assert!(shake(&login, &bytes).0.is_err());
    }

    #[test]
    fn a_cut_conversation_never_gets_through(len in 0_usize..90) {
        let login = login();
        let whole = request(&login, 1, "example.i2p", 80);
        prop_assume!(len < whole.len());
        prop_assert!(shake(&login, &whole[..len]).0.is_err());
    }
}
