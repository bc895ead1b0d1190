//! Garlic: messages wrapped in encryption from end to end, with instructions where they go.

pub mod router;
