//! A file for each command.

pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod forward;
pub(crate) mod keys;
pub(crate) mod lookup;
pub(crate) mod receive;
#[cfg(feature = "router")]
pub(crate) mod router;
pub(crate) mod send;
pub(crate) mod serve;
