//! What `cargo xtask demo` runs: a private network of real routers, and everything that an
//! application does on I2P between two of them, a line for each step.

mod report;
mod steps;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use report::Report;
use xtask::net::{Network, NetworkSpec};
use xtask::peers::{self, Peer};

/// Shows I2P at work on this machine: real routers, nothing leaves the loopback interface.
#[derive(Parser)]
#[command(name = "cargo xtask demo", bin_name = "cargo xtask demo")]
struct Arguments {
    /// The kind of routers.
    #[arg(long, value_enum, default_value = "current")]
    peer: Peer,
    /// How many routers.
    #[arg(long, default_value_t = 6)]
    routers: usize,
    /// Print a line of JSON for each step.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.json);
    match run(&arguments, &mut report) {
        Ok(()) => ExitCode::SUCCESS,
        // The report has it.
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.step("install", || {
        let installation = peers::install(arguments.peer)?;
        Ok((installation.version, ()))
    })?;
    let network = report.step("network", || {
        let network = Network::start(NetworkSpec::new(arguments.peer, arguments.routers))?;
        let detail = format!(
            "{} routers, network id {}",
            network.len(),
            network.network_id()
        );
        Ok((detail, network))
    })?;
    let (here, there) = (network.router(0)?, network.router(network.len() - 1)?);
    report.logs = vec![here.log.clone(), there.log.clone()];

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    // A step is a future here: it has a deadline.
    let mut step = |name, seconds, future: steps::Step<'_>| {
        report.step(name, || {
            runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(seconds), future)
                    .await
                    .with_context(|| format!("not done within {seconds} s"))?
            })
        })
    };
    let mut ends = steps::Ends::default();
    step("sessions", 180, Box::pin(ends.open(here, there)))?;
    step("page", 120, Box::pin(ends.page()))?;
    step("ping-pong", 120, Box::pin(ends.ping_pong()))?;
    step("datagram", 120, Box::pin(ends.datagram()))?;
    step("bulk", 300, Box::pin(ends.bulk()))?;
    step("close", 60, Box::pin(ends.close()))?;
    drop(runtime);
    network.stop()
}
