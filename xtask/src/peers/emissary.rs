//! emissary, built from the crate registry.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Installation;

const VERSION: &str = "0.4.0";

/// Returns emissary from `folder`, first building it there, which takes about ten minutes.
pub(super) fn install(folder: &Path) -> Result<Installation> {
    let command = || vec![folder.join("bin/emissary-cli").into()];
    if let Ok(found) = Installation::probe(command()) {
        return Ok(found);
    }
    eprintln!(
        "peers: building emissary {VERSION} into {} (ten minutes)",
        folder.display()
    );
    let status = Command::new("cargo")
        .args([
            "install",
            "emissary-cli",
            "--version",
            VERSION,
            "--no-default-features",
        ])
        .args(["--locked", "--root"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo install emissary-cli failed; its messages are above");
    }
    Installation::probe(command())
}
