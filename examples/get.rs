//! Prints a page of a site on I2P.
//!
//! `cargo run --example get -- http://example.i2p/index.html`

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, stdout};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("which page?")?;
    let url = url.trim_start_matches("http://");
    let (host, path) = url.split_once('/').unwrap_or((url, ""));
    let session = ramson::I2p::start().await?.session().open().await?;
    let mut stream = session.connect(host).await?;
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let body = body.context("this is no HTTP")? + 4;
    Ok(stdout().write_all(&answer[body..]).await?)
}
