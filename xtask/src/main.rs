//! Set-up, tests, private networks and benches: one entry for people and CI.
fn main() {}
