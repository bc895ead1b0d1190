//! The one-way message to a router: Noise N with X25519, ChaCha20-Poly1305 and SHA-256 (ECIES-X25519
//! Tunnel Creation, Request Record Keys; ECIES Routers, Request Encryption).
//!
//! Build records and garlic messages to routers are both this, with other payloads:
//! `[ephemeral key: 32][ciphertext: n][MAC: 16]`. The ephemeral key is plain, without Elligator2.

use ramson_crypto::{AeadKey, Random, SymmetricState, x25519};
use thiserror::Error;

/// The name is shorter than a hash, so it is padded with a zero instead of hashed.
const PROTOCOL_NAME: &str = "Noise_N_25519_ChaChaPoly_SHA256";

/// How long the ephemeral key in front of the ciphertext is.
pub const EPHEMERAL_LEN: usize = 32;

/// How long the MAC behind the ciphertext is.
pub const MAC_LEN: usize = 16;

/// By how much a message is longer than its payload.
pub const OVERHEAD: usize = EPHEMERAL_LEN + MAC_LEN;

/// Why a one-way message cannot be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoiseError {
    /// The message is shorter than its key and its MAC.
    #[error("a message of {len} bytes has no room for a key and a MAC")]
    TooShort {
        /// How many bytes there are.
        len: usize,
    },
    /// The public key is none: its top bit is set, or it agrees on zero with every other key.
    ///
    /// What ElGamal senders and random bytes put there has the top bit set half of the time, and
    /// that costs no arithmetic to see.
    #[error("the public key is not usable")]
    BadKey,
    /// The message was not written for this key, or it was changed.
    #[error("the message does not authenticate")]
    Decrypt,
}

/// The private key of a router together with what can be computed ahead for every message to it.
#[derive(Debug, Clone)]
pub struct Receiver {
    key: x25519::PrivateKey,
    /// The state after the receiver's public key went into it.
    state: SymmetricState,
}

impl Receiver {
    /// Makes a receiver of the router's encryption key.
    pub fn new(key: x25519::PrivateKey) -> Self {
        let state = initial_state(&key.public());
        Self { key, state }
    }

    /// Returns the router's public encryption key.
    pub fn public(&self) -> [u8; 32] {
        self.key.public()
    }

    /// Decrypts a message in place and returns its payload.
    ///
    /// # Errors
    ///
    /// See [`NoiseError`]. The bytes may then be spoilt.
    pub fn open<'a>(&self, message: &'a mut [u8]) -> Result<&'a mut [u8], NoiseError> {
        let (state, key, ciphertext) = self.agree(message)?;
        key.open_in_place(0, state.h(), ciphertext)
            .map_err(|_| NoiseError::Decrypt)
    }

    /// As [`Receiver::open`], and returns the state that both sides are in after the message, for
    /// those who take more keys from it.
    ///
    /// # Errors
    ///
    /// As [`Receiver::open`].
    pub fn open_with_state<'a>(
        &self,
        message: &'a mut [u8],
    ) -> Result<(&'a mut [u8], SymmetricState), NoiseError> {
        let (mut state, key, ciphertext) = self.agree(message)?;
        let ad = *state.h();
        state.mix_hash(ciphertext);
        let payload = key
            .open_in_place(0, &ad, ciphertext)
            .map_err(|_| NoiseError::Decrypt)?;
        Ok((payload, state))
    }

    fn agree<'a>(
        &self,
        message: &'a mut [u8],
    ) -> Result<(SymmetricState, AeadKey, &'a mut [u8]), NoiseError> {
        let len = message.len();
        let (ephemeral, ciphertext) = message
            .split_first_chunk_mut::<EPHEMERAL_LEN>()
            .filter(|(_, rest)| rest.len() >= MAC_LEN)
            .ok_or(NoiseError::TooShort { len })?;
        if ephemeral.last().is_some_and(|byte| byte & 0x80 != 0) {
            return Err(NoiseError::BadKey);
        }
        let mut state = self.state.clone();
        state.mix_hash(&*ephemeral);
        let shared = self.key.agree(ephemeral).map_err(|_| NoiseError::BadKey)?;
        let key = state.mix_key(&shared);
        Ok((state, key, ciphertext))
    }
}

/// Encrypts in place to the router with this public key: `message` is
/// `[room: 32][payload: n][room: 16]`.
///
/// # Errors
///
/// [`NoiseError::TooShort`]; [`NoiseError::BadKey`] if the router's key is none.
pub fn seal(to: &[u8; 32], random: &mut Random, message: &mut [u8]) -> Result<(), NoiseError> {
    seal_from(to, &x25519::PrivateKey::generate(random), message).map(drop)
}

/// As [`seal`], and returns the state that both sides are in after the message.
///
/// # Errors
///
/// As [`seal`].
pub fn seal_with_state(
    to: &[u8; 32],
    random: &mut Random,
    message: &mut [u8],
) -> Result<SymmetricState, NoiseError> {
    let ephemeral = x25519::PrivateKey::generate(random);
    let mut state = seal_from(to, &ephemeral, message)?;
    let (_, ciphertext) = message
        .split_first_chunk::<EPHEMERAL_LEN>()
        .expect("seal_from has checked the length");
    state.mix_hash(ciphertext);
    Ok(state)
}

/// Encrypts with this ephemeral key and returns the state before the ciphertext goes into it.
fn seal_from(
    to: &[u8; 32],
    ephemeral: &x25519::PrivateKey,
    message: &mut [u8],
) -> Result<SymmetricState, NoiseError> {
    let len = message.len();
    let too_short = NoiseError::TooShort { len };
    let (key_room, rest) = message
        .split_first_chunk_mut::<EPHEMERAL_LEN>()
        .ok_or(too_short)?;
    let (payload, mac_room) = rest.split_last_chunk_mut::<MAC_LEN>().ok_or(too_short)?;
    let shared = ephemeral.agree(to).map_err(|_| NoiseError::BadKey)?;
    *key_room = ephemeral.public();
    let mut state = initial_state(to);
    state.mix_hash(&*key_room);
    let key = state.mix_key(&shared);
    *mac_room = key.seal(0, state.h(), payload);
    Ok(state)
}

/// Returns the state that every message to this key starts from.
fn initial_state(to: &[u8; 32]) -> SymmetricState {
    let mut state = SymmetricState::new_padded(PROTOCOL_NAME);
    // The empty prologue.
    state.mix_hash(&[]);
    state.mix_hash(to);
    state
}

#[cfg(test)]
mod tests;
