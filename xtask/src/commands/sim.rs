//! `cargo xtask sim`: builds and runs the simulator, in release, because whole networks run in it.
//! `cargo xtask sim-faults` sees whether its scenarios find what they should.

use std::process::{Command, exit};

use anyhow::{Context, Result};
use clap::Args;
use xtask::workspace;

mod faults;
pub(crate) use faults::SimFaults;

use self::faults::{Copy, Fault};

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
    /// End with the first seed that fails.
    #[arg(long)]
    until_failure: bool,
    /// Plant this fault of crates/sim/faults.toml in a copy of the workspace, and run that.
    #[arg(long)]
    fault: Option<String>,
}

impl Sim {
    pub(crate) fn run(self) -> Result<()> {
        let mut command = match &self.fault {
            Some(name) => {
                let fault = Fault::named(name)?;
                let copy = Copy::make()?;
                copy.plant(Some(&fault))?;
                Command::new(copy.build()?)
            }
            None => {
                let mut command = Command::new(cargo());
                command.current_dir(workspace::root());
                let build = ["run", "--quiet", "--release", "--package", "ramson-sim"];
                command.args(build).args(["--bin", "sim", "--"]);
                command
            }
        };
        command.args(self.arguments());
        let status = command.status().context("cannot run the simulator")?;
        // What failed has been told.
        exit(status.code().unwrap_or(1));
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.scenario.clone()];
        let numbers = [
            ("--seed", self.seed),
            ("--seeds", self.seeds),
            ("--routers", self.routers as u64),
            ("--seconds", self.seconds),
        ];
        for (name, number) in numbers {
            arguments.extend([name.into(), number.to_string()]);
        }
        for (name, given) in [
            ("--twice", self.twice),
            ("--until-failure", self.until_failure),
        ] {
            if given {
                arguments.push(name.into());
            }
        }
        if let Some(fault) = &self.fault {
            arguments.extend(["--fault".into(), fault.clone()]);
        }
        arguments
    }
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
