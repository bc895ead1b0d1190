//! Says who connects and what they send, and answers PONG; the same address on every run.
//!
//! `cargo run --example ping_pong_server`

use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let i2p = ramson::I2p::start().await?;
    let session = i2p.session().key_file("server.keys").open().await?;
    println!("{}", session.address());
    let listener = session.listen().await?;
    loop {
        let mut stream = listener.accept().await?;
        tokio::spawn(async move {
            let mut ping = [0; 4];
            stream.read_exact(&mut ping).await?;
            let peer = stream.peer_destination().map(|peer| peer.b32());
            println!("{} from {}", ping.escape_ascii(), peer.unwrap_or_default());
            stream.write_all(b"PONG").await
        });
    }
}
