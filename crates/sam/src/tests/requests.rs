use crate::*;

fn parse(text: &str) -> Result<Request, RequestError> {
    Request::parse(&Line::parse_request(text)?)
}

fn hello(min: Option<Version>, max: Option<Version>) -> Request {
    Request::Hello {
        min,
        max,
        user: None,
        password: None,
        extra: Vec::new(),
    }
}

fn create(style: Style, id: &str, destination: DestinationSpec) -> Request {
    Request::SessionCreate {
        style,
        id: id.to_owned(),
        destination,
        params: SessionParams::default(),
    }
}

fn transient(signature_type: Option<&str>) -> DestinationSpec {
    DestinationSpec::Transient {
        signature_type: signature_type.map(str::to_owned),
    }
}

#[test]
fn hello_of_each_client() {
    use Version as V;
    for (text, expected) in [
        (
            "HELLO VERSION MIN=3.1 MAX=3.1\n",
            hello(Some(V::V3_1), Some(V::V3_1)),
        ), // i2plib
        (
            "HELLO VERSION MIN=3.0 MAX=3.0 \n",
            hello(Some(V::V3_0), Some(V::V3_0)),
        ), // leaflet
        (
            "HELLO VERSION MIN=3.0 MAX=3.1\n",
            hello(Some(V::V3_0), Some(V::V3_1)),
        ), // libsam3
        (
            "HELLO VERSION MIN=3.0 MAX=3.2\n",
            hello(Some(V::V3_0), Some(V::V3_2)),
        ), // txi2p
        ("HELLO VERSION\n", hello(None, None)), // yosemite
        ("HELLO VERSION\r\n", hello(None, None)),
        ("hello version MIN=3 MAX=\n", hello(Some(V::V3_0), None)), // by hand
    ] {
        assert_eq!(parse(text), Ok(expected), "{text:?}");
    }
    let Ok(Request::Hello {
        user,
        password,
        extra,
        ..
    }) = parse(r#"HELLO VERSION USER="an \"ann\"" PASSWORD="pa ss" X=y"#)
    else {
        panic!("no HELLO");
    };
    assert_eq!(user.as_deref(), Some("an \"ann\""));
    assert_eq!(password.unwrap().expose(), "pa ss");
    assert_eq!(extra, [("X".to_owned(), "y".to_owned())]);
    assert_eq!(
        parse("HELLO VERSION MIN=x"),
        Err(RequestError::BadVersion { key: "MIN" })
    );
}

#[test]
fn sessions_of_each_client() {
    assert_eq!(
        parse("SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT \n"),
        Ok(create(Style::Stream, "a", transient(None)))
    );
    assert_eq!(
        parse(
            "SESSION CREATE  STYLE=STREAM   ID=a DESTINATION=TRANSIENT SIGNATURE_TYPE=EdDSA_SHA512_Ed25519\n"
        ),
        Ok(create(
            Style::Stream,
            "a",
            transient(Some("EdDSA_SHA512_Ed25519"))
        ))
    );
    // leaflet says a signature type with keys, too; i2p-sam.js cuts the padding off.
    assert_eq!(
        parse("SESSION CREATE STYLE=RAW ID=a DESTINATION=abc-~ SIGNATURE_TYPE=7\n"),
        Ok(create(
            Style::Raw,
            "a",
            DestinationSpec::Keys("abc-~".into())
        ))
    );
    let Ok(Request::SessionCreate { params, .. }) = parse(
        "SESSION CREATE STYLE=RAW ID=a DESTINATION=TRANSIENT PORT=0 HOST=127.0.0.1 PROTOCOL= \
         inbound.length=1 i2cp.leaseSetEncType=6,4 outbound.nickname=\"my app\" HEADER=true\n",
    ) else {
        panic!("no SESSION CREATE");
    };
    assert_eq!(
        (
            params.port,
            params.host.as_deref(),
            params.header,
            params.protocol
        ),
        (Some(0), Some("127.0.0.1"), true, None)
    );
    assert_eq!(params.options.get("i2cp.leaseSetEncType"), Some("6,4"));
    assert_eq!(params.options.get("outbound.nickname"), Some("my app"));
    assert_eq!(params.options.0.len(), 3);
    let Ok(Request::SessionAdd { style, params, .. }) =
        parse("SESSION ADD STYLE=DATAGRAM2 ID=b PORT=7 LISTEN_PORT=70 LISTEN_PROTOCOL=0\n")
    else {
        panic!("no SESSION ADD");
    };
    assert_eq!(
        (style, params.listen_port, params.listen_protocol),
        (Style::Datagram2, Some(70), Some(0))
    );
    assert_eq!(
        parse("SESSION REMOVE ID=b"),
        Ok(Request::SessionRemove { id: "b".to_owned() })
    );
}

#[test]
fn streams() {
    assert_eq!(
        parse("STREAM CONNECT ID=a DESTINATION=abc== SILENT=false\n"),
        Ok(Request::StreamConnect {
            id: "a".to_owned(),
            destination: "abc==".to_owned(),
            silent: false,
            from_port: None,
            to_port: None
        })
    );
    assert_eq!(
        parse("STREAM ACCEPT ID=a SILENT=TRUE\n"),
        Ok(Request::StreamAccept {
            id: "a".to_owned(),
            silent: true
        })
    );
    assert_eq!(
        parse("STREAM ACCEPT SILENT ID=a\n"),
        Ok(Request::StreamAccept {
            id: "a".to_owned(),
            silent: true
        })
    );
    assert_eq!(
        parse("STREAM FORWARD ID=a PORT=8080 HOST=::1 SSL=true\n"),
        Ok(Request::StreamForward {
            id: "a".to_owned(),
            host: Some("::1".to_owned()),
            port: 8080,
            silent: false,
            ssl: true
        })
    );
}

#[test]
fn utilities() {
    assert_eq!(
        parse("NAMING LOOKUP NAME=ME"),
        Ok(Request::NamingLookup {
            name: "ME".to_owned(),
            options: false
        })
    );
    assert_eq!(
        parse("NAMING LOOKUP NAME=a.i2p OPTIONS=true"),
        Ok(Request::NamingLookup {
            name: "a.i2p".to_owned(),
            options: true
        })
    );
    assert_eq!(
        parse("DEST GENERATE"),
        Ok(Request::DestGenerate {
            signature_type: None
        })
    );
    assert_eq!(
        parse("DEST GENERATE SIGNATURE_TYPE=7"),
        Ok(Request::DestGenerate {
            signature_type: Some("7".to_owned())
        })
    );
    assert_eq!(parse("PING"), Ok(Request::Ping(String::new())));
    assert_eq!(
        parse("PING  two \"spaces =\n"),
        Ok(Request::Ping(" two \"spaces =".to_owned()))
    );
    assert_eq!(parse("PONG 1"), Ok(Request::Pong("1".to_owned())));
    assert_eq!(parse("quit"), Ok(Request::Quit));
    assert_eq!(parse("STOP"), Ok(Request::Stop));
    assert_eq!(parse("EXIT"), Ok(Request::Exit));
    assert_eq!(parse("HELP"), Ok(Request::Help));
    assert_eq!(parse("AUTH ENABLE"), Ok(Request::Auth(Auth::Enable)));
    assert_eq!(
        parse("AUTH ADD USER=\"foo\" PASSWORD=\"bar\""),
        Ok(Request::Auth(Auth::Add {
            user: "foo".to_owned(),
            password: "bar".into()
        }))
    );
    assert_eq!(
        parse("AUTH REMOVE USER=foo"),
        Ok(Request::Auth(Auth::Remove {
            user: "foo".to_owned()
        }))
    );
}

#[test]
fn each_error_has_its_cause() {
    let upper = |text: &str| text.to_owned();
    for (text, error) in [
        (
            "FOO BAR",
            RequestError::UnknownCommand {
                command: upper("FOO"),
            },
        ),
        (
            "stream",
            RequestError::MissingSubcommand {
                command: upper("STREAM"),
            },
        ),
        (
            "STREAM FLY ID=a",
            RequestError::UnknownSubcommand {
                command: upper("STREAM"),
                subcommand: upper("FLY"),
            },
        ),
        (
            "SESSION CREATE ID=a",
            RequestError::Missing { key: "STYLE" },
        ),
        (
            "SESSION CREATE STYLE=STREAM",
            RequestError::Missing { key: "ID" },
        ),
        (
            "SESSION CREATE STYLE=STREAM ID=a",
            RequestError::Missing { key: "DESTINATION" },
        ),
        (
            "SESSION CREATE STYLE=stream",
            RequestError::BadStyle {
                style: upper("stream"),
            },
        ),
        ("STREAM ACCEPT ID=\"a b\"", RequestError::BadId),
        ("STREAM FORWARD ID=a", RequestError::Missing { key: "PORT" }),
        (
            "STREAM FORWARD ID=a PORT=abc",
            RequestError::BadNumber {
                key: "PORT",
                max: 65535,
            },
        ),
        (
            "STREAM FORWARD ID=a PORT=65536",
            RequestError::BadNumber {
                key: "PORT",
                max: 65535,
            },
        ),
        (
            "STREAM FORWARD ID=a PORT=+1",
            RequestError::BadNumber {
                key: "PORT",
                max: 65535,
            },
        ),
        (
            "RAW SEND DESTINATION=a",
            RequestError::Missing { key: "SIZE" },
        ),
        (
            "RAW SEND DESTINATION=a SIZE=65537",
            RequestError::BadNumber {
                key: "SIZE",
                max: 65536,
            },
        ),
        (
            "RAW SEND DESTINATION=a SIZE=1 PROTOCOL=256",
            RequestError::BadNumber {
                key: "PROTOCOL",
                max: 255,
            },
        ),
        ("NAMING LOOKUP", RequestError::Missing { key: "NAME" }),
        ("A=b", LineError::Empty.into()),
    ] {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn older_versions_get_no_newer_keys() {
    let request = Request::StreamConnect {
        id: "a".to_owned(),
        destination: "b==".to_owned(),
        silent: true,
        from_port: Some(1),
        to_port: Some(2),
    };
    assert_eq!(
        request.encode(Version::V3_1),
        "STREAM CONNECT ID=a DESTINATION=b== SILENT=true\n"
    );
    assert_eq!(
        request.encode(Version::V3_2),
        "STREAM CONNECT ID=a DESTINATION=b== SILENT=true FROM_PORT=1 TO_PORT=2\n"
    );
    assert_eq!(request.minimum_version(), Version::V3_2);
    let request = create(Style::Stream, "a", transient(Some("7")));
    assert_eq!(
        request.encode(Version::V3_0),
        "SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT SIGNATURE_TYPE=7\n"
    );
    assert_eq!(hello(None, None).encode(Version::V3_3), "HELLO VERSION\n");
}

#[test]
fn no_value_starts_a_line_of_its_own() {
    let request = Request::NamingLookup {
        name: "a\nQUIT\r\0".to_owned(),
        options: false,
    };
    assert_eq!(
        request.encode(Version::V3_3),
        "NAMING LOOKUP NAME=\"a QUIT  \"\n"
    );
    assert_eq!(
        request.check(),
        Err(EncodeError::LineEnd {
            key: "NAME".to_owned()
        })
    );
    assert_eq!(
        create(Style::Raw, "a b", transient(None)).check(),
        Err(EncodeError::BadId)
    );
    let mut request = create(Style::Raw, "a", transient(None));
    assert_eq!(request.check(), Ok(()));
    for key in ["", "a b", "a=b", "DESTINATION", "a\n"] {
        let Request::SessionCreate { params, .. } = &mut request else {
            continue;
        };
        params.options = [(key, "x")].into_iter().collect();
        assert_eq!(
            request.check(),
            Err(EncodeError::BadKey {
                key: key.to_owned()
            })
        );
    }
}
