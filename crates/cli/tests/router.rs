//! `ramson router` as a program: signals, status, and being killed at any moment.

#![cfg(all(unix, feature = "router"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use ramson_wire::RouterInfo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Times it is killed.
const KILLS: usize = 50;
/// Nothing takes that long.
const LONG: Duration = Duration::from_secs(60);

fn write_config(folder: &Path, more: &str) {
    let text = format!(
        "data = \"data\"\nnetwork_id = 250\nallow_local = true\n{more}\n\
         [ntcp2]\nlisten = \"127.0.0.1:0\"\npublished = \"127.0.0.1:0\"\n"
    );
    std::fs::write(folder.join("router.toml"), text).unwrap();
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ramson"));
    command.args(words).args(["--config", "router.toml"]);
    command.current_dir(folder);
    command
}

fn run(folder: &Path, words: &[&str]) -> Output {
    command(folder, words).output().unwrap()
}

fn start(folder: &Path) -> Child {
    let mut command = command(folder, &["--json", "router"]);
    let log = std::fs::File::create(folder.join("log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn status(folder: &Path) -> Option<Value> {
    let output = run(folder, &["--json", "router", "status"]);
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).unwrap())
}

fn until<T>(folder: &Path, mut wanted: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(began.elapsed() < LONG, "{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn log_says(folder: &Path, what: &str) -> Option<()> {
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    log.contains(what).then_some(())
}

#[test]
fn status_is_told_while_it_runs_and_not_after() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    write_config(folder, "");
    let none = run(folder, &["--json", "router", "status"]);
    assert_eq!(none.status.code(), Some(3));
    let error: Value = serde_json::from_slice(&none.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "not_running");

    let mut router = start(folder);
    let told = until(folder, || {
        status(folder).filter(|it| it["waiting_for"].is_string())
    });
    assert_eq!(told["event"], "router_status");
    assert_eq!(told["network_id"], 250);
    assert_eq!(told["ready"], false);
    assert!(told["waiting_for"].as_str().unwrap().contains("seed"));
    assert!(told["listen"].as_str().unwrap().starts_with("127.0.0.1:"));
    let table = String::from_utf8(run(folder, &["router", "status"]).stdout).unwrap();
    for word in ["links", "netDb", "own tunnels", "transit", "not ready"] {
        assert!(table.contains(word), "{table}");
    }

    // Nobody relies on it: it ends at the first signal.
    signal(&router, Signal::TERM);
    assert!(router.wait().unwrap().success());
    assert!(status(folder).is_none());
    assert!(!folder.join("data/control.sock").exists());
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("\"event\":\"router\",\"version\":"), "{log}");
}

#[test]
fn the_configuration_is_read_again_on_hang_up() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    write_config(folder, "log = \"off\"");
    let mut router = start(folder);
    until(folder, || status(folder));
    write_config(folder, "log = \"debug\"");
    signal(&router, Signal::HUP);
    until(folder, || {
        log_says(folder, "limits and log level are those of")
    });
    write_config(folder, "log = \"noise\"");
    signal(&router, Signal::HUP);
    until(folder, || {
        log_says(folder, "router.toml:4: log: off, error, warn")
    });
    write_config(folder, "");
    assert!(status(folder).is_some(), "a mistake ends nothing");
    signal(&router, Signal::INT);
    assert!(router.wait().unwrap().success());
}

#[test]
fn mistakes_in_the_configuration_are_usage_errors() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    write_config(folder, "bandwith_kb_per_s = 5");
    let output = run(folder, &["router"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let wanted = "router.toml:4: bandwith_kb_per_s: there is no key bandwith_kb_per_s; did you \
                  mean bandwidth_kb_per_s?";
    assert!(said.contains(wanted), "{said}");
    assert!(!folder.join("data").exists());
    let bare = Command::new(env!("CARGO_BIN_EXE_ramson"))
        .arg("router")
        .output();
    assert_eq!(bare.unwrap().status.code(), Some(2));
}

#[test]
fn two_with_one_folder_are_one_too_many() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    write_config(folder, "");
    let mut router = start(folder);
    until(folder, || status(folder));
    let second = run(folder, &["--json", "router"]);
    assert_eq!(second.status.code(), Some(5));
    let error: Value = serde_json::from_slice(&second.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "key_in_use");
    assert!(status(folder).is_some(), "the first one is as it was");
    router.kill().unwrap();
    router.wait().unwrap();
}

#[test]
fn identity_and_files_survive_kill_at_any_moment() {
    let temp = tempfile::tempdir().unwrap();
    let seed = temp.path().join("seed");
    std::fs::create_dir(&seed).unwrap();
    make_seed(temp.path(), &seed);
    let mut seen = 0;
    for round in 0..KILLS {
        // Five times in a folder, so that both making and keeping are interrupted.
        let folder = temp.path().join(format!("{}", round / 5));
        std::fs::create_dir_all(&folder).unwrap();
        write_config(&folder, "seed = \"../seed\"");
        let before = read_info(&folder);
        let mut router = start(&folder);
        std::thread::sleep(Duration::from_millis(round as u64 * 7 % 61));
        if round % 2 == 0 {
            // It may be storing now what it knows.
            signal(&router, Signal::TERM);
            std::thread::sleep(Duration::from_millis(round as u64 % 5));
        }
        router.kill().unwrap();
        router.wait().unwrap();
        let after = read_info(&folder);
        if let (Some(before), Some(after)) = (&before, &after) {
            assert_eq!(before.hash(), after.hash(), "round {round}");
            seen += 1;
        }
        assert!(before.is_none() || after.is_some());
    }
    assert!(seen > KILLS / 4, "{seen} rounds had something to lose");
    for folder in 0..KILLS / 5 {
        let folder = temp.path().join(format!("{folder}"));
        let before = read_info(&folder);
        let mut router = start(&folder);
        until(&folder, || status(&folder));
        let info = read_info(&folder).unwrap();
        assert!(before.is_none_or(|before| before.hash() == info.hash()));
        signal(&router, Signal::TERM);
        assert!(router.wait().unwrap().success());
        let log = std::fs::read_to_string(folder.join("log")).unwrap();
        assert!(!log.contains("were lost"), "{log}");
        assert!(folder.join("data/routers.db").exists());
    }
}

/// What is published, whole or not at all.
fn read_info(folder: &Path) -> Option<RouterInfo> {
    let bytes = std::fs::read(folder.join("data/router.info")).ok()?;
    Some(
        RouterInfo::from_bytes(&bytes)
            .unwrap()
            .verify()
            .unwrap()
            .into_inner(),
    )
}

/// RouterInfos of the network of these tests, of routers that are no more.
fn make_seed(folder: &Path, seed: &Path) {
    for index in 0..3 {
        let folder = folder.join(format!("seed-{index}"));
        std::fs::create_dir(&folder).unwrap();
        write_config(&folder, "");
        let mut router = start(&folder);
        until(&folder, || read_info(&folder));
        router.kill().unwrap();
        router.wait().unwrap();
        let info = folder.join("data/router.info");
        std::fs::copy(info, seed.join(format!("{index}"))).unwrap();
    }
}
