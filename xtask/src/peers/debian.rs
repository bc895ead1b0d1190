//! i2pd from Debian's own packages, unpacked beside the system with the libraries it was built for.
//!
//! The packages come from the mirror this machine already uses, with the suite replaced, through
//! apt with folders of its own: nothing is installed, no root is needed once the machine's package
//! lists are there.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::{Installation, entries, run};

/// Libraries i2pd's own libraries need in turn.
const INDIRECT: [&str; 3] = ["libgcc-s1", "zlib1g", "libzstd1"];

/// Returns i2pd from `folder`, first filling it from the first of `suites` whose i2pd starts.
pub(super) fn install(folder: &Path, suites: &[&str]) -> Result<Installation> {
    if let Ok(found) = inspect(folder) {
        return Ok(found);
    }
    let mirror = mirror()?;
    let mut failures = Vec::new();
    for suite in suites {
        eprintln!(
            "peers: fetching i2pd of Debian {suite} into {}",
            folder.display()
        );
        match fetch(folder, &mirror, suite).and_then(|()| inspect(folder)) {
            Ok(found) => {
                eprintln!("peers: {}", found.version);
                return Ok(found);
            }
            Err(error) => {
                eprintln!("peers: {suite}: {error:#}");
                failures.push(format!("{suite}: {error:#}"));
            }
        }
    }
    bail!(
        "no Debian suite gave an i2pd that starts: {}",
        failures.join("; ")
    )
}

/// Finds loader, libraries and program below `folder` and tries them.
fn inspect(folder: &Path) -> Result<Installation> {
    let mut libraries = Vec::new();
    let mut loader = None;
    for lib in ["usr/lib", "lib"] {
        for triplet in entries(&folder.join(lib)) {
            let has_loader = entries(&triplet).into_iter().find(|path| is_loader(path));
            if has_loader.is_some() || triplet.to_string_lossy().ends_with("-linux-gnu") {
                libraries.push(triplet);
                loader = loader.or(has_loader);
            }
        }
    }
    let loader = loader.ok_or_else(|| anyhow!("no dynamic loader in {}", folder.display()))?;
    let program = ["usr/bin/i2pd", "usr/sbin/i2pd"]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| anyhow!("no i2pd in {}", folder.display()))?;
    let path = std::env::join_paths(libraries).context("a library folder has a colon")?;
    let command: Vec<OsString> = vec![loader.into(), "--library-path".into(), path, program.into()];
    Installation::probe(command)
}

fn is_loader(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
}

/// Asks apt for the mirror of this machine, updating its lists only when it knows none.
fn mirror() -> Result<String> {
    let ask = || -> Result<Option<String>> {
        let known = run(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
            "Origin: Debian",
            "Label: Debian",
        ]))?;
        Ok(known
            .lines()
            .find(|line| !line.is_empty())
            .map(str::to_owned))
    };
    if let Some(mirror) = ask()? {
        return Ok(mirror);
    }
    eprintln!("peers: apt knows no Debian mirror yet, updating its lists");
    run(Command::new("apt-get").arg("update"))
        .context("apt has no package lists; run `apt-get update` as root once")?;
    ask()?.context("apt names no Debian mirror; is a `deb` line for Debian's main archive there?")
}

/// Replaces `folder` by the unpacked packages of one suite.
fn fetch(folder: &Path, mirror: &str, suite: &str) -> Result<()> {
    let work = folder.with_extension("new");
    if work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    let unpacked = work.join("root");
    for part in ["lists/partial", "cache/archives/partial", "debs", "root"] {
        std::fs::create_dir_all(work.join(part))?;
    }
    let apt = Apt::new(&work, mirror, suite)?;
    apt.run("apt-get", &["update"])?;
    let mut packages: BTreeSet<String> = INDIRECT.iter().map(|name| (*name).to_owned()).collect();
    packages.insert("i2pd".to_owned());
    let depends = apt.run("apt-cache", &["depends", "i2pd"])?;
    packages.extend(libraries(&depends));
    let mut download = vec!["download"];
    download.extend(packages.iter().map(String::as_str));
    apt.run("apt-get", &download)?;
    for package in entries(&work.join("debs")) {
        run(Command::new("dpkg").arg("-x").arg(package).arg(&unpacked))?;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::rename(&unpacked, folder)?;
    std::fs::remove_dir_all(&work)?;
    Ok(())
}

/// Picks the libraries out of the answer of `apt-cache depends`.
fn libraries(depends: &str) -> Vec<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("lib") || *name == "zlib1g")
        .map(str::to_owned)
        .collect()
}

/// apt with a source list and folders of its own.
struct Apt {
    options: Vec<String>,
    folder: PathBuf,
}

impl Apt {
    fn new(work: &Path, mirror: &str, suite: &str) -> Result<Self> {
        let sources = work.join("sources.list");
        std::fs::write(&sources, format!("deb {mirror} {suite} main\n"))?;
        let options = vec![
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::Lists={}", work.join("lists").display()),
            format!("Dir::Cache={}", work.join("cache").display()),
            // As root apt would drop to a user who cannot write here.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ];
        Ok(Self {
            options,
            folder: work.join("debs"),
        })
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        run(command.args(args))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_are_taken_from_the_dependencies() {
        let depends = "i2pd\n  PreDepends: adduser\n  Depends: libc6\n  Depends: init-system\n \
                       Depends: <virtual>\n  Depends: zlib1g\n  Suggests: libfoo\n";
        assert_eq!(libraries(depends), ["libc6", "zlib1g"]);
    }
}
