//! Makes a Destination, keeps its keys in a file and prints its address.
//!
//! `cargo run --example create_destination -- me.keys`

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or("me.keys".into());
    let keys = ramson::PrivateKeys::generate();
    ramson::keys::create(&file, &keys, ramson::keys::KeyFormat::Raw)?;
    println!("{}", keys.destination().b32());
    Ok(())
}
