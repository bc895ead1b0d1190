//! The protocols of I2P routers as machines: plain structs that own their state, take time and
//! randomness as arguments and never touch a socket, a task or a clock.
//!
//! Every machine has the same four kinds of methods: getters; `handle_*(input, now)`; commands
//! from the layer above; `poll_transmit`, `poll_event` and `poll_timeout` with
//! `handle_timeout(now)`. The router joins them; a shell or a simulator drives them.

mod sensitive;
pub use sensitive::Sensitive;

mod time;
pub use time::Now;

pub mod garlic;
pub mod ntcp2;
pub mod streaming;
pub mod tunnel;
