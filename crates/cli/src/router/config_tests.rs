use super::*;

#[test]
fn a_short_file_is_enough() {
    let config = Config::parse("data = \"d\"").unwrap();
    assert_eq!(config.network_id(), 2);
    assert_eq!(config.log(), "info");
    let settings = config.settings(77);
    assert_eq!(settings.config.max_links, 77);
    assert_eq!(settings.config.published, None);
    assert!(!settings.config.floodfill && settings.listen.is_none());
    assert_eq!(config.transit().rate_bytes_per_s, 800_000);
}

#[test]
fn every_key_is_taken() {
    let text = r#"
data = "d"
network_id = 7
floodfill = true
allow_local = true
allow_same_network = true
seed = "s"
log = "debug"
bandwidth_kb_per_s = 500
max_links = 100
threads = 3
[ntcp2]
listen = "127.0.0.1:0"
published = "127.0.0.1:0"
[transit]
tunnels = 5
rate_kb_per_s = 400
share = 50
[exploratory]
hops = 1
quantity = 3
"#;
    let config = Config::parse(text).unwrap();
    assert_eq!((config.log(), config.network_id()), ("debug", 7));
    let settings = config.settings(77);
    let router = settings.config;
    assert_eq!((router.network_id, router.max_links), (7, 100));
    assert!(router.floodfill && router.allow_local && router.allow_same_network);
    let limits = TransitLimits {
        tunnels: 5,
        rate_bytes_per_s: 250_000,
    };
    assert_eq!(router.transit, limits);
    assert_eq!(
        (router.exploratory.hops, router.exploratory.quantity),
        (1, 3)
    );
    assert_eq!(router.bandwidth_bytes_per_s, 500_000);
    assert_eq!((settings.threads, settings.seed), (3, Some("s".into())));
    assert!(settings.listen.is_some() && router.published == settings.listen);
}

#[test]
fn errors_name_line_and_key() {
    for (text, wanted) in [
        ("", ": the key data is missing"),
        ("data = 5", ":1: data: "),
        (
            "data = \"d\"\ndate = 3",
            ":2: date: there is no key date; did you mean data?",
        ),
        (
            "data = \"d\"\n[ntcp2]\nlisen = 3",
            ":3: ntcp2.lisen: there is no key lisen; did you mean listen?",
        ),
        (
            "data = \"d\"\n[ntpc2]\nlisten = \"\"",
            ":2: there is no key ntpc2; did you mean ntcp2?",
        ),
        (
            "data = \"d\"\nreseed = true",
            ":2: reseed: there is no key reseed",
        ),
        (
            "data = \"d\"\nzzzzzzz = 1",
            ":2: zzzzzzz: there is no key zzzzzzz, only data, network_id, ",
        ),
        (
            "data = \"d\"\nnetwork_id = 0",
            ":2: network_id: a number from 1 to 255 is wanted",
        ),
        (
            "data = \"d\"\nnetwork_id = 256",
            ":2: network_id: a number from 1 to 255 is wanted",
        ),
        ("data = \"d\"\nnetwork_id = -1", ":2: network_id: a number"),
        (
            "data = \"d\"\nnetwork_id = \"2\"",
            ":2: network_id: invalid type",
        ),
        (
            "data = \"d\"\nfloodfill = \"yes\"",
            ":2: floodfill: invalid value: string \"yes\", expected \"auto\", true or false",
        ),
        (
            "data = \"d\"\nlog = \"loud\"",
            ":2: log: off, error, warn, info, debug or trace is wanted",
        ),
        (
            "data = \"d\"\n\n[transit] # ours\nshare = 101",
            ":4: transit.share: a number from 0 to 100 is wanted",
        ),
        (
            "data = \"d\"\n[exploratory]\nhops = 8",
            ":3: exploratory.hops: a number from 0 to 7",
        ),
        (
            "data = \"d\"\n[ntcp2]\nlisten = \"example.org:5\"",
            ":3: ntcp2.listen: an IP address with a port",
        ),
        (
            "data = \"d\"\n[ntcp2]\npublished = \"0.0.0.0:5\"",
            ":3: ntcp2.published: other routers need",
        ),
        (
            "data = \"d\"\n[ntcp2]\npublished = \"127.0.0.1:5\"",
            ":3: ntcp2.published: nobody else",
        ),
        ("data = \"d\"\ndata = \"e\"", ":2: data: duplicate key"),
        ("data = \"d", ":1: data: "),
        ("= 5", ":1"),
        ("data = \"d\"\n[ntcp2\n", ":2"),
    ] {
        let (place, said) = Config::parse(text).unwrap_err();
        let said = format!("{place}: {said}");
        assert!(
            said.starts_with(wanted),
            "{text:?}\n said   {said:?}\n wanted {wanted:?}"
        );
        assert!(!said.contains('\n'), "{said:?}");
    }
}

#[test]
fn paths_begin_where_the_file_is() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("router.toml");
    std::fs::write(&file, "data = \"d\"\nseed = \"/s\"").unwrap();
    let settings = Config::read(&file).unwrap().settings(1);
    assert_eq!(settings.data, temp.path().join("d"));
    assert_eq!(settings.seed, Some("/s".into()));
    std::fs::write(&file, "data = \"d\"\nsede = \"/s\"").unwrap();
    let said = Config::read(&file).unwrap_err().to_string();
    assert_eq!(
        said,
        format!(
            "{}:2: sede: there is no key sede; did you mean seed?",
            file.display()
        )
    );
    assert!(matches!(
        Config::read(&temp.path().join("none")),
        Err(ConfigError::Read { .. })
    ));
}
