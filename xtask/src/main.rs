//! Set-up, tests, private networks and benches: one entry for people and CI.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, tests, private networks and benches of ramson.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Measure our router beside i2pd and emissary.
    Bench(commands::bench::Bench),
    /// Bring a private network up and play web site, ping-pong, datagrams and a transfer over it.
    Demo(commands::demo::Demo),
    /// Run a closed network of real routers on this machine.
    #[command(subcommand)]
    Net(commands::net::Net),
    /// Run everything that must pass.
    Test(commands::test::Test),
    /// Check the licences of the dependencies.
    Licences,
    /// Fetch a peer router into the cache and print its version.
    Peers(commands::peers::Peers),
    /// Run a network of simulated routers and see what comes of it.
    Sim(commands::sim::Sim),
    /// Plant known faults one after another and see whether a scenario finds each.
    SimFaults(commands::sim::SimFaults),
    /// Run streams over a mixed network and over one of i2pd alone, for long, and compare them.
    Soak(commands::soak::Soak),
    /// Run the fuzz targets and see what comes of it.
    Fuzz(commands::fuzz::Fuzz),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Commands::Bench(command) => command.run(),
        Commands::Demo(command) => command.run(),
        Commands::Net(command) => command.run(),
        Commands::Test(command) => command.run(),
        Commands::Licences => commands::licences::check(),
        Commands::Peers(command) => command.run(),
        Commands::Sim(command) => command.run(),
        Commands::SimFaults(command) => command.run(),
        Commands::Soak(command) => command.run(),
        Commands::Fuzz(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
