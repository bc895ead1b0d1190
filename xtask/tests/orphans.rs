//! Programs end with the process that started them, even when that is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use xtask::process::{Process, ended};

/// Set in the copy of this test that plays the parent.
const PARENT: &str = "RAMSON_ORPHANS_PARENT";

#[test]
fn a_killed_parent_leaves_no_program_behind() {
    if std::env::var_os(PARENT).is_some() {
        return parent();
    }
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "a_killed_parent_leaves_no_program_behind",
        ])
        .env(PARENT, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pid = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("child=")?.1.trim().parse::<i32>().ok())
        .expect("the parent tells the pid of its child");
    let child = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    assert_eq!(ended(&[&child], Duration::ZERO).unwrap(), None);

    parent.kill().unwrap();
    parent.wait().unwrap();

    assert_eq!(ended(&[&child], Duration::from_secs(10)).unwrap(), Some(0));
}

/// Starts a harmless program and waits to be killed.
fn parent() {
    let child = Process::spawn(&["sleep".into(), "300".into()], Path::new("/dev/null")).unwrap();
    println!("child={}", child.pid());
    child.wait(Duration::from_secs(300));
}
