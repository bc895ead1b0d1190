//! The Diffie-Hellman ratchet: new keys for a tag set that runs out (DH Ratchet, Next DH Ratchet
//! Public Key).
//!
//! Each direction has its own. Its sender proposes, with a forward key; its receiver answers with a
//! reverse key. Set 1 has a new key of both sides, each even set a new forward key, each odd one a
//! new reverse key; so set `n` has the forward key `n / 2` and the reverse key `(n - 1) / 2`. Blocks
//! are repeated in each message until they are answered, and come late: no block moves a direction
//! twice.

use ramson_crypto::Random;
use ramson_crypto::x25519::{PrivateKey, SharedSecret};
use ramson_wire::clove::NextKey;
use thiserror::Error;

/// What is wrong with a NextKey block. It changes nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum NextKeyError {
    /// A reverse key also asks for one.
    #[error("a reverse key asks for another")]
    Flags,
    /// The key is not the one that must come next.
    #[error("the key has another number than the next")]
    WrongId,
    /// A key is missing where there must be a new one.
    #[error("the key is missing")]
    MissingKey,
    /// There is a key where an old one must do.
    #[error("there is a key where there must be none")]
    UnwantedKey,
    /// The key agrees with nobody.
    #[error("the key is not usable")]
    BadKey,
    /// Sets follow each other faster than anybody needs, or there is no room for another one now.
    #[error("it is too soon for another key")]
    TooSoon,
}

/// The last set there can be.
const LAST_SET: u16 = u16::MAX;

fn forward_id(set: u16) -> u16 {
    set / 2
}

fn reverse_id(set: u16) -> u16 {
    set.saturating_sub(1) / 2
}

/// The ratchet of what we send.
#[derive(Debug, Default)]
pub(super) struct Forward {
    set: u16,
    key: Option<PrivateKey>,
    theirs: Option<[u8; 32]>,
    is_proposed: bool,
}

impl Forward {
    pub(super) fn set(&self) -> u16 {
        self.set
    }

    /// Proposes the next set unless that was done, or there is none.
    pub(super) fn propose(&mut self, random: &mut Random) {
        if self.is_proposed || self.set == LAST_SET {
            return;
        }
        let set = self.set.saturating_add(1);
        if set == 1 || set.is_multiple_of(2) {
            self.key = Some(PrivateKey::generate(random));
        }
        self.is_proposed = true;
    }

    /// The block that every message must have until the answer comes.
    pub(super) fn block(&self) -> Option<NextKey> {
        if !self.is_proposed {
            return None;
        }
        let set = self.set.saturating_add(1);
        let is_new = set == 1 || set.is_multiple_of(2);
        Some(NextKey {
            id: forward_id(set),
            key: self.key.as_ref().filter(|_| is_new).map(PrivateKey::public),
            reverse: false,
            request_reverse: set % 2 == 1,
        })
    }

    /// Takes a reverse key. `Some`, what was agreed on, begins the next set.
    pub(super) fn answered(
        &mut self,
        block: &NextKey,
    ) -> Result<Option<SharedSecret>, NextKeyError> {
        if block.request_reverse {
            return Err(NextKeyError::Flags);
        }
        let set = self.set.saturating_add(1);
        if !self.is_proposed {
            // The answer to the last proposal, once more.
            let is_last = self.set > 0 && block.id == reverse_id(self.set);
            return is_last.then_some(None).ok_or(NextKeyError::WrongId);
        }
        if block.id != reverse_id(set) {
            // So the answers may still come that led to this set.
            let is_old = self.set > 0 && block.id == reverse_id(self.set);
            return is_old.then_some(None).ok_or(NextKeyError::WrongId);
        }
        let theirs = match (block.key, set % 2 == 1) {
            (Some(key), true) => key,
            (None, true) => return Err(NextKeyError::MissingKey),
            // The answer to the last proposal had this key.
            (Some(key), false) if self.theirs == Some(key) => return Ok(None),
            (Some(_), false) => return Err(NextKeyError::UnwantedKey),
            (None, false) => self.theirs.ok_or(NextKeyError::MissingKey)?,
        };
        let key = self.key.as_ref().ok_or(NextKeyError::MissingKey)?;
        let shared = key.agree(&theirs).map_err(|_| NextKeyError::BadKey)?;
        self.theirs = Some(theirs);
        self.set = set;
        self.is_proposed = false;
        Ok(Some(shared))
    }
}

/// The ratchet of what we receive.
#[derive(Debug, Default)]
pub(super) struct Reverse {
    set: u16,
    key: Option<PrivateKey>,
    theirs: Option<[u8; 32]>,
    is_seen: bool,
}

impl Reverse {
    pub(super) fn set(&self) -> u16 {
        self.set
    }

    /// The block that every message must have until a tag of the new set comes.
    pub(super) fn block(&self) -> Option<NextKey> {
        if self.set == 0 || self.is_seen {
            return None;
        }
        let is_new = self.set % 2 == 1;
        Some(NextKey {
            id: reverse_id(self.set),
            key: self.key.as_ref().filter(|_| is_new).map(PrivateKey::public),
            reverse: true,
            request_reverse: false,
        })
    }

    /// Notes that a tag of this set came.
    pub(super) fn seen(&mut self, set: u16) {
        self.is_seen |= set == self.set;
    }

    /// Takes a forward key that came under a tag of the set `under`. `Some`, what was agreed on,
    /// begins the next set; `may_advance` says whether there may be one already.
    pub(super) fn proposed(
        &mut self,
        block: &NextKey,
        under: u16,
        may_advance: bool,
        random: &mut Random,
    ) -> Result<Option<SharedSecret>, NextKeyError> {
        let is_odd = block.request_reverse;
        let set = u32::from(block.id) * 2 + u32::from(is_odd);
        let set = u16::try_from(set).map_err(|_| NextKeyError::WrongId)?;
        if set == 0 {
            return Err(NextKeyError::WrongId);
        }
        if set <= self.set {
            return Ok(None);
        }
        // Who proposes sends under the set before.
        if set != self.set.saturating_add(1) || under != self.set {
            return Err(NextKeyError::WrongId);
        }
        let is_new = set == 1 || !is_odd;
        let theirs = match (block.key, is_new) {
            (Some(key), true) => key,
            (None, true) => return Err(NextKeyError::MissingKey),
            (Some(key), false) if self.theirs != Some(key) => {
                return Err(NextKeyError::UnwantedKey);
            }
            (_, false) => self.theirs.ok_or(NextKeyError::MissingKey)?,
        };
        if !may_advance {
            return Err(NextKeyError::TooSoon);
        }
        let key = match (&self.key, is_odd) {
            (Some(key), false) => key.clone(),
            _ => PrivateKey::generate(random),
        };
        let shared = key.agree(&theirs).map_err(|_| NextKeyError::BadKey)?;
        *self = Self {
            set,
            key: Some(key),
            theirs: Some(theirs),
            is_seen: false,
        };
        Ok(Some(shared))
    }
}
