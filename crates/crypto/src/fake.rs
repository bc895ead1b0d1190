//! Cryptography that keeps nothing from a fuzzer, so that it gets past the checks of tags and
//! signatures and into the machines behind them.
//!
//! Compiled with the feature `fake` only, never into a build without debug assertions unless it is
//! the fuzzer's, and idle until a thread calls [`enable`]. Then, on that thread:
//!
//! - ciphers leave their text as it is, and tags are zero; a tag fits unless its first byte is
//!   [`WRONG`];
//! - signatures are zero, and fit any message and key unless their first byte is [`WRONG`];
//! - a public X25519 key is its private key, and what two keys agree on is their XOR: nothing, if
//!   they are the same;
//! - a key that Elligator2 hides is its representative, but for the topmost bit;
//! - SipHash of eight bytes, which masks the lengths of NTCP2's frames, is zero.
//!
//! Hashes and random numbers are as ever.

use std::cell::Cell;
use std::marker::PhantomData;

#[cfg(not(any(debug_assertions, fuzzing)))]
compile_error!("the feature `fake` has no place in a program that people use");

/// The first byte of tags and signatures that do not fit.
pub const WRONG: u8 = 0xff;

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the fake on for its thread until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the fake"]
pub struct Fake {
    before: bool,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

/// Begins the fake on this thread.
pub fn enable() -> Fake {
    Fake {
        before: ENABLED.replace(true),
        _thread: PhantomData,
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        ENABLED.set(self.before);
    }
}

/// Says whether this thread has the fake.
pub(crate) fn is_enabled() -> bool {
    ENABLED.get()
}

/// Says whether a tag or a signature fits.
pub(crate) fn fits(code: &[u8]) -> bool {
    code.first().is_some_and(|first| *first != WRONG)
}

/// The public key of a private one, whose topmost bit is clear as in all public keys.
pub(crate) fn public(private: &[u8; 32]) -> [u8; 32] {
    let mut public = *private;
    if let Some(last) = public.last_mut() {
        *last &= 0x7f;
    }
    public
}

/// What two public keys have in common.
pub(crate) fn shared(ours: &[u8; 32], theirs: &[u8; 32]) -> [u8; 32] {
    let mut shared = public(theirs);
    for (to, from) in shared.iter_mut().zip(ours) {
        *to ^= from;
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elligator2::{self, HiddenKey};
    use crate::x25519::PrivateKey;
    use crate::{
        AeadKey, Aes256Decryptor, Aes256Encryptor, SigningKey, chacha20, siphash24, verify,
    };

    #[test]
    fn the_fake_hides_nothing_and_what_is_marked_wrong_does_not_fit() {
        let _fake = enable();
        let key = AeadKey::new([1; 32]);
        let mut data = *b"data";
        assert_eq!(key.seal(0, b"", &mut data), [0; 16]);
        assert_eq!(data, *b"data");
        assert!(key.open(9, b"other", &mut data, &[7; 16]).is_ok());
        assert!(key.open(9, b"other", &mut data, &[WRONG; 16]).is_err());
        let mut sealed = [5; 20];
        assert_eq!(key.open_in_place(0, b"", &mut sealed).unwrap(), [5; 4]);
        assert!(key.open_in_place(0, b"", &mut [0; 15]).is_err());
        assert!(key.open_in_place(0, b"", &mut [WRONG; 20]).is_err());

        let mut text = [3; 32];
        Aes256Encryptor::new(&[2; 32])
            .cbc_encrypt(&[1; 16], &mut text)
            .unwrap();
        Aes256Decryptor::new(&[2; 32])
            .cbc_decrypt(&[8; 16], &mut text)
            .unwrap();
        assert!(
            Aes256Encryptor::new(&[2; 32])
                .cbc_encrypt(&[1; 16], &mut text[1..])
                .is_err()
        );
        chacha20::apply(&[1; 32], &[1; 12], &mut text);
        assert_eq!(text, [3; 32]);

        let (one, two) = (
            PrivateKey::from_bytes([9; 32]),
            PrivateKey::from_bytes([0x8c; 32]),
        );
        assert_eq!(two.public()[30..], [0x8c, 0x0c]);
        let secret = one.agree(&two.public()).unwrap();
        assert_eq!(*secret, *two.agree(&one.public()).unwrap());
        assert!(one.agree(&one.public()).is_err());

        let hidden = HiddenKey::from_bytes([0x85; 32], 3, 0).unwrap();
        assert_eq!(hidden.representative(), hidden.public());
        assert_eq!(elligator2::decode(&[0x85; 32]), Some(hidden.public()));
        let secret = hidden.agree(&one.public()).unwrap();
        assert_eq!(*secret, *one.agree(&hidden.public()).unwrap());

        let signer = SigningKey::from_seed(&[4; 32]);
        assert_eq!(signer.sign(b"message"), [0; 64]);
        assert!(verify(&signer.public(), b"other", &[0; 64]).is_ok());
        assert!(verify(&signer.public(), b"other", &[WRONG; 64]).is_err());
        assert_eq!(siphash24(1, 2, &[3; 8]), 0);
        assert_ne!(siphash24(1, 2, &[3; 16]), 0);
    }

    #[test]
    fn it_ends_with_its_guard_and_never_began_on_other_threads() {
        let sealed = || AeadKey::new([1; 32]).seal(0, b"", &mut [0; 4]);
        let real = sealed();
        assert_ne!(real, [0; 16]);
        let outer = enable();
        drop(enable());
        assert_eq!(sealed(), [0; 16]);
        assert_eq!(std::thread::spawn(sealed).join().unwrap(), real);
        drop(outer);
        assert_eq!(sealed(), real);
    }
}
