use super::{Script, WorldSettings};
use crate::pipe::Stalls;

/// Each direction of each connection delivers nothing for a fifth of the time, for up to 1.5 s at
/// once, and most writes arrive in pieces.
#[derive(Debug)]
pub(super) struct StalledLinks;

impl Script for StalledLinks {
    fn world(&mut self, settings: &mut WorldSettings) {
        settings.pipes.stalls = Some(Stalls {
            percent: 20,
            longest_us: 1_500_000,
        });
        settings.pipes.split_percent = 70;
    }
}
