//! What happens inside, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

/// The crates whose logs are ours.
const CRATES: [&str; 5] = [
    "ramson",
    "ramson_cli",
    "ramson_router",
    "ramson_proto",
    "ramson_wire",
];

/// The log, whose level can change.
pub(super) struct Log {
    set: Box<dyn Fn(EnvFilter) + Send + Sync>,
    /// What the command line asks for goes first.
    verbose: u8,
}

impl Log {
    pub(super) fn start(level: &str, verbose: u8) -> Self {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter(level, verbose))
            .with_writer(io::stderr)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        let set = Box::new(move |filter| {
            let _ = handle.reload(filter);
        });
        Self { set, verbose }
    }

    pub(super) fn set(&self, level: &str) {
        (self.set)(filter(level, self.verbose));
    }
}

fn filter(level: &str, verbose: u8) -> EnvFilter {
    let level = match verbose {
        0 => level,
        1 => "debug",
        _ => "trace",
    };
    EnvFilter::new(CRATES.map(|name| format!("{name}={level}")).join(","))
}
