//! A web site on I2P that greets its visitors by their addresses, until Ctrl-C.
//!
//! `cargo run --example axum_site`

use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Router, routing::get};
use ramson::plug::axum::{Peer, serve};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let i2p = ramson::I2p::start().await?;
    let session = i2p.session().key_file("site.keys").open().await?;
    println!("http://{}/", session.address());
    let site = Router::new().route("/", get(hello));
    let server = tokio::spawn(serve(session.listen().await?, site));
    tokio::signal::ctrl_c().await?;
    session.close(Duration::from_secs(10)).await;
    Ok(server.await?)
}

async fn hello(ConnectInfo(visitor): ConnectInfo<Peer>) -> String {
    format!("Hello, {visitor}!\n")
}
