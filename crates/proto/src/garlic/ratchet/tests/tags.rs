use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::tag_set::{ReceiveTags, SendTags, Tag, TagSet};

fn set() -> TagSet {
    TagSet::new(&[1; 32], &[2; 32])
}

/// The tags that are waited for, by number.
fn waiting(tags: &mut ReceiveTags, end: u32, waiting: &mut BTreeMap<u16, Tag>) {
    tags.extend(end, |tag, number| {
        assert_eq!(waiting.insert(number, tag), None)
    });
}

#[test]
fn what_was_cut_off_is_not_made_again() {
    let mut tags = ReceiveTags::new(set());
    let mut known = BTreeMap::new();
    waiting(&mut tags, 30, &mut known);
    tags.received(5);
    let mut removed = 0;
    tags.cut(19, |_| removed += 1);
    assert_eq!((tags.end(), removed), (20, 10));
    waiting(&mut tags, 40, &mut known);
    assert_eq!((tags.end(), known.len()), (20, 30));
    assert!(tags.take_key(20).is_none());
    assert!(tags.take_key(19).is_some());
    // Beyond what is waited for.
    let mut tags = ReceiveTags::new(set());
    let mut known = BTreeMap::new();
    waiting(&mut tags, 10, &mut known);
    tags.cut(14, |_| panic!("none is beyond"));
    waiting(&mut tags, 40, &mut known);
    assert_eq!(tags.end(), 15);
    let mut sent = SendTags::new(set());
    for number in 0..15 {
        assert_eq!(sent.take_tag(), Some((number, known[&number])));
    }
}

#[test]
fn the_last_number_is_the_last() {
    let mut tags = ReceiveTags::new(set());
    let mut count = 0_u32;
    tags.extend(u32::MAX, |_, number| {
        assert_eq!(u32::from(number), count);
        count += 1;
    });
    assert_eq!((count, tags.end()), (65_536, 65_536));
    assert!(tags.take_key(u16::MAX).is_some());
}

proptest! {
    /// Whatever is given up and in whatever order the rest comes, tags and keys are the sender's.
    #[test]
    fn both_ends_agree_in_any_order(order in prop::collection::vec(0u16..120, 0..150)) {
        let mut sent = SendTags::new(set());
        let sent: Vec<_> = (0..120).map(|_| sent.take().unwrap()).collect();
        let mut tags = ReceiveTags::new(set());
        let mut known = BTreeMap::new();
        waiting(&mut tags, 24, &mut known);
        let mut came = std::collections::BTreeSet::new();
        for number in order {
            let key = tags.take_key(number);
            prop_assert_eq!(key.is_some(), known.contains_key(&number));
            let Some(key) = key else { continue };
            let (_, tag, theirs) = &sent[usize::from(number)];
            prop_assert_eq!(&known[&number], tag);
            let mut data = *b"data";
            let mac = theirs.seal(0, b"", &mut data);
            let ours = ramson_crypto::AeadKey::new(*key);
            prop_assert!(ours.open(0, b"", &mut data, &mac).is_ok());
            // Once put back it is there again.
            tags.put_back(number, key);
            prop_assert!(tags.take_key(number).is_some());
            known.remove(&number);
            prop_assert!(came.insert(number));
            tags.received(number);
            let highest = u32::from(tags.highest().unwrap());
            let mut removed = Vec::new();
            tags.trim(highest.saturating_sub(20), |tag| removed.push(tag));
            known.retain(|_, tag| !removed.contains(tag));
            waiting(&mut tags, highest + 25, &mut known);
            let left: Vec<_> = tags.tags().collect();
            prop_assert_eq!(left.len(), known.len());
        }
    }
}
