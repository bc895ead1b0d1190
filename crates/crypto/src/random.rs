//! Random bytes from the operating system.
//!
//! For the shell and for keys that a person asks for. Protocol machines draw from their own
//! seeded generator instead.

use thiserror::Error;

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the operating system's random source failed: {0}")]
pub struct RandomError(getrandom::Error);

/// Fills `out` with random bytes.
///
/// # Panics
///
/// If the operating system has no random source: no key made then would be one, and no supported
/// system is like that. [`try_fill`] returns an error instead.
pub fn fill(out: &mut [u8]) {
    try_fill(out).expect("the operating system has a random source");
}

/// Fills `out` with random bytes.
///
/// # Errors
///
/// If the operating system has no random source or refuses it.
pub fn try_fill(out: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(out).map_err(RandomError)
}

/// Returns `N` random bytes.
///
/// # Panics
///
/// As [`fill`].
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(), bytes::<32>());
    }

    #[test]
    fn fills_every_part_of_a_long_buffer() {
        let mut out = [0; 4096];
        fill(&mut out);
        assert!(
            out.chunks(64)
                .all(|chunk| chunk.iter().any(|&byte| byte != 0))
        );
    }
}
