//! How many links the system allows.

/// More links than that help nobody.
const MOST: usize = 5000;
/// What is assumed where the system does not say.
#[cfg(not(unix))]
const ASSUMED: usize = 2000;

/// Raises the limit of descriptors as far as it goes; half of them are for links.
#[cfg(unix)]
pub(super) fn links() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => before.maximum,
        Err(_) => before.current,
    };
    let descriptors = limit.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    (descriptors / 2).clamp(8, MOST)
}

#[cfg(not(unix))]
pub(super) fn links() -> usize {
    ASSUMED.min(MOST)
}
