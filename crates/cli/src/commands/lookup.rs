use anyhow::Result;
use clap::Args;

use crate::Event;
use crate::args::RouterArgs;
use crate::run::Shell;

/// `ramson lookup`
#[derive(Debug, Args)]
#[command(after_help = "\
Prints two lines: the Destination in base64 and its .b32.i2p address.

Example:
  ramson lookup example.i2p")]
pub(crate) struct Lookup {
    /// A host name, a .b32.i2p address or a Destination
    name: String,
    #[command(flatten)]
    router: RouterArgs,
}

impl Lookup {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        let i2p = self.router.start().await?;
        let destination = i2p.lookup(&self.name).await?;
        shell.output.result(&Event::Destination {
            name: Some(self.name),
            address: destination.b32(),
            destination: destination.to_base64(),
        })
    }
}
