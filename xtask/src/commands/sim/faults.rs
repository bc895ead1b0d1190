//! Faults that are planted in a copy of the workspace, to see whether a scenario finds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use serde::Deserialize;
use xtask::workspace;

use super::cargo;

/// The list.
const LIST: &str = "crates/sim/faults.toml";

/// Plant known faults one after another and see whether a scenario finds each.
#[derive(Args)]
pub(crate) struct SimFaults {
    /// Only these of crates/sim/faults.toml.
    names: Vec<String>,
    /// How many seeds are tried.
    #[arg(long, default_value_t = 50)]
    seeds: u64,
}

#[derive(Deserialize)]
struct List {
    fault: Vec<Fault>,
}

/// A fault, and the network that has to find it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    name: String,
    what: String,
    scenario: String,
    routers: u64,
    #[serde(default)]
    seconds: u64,
    edit: Vec<Edit>,
}

/// A change of one file, in which `old` stands exactly once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: String,
    old: String,
    new: String,
}

impl Fault {
    fn all() -> Result<Vec<Self>> {
        let list = workspace::root().join(LIST);
        let text = fs::read_to_string(&list).with_context(|| format!("cannot read {LIST}"))?;
        let list: List = toml::from_str(&text).with_context(|| format!("{LIST} is not usable"))?;
        Ok(list.fault)
    }

    pub(super) fn named(name: &str) -> Result<Self> {
        let found = Self::all()?.into_iter().find(|fault| fault.name == name);
        found.with_context(|| format!("there is no fault {name} in {LIST}"))
    }

    /// What to run, from this seed on.
    fn arguments(&self, seed: u64, seeds: u64) -> Vec<String> {
        let numbers = [
            ("--seed", seed),
            ("--seeds", seeds),
            ("--routers", self.routers),
            ("--seconds", self.seconds),
        ];
        let numbers = numbers
            .into_iter()
            .flat_map(|(name, number)| [name.to_owned(), number.to_string()]);
        [self.scenario.clone(), "--until-failure".into()]
            .into_iter()
            .chain(numbers)
            .collect()
    }
}

impl Edit {
    /// The file's text with the change.
    fn apply(&self, text: &str) -> Result<String> {
        let found = text.matches(&self.old).count();
        ensure!(
            found == 1,
            "what a fault of {LIST} replaces stands {found} times in {}",
            self.file
        );
        Ok(text.replacen(&self.old, &self.new, 1))
    }
}

/// A copy of the workspace with a build folder of its own, which is kept.
pub(super) struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Brings the copy up to date: what git knows, and new files that it does not ignore.
    pub(super) fn make() -> Result<Self> {
        let root = workspace::root();
        let folder = workspace::target().join("sim-faults");
        let (tree, target) = (folder.join("tree"), folder.join("target"));
        let listed = Command::new("git")
            .current_dir(&root)
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .output()
            .context("cannot run git")?;
        ensure!(listed.status.success(), "git cannot list the files");
        let names = String::from_utf8(listed.stdout).context("a file's name is not UTF-8")?;
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (root.join(name), tree.join(name));
            if !from.is_file() {
                let _ = fs::remove_file(&to);
                continue;
            }
            let bytes = fs::read(&from).with_context(|| format!("cannot read {name}"))?;
            write_changed(&to, &bytes)?;
        }
        Ok(Self { tree, target })
    }

    /// Changes the copy by a fault, or by none, after [`Self::make`].
    pub(super) fn plant(&self, fault: Option<&Fault>) -> Result<()> {
        let edits = fault.into_iter().flat_map(|fault| &fault.edit);
        for edit in edits {
            let file = self.tree.join(&edit.file);
            let text =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", edit.file))?;
            write_changed(&file, edit.apply(&text)?.as_bytes())?;
        }
        Ok(())
    }

    /// Builds the simulator; returns where it is.
    pub(super) fn build(&self) -> Result<PathBuf> {
        let built = Command::new(cargo())
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            // Each fault changes a few lines of one file.
            .env("CARGO_INCREMENTAL", "1")
            .args(["build", "--quiet", "--release", "--package", "ramson-sim"])
            .args(["--bin", "sim"])
            .output()
            .context("cannot run cargo")?;
        // A fault leaves things unused: warnings are told only with errors.
        ensure!(
            built.status.success(),
            "the simulator does not build:\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
        Ok(self.target.join("release").join("sim"))
    }
}

/// Files that stay the same are not built again.
fn write_changed(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// How a fault showed.
struct Found {
    seed: u64,
    command: String,
    failure: String,
    trace: String,
}

impl Found {
    /// Reads the last report of the simulator.
    fn of(output: &Output) -> Result<Self> {
        let text = String::from_utf8_lossy(&output.stdout);
        let last = |mark: &str| {
            let found = text.lines().rev().find_map(|line| line.split_once(mark));
            found.map(|(_, rest)| rest.trim().to_owned())
        };
        let command = last("  again: ").context("the simulator names no command")?;
        let seed = command
            .split_once("--seed ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .context("the command names no seed")?;
        // The first of those of the last report, which is the only one that failed.
        let failure = text
            .lines()
            .find_map(|line| line.split_once("FAILED: "))
            .map(|(_, failure)| failure.to_owned())
            .context("the simulator names no failure")?;
        let trace = last("  trace ").unwrap_or_default();
        Ok(Self {
            seed,
            command,
            failure,
            trace,
        })
    }
}

impl SimFaults {
    pub(crate) fn run(self) -> Result<()> {
        let mut faults = Fault::all()?;
        for name in &self.names {
            ensure!(
                faults.iter().any(|fault| fault.name == *name),
                "there is no fault {name} in {LIST}"
            );
        }
        faults.retain(|fault| self.names.is_empty() || self.names.contains(&fault.name));
        let copy = Copy::make()?;
        copy.plant(None)?;
        let clean = copy.target.join("sim-without-faults");
        fs::copy(copy.build()?, &clean).context("cannot keep the simulator without faults")?;
        let mut missed = Vec::new();
        for fault in &faults {
            println!("{}: {}", fault.name, fault.what);
            if let Err(error) = find(fault, &clean, self.seeds) {
                println!("  MISSED: {error:#}");
                missed.push(fault.name.as_str());
            }
        }
        // Nobody builds the last fault by mistake.
        Copy::make()?;
        if !missed.is_empty() {
            bail!(
                "{} of {} faults were missed: {}",
                missed.len(),
                faults.len(),
                missed.join(", ")
            );
        }
        println!("all {} faults were found", faults.len());
        Ok(())
    }
}

/// Plants a fault, looks for a seed that shows it, and sees that the seed does so again, and not
/// without the fault.
fn find(fault: &Fault, clean: &Path, seeds: u64) -> Result<()> {
    let copy = Copy::make()?;
    copy.plant(Some(fault))?;
    let planted = copy.build()?;
    let run = |program: &Path, seed, seeds| {
        Command::new(program)
            .args(fault.arguments(seed, seeds))
            .args(["--fault", &fault.name])
            .output()
            .context("cannot run the simulator")
    };
    let first = run(&planted, 1, seeds)?;
    if first.status.success() {
        bail!("no seed from 1 to {seeds} shows it");
    }
    let found = Found::of(&first)?;
    println!("  seed {}: {}", found.seed, found.failure);
    println!("  again: {}", found.command);
    let again = Found::of(&run(&planted, found.seed, 1)?)?;
    if (&again.failure, &again.trace) != (&found.failure, &found.trace) {
        bail!("seed {} does not show it again", found.seed);
    }
    let without = run(clean, found.seed, 1)?;
    if !without.status.success() {
        let shown = Found::of(&without)?;
        return Err(anyhow!(
            "seed {} fails without it, too: {}",
            found.seed,
            shown.failure
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list goes with the code: whoever changes a line that a fault replaces changes it, too.
    #[test]
    fn each_fault_can_be_planted() {
        let faults = Fault::all().unwrap();
        assert!(faults.len() >= 10, "{} faults", faults.len());
        for fault in &faults {
            let mut changed: Vec<(&str, String)> = Vec::new();
            for edit in &fault.edit {
                let before = changed.iter().position(|(file, _)| *file == edit.file);
                let text = match before {
                    Some(index) => changed.remove(index).1,
                    None => fs::read_to_string(workspace::root().join(&edit.file)).unwrap(),
                };
                let after = edit
                    .apply(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", fault.name));
                assert_ne!(after, text);
                changed.push((&edit.file, after));
            }
        }
    }
}
