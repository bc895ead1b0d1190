use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Output;
use crate::args::Global;
use crate::failure::Usage;
use crate::router;

/// `ramson router`
#[derive(Debug, Args)]
#[command(after_help = "\
Runs until SIGTERM or Ctrl-C, then until the tunnels of others that go through it have expired; a
second signal ends it at once. SIGHUP reads limits and log level again.

Example:
  ramson router --config router.toml")]
pub(crate) struct Router {
    #[command(subcommand)]
    command: Option<RouterCommand>,
    /// The configuration: TOML with at least `data = \"FOLDER\"`, see docs/router.md
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum RouterCommand {
    /// Ask the running router how it is
    Status(Status),
    /// Have the running router end its links, after the machine's network has changed
    DropLinks(DropLinks),
}

/// `ramson router status`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ramson router status --config router.toml")]
struct Status {}

/// `ramson router drop-links`
#[derive(Debug, Args)]
#[command(after_help = "\
Links that are needed come back at once; tunnels go on.

Example:
  ramson router drop-links --config router.toml")]
struct DropLinks {}

impl Router {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> Result<()> {
        let config = self
            .config
            .ok_or_else(|| Usage("which configuration? say --config FILE".to_owned()))?;
        match self.command {
            None => router::run(&config, global.verbose, output).await,
            Some(RouterCommand::Status(_)) => router::status(&config, output).await,
            Some(RouterCommand::DropLinks(_)) => router::drop_links(&config, output).await,
        }
    }
}
