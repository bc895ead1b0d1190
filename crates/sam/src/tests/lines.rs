use crate::*;

fn pairs(text: &str) -> Vec<(String, String)> {
    Line::parse_request(text).unwrap().pairs.clone()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn spaces_and_line_ends_of_real_programs() {
    // i2plib, leaflet and the i2p crate end lines with a space; libsam3 has runs of them.
    for text in [
        "HELLO VERSION MIN=3.0 MAX=3.1",
        "HELLO VERSION MIN=3.0 MAX=3.1 \n",
        "HELLO VERSION MIN=3.0 MAX=3.1\r\n",
        "  HELLO  VERSION\tMIN=3.0    MAX=3.1 \r\n",
    ] {
        let line = Line::parse_request(text).unwrap();
        assert!(line.is("hello", "version"), "{text:?}");
        assert_eq!(
            line.pairs,
            [pair("MIN", "3.0"), pair("MAX", "3.1")],
            "{text:?}"
        );
        assert!(line.bare.is_empty());
    }
}

#[test]
fn quotes_and_escapes() {
    assert_eq!(
        pairs(r#"A B k="long value text""#),
        [pair("k", "long value text")]
    );
    assert_eq!(
        pairs(r#"A B k="a \"b\" \\ c""#),
        [pair("k", r#"a "b" \ c"#)]
    );
    assert_eq!(pairs(r#"A B k=a\"b\\c"#), [pair("k", r#"a"b\c"#)]);
    assert_eq!(pairs(r"A B k=C:\dir\"), [pair("k", r"C:\dir\")]);
    assert_eq!(
        pairs(r#"A B k=a"b c"d e=f"#),
        [pair("k", "ab cd"), pair("e", "f")]
    );
    assert_eq!(
        pairs("A B k== l=a=b= m= n=\"\""),
        [
            pair("k", "="),
            pair("l", "a=b="),
            pair("m", ""),
            pair("n", "")
        ]
    );
    assert_eq!(pairs("A B schlüssel=größe"), [pair("schlüssel", "größe")]);
}

#[test]
fn words_without_a_value() {
    let line = Line::parse_request("SESSION CREATE SILENT A=1 PROTOCOL 40 30").unwrap();
    assert_eq!(line.words, ["SESSION", "CREATE", "SILENT"]);
    assert_eq!(line.pairs, [pair("A", "1")]);
    assert_eq!(line.bare, ["PROTOCOL", "40", "30"]);
    assert!(line.has_word("SILENT") && line.has_word("PROTOCOL") && !line.has_word("SESSION"));
}

#[test]
fn each_error_has_its_cause() {
    let request = Line::parse_request;
    assert_eq!(request(""), Err(LineError::Empty));
    assert_eq!(request(" \t \r\n"), Err(LineError::Empty));
    assert_eq!(request("A B k=\"open"), Err(LineError::OpenQuote));
    assert_eq!(request("A B k=\"open\\\""), Err(LineError::OpenQuote));
    assert_eq!(request("A B =v"), Err(LineError::EmptyKey));
    assert_eq!(
        request("A B k=1 k=2"),
        Err(LineError::DuplicateKey {
            key: "k".to_owned()
        })
    );
    assert_eq!(request("A \0 k=1"), Err(LineError::Nul));
    let mut buffer = LineBuffer::new(8);
    buffer.push(b"12345678\n123456789\n");
    assert_eq!(buffer.next_line(), Ok(Some("12345678".to_owned())));
    assert_eq!(buffer.next_line(), Err(LineError::TooLong { limit: 8 }));
    let mut buffer = LineBuffer::new(8);
    buffer.push(b"\xff\xfe\nnext\n");
    assert_eq!(buffer.next_line(), Err(LineError::NotUtf8));
    assert_eq!(buffer.next_line(), Ok(Some("next".to_owned())));
}

#[test]
fn replies_are_read_leniently() {
    let message = |text: &str| {
        let line = Line::parse_reply(text).unwrap();
        line.get("MESSAGE").unwrap().to_owned()
    };
    assert_eq!(
        message("S T RESULT=I2P_ERROR MESSAGE=Already accepting"),
        "Already accepting"
    );
    assert_eq!(message("S T MESSAGE=a  b=c  d \t"), "a  b=c  d");
    assert_eq!(
        message("S T MESSAGE=some text RESULT=I2P_ERROR"),
        "some text"
    );
    assert_eq!(message("S T MESSAGE= RESULT=I2P_ERROR"), "");
    assert_eq!(
        message(r#"S T MESSAGE="quoted \"text\"" RESULT=OK"#),
        r#"quoted "text""#
    );
    assert_eq!(message(r#"S T MESSAGE="open quote"#), r#""open quote"#);
    assert_eq!(message(r"S T MESSAGE=C:\dir\\x"), r"C:\dir\\x");
    let line = Line::parse_reply("S T RESULT=OK RESULT=TIMEOUT =x").unwrap();
    assert_eq!(line.get("RESULT"), Some("OK"));
    assert_eq!(line.bare, ["=x"]);
}

#[test]
fn buffer_gives_lines_payloads_and_the_rest() {
    let mut buffer = LineBuffer::new(100);
    buffer.push(b"one\r\ntwo\nabc\n");
    assert_eq!(buffer.next_line(), Ok(Some("one".to_owned())));
    assert_eq!(buffer.next_line(), Ok(Some("two".to_owned())));
    assert_eq!(buffer.take(6), None);
    buffer.push(b"\xff\nthree");
    assert_eq!(buffer.take(5).as_deref(), Some(&b"abc\n\xff"[..]));
    assert_eq!(buffer.next_line(), Ok(Some(String::new())));
    assert_eq!(buffer.next_line(), Ok(None));
    assert_eq!(buffer.len(), 5);
    assert_eq!(buffer.take_remainder(), b"three");
    assert!(buffer.is_empty());
    assert_eq!(buffer.last_line(), Ok(None));
}

#[test]
fn many_lines_in_one_push_and_one_line_in_many_take_linear_time() {
    let mut buffer = LineBuffer::new(DEFAULT_LINE_LIMIT);
    buffer.push("x\n".repeat(1_000_000).as_bytes());
    let mut lines = 0;
    while let Ok(Some(_)) = buffer.next_line() {
        lines += 1;
        buffer.push(b"");
    }
    assert_eq!(lines, 1_000_000);
    let mut buffer = LineBuffer::new(1 << 21);
    for _ in 0..1_000_000 {
        buffer.push(b"x");
        assert_eq!(buffer.next_line(), Ok(None));
    }
    buffer.push(b"\n");
    assert_eq!(buffer.next_line().unwrap().unwrap().len(), 1_000_000);
}

#[test]
fn nothing_shows_secrets() {
    let line = Line::parse_request("DEST REPLY PUB=a PRIV=geheim").unwrap();
    let reply = Reply::parse(&line).unwrap();
    assert!(!format!("{line:?} {reply:?}").contains("geheim"));
    let mut buffer = LineBuffer::new(100);
    buffer.push(b"geheim");
    assert!(!format!("{buffer:?}").contains("geheim"));
    let config = ClientConfig {
        password: Some("geheim".into()),
        ..ClientConfig::default()
    };
    assert!(!format!("{config:?}").contains("geheim"));
}
