//! Tests by topic: lines and their typed forms against what routers and programs write, machines alone, and
//! machines in pairs.

mod bridge;
mod client;
mod lines;
mod pair;
mod properties;
mod replies;
mod requests;
