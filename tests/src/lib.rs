//! Helpers of the interop tests.
