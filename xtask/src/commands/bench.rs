//! `cargo xtask bench`: builds and runs the measurements, a package of its own, in release.

use std::ffi::OsString;
use std::process::{Command, exit};

use anyhow::{Context, Result};
use clap::Args;
use xtask::workspace;

/// Measure our router beside i2pd and emissary.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// What is measured, and its options; see `cargo xtask bench --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(workspace::root());
        command.args(["run", "--quiet", "--release", "--package", "ramson-bench"]);
        let status = command.arg("--").args(self.arguments).status();
        let status = status.context("cannot run cargo")?;
        // What failed has been told.
        exit(status.code().unwrap_or(1));
    }
}
