//! Whom a look-up has asked, and whom it may ask next.

use std::collections::{BTreeMap, BTreeSet};

use ramson_wire::RouterHash;

/// Floodfills asked in one look-up.
pub(crate) const MAX_ASKED: usize = 10;
/// How often one that is silent is asked, while there is no other.
const MAX_TIMES: u8 = 2;

/// The floodfills that were asked, and those of them that do not know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    times: BTreeMap<RouterHash, u8>,
    answered: BTreeSet<RouterHash>,
}

impl Asked {
    /// Counts a question.
    pub(crate) fn ask(&mut self, router: RouterHash) {
        *self.times.entry(router).or_default() += 1;
    }

    /// One that was asked does not know; says whether that is new.
    pub(crate) fn answered(&mut self, router: RouterHash) -> bool {
        self.was_asked(&router) && self.answered.insert(router)
    }

    /// Says whether it was asked.
    pub(crate) fn was_asked(&self, router: &RouterHash) -> bool {
        self.times.contains_key(router)
    }

    /// Says whether one more may be asked.
    pub(crate) fn has_room(&self) -> bool {
        self.times.len() < MAX_ASKED
    }

    /// Says whether one is to be asked once more if there is no other: the question may have been
    /// lost, or the answer.
    pub(crate) fn again(&self, router: &RouterHash) -> bool {
        let times = self.times.get(router);
        !self.answered.contains(router) && times.is_some_and(|times| *times < MAX_TIMES)
    }

    /// All that were asked.
    pub(crate) fn routers(&self) -> impl Iterator<Item = &RouterHash> {
        self.times.keys()
    }

    /// How many that are.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }
}
