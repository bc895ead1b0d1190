use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::commands;

const FIRST_STEPS: &str = "\
I2P from the command line: every command goes online under an anonymous address.

First: run an I2P router (i2pd or Java I2P) and switch on its SAM bridge, then
  export RAMSON_ROUTER=sam:127.0.0.1:7656
  ramson keys new me.keys                       an address of your own that stays
  ramson serve ./site --key-file me.keys        a web site on I2P
  ramson receive ./inbox --key-file me.keys     take files; ramson send FILE ADDRESS gives them";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed in a way that has no code of its own
  2    wrong usage: options, addresses, no router chosen
  3    the router: not there, refused, lost
  4    the peer: not found, not reachable, refused, silent
  5    keys: unreadable, damaged, in use
  6    a deadline passed
  7    files: refused by the other side, or something is there already
  130  interrupted (Ctrl-C)";

/// What the command line says.
#[derive(Debug, Parser)]
#[command(name = "ramson", version, about = FIRST_STEPS, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Write results as one JSON object a line, and errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say on standard error what happens inside; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No progress and no remarks on standard error, only errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, show and convert the keys of a Destination
    #[command(subcommand)]
    Keys(commands::keys::Keys),
    /// Show the Destination behind a name
    Lookup(commands::lookup::Lookup),
    /// Connect standard input and output to a peer
    Connect(commands::connect::Connect),
    /// Wait for a peer and connect standard input and output to it
    Listen(commands::connect::Listen),
    /// Make a local TCP service reachable on I2P
    Expose(commands::forward::Expose),
    /// Make a peer reachable on a local TCP port
    Forward(commands::forward::Forward),
    /// Make a folder a web site on I2P
    Serve(commands::serve::Serve),
    /// Send files and folders to a `ramson receive`
    Send(commands::send::Send),
    /// Receive files into a folder
    Receive(commands::receive::Receive),
    /// Run a router of your own
    #[cfg(feature = "router")]
    Router(commands::router::Router),
    /// Write the completions of a shell to standard output
    Completions(commands::completions::Completions),
}

/// Which router, for every command that goes online.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Router")]
pub(crate) struct RouterArgs {
    /// The router: sam:HOST:PORT
    #[arg(long, env = "RAMSON_ROUTER", value_name = "sam:HOST:PORT")]
    pub(crate) router: Option<String>,
    /// The UDP port of its SAM bridge [default: the TCP port minus one]
    #[arg(long, value_name = "PORT")]
    pub(crate) sam_udp: Option<u16>,
    /// The user of its SAM bridge
    #[arg(long, requires = "password_file")]
    pub(crate) user: Option<String>,
    /// A file with the password of its SAM bridge in the first line
    #[arg(long, requires = "user", value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Host names that go before the router's address book, in the form of hosts.txt
    #[arg(long, value_name = "FILE")]
    pub(crate) hosts: Option<PathBuf>,
}

/// The Destination and its tunnels, for every command that opens a session.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Session")]
pub(crate) struct SessionArgs {
    #[command(flatten)]
    pub(crate) router: RouterArgs,
    /// The keys of the own Destination, made if the file is not there [default: a new address for
    /// this run alone]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Hops of each tunnel; fewer are quicker and hide less
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) hops: u8,
    /// Tunnels in each direction
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) quantity: u8,
    /// How long to wait for tunnels, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(crate) ready_within: Duration,
}

/// The limits of a listener.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Streams that may be open at once
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = count)]
    pub(crate) max_streams: usize,
    /// Streams that one peer may have open at once
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) max_per_peer: Option<usize>,
    /// Connections taken in a minute; more are closed at once
    #[arg(long, value_name = "N")]
    pub(crate) max_per_minute: Option<u32>,
    /// Streams on which nothing moves are ended after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(crate) idle: Duration,
}

impl LimitArgs {
    pub(crate) fn options(&self) -> ramson::ListenOptions {
        let mut options = ramson::ListenOptions::new()
            .max_streams(self.max_streams)
            .idle_timeout(self.idle);
        if let Some(limit) = self.max_per_peer {
            options = options.max_streams_per_peer(limit);
        }
        if let Some(limit) = self.max_per_minute {
            options = options.rate(limit, Duration::from_secs(60));
        }
        options
    }
}

/// Reads a time in seconds, with a fraction if wanted.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| *time <= Duration::from_secs(10 * 365 * 24 * 3600))
        .ok_or_else(|| "a number of seconds is wanted, like 30 or 2.5".to_owned())
}

/// Reads how many streams there may be: as many as nobody has, at most.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=65_536).contains(count))
        .ok_or_else(|| "a number from 1 to 65536 is wanted".to_owned())
}

/// Reads a number of bytes: `500`, `20K`, `3M`, `4G`, `1T` (powers of 1024).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        "g" | "G" | "GiB" => 1 << 30,
        "t" | "T" | "TiB" => 1_u64 << 40,
        _ => return Err("the unit is not K, M, G or T".to_owned()),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| "a number of bytes is wanted, like 500, 20K or 4G".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        command.build();
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let mut deeper = false;
            for sub in command
                .get_subcommands()
                .filter(|sub| sub.get_name() != "help")
            {
                check(sub, &path);
                deeper = true;
            }
            if !deeper {
                let help = command.get_after_help().map(ToString::to_string);
                assert!(help.is_some_and(|help| help.contains("Example")), "{path}");
            }
        }
        check(&command, "");
    }

    #[test]
    fn sizes_and_times_are_read() {
        assert_eq!(bytes("4G"), Ok(4 << 30));
        assert_eq!(bytes("17"), Ok(17));
        assert!(bytes("99999999T").is_err() && bytes("").is_err() && bytes("3Q").is_err());
        assert_eq!((count("1"), count("65536")), (Ok(1), Ok(65_536)));
        assert!(count("0").is_err() && count("65537").is_err() && count("-1").is_err());
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        assert!(seconds("-1").is_err() && seconds("NaN").is_err() && seconds("1e300").is_err());
    }
}
