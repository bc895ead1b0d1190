//! What the commands need beyond Rust, installed when it is missing.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// A program and the Debian package that has it.
const PROGRAMS: [(&str, &str); 4] = [
    ("cc", "gcc"),
    ("dpkg", "dpkg"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
];

/// Installs the Debian packages that are missing, and names them when that is not possible.
///
/// # Errors
///
/// When a program is missing and cannot be installed, with the command that would.
pub fn ensure() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --yes {}", missing.join(" "));
    eprintln!("setup: {command}");
    run("apt-get", &["update"])
        .and_then(|()| run("apt-get", &[&["install", "--yes"][..], &missing].concat()))
        .with_context(|| format!("install what is missing by hand: {command}"))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .with_context(|| format!("{program} does not start"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}
