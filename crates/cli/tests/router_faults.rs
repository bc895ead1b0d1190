//! `ramson router` as a program whose disk is full, whose files are damaged, whose descriptors are
//! few, and whose operator wants to know.

#![cfg(all(target_os = "linux", feature = "router"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ramson_wire::RouterInfo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing takes that long.
const LONG: Duration = Duration::from_secs(90);

fn write_config(folder: &Path, more: &str) {
    let text = format!(
        "data = \"data\"\nnetwork_id = 248\nallow_local = true\nallow_same_network = true\n{more}\n\
         [ntcp2]\nlisten = \"127.0.0.1:0\"\npublished = \"127.0.0.1:0\"\n"
    );
    std::fs::write(folder.join("router.toml"), text).unwrap();
}

/// A router whose process is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a router behind some words of a shell, such as limits. What it says goes through a pipe
/// into `log`, because a limit of files would be one of the log, too.
fn start_limited(folder: &Path, limits: &str) -> Running {
    let program = env!("CARGO_BIN_EXE_ramson");
    let line = format!("{limits} exec '{program}' --json router --config router.toml 2>&1");
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(folder);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = child.stdout.take().unwrap();
    let mut log = std::fs::File::create(folder.join("log")).unwrap();
    std::thread::spawn(move || std::io::copy(&mut said, &mut log));
    Running(child)
}

fn start(folder: &Path) -> Running {
    start_limited(folder, "")
}

fn signal(child: &Running, signal: Signal) {
    let pid = Pid::from_raw(child.0.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn end(mut child: Running) {
    signal(&child, Signal::TERM);
    signal(&child, Signal::TERM);
    assert!(child.0.wait().unwrap().success());
}

fn status(folder: &Path) -> Option<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ramson"));
    command.args(["--json", "router", "status", "--config", "router.toml"]);
    let output = command.current_dir(folder).output().unwrap();
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).unwrap())
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn until<T>(folder: &Path, what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        let (log, status) = (log(folder), status(folder));
        assert!(began.elapsed() < LONG, "{what}: {status:?}\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the status is as wanted.
fn until_status(folder: &Path, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(folder, what, || status(folder).filter(|it| wanted(it)))
}

/// Waits until what a router that has ended said is all there.
fn until_said(folder: &Path, what: &str) {
    until(folder, what, || log(folder).contains(what).then_some(()));
}

fn lines_with(folder: &Path, words: &str) -> usize {
    log(folder)
        .lines()
        .filter(|line| line.contains(words))
        .count()
}

fn info(folder: &Path) -> RouterInfo {
    let bytes = std::fs::read(folder.join("data/router.info")).unwrap();
    let info = RouterInfo::from_bytes(&bytes).unwrap();
    info.verify().unwrap().into_inner()
}

/// A folder of a router that knows three others, which are no more.
fn acquainted(folder: &Path) {
    let seed = folder.join("seed");
    std::fs::create_dir(&seed).unwrap();
    for index in 0..3 {
        let other = folder.join(format!("other-{index}"));
        std::fs::create_dir(&other).unwrap();
        write_config(&other, "");
        let router = start(&other);
        until_status(&other, "it runs", |_| true);
        std::fs::copy(other.join("data/router.info"), seed.join(index.to_string())).unwrap();
        drop(router);
    }
    write_config(folder, "seed = \"seed\"");
    let router = start(folder);
    until_status(folder, "they are known", |it| it["routers"] == 3);
    end(router);
    assert!(folder.join("data/routers.db").exists());
    write_config(folder, "");
}

#[test]
fn a_full_disk_is_said_once_and_spoils_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    acquainted(folder);
    let (before, stored) = (
        info(folder),
        std::fs::read(folder.join("data/routers.db")).unwrap(),
    );
    // No file may have a single byte more.
    let router = start_limited(folder, "trap '' XFSZ; ulimit -f 0;");
    until_status(folder, "it runs", |it| it["routers"] == 3);
    end(router);
    until_said(folder, "cannot be written");
    assert_eq!(
        lines_with(folder, "cannot be written"),
        1,
        "{}",
        log(folder)
    );
    assert_eq!(info(folder).hash(), before.hash());
    let path = folder.join("data/routers.db");
    assert_eq!(std::fs::read(path).unwrap(), stored);
    for file in std::fs::read_dir(folder.join("data")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".new"), "{name}");
    }
    // With room again all is as it was.
    let router = start(folder);
    until_status(folder, "it runs again", |it| it["routers"] == 3);
    assert_eq!(info(folder).hash(), before.hash());
    end(router);

    // Without an identity there is no router, and nothing that looks like one.
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).unwrap();
    write_config(&empty, "");
    let mut router = start_limited(&empty, "trap '' XFSZ; ulimit -f 0;");
    assert!(!router.0.wait().unwrap().success());
    let mut keys = Vec::new();
    if let Ok(mut file) = std::fs::File::open(empty.join("data/router.keys")) {
        file.read_to_end(&mut keys).unwrap();
    }
    assert!(keys.is_empty());
    let router = start(&empty);
    until_status(&empty, "it runs", |_| true);
    end(router);
}

#[test]
fn a_damaged_netdb_file_costs_what_is_damaged_and_one_line() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    acquainted(folder);
    let path = folder.join("data/routers.db");
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let noise: Vec<u8> = good
        .iter()
        .map(|byte| byte.wrapping_mul(37) ^ 0x5a)
        .collect();
    let cases: [(&[u8], u64, bool); 4] = [
        (&flipped, 2, true),
        (&good[..good.len() - 40], 2, true),
        (&noise, 0, true),
        (&[], 0, false),
    ];
    for (bytes, left, told) in cases {
        std::fs::write(&path, bytes).unwrap();
        let router = start(folder);
        until_status(folder, "it runs", |it| it["uptime_s"].is_u64());
        until(folder, "what is left is known", || {
            (log(folder).contains(&format!("\"routers\":{left}"))).then_some(())
        });
        assert_eq!(lines_with(folder, "is damaged"), usize::from(told));
        drop(router);
    }
    // And a folder in its place keeps nobody from starting.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let router = start(folder);
    until_status(folder, "it runs", |_| true);
    assert_eq!(lines_with(folder, "cannot be read"), 1, "{}", log(folder));
    drop(router);
}

/// Two routers, of which the second has its tunnels through the first.
fn pair(folder: &Path, first: &str, second: &str) -> [Running; 2] {
    let [a, b] = ["a", "b"].map(|name| folder.join(name));
    std::fs::create_dir(&a).unwrap();
    std::fs::create_dir(&b).unwrap();
    let first = format!("floodfill = true\nexploratory.hops = 1\n{first}");
    write_config(&a, &first);
    let one = start(&a);
    until_status(&a, "it runs", |_| true);
    write_config(
        &b,
        &format!("seed = \"../a/data/router.info\"\nexploratory.hops = 1\n{second}"),
    );
    let other = start(&b);
    until_status(&a, "it has transit", |it| {
        it["transit_tunnels"].as_u64() >= Some(2)
    });
    [one, other]
}

#[test]
fn a_router_that_ends_refuses_new_transit_and_says_what_is_left() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let [mut one, other] = pair(folder, "", "");
    let a = folder.join("a");
    signal(&one, Signal::TERM);
    let told = until_status(&a, "it drains", |it| it["draining"] == true);
    assert!(told["transit_tunnels"].as_u64() > Some(0), "{told}");
    until_said(&a, "transit_tunnels");
    // Somebody new, who knows nobody else: nothing is taken of it.
    let c = folder.join("c");
    std::fs::create_dir(&c).unwrap();
    let seed = "seed = \"../a/data/router.info\"\nexploratory.hops = 1";
    write_config(&c, seed);
    let third = start(&c);
    let told = until_status(&a, "it refuses", |it| {
        it["drops"]["transit_draining"].as_u64() > Some(0)
    });
    assert!(told["transit_refused"].as_u64() > Some(0));
    assert!(one.0.try_wait().unwrap().is_none(), "it is still there");
    // The second signal: at once, with hours of tunnels left.
    signal(&one, Signal::TERM);
    assert!(one.0.wait().unwrap().success());
    drop((other, third));
}

#[test]
fn limits_and_log_level_that_are_read_again_hold() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let [one, other] = pair(folder, "", "");
    let a = folder.join("a");
    assert_eq!(lines_with(&a, "DEBUG"), 0);
    let none = "floodfill = true\nexploratory.hops = 1\nlog = \"debug\"\ntransit.tunnels = 0";
    write_config(&a, none);
    signal(&one, Signal::HUP);
    until(&a, "the level", || {
        (lines_with(&a, "DEBUG") > 0).then_some(())
    });
    // No more tunnels, which is published.
    let told = until_status(&a, "the limit", |it| it["congestion"] == "G");
    assert!(told["uptime_s"].as_u64() > Some(0));
    until(&a, "the letter", || {
        let caps = info(&a).capabilities().as_str().to_owned();
        caps.ends_with('G').then_some(())
    });
    drop((one, other));
}

/// What must not be said at info: where others are and who they are. What must not be said ever:
/// secrets.
#[test]
fn logs_name_nobody_and_tell_no_secret() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let [one, other] = pair(folder, "log = \"info\"", "log = \"trace\"");
    let [a, b] = ["a", "b"].map(|name| folder.join(name));
    until_status(&b, "it is ready", |it| it["ready"] == true);
    let peer = info(&b);
    let port = peer.ntcp2_addresses().next().unwrap().port.unwrap();
    signal(&one, Signal::HUP);
    until_said(&a, "limits and log level");
    let (quiet, loud) = (log(&a), log(&b));
    let hash = peer.hash();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|it| format!("{it:02x}")).collect() };
    for name in [
        port.to_string(),
        hash.to_string(),
        format!("{hash:?}"),
        hex(&hash.0[..8]),
    ] {
        assert!(!quiet.contains(&name), "{name} in {quiet}");
    }
    // At trace the other one says much, and none of its keys.
    assert!(loud.contains("TRACE") && loud.len() > 1000);
    let keys = std::fs::read(b.join("data/router.keys")).unwrap();
    let secrets = &keys[16..keys.len() - 32];
    for at in (0..secrets.len() - 16).step_by(8) {
        let bytes = &secrets[at..at + 16];
        let list = format!("{:?}", &bytes[..6]);
        let list = list.trim_matches(['[', ']']);
        let base64 = data_encoding::BASE64.encode(&bytes[..12]);
        for form in [hex(&bytes[..6]), list.to_owned(), base64] {
            // The NTCP2 `i` is published.
            assert!(!loud.contains(&form), "byte {at} of the keys is in the log");
        }
    }
    drop((one, other));
}

/// A connection from one of the many addresses of loopback, that says nothing.
fn silent(to: SocketAddr, source: u8) -> Option<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let socket = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().ok()?;
        let from = SocketAddr::from(([127, 3, 0, source], 0));
        socket.bind(from).ok()?;
        let connect = socket.connect(to);
        let connected = tokio::time::timeout(Duration::from_millis(500), connect).await;
        connected.ok()?.ok()?.into_std().ok()
    })?;
    Some(socket)
}

#[test]
fn few_descriptors_are_few_links_and_enough_for_who_is_honest() {
    let temp = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| temp.path().join(name));
    std::fs::create_dir(&a).unwrap();
    std::fs::create_dir(&b).unwrap();
    write_config(&a, "floodfill = true");
    let one = start_limited(&a, "ulimit -n 96;");
    let told = until_status(&a, "it runs", |it| it["listen"].is_string());
    let address: SocketAddr = told["listen"].as_str().unwrap().parse().unwrap();
    let rss = |router: &Running| {
        let path = format!("/proc/{}/status", router.0.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let before = rss(&one);
    let mut held = Vec::new();
    for source in 0..30 {
        for _ in 0..10 {
            held.extend(silent(address, source));
        }
    }
    let told = until_status(&a, "connections are refused", |it| {
        it["drops"]["handshakes_full"].as_u64() > Some(0)
    });
    // Half of the descriptors are for links, and half as many for those that are to be links.
    assert!(told["half_open"].as_u64() <= Some(24), "{told}");
    // Somebody honest comes along, and is let in when one of those is given up.
    write_config(&b, "seed = \"../a/data/router.info\"");
    let other = start(&b);
    until_status(&a, "the honest one is linked", |it| it["links"] == 1);
    let grown = rss(&one).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    assert_eq!(lines_with(&a, "ERROR"), 0, "{}", log(&a));
    drop((one, other, held));
}
