use ramson_wire::{Instant, UnixTime};

/// One moment on both clocks: timers run on the monotonic one, what is written and read on the
/// wire on the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The moment on the monotonic clock.
    pub instant: Instant,
    /// The moment on the calendar, as the router believes it.
    pub unix: UnixTime,
}
