//! Prints a page of a site on I2P, by reqwest.
//!
//! `cargo run --example reqwest_get -- http://example.i2p/`

use anyhow::Context as _;
use ramson::plug::socks5::Socks5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("which page?")?;
    let session = ramson::I2p::start().await?.session().open().await?;
    let i2p = Socks5::start(&session).await?;
    let client = reqwest::Client::builder().proxy(i2p.proxy()).build()?;
    let answer = client.get(url).send().await?.error_for_status()?;
    print!("{}", answer.text().await?);
    Ok(())
}
