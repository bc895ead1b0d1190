//! The command line program of ramson.

fn main() -> std::process::ExitCode {
    ramson_cli::main()
}
