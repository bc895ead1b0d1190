use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Arguments, Output};

/// `ramson completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ramson completions bash > ~/.local/share/bash-completion/completions/ramson")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, output: &Output) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "ramson", &mut script);
        output.text(String::from_utf8_lossy(&script).trim_end())
    }
}
