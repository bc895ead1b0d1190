//! The two messages of Noise IK with Elligator2 that begin a session (KDFs for New Session Message,
//! New Session Reply format).

use ramson_crypto::elligator2::{self, HiddenKey};
use ramson_crypto::{AeadKey, SymmetricState, hkdf, x25519};
use thiserror::Error;

use super::tag_set::{TAG_LEN, Tag, TagSet};

const PROTOCOL_NAME: &str = "Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256";

const KEY_LEN: usize = 32;
pub(super) const MAC_LEN: usize = 16;

/// What stands before the payload of a New Session message: `[ephemeral key: 32][static key, or
/// zeros: 32][MAC: 16]`.
pub(super) const NEW_SESSION_HEADER: usize = KEY_LEN + KEY_LEN + MAC_LEN;

/// What stands before the payload of a New Session Reply: `[tag: 8][ephemeral key: 32][MAC: 16]`.
pub(super) const REPLY_HEADER: usize = TAG_LEN + KEY_LEN + MAC_LEN;

/// Why a message of the handshake is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum HandshakeError {
    #[error("too short")]
    TooShort,
    #[error("a key is not usable")]
    BadKey,
    /// The key section does not open.
    #[error("not for this key")]
    NotForUs,
    /// The payload section does not open.
    #[error("the payload does not authenticate")]
    Payload,
}

/// Our side: the static key with the state that New Session messages to it start from.
#[derive(Debug)]
pub(super) struct Local {
    key: x25519::PrivateKey,
    state: SymmetricState,
}

/// What the opening side remembers of its message, unchanged by replies.
#[derive(Debug)]
pub(super) struct Initiator {
    state: SymmetricState,
    ephemeral: HiddenKey,
}

/// What the replying side remembers of a bound New Session message, unchanged by its replies.
#[derive(Debug)]
pub(super) struct Responder {
    state: SymmetricState,
    ephemeral: [u8; KEY_LEN],
    static_key: [u8; KEY_LEN],
}

/// A New Session message that opened.
#[derive(Debug)]
pub(super) struct NewSession {
    /// Its ephemeral key, decoded: representatives have twins, keys have not.
    pub(super) ephemeral: [u8; KEY_LEN],
    /// Whom it is from, if it says so.
    pub(super) bound: Option<([u8; KEY_LEN], Responder)>,
}

/// The first tag sets of both directions.
#[derive(Debug)]
pub(super) struct Split {
    /// Of what the opening side sends.
    pub(super) initiator: TagSet,
    /// Of what the replying side sends.
    pub(super) responder: TagSet,
}

fn initial_state(to: &[u8; KEY_LEN]) -> SymmetricState {
    let mut state = SymmetricState::new_hashed(PROTOCOL_NAME);
    // The empty prologue.
    state.mix_hash(&[]);
    state.mix_hash(to);
    state
}

impl Local {
    pub(super) fn new(key: x25519::PrivateKey) -> Self {
        let state = initial_state(&key.public());
        Self { key, state }
    }

    pub(super) fn public(&self) -> [u8; KEY_LEN] {
        self.key.public()
    }

    /// Encrypts in place `[room: 80][payload][room: 16]` to the owner of `to`, bound to our key.
    pub(super) fn seal(
        &self,
        to: &[u8; KEY_LEN],
        ephemeral: HiddenKey,
        message: &mut [u8],
    ) -> Result<Initiator, HandshakeError> {
        let ours = self.key.public();
        let (mut state, _, rest) = seal_keys(to, &ephemeral, &ours, message)?;
        let shared = self.key.agree(to).map_err(|_| HandshakeError::BadKey)?;
        let key = state.mix_key(&shared);
        seal_rest(&key, 0, state.h(), rest)?;
        state.mix_hash(rest);
        Ok(Initiator { state, ephemeral })
    }

    /// Decrypts a New Session message in place; its payload is `message[80..len - 16]`.
    pub(super) fn open(&self, message: &mut [u8]) -> Result<NewSession, HandshakeError> {
        let (representative, rest) = message
            .split_first_chunk_mut::<KEY_LEN>()
            .ok_or(HandshakeError::TooShort)?;
        let (section, rest) = rest
            .split_first_chunk_mut::<{ KEY_LEN + MAC_LEN }>()
            .filter(|(_, rest)| rest.len() >= MAC_LEN)
            .ok_or(HandshakeError::TooShort)?;
        let ephemeral = elligator2::decode(representative).ok_or(HandshakeError::BadKey)?;
        let shared = self.key.agree(&ephemeral);
        let shared = shared.map_err(|_| HandshakeError::BadKey)?;
        let mut state = self.state.clone();
        state.mix_hash(&ephemeral);
        let mut key = state.mix_key(&shared);
        let ad = *state.h();
        state.mix_hash(&*section);
        let section = key
            .open_in_place(0, &ad, section)
            .map_err(|_| HandshakeError::NotForUs)?;
        let static_key: [u8; KEY_LEN] = (&*section)
            .try_into()
            .expect("the section is a key and a MAC");
        let is_bound = static_key != [0; KEY_LEN];
        if is_bound {
            let shared = self.key.agree(&static_key);
            key = state.mix_key(&shared.map_err(|_| HandshakeError::BadKey)?);
        }
        let ad = *state.h();
        state.mix_hash(rest);
        key.open_in_place(u64::from(!is_bound), &ad, rest)
            .map_err(|_| HandshakeError::Payload)?;
        let responder = Responder {
            state,
            ephemeral,
            static_key,
        };
        Ok(NewSession {
            ephemeral,
            bound: is_bound.then_some((static_key, responder)),
        })
    }
}

/// As [`Local::seal`], from nobody: there can be no reply.
pub(super) fn seal_unbound(
    to: &[u8; KEY_LEN],
    ephemeral: &HiddenKey,
    message: &mut [u8],
) -> Result<(), HandshakeError> {
    let (state, key, rest) = seal_keys(to, ephemeral, &[0; KEY_LEN], message)?;
    seal_rest(&key, 1, state.h(), rest)
}

/// Writes both keys, and returns state and key after them and what is behind them.
fn seal_keys<'a>(
    to: &[u8; KEY_LEN],
    ephemeral: &HiddenKey,
    static_key: &[u8; KEY_LEN],
    message: &'a mut [u8],
) -> Result<(SymmetricState, AeadKey, &'a mut [u8]), HandshakeError> {
    let (representative, rest) = message
        .split_first_chunk_mut::<KEY_LEN>()
        .ok_or(HandshakeError::TooShort)?;
    let (section, rest) = rest
        .split_first_chunk_mut::<{ KEY_LEN + MAC_LEN }>()
        .ok_or(HandshakeError::TooShort)?;
    let shared = ephemeral.agree(to).map_err(|_| HandshakeError::BadKey)?;
    *representative = ephemeral.representative();
    let mut state = initial_state(to);
    state.mix_hash(&ephemeral.public());
    let key = state.mix_key(&shared);
    if let Some((room, _)) = section.split_first_chunk_mut::<KEY_LEN>() {
        *room = *static_key;
    }
    seal_rest(&key, 0, state.h(), section)?;
    state.mix_hash(&*section);
    Ok((state, key, rest))
}

/// Encrypts `[payload][room: 16]` in place.
fn seal_rest(key: &AeadKey, nonce: u64, ad: &[u8], rest: &mut [u8]) -> Result<(), HandshakeError> {
    let (payload, mac) = rest
        .split_last_chunk_mut::<MAC_LEN>()
        .ok_or(HandshakeError::TooShort)?;
    *mac = key.seal(nonce, ad, payload);
    Ok(())
}

impl Initiator {
    pub(super) fn reply_tags(&self) -> TagSet {
        TagSet::of_replies(self.state.ck())
    }

    /// The ephemeral key, by which both sides know the session.
    pub(super) fn ephemeral(&self) -> [u8; KEY_LEN] {
        self.ephemeral.public()
    }

    /// Decrypts a reply in place; its payload is `message[56..len - 16]`.
    pub(super) fn open(&self, local: &Local, message: &mut [u8]) -> Result<Split, HandshakeError> {
        let (tag, rest) = message
            .split_first_chunk_mut::<TAG_LEN>()
            .ok_or(HandshakeError::TooShort)?;
        let (representative, rest) = rest
            .split_first_chunk_mut::<KEY_LEN>()
            .ok_or(HandshakeError::TooShort)?;
        let (mac, rest) = rest
            .split_first_chunk_mut::<MAC_LEN>()
            .filter(|(_, rest)| rest.len() >= MAC_LEN)
            .ok_or(HandshakeError::TooShort)?;
        let theirs = elligator2::decode(representative).ok_or(HandshakeError::BadKey)?;
        let mut state = self.state.clone();
        state.mix_hash(&*tag);
        state.mix_hash(&theirs);
        let shared = self.ephemeral.agree(&theirs);
        state.mix_key(&shared.map_err(|_| HandshakeError::BadKey)?);
        let shared = local.key.agree(&theirs);
        let key = state.mix_key(&shared.map_err(|_| HandshakeError::BadKey)?);
        key.open(0, state.h(), &mut [], mac)
            .map_err(|_| HandshakeError::NotForUs)?;
        state.mix_hash(&*mac);
        let (split, key) = split(&state);
        key.open_in_place(0, state.h(), rest)
            .map_err(|_| HandshakeError::Payload)?;
        Ok(split)
    }
}

impl Responder {
    pub(super) fn reply_tags(&self) -> TagSet {
        TagSet::of_replies(self.state.ck())
    }

    /// Encrypts in place `[room: 56][payload][room: 16]`. Each reply needs an ephemeral key of its
    /// own: with another tag alone, as i2pd does it, two payloads would have one key stream.
    pub(super) fn seal(
        &self,
        tag: &Tag,
        ephemeral: &HiddenKey,
        message: &mut [u8],
    ) -> Result<Split, HandshakeError> {
        let (tag_room, rest) = message
            .split_first_chunk_mut::<TAG_LEN>()
            .ok_or(HandshakeError::TooShort)?;
        let (representative, rest) = rest
            .split_first_chunk_mut::<KEY_LEN>()
            .ok_or(HandshakeError::TooShort)?;
        let (mac, rest) = rest
            .split_first_chunk_mut::<MAC_LEN>()
            .ok_or(HandshakeError::TooShort)?;
        *tag_room = *tag;
        *representative = ephemeral.representative();
        let mut state = self.state.clone();
        state.mix_hash(tag);
        state.mix_hash(&ephemeral.public());
        let shared = ephemeral.agree(&self.ephemeral);
        state.mix_key(&shared.map_err(|_| HandshakeError::BadKey)?);
        let shared = ephemeral.agree(&self.static_key);
        let key = state.mix_key(&shared.map_err(|_| HandshakeError::BadKey)?);
        *mac = key.seal(0, state.h(), &mut []);
        state.mix_hash(&*mac);
        let (split, key) = split(&state);
        seal_rest(&key, 0, state.h(), rest)?;
        Ok(split)
    }
}

/// Derives the tag sets and the key of the reply's payload.
fn split(state: &SymmetricState) -> (Split, AeadKey) {
    let (initiator, responder) = state.split();
    let key = hkdf::<32>(&responder, b"", b"AttachPayloadKDF");
    let split = Split {
        initiator: TagSet::new(state.ck(), &initiator),
        responder: TagSet::new(state.ck(), &responder),
    };
    (split, AeadKey::new(*key))
}
