//! Whole I2P networks of ramson routers in virtual time, from one seed.
//!
//! A [`World`] runs the parts of every router in one event queue: the same parts that a runtime
//! drives in production, over [pipes](PipeSettings) in place of sockets. Nothing in it reads a
//! clock or draws from the operating system, so that a seed gives the same run every time, down
//! to the hash over every event.
//!
//! A [`scenario`] is a network, a script of what happens to it, what has to hold all the time and
//! what has to be reached in the end:
//!
//! ```no_run
//! use ramson_sim::scenario::{self, Options, Scenario};
//!
//! let options = Options { seed: 7, routers: 100, ..Options::new(Scenario::Join) };
//! let report = scenario::run(&options);
//! assert!(report.failures.is_empty(), "{report}");
//! ```

mod cost;
pub use cost::{Costs, Done};

mod hostile;
pub use hostile::{Attack, HostileStats};

mod link;

mod node;
pub use node::{NodeId, NodeSettings};

mod pipe;
pub use pipe::{PipeSettings, Stalls};

mod queue;

mod trace;
pub use trace::TraceHash;

mod world;
pub use world::{World, WorldSettings, WorldStats};

pub mod scenario;
