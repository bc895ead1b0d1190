use std::fmt;

use ramson_crypto::siphash24;

use crate::queue::PartId;

/// A hash over all that happened in a run: equal for equal runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceHash(u64, u64);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

/// What kind of event it was.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Core = 1,
    Relay,
    Link,
    Dial,
    Accept,
    Refused,
    Start,
    Stop,
    Ended,
}

/// Hashes each event with its time, part and bytes: SipHash-2-4, each keyed by all before it.
#[derive(Debug)]
pub(crate) struct Trace {
    state: (u64, u64),
    events: u64,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: (seed, !seed),
            events: 0,
        }
    }

    /// Something happened to a part.
    pub(crate) fn event(&mut self, at: u64, node: u32, part: PartId, kind: Kind, number: u64) {
        let mut bytes = [0; 32];
        let fields = [
            at,
            u64::from(node) << 32 | u64::from(part.index),
            u64::from(part.generation) << 8 | kind as u64,
            number,
        ];
        for (field, place) in fields.iter().zip(bytes.chunks_exact_mut(8)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        self.state.0 = siphash24(self.state.0, self.state.1, &bytes);
        self.events += 1;
    }

    /// Bytes went into a pipe.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.state.1 = siphash24(self.state.1, self.state.0, bytes);
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn hash(&self) -> TraceHash {
        TraceHash(self.state.0, self.state.1)
    }
}
