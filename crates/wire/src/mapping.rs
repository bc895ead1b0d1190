use std::collections::BTreeMap;
use std::fmt;

use bytes::{BufMut, Bytes};

use crate::{DecodeError, EncodeError, Reader};

/// A Mapping (Common structures, Mapping): `[size: u16 BE]` and, for each pair,
/// `[len: u8][key]=[len: u8][value];`. The size counts bytes.
///
/// A received Mapping keeps its bytes, whatever their order, because signatures cover them. Keys
/// and values are meant to be UTF-8, which nobody checks. Equality is that of the bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// What follows the size; at most `u16::MAX` bytes of whole pairs.
    body: Bytes,
}

impl Mapping {
    /// Takes a Mapping from the reader. A key may occur twice: the first one counts.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::MappingSyntax`].
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let body = take_body(reader)?;
        Ok(Self {
            body: Bytes::copy_from_slice(body),
        })
    }

    /// Takes a Mapping that is part of something signed, where no key may occur twice: Java I2P
    /// signs what it re-serialises and would not verify it.
    ///
    /// # Errors
    ///
    /// As [`Mapping::parse`]; [`DecodeError::DuplicateKey`].
    pub fn parse_signed(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mapping = Self::parse(reader)?;
        mapping.check_duplicates()?;
        Ok(mapping)
    }

    /// As [`Mapping::parse_signed`], of a reader over a part of `parent`, which is shared instead of
    /// copied.
    pub(crate) fn share_signed(
        parent: &Bytes,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let mapping = Self {
            body: parent.slice_ref(take_body(reader)?),
        };
        mapping.check_duplicates()?;
        Ok(mapping)
    }

    /// Makes a Mapping of these pairs, sorted by key as signatures need it.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for a key or value of more than 255 bytes or more than 65,535
    /// bytes in all; [`EncodeError::DuplicateKey`].
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, EncodeError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut builder = MappingBuilder::default();
        for (key, value) in pairs {
            builder.insert(key, value)?;
        }
        builder.build()
    }

    /// Returns the value of this key, `None` if there is none or it is not UTF-8.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_bytes(key.as_bytes())
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns the value of this key.
    pub fn get_bytes(&self, key: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find_map(|(found, value)| (found == key).then_some(value))
    }

    /// Returns the pairs in the order they stand.
    pub fn iter(&self) -> MappingIter<'_> {
        MappingIter {
            reader: Reader::new(&self.body),
        }
    }

    /// Says whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// Returns how many bytes [`Mapping::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        self.body.len().saturating_add(2)
    }

    /// Appends the Mapping.
    pub fn encode(&self, out: &mut impl BufMut) {
        let len = u16::try_from(self.body.len()).expect("every constructor checks the length");
        out.put_u16(len);
        out.put_slice(&self.body);
    }

    fn check_duplicates(&self) -> Result<(), DecodeError> {
        // The usual case costs no allocation: everyone sorts what they sign.
        if self.iter().is_sorted_by(|(a, _), (b, _)| a < b) {
            return Ok(());
        }
        let mut keys: Vec<_> = self.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        match keys.is_sorted_by(|a, b| a < b) {
            true => Ok(()),
            false => Err(DecodeError::DuplicateKey),
        }
    }
}

/// Takes size and pairs, and checks that the pairs are some.
fn take_body<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let mut ahead = reader.clone();
    let len = usize::from(ahead.u16()?);
    let body = ahead.take(len)?;
    let mut pairs = Reader::new(body);
    while !pairs.is_empty() {
        take_pair(&mut pairs).ok_or(DecodeError::MappingSyntax)?;
    }
    *reader = ahead;
    Ok(body)
}

fn take_pair<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let key = take_string(reader, b'=')?;
    let value = take_string(reader, b';')?;
    Some((key, value))
}

fn take_string<'a>(reader: &mut Reader<'a>, end: u8) -> Option<&'a [u8]> {
    let len = usize::from(reader.u8().ok()?);
    let text = reader.take(len).ok()?;
    (reader.u8() == Ok(end)).then_some(text)
}

impl fmt::Debug for Mapping {
    /// Writes the pairs as a map.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter().map(|(key, value)| {
                    (String::from_utf8_lossy(key), String::from_utf8_lossy(value))
                }),
            )
            .finish()
    }
}

impl<'a> IntoIterator for &'a Mapping {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = MappingIter<'a>;

    fn into_iter(self) -> MappingIter<'a> {
        self.iter()
    }
}

/// The pairs of a [`Mapping`] in the order they stand.
#[derive(Debug, Clone)]
pub struct MappingIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for MappingIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        take_pair(&mut self.reader)
    }
}

/// Collects pairs and sorts them into a [`Mapping`].
#[derive(Debug, Clone, Default)]
pub struct MappingBuilder {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MappingBuilder {
    /// Adds a pair.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for a key or value of more than 255 bytes,
    /// [`EncodeError::DuplicateKey`].
    pub fn insert(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), EncodeError> {
        let (key, value) = (key.as_ref(), value.as_ref());
        string_len(key)?;
        string_len(value)?;
        if self.pairs.contains_key(key) {
            return Err(EncodeError::DuplicateKey);
        }
        self.pairs.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    /// Returns the Mapping, its keys in the order of their bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if it has more than 65,535 bytes.
    pub fn build(&self) -> Result<Mapping, EncodeError> {
        let mut body = Vec::new();
        for (key, value) in &self.pairs {
            for (text, end) in [(key, b'='), (value, b';')] {
                body.push(string_len(text)?);
                body.extend_from_slice(text);
                body.push(end);
            }
        }
        let limit = usize::from(u16::MAX);
        if body.len() > limit {
            return Err(EncodeError::TooLong {
                actual: body.len(),
                limit,
            });
        }
        Ok(Mapping { body: body.into() })
    }
}

/// Returns the length byte of a String (Common structures, String).
pub(crate) fn string_len(text: &[u8]) -> Result<u8, EncodeError> {
    u8::try_from(text.len()).map_err(|_| EncodeError::TooLong {
        actual: text.len(),
        limit: usize::from(u8::MAX),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Mapping, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mapping = Mapping::parse(&mut reader)?;
        reader.finish()?;
        Ok(mapping)
    }

    fn encoded(mapping: &Mapping) -> Vec<u8> {
        let mut out = Vec::new();
        mapping.encode(&mut out);
        assert_eq!(out.len(), mapping.encoded_len());
        out
    }

    #[test]
    fn the_empty_mapping_is_two_zero_bytes() {
        assert_eq!(encoded(&Mapping::default()), [0, 0]);
        assert_eq!(parse(&[0, 0]), Ok(Mapping::default()));
        assert!(Mapping::default().is_empty());
    }

    #[test]
    fn pairs_are_written_sorted_and_read_in_the_order_they_stand() {
        let built = Mapping::from_pairs([("v", "2"), ("host", "1.2.3.4"), ("Z", "")]).unwrap();
        assert_eq!(
            encoded(&built),
            b"\x00\x1a\x01Z=\x00;\x04host=\x071.2.3.4;\x01v=\x012;"
        );
        assert_eq!(built.get("host"), Some("1.2.3.4"));
        assert_eq!(built.get("Z"), Some(""));
        assert_eq!(built.get("hos"), None);

        let unsorted = b"\x00\x0c\x01b=\x011;\x01a=\x012;";
        let mapping = parse(unsorted).unwrap();
        assert_eq!(
            mapping.iter().collect::<Vec<_>>(),
            [(&b"b"[..], &b"1"[..]), (b"a", b"2")]
        );
        assert_eq!(encoded(&mapping), unsorted);
        assert!(Mapping::parse_signed(&mut Reader::new(unsorted)).is_ok());
        assert_eq!(format!("{mapping:?}"), r#"{"b": "1", "a": "2"}"#);
    }

    #[test]
    fn values_may_hold_the_separators() {
        let mapping = Mapping::from_pairs([("a=;", ";b=c;")]).unwrap();
        let again = parse(&encoded(&mapping)).unwrap();
        assert_eq!(again.get("a=;"), Some(";b=c;"));
    }

    #[test]
    fn a_key_twice_is_refused_where_it_is_signed() {
        let bytes = b"\x00\x12\x01b=\x011;\x01a=\x012;\x01b=\x013;";
        assert_eq!(parse(bytes).unwrap().get("b"), Some("1"));
        assert_eq!(
            Mapping::parse_signed(&mut Reader::new(bytes)),
            Err(DecodeError::DuplicateKey)
        );
        let adjacent = b"\x00\x0c\x01b=\x011;\x01b=\x011;";
        assert_eq!(
            Mapping::parse_signed(&mut Reader::new(adjacent)),
            Err(DecodeError::DuplicateKey)
        );
        assert_eq!(
            Mapping::from_pairs([("b", "1"), ("b", "2")]),
            Err(EncodeError::DuplicateKey)
        );
    }

    #[test]
    fn damage_is_refused() {
        for bytes in [
            &b"\x00\x01\x00"[..],
            b"\x00\x05\x01b=\x011",
            b"\x00\x06\x01b;\x011;",
            b"\x00\x06\x01b=\x011=",
            b"\x00\x06\x01b=\x091;",
            b"\x00\x08\x01b=\x011;\x00\x00",
        ] {
            assert_eq!(parse(bytes), Err(DecodeError::MappingSyntax), "{bytes:?}");
        }
        assert_eq!(
            parse(b"\x00\x07\x01b=\x011;"),
            Err(DecodeError::Truncated { missing: 1 })
        );
        assert_eq!(parse(b"\x00"), Err(DecodeError::Truncated { missing: 1 }));
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let long = vec![b'a'; 256];
        let too_long = |actual, limit| Err(EncodeError::TooLong { actual, limit });
        assert_eq!(Mapping::from_pairs([("a", &long)]), too_long(256, 255));
        assert_eq!(Mapping::from_pairs([(&long, "a")]), too_long(256, 255));
        let many = (0..256).map(|i: u32| (format!("{i:03}"), &long[..250]));
        let actual = 256 * (3 + 250 + 4);
        assert_eq!(Mapping::from_pairs(many), too_long(actual, 65535));
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_the_same_bytes(body: Vec<u8>) {
            let mut bytes = u16::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            bytes.extend_from_slice(&body);
            if let Ok(mapping) = parse(&bytes) {
                prop_assert_eq!(encoded(&mapping), bytes);
            }
        }

        #[test]
        fn what_is_built_is_read_back(
            pairs in prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 0..20),
                prop::collection::vec(any::<u8>(), 0..20),
                0..20,
            )
        ) {
            let mapping = Mapping::from_pairs(&pairs).unwrap();
            let again = Mapping::parse_signed(&mut Reader::new(&encoded(&mapping))).unwrap();
            let read: Vec<_> = again.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
            prop_assert_eq!(read, pairs.into_iter().collect::<Vec<_>>());
        }
    }
}
