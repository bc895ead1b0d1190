//! Sends each datagram back to where it came from.
//!
//! `cargo run --example datagram_server`

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let session = ramson::I2p::start().await?.session().open().await?;
    let socket = session.datagrams().open().await?;
    println!("{}", session.address());
    loop {
        let datagram = socket.recv_from().await?;
        if let Some(sender) = datagram.from {
            println!("{} bytes", datagram.payload.len());
            socket.send_to(&datagram.payload, sender).await?;
        }
    }
}
