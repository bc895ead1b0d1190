//! The program is killed while it writes, and nothing is ever damaged.

#![allow(clippy::unwrap_used, clippy::panic, clippy::string_slice)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ramson_cli::transfer::{Inbox, Limits, Pace, Plan};

/// Names the folder in which the child of this test receives a file.
const CHILD: &str = "RAMSON_TEST_RECEIVES_IN";
const KILLS_EACH: usize = 25;

/// Waits until the file is there, or the child is at its end.
fn wait_for(is_there: impl Fn() -> bool, child: &mut Child) -> bool {
    let start = Instant::now();
    loop {
        if is_there() {
            return true;
        }
        if child.try_wait().unwrap().is_some() || start.elapsed() > Duration::from_secs(30) {
            return false;
        }
        std::hint::spin_loop();
    }
}

fn ramson(line: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ramson"));
    command.args(line).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn keys_and_received_files_survive_kill_at_any_moment() {
    let temp = tempfile::tempdir().unwrap();
    let keys = killed_while_making_keys(temp.path());
    let files = killed_while_receiving(temp.path());
    println!("kills between creation and rename: {keys} of keys, {files} of received files");
    assert!(keys + files >= 20, "{keys} + {files} of {}", 2 * KILLS_EACH);
}

/// Returns how many kills left a temporary file.
fn killed_while_making_keys(folder: &Path) -> usize {
    let mut leftovers = 0;
    for round in 0..KILLS_EACH {
        let name = format!("{round}.keys");
        let (path, aside) = (folder.join(&name), folder.join(format!(".{name}.new")));
        let mut child = ramson(&["keys", "new", &name], folder).spawn().unwrap();
        wait_for(|| aside.exists(), &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        leftovers += usize::from(aside.exists());
        // Whole, or not there.
        if path.exists() {
            ramson::keys::read(&path).unwrap().check().unwrap();
            assert!(!aside.exists());
        } else {
            assert!(
                ramson(&["keys", "new", &name], folder)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let shown = ramson(&["keys", "show", &name], folder).status().unwrap();
        assert!(shown.success() && !aside.exists());
    }
    leftovers
}

fn pattern() -> Vec<u8> {
    (0..3_000_000_u32)
        .map(|i| (i * 7 + i / 251) as u8)
        .collect()
}

/// Returns how many kills left a temporary file.
fn killed_while_receiving(folder: &Path) -> usize {
    let bytes = pattern();
    std::fs::write(folder.join("f"), &bytes).unwrap();
    let inbox = folder.join("in");
    std::fs::create_dir(&inbox).unwrap();
    let done = inbox.join("f");
    let part = || find_part(&inbox);
    let mut leftovers = 0;
    let mut had = 0;
    for round in 0..KILLS_EACH {
        let mut child = receive(folder);
        wait_for(|| part().is_some(), &mut child);
        std::thread::sleep(Duration::from_millis(round as u64 * 3 % 40));
        child.kill().unwrap();
        child.wait().unwrap();
        if let Some(left) = part().map(|part| std::fs::read(part).unwrap()) {
            leftovers += 1;
            assert!(bytes.starts_with(&left), "round {round}");
            assert!(
                left.len() >= had,
                "round {round}: {} after {had}",
                left.len()
            );
            had = left.len();
        }
        if done.exists() {
            assert!(std::fs::read(&done).unwrap() == bytes && part().is_none());
            std::fs::remove_file(&done).unwrap();
            had = 0;
        }
    }
    assert!(receive(folder).wait().unwrap().success());
    assert!(std::fs::read(&done).unwrap() == bytes && part().is_none());
    leftovers
}

fn find_part(inbox: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(inbox).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| path.extension().is_some_and(|end| end == "part"))
}

/// Starts this test program as one that receives `f`.
fn receive(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_receives"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn child_receives() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let folder = Path::new(&folder);
    let run = async {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let mut plan = Plan::collect(&[folder.join("f")], false).unwrap();
        let pace = Pace {
            chunk: 4096,
            ..Pace::default()
        };
        let inbox = Inbox::new(folder.join("in"), Limits::default());
        let (sent, received) =
            tokio::join!(plan.send(near, pace, &|_| ()), inbox.receive(far, &|_| ()));
        sent.unwrap();
        received.unwrap();
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run);
}
