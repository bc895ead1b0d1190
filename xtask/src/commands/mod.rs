//! The commands, a file per group.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod fuzz;
pub(crate) mod licences;
pub(crate) mod net;
pub(crate) mod peers;
pub(crate) mod sim;
pub(crate) mod soak;
pub(crate) mod test;
