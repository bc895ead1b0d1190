use std::fmt;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;
use zeroize::Zeroize;

/// The length of the tag behind sealed data, in bytes.
pub const TAG_LEN: usize = 16;

/// A key of ChaCha20-Poly1305 (RFC 8439), zeroed when dropped.
///
/// The nonce is a counter, `[0: 4 bytes][counter: u64 LE]` (Noise, section 12.3; so in every
/// protocol of I2P). A counter must seal once only; whose turn it is, is for the protocol to know.
pub struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Returns the key of these bytes.
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let key = UnboundKey::new(&aead::CHACHA20_POLY1305, &bytes)
            .expect("any 32 bytes are a key of ChaCha20-Poly1305");
        bytes.zeroize();
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `data` in place and returns the tag over it and `ad`, the associated data.
    pub fn seal(&self, nonce: u64, ad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        #[cfg(feature = "fake")]
        if crate::fake::is_enabled() {
            return [0; TAG_LEN];
        }
        self.0
            .seal_in_place_separate_tag(nonce_of(nonce), Aad::from(ad), data)
            .ok()
            .and_then(|tag| tag.as_ref().try_into().ok())
            .expect("only data of 256 GiB and more cannot be sealed")
    }

    /// Checks `tag` and decrypts `data` in place.
    ///
    /// # Errors
    ///
    /// If data, associated data, tag, nonce and key do not belong together; `data` is then of no
    /// use any more.
    pub fn open(
        &self,
        nonce: u64,
        ad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), AeadError> {
        #[cfg(feature = "fake")]
        if crate::fake::is_enabled() {
            return crate::fake::fits(tag).then_some(()).ok_or(AeadError);
        }
        self.0
            .open_in_place_separate_tag(nonce_of(nonce), Aad::from(ad), tag, data)
            .map(drop)
            .map_err(|_| AeadError)
    }

    /// Checks and decrypts in place data with its tag behind it; returns the data.
    ///
    /// # Errors
    ///
    /// As [`AeadKey::open`], and if there are not enough bytes for a tag.
    pub fn open_in_place<'a>(
        &self,
        nonce: u64,
        ad: &[u8],
        data_and_tag: &'a mut [u8],
    ) -> Result<&'a mut [u8], AeadError> {
        #[cfg(feature = "fake")]
        if crate::fake::is_enabled() {
            let opened = data_and_tag.split_last_chunk_mut::<TAG_LEN>();
            let opened = opened.filter(|(_, tag)| crate::fake::fits(&tag[..]));
            return opened.map(|(data, _)| data).ok_or(AeadError);
        }
        self.0
            .open_in_place(nonce_of(nonce), Aad::from(ad), data_and_tag)
            .map_err(|_| AeadError)
    }

    /// Encrypts the data in a buffer and appends the tag.
    pub fn seal_vec(&self, nonce: u64, ad: &[u8], data: &mut Vec<u8>) {
        let tag = self.seal(nonce, ad, data);
        data.extend_from_slice(&tag);
    }

    /// Checks and decrypts a buffer of data and tag, and cuts the tag off.
    ///
    /// # Errors
    ///
    /// As [`AeadKey::open_in_place`].
    pub fn open_vec(
        &self,
        nonce: u64,
        ad: &[u8],
        data_and_tag: &mut Vec<u8>,
    ) -> Result<(), AeadError> {
        let len = self.open_in_place(nonce, ad, data_and_tag)?.len();
        data_and_tag.truncate(len);
        Ok(())
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(..)")
    }
}

fn nonce_of(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().skip(4).zip(counter.to_le_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// Sealed data does not open: it was changed, or is of another key, nonce or associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the authentication tag does not fit the data")]
pub struct AeadError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{hex, hex_array};

    /// RFC 7539 and 8439, appendix A.5; its nonce is one of ours: 4 zero bytes and a counter.
    #[test]
    fn opens_what_the_rfc_sealed() {
        let key = AeadKey::new(hex_array(
            "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
        ));
        let nonce = u64::from_le_bytes(hex_array("0102030405060708"));
        let ad = hex("f33388860000000000004e91");
        let sealed = hex(A5_CIPHERTEXT);
        let tag: [u8; 16] = hex_array("eead9d67890cbb22392336fea1851f38");

        let mut data = sealed.clone();
        key.open(nonce, &ad, &mut data, &tag).unwrap();
        let text = String::from_utf8(data.clone()).unwrap();
        assert!(text.starts_with("Internet-Drafts are draft documents valid for a maximum"));
        assert!(text.ends_with("as /\u{201c}work in progress./\u{201d}"));

        assert_eq!(key.seal(nonce, &ad, &mut data), tag);
        assert_eq!(data, sealed);
    }

    const A5_CIPHERTEXT: &str = "
        64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2
        4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf
        332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855
        9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4
        b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e
        af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a
        0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10
        49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29
        a6ad5cb4022b02709b";

    #[test]
    fn nothing_may_be_changed() {
        let key = AeadKey::new([1; 32]);
        let mut sealed = *b"data";
        let tag = key.seal(5, b"ad", &mut sealed);
        let opens = |key: &AeadKey, nonce, ad: &[u8], mut data: [u8; 4], tag: [u8; 16]| {
            key.open(nonce, ad, &mut data, &tag).map(|()| data)
        };
        assert_eq!(opens(&key, 5, b"ad", sealed, tag), Ok(*b"data"));
        assert_eq!(opens(&key, 6, b"ad", sealed, tag), Err(AeadError));
        assert_eq!(opens(&key, 5, b"da", sealed, tag), Err(AeadError));
        assert_eq!(opens(&key, 5, b"ad", *b"data", tag), Err(AeadError));
        assert_eq!(opens(&key, 5, b"ad", sealed, [0; 16]), Err(AeadError));
        let other = AeadKey::new([2; 32]);
        assert_eq!(opens(&other, 5, b"ad", sealed, tag), Err(AeadError));
    }

    #[test]
    fn what_is_shorter_than_a_tag_does_not_open() {
        let key = AeadKey::new([1; 32]);
        for len in 0..TAG_LEN {
            let mut data = vec![0; len];
            assert_eq!(key.open_in_place(0, b"", &mut data), Err(AeadError));
            assert_eq!(key.open_vec(0, b"", &mut data), Err(AeadError));
        }
    }

    #[test]
    fn no_data_has_a_tag_too() {
        let key = AeadKey::new([1; 32]);
        let mut data = Vec::new();
        key.seal_vec(u64::MAX, b"ad", &mut data);
        assert_eq!(data.len(), TAG_LEN);
        assert_eq!(
            key.open_in_place(u64::MAX, b"ad", &mut data),
            Ok(&mut [][..])
        );
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", AeadKey::new([7; 32])), "AeadKey(..)");
    }

    proptest! {
        #[test]
        fn all_ways_to_open_give_what_was_sealed(
            key: [u8; 32], nonce: u64, ad: Vec<u8>, data: Vec<u8>,
        ) {
            let key = AeadKey::new(key);
            let mut apart = data.clone();
            let tag = key.seal(nonce, &ad, &mut apart);
            let mut sealed = data.clone();
            key.seal_vec(nonce, &ad, &mut sealed);
            prop_assert_eq!(&sealed, &[&apart[..], &tag].concat());

            prop_assert_eq!(key.open(nonce, &ad, &mut apart, &tag), Ok(()));
            prop_assert_eq!(&apart, &data);
            let mut copy = sealed.clone();
            prop_assert_eq!(&*key.open_in_place(nonce, &ad, &mut copy).unwrap(), &data[..]);
            prop_assert_eq!(key.open_vec(nonce, &ad, &mut sealed), Ok(()));
            prop_assert_eq!(&sealed, &data);
        }

        #[test]
        fn arbitrary_bytes_do_not_open(nonce: u64, ad: Vec<u8>, mut data: Vec<u8>) {
            prop_assert_eq!(AeadKey::new([3; 32]).open_in_place(nonce, &ad, &mut data), Err(AeadError));
        }
    }
}
