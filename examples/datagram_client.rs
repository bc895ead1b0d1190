//! Sends a datagram until its echo comes: datagrams may get lost.
//!
//! `cargo run --example datagram_client -- ADDRESS`

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = std::env::args().nth(1).context("to which address?")?;
    let session = ramson::I2p::start().await?.session().open().await?;
    let socket = session.datagrams().open().await?;
    for _ in 0..30 {
        socket.send_to(b"hello", &server).await?;
        if let Ok(echo) = timeout(Duration::from_secs(2), socket.recv_from()).await {
            println!("{}", echo?.payload.escape_ascii());
            return Ok(());
        }
    }
    anyhow::bail!("no echo in a minute")
}
