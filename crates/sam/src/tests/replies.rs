use crate::*;

fn parse(text: &str) -> Result<Reply, ReplyError> {
    Reply::parse(&Line::parse_reply(text)?)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn lines_of_each_router() {
    let session = |result, message: Option<&str>| Reply::SessionStatus {
        result,
        destination: None,
        id: None,
        message: message.map(str::to_owned),
    };
    let stream = |result, message: Option<&str>| Reply::StreamStatus {
        result,
        message: message.map(str::to_owned),
    };
    let status = |command: &str, result, message: &str| Reply::Status {
        command: command.to_owned(),
        result,
        message: some(message),
    };
    for (text, expected) in [
        (
            "HELLO REPLY RESULT=OK VERSION=3.1\n",
            Reply::Hello {
                result: ResultCode::Ok,
                version: Some(Version::V3_1),
                message: None,
            },
        ),
        (
            "HELLO REPLY RESULT=NOVERSION\n",
            Reply::Hello {
                result: ResultCode::NoVersion,
                version: None,
                message: None,
            },
        ),
        (
            "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Must start with HELLO VERSION\"\n",
            Reply::Hello {
                result: ResultCode::I2pError,
                version: None,
                message: some("Must start with HELLO VERSION"),
            },
        ),
        (
            "SESSION STATUS RESULT=OK DESTINATION=abc==\n",
            Reply::SessionStatus {
                result: ResultCode::Ok,
                destination: Some("abc==".into()),
                id: None,
                message: None,
            },
        ),
        (
            "SESSION STATUS RESULT=DUPLICATED_ID\n",
            session(ResultCode::DuplicatedId, None),
        ),
        (
            "SESSION STATUS RESULT=DUPLICATED_DEST\n",
            session(ResultCode::DuplicatedDest, None),
        ),
        // emissary, without the newline
        (
            "SESSION STATUS RESULT=DUPLICATE_ID",
            session(ResultCode::DuplicatedId, None),
        ),
        (
            "SESSION STATUS RESULT=DUPLICATE_DEST",
            session(ResultCode::DuplicatedDest, None),
        ),
        (
            "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"SIGNATURE_TYPE x unsupported\"\n",
            session(ResultCode::I2pError, Some("SIGNATURE_TYPE x unsupported")),
        ),
        // i2pd
        (
            "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Unsupported STYLE\"\n",
            session(ResultCode::I2pError, Some("Unsupported STYLE")),
        ),
        (
            "STREAM STATUS RESULT=I2P_ERROR MESSAGE=Already accepting\n",
            stream(ResultCode::I2pError, Some("Already accepting")),
        ),
        // Java and emissary
        (
            "SESSION STATUS RESULT=OK ID=\"x\" MESSAGE=\"ADD x\"\n",
            Reply::SessionStatus {
                result: ResultCode::Ok,
                destination: None,
                id: some("x"),
                message: some("ADD x"),
            },
        ),
        ("STREAM STATUS RESULT=OK\n", stream(ResultCode::Ok, None)),
        (
            "STREAM STATUS RESULT=CANT_REACH_PEER\n",
            stream(ResultCode::CantReachPeer, None),
        ),
        (
            "STREAM STATUS RESULT=INVALID_ID MESSAGE=\"STREAM SESSION ID x does not exist\"\n",
            stream(
                ResultCode::InvalidId,
                Some("STREAM SESSION ID x does not exist"),
            ),
        ),
        (
            "STREAM STATUS RESULT=WHAT_EVER\n",
            stream(ResultCode::Other("WHAT_EVER".to_owned()), None),
        ),
        (
            "DEST REPLY PUB=ab= PRIV=cd==\n",
            Reply::Dest {
                public: "ab=".to_owned(),
                private: "cd==".into(),
            },
        ),
        (
            "DEST REPLY RESULT=I2P_ERROR MESSAGE=\"SIGNATURE_TYPE 99 unsupported\"\n",
            Reply::DestError {
                result: ResultCode::I2pError,
                message: some("SIGNATURE_TYPE 99 unsupported"),
            },
        ),
        ("PING 1234\n", Reply::Ping("1234".to_owned())),
        ("PONG\n", Reply::Pong(String::new())),
        (
            "QUIT STATUS RESULT=OK MESSAGE=bye\n",
            status("QUIT", ResultCode::Ok, "bye"),
        ),
        (
            "FOO STATUS RESULT=I2P_ERROR MESSAGE=\"unsupported command, enter HELP for help\"\n",
            status(
                "FOO",
                ResultCode::I2pError,
                "unsupported command, enter HELP for help",
            ),
        ),
        (
            "HELP STATUS RESULT=OK MESSAGE=http://i2p-projekt.i2p/en/docs/api/samv3?a=b\n",
            status(
                "HELP",
                ResultCode::Ok,
                "http://i2p-projekt.i2p/en/docs/api/samv3?a=b",
            ),
        ),
        (
            "RAW RECEIVED SIZE=5\n",
            Reply::RawReceived {
                size: 5,
                protocol: None,
                from_port: None,
                to_port: None,
            },
        ),
        (
            "RAW RECEIVED SIZE=5 PROTOCOL=18 FROM_PORT=1 TO_PORT=2\n",
            Reply::RawReceived {
                size: 5,
                protocol: Some(18),
                from_port: Some(1),
                to_port: Some(2),
            },
        ),
        (
            "DATAGRAM RECEIVED DESTINATION=abc= SIZE=10\n",
            Reply::DatagramReceived {
                destination: "abc=".to_owned(),
                size: 10,
                from_port: None,
                to_port: None,
            },
        ),
    ] {
        assert_eq!(parse(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn naming_with_options() {
    let text = "NAMING REPLY RESULT=OK NAME=example.i2p VALUE=base64dest= \
                OPTION:_smtp._tcp=\"1 86400 0 0 25 bbbb.b32.i2p\"\n";
    let reply = parse(text).unwrap();
    assert_eq!(
        reply,
        Reply::Naming {
            result: ResultCode::Ok,
            name: some("example.i2p"),
            value: some("base64dest="),
            message: None,
            extra: vec![(
                "OPTION:_smtp._tcp".to_owned(),
                "1 86400 0 0 25 bbbb.b32.i2p".to_owned()
            )],
        }
    );
    assert_eq!(reply.encode(Version::V3_3), text);
    assert_eq!(
        parse("NAMING REPLY RESULT=KEY_NOT_FOUND NAME=x\n")
            .unwrap()
            .result(),
        Some(&ResultCode::KeyNotFound)
    );
}

#[test]
fn errors_and_unknown_lines() {
    assert_eq!(
        parse("STREAM STATUS"),
        Err(ReplyError::Missing { key: "RESULT" })
    );
    assert_eq!(
        parse("RAW RECEIVED"),
        Err(ReplyError::Missing { key: "SIZE" })
    );
    assert_eq!(
        parse("RAW RECEIVED SIZE=65537"),
        Err(ReplyError::BadNumber {
            key: "SIZE",
            max: 65536
        })
    );
    assert_eq!(
        parse("HELLO REPLY RESULT=OK VERSION=x"),
        Err(ReplyError::BadVersion)
    );
    let other = parse("WHAT IS this=it now").unwrap();
    assert!(matches!(other, Reply::Other(_)));
    assert_eq!(other.encode(Version::V3_3), "WHAT IS this=it now\n");
}

#[test]
fn ports_follow_the_version() {
    let reply = Reply::RawReceived {
        size: 1,
        protocol: Some(18),
        from_port: Some(1),
        to_port: Some(2),
    };
    assert_eq!(reply.encode(Version::V3_1), "RAW RECEIVED SIZE=1\n");
    assert_eq!(
        reply.encode(Version::V3_2),
        "RAW RECEIVED SIZE=1 PROTOCOL=18 FROM_PORT=1 TO_PORT=2\n"
    );
}

#[test]
fn peer_lines() {
    let bare = PeerLine {
        destination: "abc==".to_owned(),
        from_port: None,
        to_port: None,
    };
    let ports = PeerLine {
        from_port: Some(7),
        to_port: Some(0),
        ..bare.clone()
    };
    assert_eq!(PeerLine::parse("abc==\n"), Ok(bare.clone()));
    assert_eq!(
        PeerLine::parse("abc== FROM_PORT=7 TO_PORT=0 \r\n"),
        Ok(ports.clone())
    );
    assert_eq!(PeerLine::parse("abc== 1 2 X=y"), Ok(bare.clone()));
    assert_eq!(
        PeerLine::parse(" \n"),
        Err(ReplyError::Missing { key: "DESTINATION" })
    );
    assert!(PeerLine::parse("abc FROM_PORT=x").is_err());
    assert_eq!(ports.encode(Version::V3_0), "abc==\n");
    assert_eq!(ports.encode(Version::V3_1), "abc==\n");
    assert_eq!(ports.encode(Version::V3_2), "abc== FROM_PORT=7 TO_PORT=0\n");
    assert_eq!(bare.encode(Version::V3_3), "abc== FROM_PORT=0 TO_PORT=0\n");
}

#[test]
fn datagrams_over_udp() {
    let (header, payload) = SendHeader::parse(b"3.0 id dest== 40 30\nab\ncd").unwrap();
    assert_eq!(
        (&*header.id, &*header.destination, payload),
        ("id", "dest==", &b"ab\ncd"[..])
    );
    let text = b"3.3 id x.b32.i2p FROM_PORT=1 TO_PORT=2 PROTOCOL=18 SEND_TAGS=5\n\xff";
    let (header, payload) = SendHeader::parse(text).unwrap();
    assert_eq!(
        (header.from_port, header.to_port, header.protocol),
        (Some(1), Some(2), Some(18))
    );
    assert_eq!(header.options.get("SEND_TAGS"), Some("5"));
    let mut out = Vec::new();
    header.encode(payload, &mut out).unwrap();
    assert_eq!(out, text);
    for (bytes, error) in [
        (&b""[..], DatagramError::NoHeader),
        (b"3.0 id dest", DatagramError::NoHeader),
        (b"2.0 id dest\n", DatagramError::BadVersion),
        (b"x id dest\n", DatagramError::BadVersion),
        (b"3.0 id\n", DatagramError::BadWord),
        (b"\n", DatagramError::BadWord),
        (b"3.0 a b\xff\n", LineError::NotUtf8.into()),
        (
            b"3.2 a b TO_PORT=x\n",
            ReplyError::BadNumber {
                key: "TO_PORT",
                max: 65535,
            }
            .into(),
        ),
        (
            &[b'a'; 5000],
            DatagramError::TooLong {
                limit: HEADER_LIMIT,
            },
        ),
    ] {
        assert_eq!(SendHeader::parse(bytes), Err(error));
    }

    let (peer, payload) = parse_forwarded(b"abc==\npay\nload").unwrap();
    assert_eq!((&*peer.destination, payload), ("abc==", &b"pay\nload"[..]));
    let mut out = Vec::new();
    encode_forwarded(&peer, Version::V3_2, payload, &mut out);
    assert_eq!(out, b"abc== FROM_PORT=0 TO_PORT=0\npay\nload");
    // The order of Java I2P and that of the text.
    for text in [
        "PROTOCOL=18 FROM_PORT=1 TO_PORT=2\nx",
        "FROM_PORT=1 TO_PORT=2 PROTOCOL=18\nx",
    ] {
        let (header, payload) = RawHeader::parse(text.as_bytes()).unwrap();
        let expected = RawHeader {
            from_port: Some(1),
            to_port: Some(2),
            protocol: Some(18),
        };
        assert_eq!((header, payload), (expected, &b"x"[..]));
    }
    assert_eq!(
        RawHeader::parse(b"just text\n"),
        Err(DatagramError::NoHeader)
    );
}
