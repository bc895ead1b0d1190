//! The command line program of ramson.
fn main() {}
