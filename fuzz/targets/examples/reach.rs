//! Prints what inputs reach: `cargo run -p ramson-fuzz-targets --features machines --example reach --
//! TARGET FILE…`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use ramson_fuzz_targets::{reached_by, targets};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap();
    let target = targets().into_iter().find(|it| it.name == name).unwrap();
    for file in arguments {
        let input = std::fs::read(&file).unwrap();
        println!("{file}");
        for kind in reached_by(|| (target.run)(&input)) {
            println!("    {kind}");
        }
    }
}
