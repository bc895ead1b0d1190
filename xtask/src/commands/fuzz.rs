//! `cargo xtask fuzz`: runs fuzz targets for a while each and says what came of it.
//!
//! Needs the nightly toolchain, with which the compiler counts edges, and cargo-fuzz. The replay of
//! the corpora needs neither and belongs to `cargo xtask test`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::workspace;

/// Run fuzz targets, each on one core, and print executions, coverage and findings.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// Which targets; all without any.
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Replay the corpora before, and say which kinds of messages, blocks, records and outcomes
    /// they reach; with `--minutes 0` nothing else.
    #[arg(long)]
    coverage: bool,
    /// Add to the corpora, as few inputs as reach all that was reached.
    #[arg(long)]
    keep: bool,
}

/// What came of one target.
struct Row {
    name: String,
    executions: u64,
    edges: u64,
    features: u64,
    failed: bool,
}

impl Fuzz {
    pub(crate) fn run(self) -> Result<()> {
        let known = targets()?;
        if let Some(unknown) = self.targets.iter().find(|it| !known.contains(it)) {
            bail!(
                "there is no fuzz target {unknown}; there are {}",
                known.join(", ")
            );
        }
        if self.coverage {
            replay()?;
        }
        if self.minutes <= 0.0 {
            return Ok(());
        }
        let binaries = build()?;
        let chosen = if self.targets.is_empty() {
            &known
        } else {
            &self.targets
        };
        let mut rows = Vec::new();
        for name in chosen {
            let row = self.fuzz(name, &binaries)?;
            println!("{row}");
            rows.push(row);
        }
        println!();
        rows.iter().for_each(|row| println!("{row}"));
        if rows.iter().any(|row| row.failed) {
            bail!("there are findings in {}", artifacts().display());
        }
        Ok(())
    }

    fn fuzz(&self, name: &str, binaries: &Path) -> Result<Row> {
        let seconds = (self.minutes * 60.0).ceil().min(1e6) as u64;
        let corpus = workspace::root().join("fuzz/corpus").join(name);
        let found = workspace::target().join("fuzz").join(name);
        let artifacts = artifacts();
        for folder in [&found, &artifacts] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        eprintln!("fuzz: {name} for {seconds} s");
        let prefix = format!("-artifact_prefix={}/{name}-", artifacts.display());
        let output = Command::new(binaries.join(name))
            .args([&found, &corpus])
            .arg(format!("-max_total_time={seconds}"))
            .args(["-max_len=4096", "-timeout=30", "-rss_limit_mb=2500"])
            .args(["-print_final_stats=1", &prefix])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start the target {name}"))?;
        let log = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            eprintln!("{log}");
        }
        if self.keep && output.status.success() {
            let status = Command::new(binaries.join(name))
                .arg("-merge=1")
                .args([&corpus, &found])
                .stderr(Stdio::null())
                .status()
                .context("cannot start the merge")?;
            if !status.success() {
                bail!("the merge of {name} ended with {status}");
            }
        }
        Ok(Row {
            name: name.to_owned(),
            executions: number_behind(&log, "stat::number_of_executed_units:"),
            edges: number_behind(&log, " cov: "),
            features: number_behind(&log, " ft: "),
            failed: !output.status.success(),
        })
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            executions,
            edges,
            features,
            failed,
        } = self;
        let state = if *failed { "FAILED" } else { "ok" };
        write!(
            f,
            "{name:<20} {executions:>10} executions {edges:>6} edges {features:>7} features  {state}"
        )
    }
}

/// The targets that there are, by their files.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn artifacts() -> PathBuf {
    workspace::root().join("fuzz/artifacts")
}

/// The ordinary test that every corpus reaches what it has to, with its numbers.
fn replay() -> Result<()> {
    let test = "corpora_hold_and_reach_what_they_have_to";
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--package", "ramson-fuzz-targets"])
        .args(["--all-features", "--test", "replay", test])
        .args(["--", "--nocapture"])
        .current_dir(workspace::root())
        .status()
        .context("cannot run cargo test")?;
    if !status.success() {
        bail!("the corpora do not reach what they have to");
    }
    Ok(())
}

/// Builds all targets and returns the folder that holds them.
///
/// Nothing of ours is unsafe, so that a sanitizer would only cost time.
fn build() -> Result<PathBuf> {
    let status = Command::new("cargo")
        // Started by cargo, we would stay with its toolchain.
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["+nightly", "fuzz", "build", "--sanitizer", "none"])
        .current_dir(workspace::root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!(
            "cannot build the fuzz targets; they need `rustup toolchain install nightly` and \
             `cargo install cargo-fuzz`"
        );
    }
    let built = workspace::root().join("fuzz/target");
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    Ok(built.join(host).join("release"))
}

/// The last number in the log behind `word`; 0 without one.
fn number_behind(log: &str, word: &str) -> u64 {
    let rest = log.rsplit_once(word).map_or("", |(_, rest)| rest);
    let digits = rest
        .trim_start()
        .split(|c: char| !c.is_ascii_digit())
        .next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_libfuzzer_prints() {
        let log = "#2\tINITED cov: 5 ft: 6 corp: 1/1b\n\
                   #551343\tDONE   cov: 1767 ft: 6580 corp: 1084/111Kb lim: 1037\n\
                   stat::number_of_executed_units: 551343\n";
        assert_eq!(number_behind(log, " cov: "), 1767);
        assert_eq!(number_behind(log, " ft: "), 6580);
        let executions = "stat::number_of_executed_units:";
        assert_eq!(number_behind(log, executions), 551_343);
        assert_eq!(number_behind("", executions), 0);
    }

    #[test]
    fn every_target_has_its_corpus() {
        let names = targets().unwrap();
        assert!(names.len() >= 23);
        for name in names {
            assert!(
                workspace::root().join("fuzz/corpus").join(&name).is_dir(),
                "{name}"
            );
        }
    }
}
