//! Both clocks of a running router, read in one place.

use ramson_proto::Now;
use ramson_router::RouterClock;
use ramson_sam::aio;

/// Where every `Now` of a router comes from. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(RouterClock);

impl Clock {
    pub(super) fn new(correction: &RouterClock) -> Self {
        Self(correction.clone())
    }

    /// This moment: microseconds of a clock that goes on while the machine sleeps, and the calendar
    /// as the router corrects it.
    pub(super) fn now(&self) -> Now {
        self.0.now(aio::now(), aio::unix_now())
    }
}
