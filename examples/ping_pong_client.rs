//! Sends PING to a server and prints its answer.
//!
//! `cargo run --example ping_pong_client -- ADDRESS`

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = std::env::args().nth(1).context("to which address?")?;
    let session = ramson::I2p::start().await?.session().open().await?;
    let mut stream = session.connect(server).await?;
    stream.write_all(b"PING").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    println!("{answer}");
    Ok(())
}
