//! Where the repository and its build folder are.

use std::path::PathBuf;

/// The root folder of the workspace this program was built from.
pub fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    match package.parent() {
        Some(root) => root.to_path_buf(),
        None => package,
    }
}

/// The folder below which everything fetched or made at run time is kept.
pub fn target() -> PathBuf {
    root().join("target")
}

/// The folder of all private networks: one folder each, and the state file of `net up`.
pub fn networks() -> PathBuf {
    target().join("net")
}

/// The cache of peer routers, `target/peers` unless `RAMSON_PEERS_DIR` names another.
pub fn peers() -> PathBuf {
    match std::env::var_os("RAMSON_PEERS_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => target().join("peers"),
    }
}
