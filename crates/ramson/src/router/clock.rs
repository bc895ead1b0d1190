//! Both clocks of a running router, read in one place.

use ramson_proto::Now;
use ramson_sam::aio;

/// This moment: microseconds of a clock that goes on while the machine sleeps, and the calendar.
pub(super) fn now() -> Now {
    Now {
        instant: aio::now(),
        unix: aio::unix_now(),
    }
}
