//! Garlic: messages wrapped in encryption from end to end, with instructions where they go.

pub mod ratchet;

pub mod router;

mod session_tag;
pub use session_tag::seal_with_session_tag;
