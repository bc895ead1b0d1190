use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::aead::AeadKey;
use crate::hash::sha256;
use crate::hkdf::{Key32, hkdf_pair};

/// The symmetric state of a Noise handshake with SHA-256 (Noise, section 5.2): the hash `h` of
/// all that went over the wire and the chaining key `ck`; zeroed when dropped.
///
/// The counter of the cipher state is left to the handshake: I2P's messages say which nonce each
/// of their parts has.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SymmetricState {
    h: [u8; 32],
    ck: [u8; 32],
}

impl SymmetricState {
    /// Begins with the hash of a protocol name, for names of more than 32 bytes.
    pub fn new_hashed(protocol_name: &str) -> Self {
        let h = sha256(protocol_name.as_bytes());
        Self { h, ck: h }
    }

    /// Begins with a protocol name itself and zeros behind it, for names of at most 32 bytes.
    ///
    /// # Panics
    ///
    /// If the name is longer.
    pub fn new_padded(protocol_name: &str) -> Self {
        let mut h = [0; 32];
        h.get_mut(..protocol_name.len())
            .expect("names longer than 32 bytes are hashed")
            .copy_from_slice(protocol_name.as_bytes());
        Self { h, ck: h }
    }

    /// Takes `data` into the hash: `h = SHA256(h || data)`. No data is hashed, too (the null
    /// prologue); what is to be left out when empty, the caller leaves out.
    pub fn mix_hash(&mut self, data: &[u8]) {
        let mut hash = Sha256::new();
        hash.update(self.h);
        hash.update(data);
        self.h = hash.finalize().into();
    }

    /// Takes a secret into the chaining key and returns the key for what follows:
    /// `ck || k = HKDF(ck, secret, "", 64)`.
    pub fn mix_key(&mut self, secret: impl AsRef<[u8]>) -> AeadKey {
        let (ck, k) = hkdf_pair(&self.ck, secret.as_ref(), b"");
        self.ck = *ck;
        AeadKey::new(*k)
    }

    /// Derives the keys of both directions: `HKDF(ck, "", "", 64)`, first that of the initiator's
    /// messages.
    pub fn split(&self) -> (Key32, Key32) {
        hkdf_pair(&self.ck, b"", b"")
    }

    /// Returns the hash, the associated data of the next part.
    pub fn h(&self) -> &[u8; 32] {
        &self.h
    }

    /// Returns the chaining key, a secret.
    pub fn ck(&self) -> &[u8; 32] {
        &self.ck
    }
}

impl fmt::Debug for SymmetricState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricState(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hkdf::{hkdf, hmac_sha256};
    use crate::testing::hex_array;

    fn beginning(hash: &[u8; 32]) -> [u8; 4] {
        hash[..4].try_into().unwrap()
    }

    /// The first bytes of the names' hashes, as every router on the network has them.
    #[test]
    fn the_names_of_i2p_hash_as_they_do_elsewhere() {
        for (name, once, twice) in [
            (
                "Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256",
                "72e842c5",
                "49ff483f",
            ),
            (
                "Noise_XKchaobfse+hs1+hs2+hs3_25519_ChaChaPoly_SHA256",
                "b1372281",
                "dc85e6af",
            ),
            (
                "Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256",
                "4caf11ef",
                "9ccf852c",
            ),
        ] {
            let mut state = SymmetricState::new_hashed(name);
            assert_eq!(beginning(state.h()), hex_array(once));
            assert_eq!(state.ck(), state.h());
            state.mix_hash(b"");
            assert_eq!(beginning(state.h()), hex_array(twice));
            assert_eq!(beginning(state.ck()), hex_array(once));
        }
        let mut state = SymmetricState::new_padded("Noise_N_25519_ChaChaPoly_SHA256");
        assert_eq!(state.ck(), b"Noise_N_25519_ChaChaPoly_SHA256\0");
        state.mix_hash(b"");
        assert_eq!(beginning(state.h()), hex_array("694d5244"));
    }

    #[test]
    fn the_hash_runs_over_everything() {
        let mut state = SymmetricState::new_hashed("name");
        let before = *state.h();
        state.mix_hash(b"one");
        assert_eq!(*state.h(), sha256(&[&before[..], b"one"].concat()));
        assert_eq!(*state.ck(), before);
    }

    /// Noise, section 4.3: its HKDF with two outputs, written out.
    #[test]
    fn a_secret_changes_the_chaining_key_and_gives_a_key() {
        let mut state = SymmetricState::new_hashed("name");
        let (h, ck) = (*state.h(), *state.ck());
        let key = state.mix_key([5; 32]);
        let temporary = hmac_sha256(&ck, &[5; 32]);
        let first = hmac_sha256(&temporary, &[1]);
        let second = hmac_sha256(&temporary, &[&first[..], &[2]].concat());
        assert_eq!((*state.h(), *state.ck()), (h, first));
        let mut sealed = *b"text";
        let tag = AeadKey::new(second).seal(0, &h, &mut sealed);
        assert_eq!(key.open(0, &h, &mut sealed, &tag), Ok(()));
    }

    #[test]
    fn both_directions_get_the_halves_of_one_derivation() {
        let state = SymmetricState::new_hashed("name");
        let (ab, ba) = state.split();
        let both = hkdf::<64>(state.ck(), b"", b"");
        assert_eq!([*ab, *ba].concat(), both.as_slice());
    }

    #[test]
    fn a_clone_goes_its_own_way() {
        let state = SymmetricState::new_hashed("name");
        let mut other = state.clone();
        other.mix_hash(b"data");
        other.mix_key([1; 32]);
        assert_ne!(state.h(), other.h());
        assert_ne!(state.ck(), other.ck());
        assert_eq!(format!("{state:?}"), "SymmetricState(..)");
    }

    #[test]
    #[should_panic(expected = "names longer than 32 bytes are hashed")]
    fn a_long_name_is_not_padded() {
        SymmetricState::new_padded("Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256");
    }
}
