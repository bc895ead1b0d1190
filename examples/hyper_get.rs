//! Prints a page of a site on I2P, by the HTTP client of hyper-util.
//!
//! `cargo run --example hyper_get -- http://example.i2p/`

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use ramson::plug::hyper::I2pConnector;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("which page?")?;
    let session = ramson::I2p::start().await?.session().open().await?;
    let i2p = I2pConnector::new(&session);
    let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(i2p);
    let answer = client.get(url.parse()?).await?;
    let page = answer.into_body().collect().await?.to_bytes();
    print!("{}", String::from_utf8_lossy(&page));
    Ok(())
}
