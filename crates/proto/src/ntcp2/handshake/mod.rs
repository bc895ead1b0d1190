//! The handshake of NTCP2 as states that consume themselves.
//!
//! Each state takes the bytes it waits for with `handle(self, …)` and returns the next one; where
//! their number is not fixed it says it with `needed()`. No state can be entered twice.

mod check;

mod initiator;
pub(super) use initiator::{AwaitCreated, AwaitCreatedPadding};

mod options;

mod responder;
pub(super) use responder::{AwaitConfirmed, AwaitKey, AwaitOptions, AwaitRequestPadding};

use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{AeadKey, Aes256Decryptor, Aes256Encryptor, Random, SymmetricState};
use ramson_wire::{RouterHash, UnixTime};

use super::{HandshakeError, HandshakeMessage};

/// The name of the Noise protocol with I2P's changes (NTCP2, KDF for handshake message 1).
const PROTOCOL_NAME: &str = "Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256";

/// The version of the protocol.
const VERSION: u8 = 2;

/// An obfuscated ephemeral key, in bytes.
const KEY_LEN: usize = 32;

/// The encrypted options of message 1 or 2 with their tag, in bytes.
const OPTIONS_LEN: usize = 32;

/// Messages 1 and 2 without padding, in bytes.
const FIXED_LEN: usize = KEY_LEN + OPTIONS_LEN;

/// The encrypted static key of message 3 with its tag, in bytes.
const STATIC_LEN: usize = 48;

/// The most padding we read in message 1 or 2. The specification sets no limit; i2pd refuses
/// messages over 287 bytes and nobody sends longer ones.
const MAX_PADDING: u16 = 223;

/// The most padding we send in each message, as the specification suggests.
const MAX_OWN_PADDING: u8 = 31;

/// How far the clocks may be apart (NTCP2, Clock skew guidelines).
pub(super) const MAX_SKEW: Duration = Duration::from_secs(60);

/// Returns the state both sides begin with: the name, a null prologue, the responder's key.
fn initial_state(responder_static: &[u8; 32]) -> SymmetricState {
    let mut state = SymmetricState::new_hashed(PROTOCOL_NAME);
    state.mix_hash(&[]);
    state.mix_hash(responder_static);
    state
}

/// Hides the ephemeral keys, which would otherwise be recognised as points of a curve (NTCP2,
/// SessionRequest): AES-256-CBC with the responder's hash, from the published IV on through both
/// keys.
struct Obfuscation {
    encryptor: Aes256Encryptor,
    decryptor: Aes256Decryptor,
    iv: [u8; 16],
}

impl Obfuscation {
    fn new(responder: &RouterHash, iv: [u8; 16]) -> Self {
        Self {
            encryptor: Aes256Encryptor::new(responder.as_bytes()),
            decryptor: Aes256Decryptor::new(responder.as_bytes()),
            iv,
        }
    }

    fn hide(&mut self, mut key: [u8; 32]) -> [u8; 32] {
        self.encryptor
            .cbc_encrypt(&self.iv, &mut key)
            .expect("32 bytes are two blocks");
        self.chain(&key);
        key
    }

    fn reveal(&mut self, hidden: [u8; 32]) -> [u8; 32] {
        let mut key = hidden;
        self.decryptor
            .cbc_decrypt(&self.iv, &mut key)
            .expect("32 bytes are two blocks");
        self.chain(&hidden);
        key
    }

    /// The last block of ciphertext is the IV of what follows.
    fn chain(&mut self, hidden: &[u8; 32]) {
        let (_, last) = hidden.split_at(16);
        self.iv.copy_from_slice(last);
    }
}

/// Refuses what no X25519 public key looks like: every encoding has its top bit clear.
fn check_ephemeral(key: &[u8; 32]) -> Result<(), HandshakeError> {
    match key.last() {
        Some(last) if last & 0x80 == 0 => Ok(()),
        _ => Err(HandshakeError::InvalidKey),
    }
}

fn check_padding(message: HandshakeMessage, len: u16) -> Result<usize, HandshakeError> {
    if len > MAX_PADDING {
        return Err(HandshakeError::PaddingTooLong { message, len });
    }
    Ok(usize::from(len))
}

/// Mixes padding into the hash. Without padding there is nothing to mix, not even an empty string.
fn mix_padding(state: &mut SymmetricState, padding: &[u8]) {
    if !padding.is_empty() {
        state.mix_hash(padding);
    }
}

/// Agrees on a secret and mixes it in; returns the key that comes out.
fn mix_agreement(
    state: &mut SymmetricState,
    private: &PrivateKey,
    public: &[u8; 32],
) -> Result<AeadKey, HandshakeError> {
    let secret = private
        .agree(public)
        .map_err(|_| HandshakeError::InvalidKey)?;
    Ok(state.mix_key(secret))
}

/// Appends `plain` to the message, encrypted, and mixes in what was appended.
fn seal_into(
    state: &mut SymmetricState,
    key: &AeadKey,
    nonce: u64,
    plain: &[u8],
    message: &mut BytesMut,
) {
    let mut sealed = message.split_off(message.len());
    sealed.extend_from_slice(plain);
    let tag = key.seal(nonce, state.h(), &mut sealed);
    sealed.extend_from_slice(&tag);
    state.mix_hash(&sealed);
    message.unsplit(sealed);
}

/// Decrypts a part of a message in place, and mixes it in as it was.
fn open<'a>(
    state: &mut SymmetricState,
    key: &AeadKey,
    nonce: u64,
    sealed: &'a mut [u8],
    message: HandshakeMessage,
) -> Result<&'a mut [u8], HandshakeError> {
    let associated = *state.h();
    state.mix_hash(sealed);
    key.open_in_place(nonce, &associated, sealed)
        .map_err(|_| HandshakeError::NotAuthentic(message))
}

/// Decrypts the options of message 1 or 2.
fn open_options(
    state: &mut SymmetricState,
    key: &AeadKey,
    mut sealed: [u8; OPTIONS_LEN],
    message: HandshakeMessage,
) -> Result<[u8; 16], HandshakeError> {
    let plain = open(state, key, 0, &mut sealed, message)?;
    Ok(*plain
        .first_chunk()
        .expect("32 bytes without a tag of 16 are 16"))
}

/// Appends random padding and mixes it in.
fn append_padding(
    state: &mut SymmetricState,
    len: usize,
    message: &mut BytesMut,
    random: &mut Random,
) {
    let start = message.len();
    message.resize(start.saturating_add(len), 0);
    if let Some(padding) = message.get_mut(start..) {
        random.fill(padding);
        mix_padding(state, padding);
    }
}

/// Draws the length of our padding.
fn own_padding(random: &mut Random) -> u8 {
    // Below 256, therefore.
    random.below(u64::from(MAX_OWN_PADDING) + 1) as u8
}

/// Returns by how many milliseconds `theirs` is ahead of `ours`.
pub(super) fn skew_ms(theirs: UnixTime, ours: UnixTime) -> i64 {
    let signed = |time: UnixTime| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    signed(theirs).saturating_sub(signed(ours))
}

/// Says whether a skew is more than the protocol permits.
pub(super) fn is_excessive(skew_ms: i64) -> bool {
    Duration::from_millis(skew_ms.unsigned_abs()) > MAX_SKEW
}

/// Returns half of a duration in milliseconds: what one way took, as far as anyone knows.
fn half_ms(round_trip: Duration) -> i64 {
    i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX)
}
