//! `cargo xtask demo`: builds and runs the demonstration, a package of its own, so that this
//! program stays quick to build.

use std::ffi::OsString;
use std::process::{Command, exit};

use anyhow::{Context, Result};
use clap::Args;
use xtask::workspace;

/// Bring a private network up and play web site, ping-pong, datagrams and a transfer over it.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Demo {
    /// What the demonstration takes; see `cargo xtask demo --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Demo {
    pub(crate) fn run(self) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(workspace::root());
        command.args(["run", "--quiet", "--package", "ramson-demo"]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let status = command.arg("--").args(self.arguments).status();
        let status = status.context("cannot run cargo")?;
        // Steps that failed have told so themselves.
        exit(status.code().unwrap_or(1));
    }
}
