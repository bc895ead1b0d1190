//! The file of the RouterInfos that are known: `routers.db`.
//!
//! `[magic: 16]`, then for each `[mark: 4][length: u16 BE][RouterInfo][seal: 32]`. The seal is
//! that of [`RouterInfo::unseal`] under a key in `router.keys`. Where something else stands than a
//! record, the next mark is looked for.

use ramson_wire::{RouterInfo, Verified};

/// The first bytes of the file.
pub(super) const MAGIC: &[u8; 16] = b"ramson routers 1";
/// Begins a record; in text or keys it is as rare as any four bytes.
const MARK: &[u8; 4] = b"\xf3RI\x9c";
const SEAL_LEN: usize = 32;
/// RouterInfos that are read at most.
pub(super) const MAX_ROUTERS: usize = 20_000;
/// No file that is larger is read.
pub(super) const MAX_LEN: u64 = (MAX_ROUTERS * (RouterInfo::MAX_LEN + 64)) as u64;

/// RouterInfos that are handed over at once.
const BATCH: usize = 256;

/// What the file held.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// RouterInfos whose signature holds.
    pub(super) infos: Vec<Verified<RouterInfo>>,
    /// How many of them were not sealed by us, so that their signature was checked.
    pub(super) foreign: usize,
    /// Stretches of the file that hold none.
    pub(super) damaged: usize,
}

/// Writes the file's bytes.
pub(super) fn encode<'a>(
    infos: impl Iterator<Item = &'a Verified<RouterInfo>>,
    key: &[u8; 32],
) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for info in infos.take(MAX_ROUTERS) {
        let content = info.as_bytes();
        // No RouterInfo is longer than that.
        let Ok(length) = u16::try_from(content.len()) else {
            continue;
        };
        bytes.extend_from_slice(MARK);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(&info.seal(key));
    }
    bytes
}

/// Reads all that can be read.
pub(super) fn decode(bytes: &[u8], key: &[u8; 32]) -> Known {
    let mut infos = Vec::new();
    let mut known = decode_batches(bytes, key, |batch| infos.extend(batch));
    known.infos = infos;
    known
}

/// Reads all that can be read and hands it over in batches, while the rest is being read; none is
/// left in the result.
pub(super) fn decode_batches(
    bytes: &[u8],
    key: &[u8; 32],
    mut take: impl FnMut(Vec<Verified<RouterInfo>>),
) -> Known {
    let mut known = Known::default();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        known.damaged = usize::from(!bytes.is_empty());
        return known;
    };
    let (mut read, mut lost) = (0, false);
    while !rest.is_empty() && read + known.damaged < MAX_ROUTERS {
        match record(rest, key) {
            Some((info, foreign, after)) => {
                known.infos.push(info);
                known.foreign += usize::from(foreign);
                read += 1;
                rest = after;
                lost = false;
                if known.infos.len() >= BATCH {
                    take(std::mem::take(&mut known.infos));
                }
            }
            None => {
                known.damaged += usize::from(!lost);
                lost = true;
                rest = next_mark(rest);
            }
        }
    }
    take(std::mem::take(&mut known.infos));
    known
}

/// The record at the front, whether its signature had to be checked, and what is behind it.
fn record<'a>(bytes: &'a [u8], key: &[u8; 32]) -> Option<(Verified<RouterInfo>, bool, &'a [u8])> {
    let rest = bytes.strip_prefix(MARK)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (content, rest) = rest.split_at_checked(length)?;
    let (seal, rest) = rest.split_first_chunk::<SEAL_LEN>()?;
    let info = RouterInfo::from_bytes(content).ok()?;
    match info.clone().unseal(key, seal) {
        Ok(info) => Some((info, false, rest)),
        Err(_) => Some((info.verify().ok()?, true, rest)),
    }
}

/// Goes on at the next mark that is not at the front.
fn next_mark(bytes: &[u8]) -> &[u8] {
    let from = bytes.get(1..).unwrap_or_default();
    let marks = from.windows(MARK.len());
    let found = marks.enumerate().find(|(_, window)| window == MARK);
    found.and_then(|(at, _)| from.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;
    use ramson_crypto::Random;

    use super::*;
    use crate::router::testing::router_info;

    const KEY: [u8; 32] = [5; 32];

    fn infos(count: usize) -> Vec<Verified<RouterInfo>> {
        let mut random = Random::from_seed([1; 32]);
        (0..count).map(|_| router_info(&mut random)).collect()
    }

    #[test]
    fn what_is_written_is_read_without_checking_signatures() {
        let infos = infos(20);
        let known = decode(&encode(infos.iter(), &KEY), &KEY);
        assert_eq!(known.infos, infos);
        assert_eq!((known.foreign, known.damaged), (0, 0));
    }

    #[test]
    fn batches_hold_what_the_file_does_in_its_order() {
        let infos = infos(2 * BATCH + 3);
        let mut batches = Vec::new();
        let known = decode_batches(&encode(infos.iter(), &KEY), &KEY, |batch| {
            batches.push(batch);
        });
        assert_eq!(known.infos, []);
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [BATCH, BATCH, 3]);
        assert_eq!(batches.concat(), infos);
    }

    #[test]
    fn what_another_wrote_is_checked() {
        let infos = infos(3);
        let mut bytes = encode(infos.iter(), &[6; 32]);
        let known = decode(&bytes, &KEY);
        assert_eq!((known.infos.len(), known.foreign, known.damaged), (3, 3, 0));
        // Its last signature is wrong, and under another key nobody vouches for it.
        let end = bytes.len() - SEAL_LEN - 1;
        bytes[end] ^= 1;
        let known = decode(&bytes, &KEY);
        assert_eq!((known.infos.len(), known.foreign, known.damaged), (2, 2, 1));
    }

    #[test]
    fn damage_costs_the_record_it_is_in() {
        let infos = infos(5);
        let bytes = encode(infos.iter(), &KEY);
        let size = (bytes.len() - MAGIC.len()) / 5;
        let second = MAGIC.len() + size;
        for at in [second, second + 4, second + 5, second + 6, second + 300] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x55;
            let known = decode(&bytes, &KEY);
            let left: Vec<_> = infos.iter().enumerate().filter(|(n, _)| *n != 1).collect();
            assert!(
                known.infos.iter().eq(left.iter().map(|(_, it)| *it)),
                "{at}"
            );
            assert_eq!((known.foreign, known.damaged), (0, 1), "{at}");
        }
        // A seal alone that is damaged costs a check.
        let mut sealless = bytes.clone();
        *sealless.last_mut().unwrap() ^= 1;
        let known = decode(&sealless, &KEY);
        assert_eq!((known.infos.len(), known.foreign, known.damaged), (5, 1, 0));
        // Wherever the tail is cut off, what is before it is there.
        for cut in [1, 31, 32, 33, size - 1, size, size + 1] {
            let known = decode(&bytes[..bytes.len() - cut], &KEY);
            let whole = (bytes.len() - MAGIC.len() - cut) / size;
            assert_eq!(known.infos, infos[..whole], "{cut}");
        }
    }

    #[test]
    fn other_files_hold_nothing() {
        assert_eq!(decode(b"", &KEY).damaged, 0);
        assert_eq!(decode(b"something else", &KEY).damaged, 1);
        assert_eq!(decode(MAGIC, &KEY).damaged, 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, marked: bool) {
            let mut file = MAGIC.to_vec();
            if marked {
                file.extend_from_slice(MARK);
            }
            file.extend_from_slice(&bytes);
            prop_assert!(decode(&file, &KEY).infos.is_empty());
        }
    }

    /// Run by hand, optimised: how long 5,000 take.
    #[test]
    #[ignore = "measures"]
    fn time_of_5000() {
        let bytes = encode(infos(5000).iter(), &KEY);
        for _ in 0..3 {
            let began = Instant::now();
            assert_eq!(decode(&bytes, &KEY).infos.len(), 5000);
            println!("{} bytes in {:?}", bytes.len(), began.elapsed());
        }
    }
}
