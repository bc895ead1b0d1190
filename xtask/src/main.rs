//! Set-up, tests, private networks and benches: one entry for people and CI.

mod commands;

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
    /// Bring a private network up and play web site, ping-pong, datagrams and a transfer over it.
    Demo(commands::demo::Demo),
    /// Run a closed network of real routers on this machine.
    #[command(subcommand)]
    Net(commands::net::Net),
    /// Fetch a peer router into the cache and print its version.
    Peers(commands::peers::Peers),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Commands::Demo(command) => command.run(),
        Commands::Net(command) => command.run(),
        Commands::Peers(command) => command.run(),
    }
}
