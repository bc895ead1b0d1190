//! `cargo xtask test`: everything that must pass, in one command.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::{peers, setup, workspace};

use super::licences;

/// Runs set-up, lints, unit, property and scripted tests, the examples and the interop tests.
#[derive(Args)]
pub(crate) struct Test {
    /// Also run the other peers, ten rounds of healing and the kills; takes hours.
    #[arg(long)]
    peers: bool,
    /// Leave out what starts real routers, for a quick look while working; CI never does.
    #[arg(long, conflicts_with = "peers")]
    no_network: bool,
    /// How many rounds of each healing fault `--peers` runs.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
}

/// The interop tests that belong to every run, with the routers of [`peers::Peer::Current`].
const INTEROP: [&str; 10] = [
    "streams",
    "datagrams",
    "healing",
    "plugs",
    "examples",
    "hops",
    "floodfill",
    "links",
    "kill_router",
    "destination",
];
/// Those that a further peer runs.
const OTHER_PEERS: [&str; 2] = ["streams", "datagrams"];
/// What our routers go through with `--peers`: links made anew by each side, and kills.
const RECONNECTS: &str = "200";
/// Networks at once: two cores.
const NETWORKS: &str = "1";
/// While they heal they mostly wait.
const HEALING_NETWORKS: &str = "4";
const KILLS: &str = "50";

/// One thing that was run.
struct Row {
    name: String,
    passed: u64,
    failed: u64,
    seconds: f64,
    /// Why it does not count: a peer that need not work.
    best_effort: bool,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        let started = Instant::now();
        setup::ensure()?;
        let mut rows = Vec::new();
        let mut step = |name: &str, ok: Result<()>, since: Instant| {
            if let Err(error) = &ok {
                eprintln!("test: {name} failed: {error:#}");
            }
            rows.push(Row {
                name: name.to_owned(),
                passed: u64::from(ok.is_ok()),
                failed: u64::from(ok.is_err()),
                seconds: since.elapsed().as_secs_f64(),
                best_effort: false,
            });
        };
        let since = Instant::now();
        step("format", cargo(&["fmt", "--all", "--check"]), since);
        let since = Instant::now();
        step("licences", licences::check(), since);
        let since = Instant::now();
        let lints = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
        ];
        step(
            "lints",
            cargo(&[&lints[..], &["--", "-D", "warnings"]].concat()),
            since,
        );
        let since = Instant::now();
        let docs = [
            "doc",
            "--workspace",
            "--no-deps",
            "--all-features",
            "--locked",
        ];
        step(
            "documentation",
            cargo_env(&docs, &[("RUSTDOCFLAGS", "-D warnings")]),
            since,
        );

        let mut unit = vec!["--workspace", "--exclude", "ramson-tests", "--all-features"];
        if self.no_network {
            unit.extend(["--exclude", "xtask"]);
        }
        rows.push(run_tests("unit, property and scripted", &unit, &[], false));
        if !self.no_network {
            peers::install(peers::Peer::Current)?;
            for test in INTEROP {
                let name = format!("i2pd current: {test}");
                let networks = match test {
                    "healing" => HEALING_NETWORKS,
                    _ => NETWORKS,
                };
                rows.push(interop_of(&name, test, networks, &[], false));
            }
        }
        if self.peers {
            let rounds = self.rounds.to_string();
            let healing = [("RAMSON_ROUNDS", rounds.as_str())];
            let name = format!("i2pd current: {rounds} rounds of healing");
            rows.push(interop_of(
                &name,
                "healing",
                HEALING_NETWORKS,
                &healing,
                false,
            ));
            let name = format!("i2pd current: {KILLS} kills of our routers");
            rows.push(interop(
                &name,
                "kill_router",
                &[("RAMSON_KILLS", KILLS)],
                false,
            ));
            for peer in [
                peers::Peer::Current,
                peers::Peer::Stable,
                peers::Peer::Emissary,
            ] {
                let name = format!("{}: {RECONNECTS} reconnects each way", peer.name());
                let env = [
                    ("RAMSON_PEER", peer.name()),
                    ("RAMSON_RECONNECTS", RECONNECTS),
                ];
                rows.push(interop(&name, "links", &env, false));
            }
            for peer in [peers::Peer::Stable, peers::Peer::Old, peers::Peer::Emissary] {
                // Only the current and the stable i2pd have to work.
                let best_effort = !matches!(peer, peers::Peer::Stable);
                for test in OTHER_PEERS {
                    let name = format!("{}: {test}", peer.name());
                    rows.push(interop(
                        &name,
                        test,
                        &[("RAMSON_PEER", peer.name())],
                        best_effort,
                    ));
                }
            }
        }
        report(&rows, started.elapsed().as_secs_f64())
    }
}

fn interop(name: &str, test: &str, env: &[(&str, &str)], best_effort: bool) -> Row {
    interop_of(name, test, NETWORKS, env, best_effort)
}

fn interop_of(
    name: &str,
    test: &str,
    networks: &str,
    env: &[(&str, &str)],
    best_effort: bool,
) -> Row {
    let filter = [
        "--package",
        "ramson-tests",
        "--test",
        test,
        "--",
        "--test-threads",
        networks,
    ];
    let shown = [&filter[..], &["--nocapture"]].concat();
    run_tests(name, &shown, env, best_effort)
}

/// Runs `cargo test` and adds up the summaries that it prints.
fn run_tests(name: &str, arguments: &[&str], env: &[(&str, &str)], best_effort: bool) -> Row {
    eprintln!("test: {name}");
    let since = Instant::now();
    let (passed, failed) = match count_tests(arguments, env) {
        Ok(counts) => counts,
        Err(error) => {
            eprintln!("test: {name}: {error:#}");
            (0, 1)
        }
    };
    let seconds = since.elapsed().as_secs_f64();
    Row {
        name: name.to_owned(),
        passed,
        failed,
        seconds,
        best_effort,
    }
}

fn count_tests(arguments: &[&str], env: &[(&str, &str)]) -> Result<(u64, u64)> {
    let mut child = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--no-fail-fast"])
        .args(arguments)
        .envs(env.iter().copied())
        .current_dir(workspace::root())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo test does not start")?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if let Some(rest) = line.trim_start().strip_prefix("test result:") {
            passed += count_before(rest, "passed");
            failed += count_before(rest, "failed");
            // Runners look for the last summary: ours comes at the end.
            println!("  test result:{rest}");
        } else {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() && failed == 0 {
        bail!("cargo test ended with {status}");
    }
    if passed + failed == 0 {
        bail!("no test ran");
    }
    Ok((passed, failed))
}

/// The number before `word` in a summary line of cargo test.
fn count_before(summary: &str, word: &str) -> u64 {
    let mut words = summary
        .split([' ', ';', '.'])
        .filter(|word| !word.is_empty());
    let mut last = "";
    words
        .find_map(|next| {
            let found = (next == word).then(|| last.parse().unwrap_or(0));
            last = next;
            found
        })
        .unwrap_or(0)
}

fn report(rows: &[Row], seconds: f64) -> Result<()> {
    let mut table = String::new();
    for row in rows {
        let state = match (row.failed, row.best_effort) {
            (0, _) => "ok",
            (_, true) => "failed (best effort, does not count)",
            (_, false) => "FAILED",
        };
        let _ = writeln!(
            table,
            "{:<40} {:>5} passed {:>3} failed {:>7.1} s  {state}",
            row.name, row.passed, row.failed, row.seconds
        );
    }
    print!("\n{table}");
    println!("{seconds:.0} s in all");
    let counted = || rows.iter().filter(|row| !row.best_effort);
    let passed: u64 = counted().map(|row| row.passed).sum();
    let failed: u64 = counted().map(|row| row.failed).sum();
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        bail!("{failed} failed");
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_env(arguments, &[])
}

fn cargo_env(arguments: &[&str], env: &[(&str, &str)]) -> Result<()> {
    eprintln!("test: cargo {}", arguments.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(env.iter().copied())
        .current_dir(workspace::root())
        .status()?;
    if !status.success() {
        bail!(
            "cargo {} ended with {status}",
            arguments.first().copied().unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_summary_of_cargo_test() {
        let line =
            " ok. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.1s";
        assert_eq!(
            (count_before(line, "passed"), count_before(line, "failed")),
            (12, 3)
        );
        assert_eq!(count_before("nothing", "passed"), 0);
    }
}
