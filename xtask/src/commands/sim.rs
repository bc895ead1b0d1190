//! `cargo xtask sim`: builds and runs the simulator, in release, because whole networks run in it.

use std::ffi::OsString;
use std::process::{Command, exit};

use anyhow::{Context, Result};
use clap::Args;
use xtask::workspace;

/// Run a scenario on simulated routers.
#[derive(Args)]
pub(crate) struct Sim {
    /// What happens: join, churn, stalls, partition, skew or floods.
    scenario: String,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after another.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How many routers.
    #[arg(long, default_value_t = 100)]
    routers: usize,
    /// How much longer than it needs the network runs before it is measured, in seconds.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Run each seed twice and compare the traces.
    #[arg(long)]
    twice: bool,
}

impl Sim {
    pub(crate) fn run(self) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(workspace::root());
        let build = ["run", "--quiet", "--release", "--package", "ramson-sim"];
        command.args(build).args(["--bin", "sim", "--"]);
        command.arg(&self.scenario);
        let numbers = [
            ("--seed", self.seed),
            ("--seeds", self.seeds),
            ("--routers", self.routers as u64),
            ("--seconds", self.seconds),
        ];
        for (name, number) in numbers {
            command.arg(name).arg(OsString::from(number.to_string()));
        }
        if self.twice {
            command.arg("--twice");
        }
        let status = command.status().context("cannot run cargo")?;
        // What failed has been told.
        exit(status.code().unwrap_or(1));
    }
}
