use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use ramson_crypto::{AeadKey, Key32, hkdf, hkdf_pair};

/// How long a tag is.
pub(super) const TAG_LEN: usize = 8;

/// A session tag: what the message of one number begins with.
pub(super) type Tag = [u8; TAG_LEN];

/// The last number of a set that we send with. The specification ends at 65,535; i2pd makes no tag
/// for the last two.
pub(super) const LAST_SENT: u16 = 65_533;

/// How many numbers a set has.
const NUMBERS: u32 = 1 << 16;

/// A tag set as DH_INITIALIZE makes it (DH Initialization KDF): two chains, one of tags, which may
/// run ahead, and one of keys.
#[derive(Clone)]
pub(super) struct TagSet {
    /// What the next set of this direction is made from.
    pub(super) next_root: Key32,
    tag_chain: Key32,
    constant: Key32,
    key_chain: Key32,
}

impl TagSet {
    pub(super) fn new(root: &[u8; 32], key: &[u8; 32]) -> Self {
        let (next_root, chain) = hkdf_pair(root, key, b"KDFDHRatchetStep");
        let (tags, key_chain) = hkdf_pair(&chain, b"", b"TagAndKeyGenKeys");
        let (tag_chain, constant) = hkdf_pair(&tags, b"", b"STInitialization");
        Self {
            next_root,
            tag_chain,
            constant,
            key_chain,
        }
    }

    /// The set that follows this one in its direction once keys were agreed on (DH Ratchet KDF).
    pub(super) fn after(&self, shared: &[u8; 32]) -> Self {
        let key = hkdf::<32>(shared, b"", b"XDHRatchetTagSet");
        Self::new(&self.next_root, &key)
    }

    /// The tags of the replies to a New Session message with this chaining key.
    pub(super) fn of_replies(chaining_key: &[u8; 32]) -> Self {
        let key = hkdf::<32>(chaining_key, b"", b"SessionReplyTags");
        Self::new(chaining_key, &key)
    }

    fn next_tag(&mut self) -> Tag {
        let (chain, out) = hkdf_pair(&self.tag_chain, &*self.constant, b"SessionTagKeyGen");
        self.tag_chain = chain;
        *out.first_chunk().expect("a key is longer than a tag")
    }

    fn next_key(&mut self) -> Key32 {
        let (chain, key) = hkdf_pair(&self.key_chain, b"", b"SymmetricRatchet");
        self.key_chain = chain;
        key
    }
}

impl fmt::Debug for TagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagSet(..)")
    }
}

/// The tags that we send with, one after another; none is kept.
#[derive(Debug)]
pub(super) struct SendTags {
    set: TagSet,
    next: u16,
}

impl SendTags {
    pub(super) fn new(set: TagSet) -> Self {
        Self { set, next: 0 }
    }

    /// The number of the next message, which is also how many were sent.
    pub(super) fn next(&self) -> u16 {
        self.next
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.next > LAST_SENT
    }

    pub(super) fn set(&self) -> &TagSet {
        &self.set
    }

    /// Takes the tag of the next message alone, for a set of which the keys are not used.
    pub(super) fn take_tag(&mut self) -> Option<(u16, Tag)> {
        if self.is_exhausted() {
            return None;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        Some((number, self.set.next_tag()))
    }

    /// Takes number, tag and key of the next message, `None` when there are no more.
    pub(super) fn take(&mut self) -> Option<(u16, Tag, AeadKey)> {
        let (number, tag) = self.take_tag()?;
        Some((number, tag, AeadKey::new(*self.set.next_key())))
    }
}

/// The tags that we wait for: a window of them around the highest received, and the keys of numbers
/// that were left out.
pub(super) struct ReceiveTags {
    set: TagSet,
    /// The number of the first in the window.
    first: u32,
    /// How many numbers there are; tags beyond were thrown away if they had been made.
    limit: u32,
    /// `None` where the message has come.
    window: VecDeque<Option<Tag>>,
    highest: Option<u16>,
    /// The number of the next key of the chain.
    next_key: u32,
    /// The keys of numbers in the window before that which have not come.
    skipped: BTreeMap<u16, Key32>,
}

impl ReceiveTags {
    pub(super) fn new(set: TagSet) -> Self {
        Self {
            set,
            first: 0,
            limit: NUMBERS,
            window: VecDeque::new(),
            highest: None,
            next_key: 0,
            skipped: BTreeMap::new(),
        }
    }

    pub(super) fn set(&self) -> &TagSet {
        &self.set
    }

    pub(super) fn highest(&self) -> Option<u16> {
        self.highest
    }

    /// The number of the next tag to be made.
    pub(super) fn end(&self) -> u32 {
        self.first
            .saturating_add(u32::try_from(self.window.len()).unwrap_or(u32::MAX))
    }

    /// Makes tags up to the number `end`, left out, and hands them to `add`.
    pub(super) fn extend(&mut self, end: u32, mut add: impl FnMut(Tag, u16)) {
        for number in self.end()..end.min(self.limit) {
            let tag = self.set.next_tag();
            self.window.push_back(Some(tag));
            add(tag, u16::try_from(number).unwrap_or(u16::MAX));
        }
    }

    /// Returns the key of a number in the window. What is not used is to be put back.
    pub(super) fn take_key(&mut self, number: u16) -> Option<Key32> {
        let wanted = u32::from(number);
        if wanted < self.first || wanted >= self.end() {
            return None;
        }
        if wanted < self.next_key {
            return self.skipped.remove(&number);
        }
        loop {
            let at = self.next_key;
            let key = self.set.next_key();
            self.next_key = at.saturating_add(1);
            if at == wanted {
                return Some(key);
            }
            if at >= self.first {
                self.skipped
                    .insert(u16::try_from(at).unwrap_or(u16::MAX), key);
            }
        }
    }

    pub(super) fn put_back(&mut self, number: u16, key: Key32) {
        self.skipped.insert(number, key);
    }

    /// Notes that the message of this number has come.
    pub(super) fn received(&mut self, number: u16) {
        let at = u32::from(number).checked_sub(self.first);
        let at = at.and_then(|at| usize::try_from(at).ok());
        if let Some(tag) = at.and_then(|at| self.window.get_mut(at)) {
            *tag = None;
        }
        self.highest = self.highest.max(Some(number));
    }

    /// Gives up the numbers below `first`, and hands the tags that did not come to `remove`.
    pub(super) fn trim(&mut self, first: u32, mut remove: impl FnMut(Tag)) {
        while self.first < first
            && let Some(tag) = self.window.pop_front()
        {
            tag.into_iter().for_each(&mut remove);
            self.first = self.first.saturating_add(1);
        }
        let first = u16::try_from(self.first).unwrap_or(u16::MAX);
        if self
            .skipped
            .first_key_value()
            .is_some_and(|(at, _)| *at < first)
        {
            self.skipped = self.skipped.split_off(&first);
        }
    }

    /// Gives up the numbers above `last`, and hands the tags that did not come to `remove`.
    pub(super) fn cut(&mut self, last: u16, mut remove: impl FnMut(Tag)) {
        self.limit = self.limit.min(u32::from(last).saturating_add(1));
        while self.end() > self.limit
            && let Some(tag) = self.window.pop_back()
        {
            tag.into_iter().for_each(&mut remove);
        }
        if let Some(above) = last.checked_add(1) {
            self.skipped.split_off(&above);
        }
    }

    /// Returns the tags that have not come.
    pub(super) fn tags(&self) -> impl Iterator<Item = Tag> {
        self.window.iter().flatten().copied()
    }
}

impl fmt::Debug for ReceiveTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveTags")
            .field("first", &self.first)
            .field("end", &self.end())
            .field("highest", &self.highest)
            .field("skipped", &self.skipped.len())
            .finish_non_exhaustive()
    }
}
