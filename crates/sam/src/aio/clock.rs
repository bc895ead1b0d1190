use std::future::Future;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ramson_wire::{Instant, UnixTime};

/// A deadline is looked at again at least this often: tokio's clock stands still while the
/// machine sleeps, ours does not.
const SLICE: Duration = Duration::from_secs(5);

/// The deadline passed before the future was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// Microseconds on a clock that goes on while the machine sleeps.
///
/// The zero is arbitrary; values compare within one run of the program.
pub fn now() -> Instant {
    Instant::from_micros(micros())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1_000)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn micros() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The wall clock, milliseconds since 1970.
pub fn unix_now() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Sleeps until `deadline`, also when the machine slept in between.
pub async fn sleep_until(deadline: Instant) {
    loop {
        let left = deadline.saturating_since(now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLICE)).await;
    }
}

/// Sleeps for `duration` of the clock of [`now`].
pub async fn sleep(duration: Duration) {
    sleep_until(now() + duration).await;
}

/// Runs `future` until `deadline`.
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep_until(deadline));
    tokio::select! {
        biased;
        output = &mut future => Ok(output),
        () = &mut sleep => Err(Elapsed),
    }
}
