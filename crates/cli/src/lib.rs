//! The commands of the binary `ramson`.
//!
//! Results go to standard output, progress and errors to standard error. With `--json` each result
//! is one JSON object a line ([`Event`]) and an error one object on standard error ([`Failure`]).
//!
//! [`transfer`] is the protocol of `send` and `receive`, over any pair of byte streams; it is
//! described in `docs/transfer.md`.

mod args;
pub use args::Arguments;

mod commands;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

mod failure;
pub use failure::{Failure, Interrupted};

mod interrupt;

mod online;

mod output;
pub use output::{Event, Output};

mod pipe;

mod progress;

#[cfg(feature = "router")]
mod router;
#[cfg(feature = "router")]
pub use router::RouterNumbers;

mod run;
pub use run::main;

pub mod transfer;
