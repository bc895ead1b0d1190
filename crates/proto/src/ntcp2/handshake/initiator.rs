use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{AeadKey, Random, SymmetricState, TAG_LEN};
use ramson_wire::Instant;
use ramson_wire::ntcp2::Block;

use super::options::{CreatedOptions, RequestOptions};
use super::{
    FIXED_LEN, KEY_LEN, Obfuscation, STATIC_LEN, VERSION, append_padding, check_ephemeral,
    check_padding, half_ms, initial_state, is_excessive, mix_agreement, mix_padding, open_options,
    own_padding, seal_into, skew_ms,
};
use crate::Now;
use crate::ntcp2::keys::DataKeys;
use crate::ntcp2::{DialConfig, HandshakeError, HandshakeMessage, LocalRouter};

/// Alice, who has made message 1 and waits for the fixed part of message 2.
pub(in crate::ntcp2) struct AwaitCreated {
    state: SymmetricState,
    ephemeral: PrivateKey,
    local: Arc<LocalRouter>,
    obfuscation: Obfuscation,
    /// The plain second part of message 3; message 1 promises its length.
    part2: BytesMut,
    sent: Instant,
}

impl AwaitCreated {
    /// Begins a handshake and returns message 1, to be written now and in one piece
    /// (NTCP2, SessionRequest): `[X, obfuscated: 32][options, sealed: 32][padding: 1-31]`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidKey`] if nothing can be agreed with the peer's published key.
    pub(in crate::ntcp2) fn start(
        config: &DialConfig,
        now: Now,
        random: &mut Random,
    ) -> Result<(Self, BytesMut), HandshakeError> {
        let local = &config.local;
        let mut part2 = BytesMut::new();
        let router_info = Block::RouterInfo {
            flood: false,
            bytes: local.router_info.as_bytes(),
        };
        let padding = vec![0; usize::from(own_padding(random))];
        for block in [router_info, Block::Padding(&padding)] {
            block.encode(&mut part2).expect("both blocks are short");
        }
        let part2_len = u16::try_from(part2.len().saturating_add(TAG_LEN))
            .expect("a RouterInfo has at most 3,072 bytes");

        let ephemeral = PrivateKey::generate(random);
        let mut obfuscation = Obfuscation::new(&config.peer.hash(), config.iv);
        let mut state = initial_state(&config.static_key);
        let mut message = BytesMut::new();

        state.mix_hash(&ephemeral.public());
        message.extend_from_slice(&obfuscation.hide(ephemeral.public()));
        let key = mix_agreement(&mut state, &ephemeral, &config.static_key)?;
        let padding_len = own_padding(random);
        let options = RequestOptions {
            network_id: local.network_id,
            version: VERSION,
            padding_len: u16::from(padding_len),
            part2_len,
            time_s: now.unix.to_secs_nearest(),
        };
        seal_into(&mut state, &key, 0, &options.encode(), &mut message);
        append_padding(&mut state, usize::from(padding_len), &mut message, random);

        let next = Self {
            state,
            ephemeral,
            local: Arc::clone(local),
            obfuscation,
            part2,
            sent: now.instant,
        };
        Ok((next, message))
    }

    /// Takes the fixed part of message 2 (NTCP2, SessionCreated):
    /// `[Y, obfuscated: 32][options, sealed: 32]`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidKey`], [`HandshakeError::NotAuthentic`] (mostly: the peer's
    /// RouterInfo is outdated), [`HandshakeError::PaddingTooLong`],
    /// [`HandshakeError::ClockSkew`].
    pub(in crate::ntcp2) fn handle(
        mut self,
        bytes: &[u8; FIXED_LEN],
        now: Now,
    ) -> Result<AwaitCreatedPadding, HandshakeError> {
        let message = HandshakeMessage::Created;
        let (hidden, sealed) = split_fixed(bytes);
        let responder = self.obfuscation.reveal(hidden);
        check_ephemeral(&responder)?;
        self.state.mix_hash(&responder);
        let key = mix_agreement(&mut self.state, &self.ephemeral, &responder)?;
        let options = open_options(&mut self.state, &key, sealed, message)?;
        let options = CreatedOptions::decode(&options);
        let padding_len = check_padding(message, options.padding_len)?;

        let rtt = now.instant.saturating_since(self.sent);
        let theirs = options.time();
        let skew_ms = skew_ms(theirs, now.unix).saturating_add(half_ms(rtt));
        if is_excessive(skew_ms) {
            return Err(HandshakeError::ClockSkew { theirs });
        }
        Ok(AwaitCreatedPadding {
            state: self.state,
            key,
            responder,
            local: self.local,
            part2: self.part2,
            padding_len,
            skew_ms,
            rtt,
        })
    }
}

/// Alice, who waits for the padding of message 2.
pub(in crate::ntcp2) struct AwaitCreatedPadding {
    state: SymmetricState,
    key: AeadKey,
    responder: [u8; 32],
    local: Arc<LocalRouter>,
    part2: BytesMut,
    padding_len: usize,
    skew_ms: i64,
    rtt: Duration,
}

impl AwaitCreatedPadding {
    /// Returns how many bytes [`AwaitCreatedPadding::handle`] takes; possibly none.
    pub(in crate::ntcp2) fn needed(&self) -> usize {
        self.padding_len
    }

    /// Takes the padding and makes message 3 (NTCP2, SessionConfirmed):
    /// `[static key, sealed: 48][RouterInfo and padding, sealed]`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidKey`].
    pub(in crate::ntcp2) fn handle(
        mut self,
        padding: &[u8],
    ) -> Result<InitiatorDone, HandshakeError> {
        mix_padding(&mut self.state, padding);
        let mut message3 =
            BytesMut::with_capacity(STATIC_LEN + self.part2.len().saturating_add(TAG_LEN));
        let static_key = &self.local.static_key;
        seal_into(
            &mut self.state,
            &self.key,
            1,
            &static_key.public(),
            &mut message3,
        );
        let key = mix_agreement(&mut self.state, static_key, &self.responder)?;
        seal_into(&mut self.state, &key, 0, &self.part2, &mut message3);
        Ok(InitiatorDone {
            keys: DataKeys::derive(&self.state),
            message3,
            skew_ms: self.skew_ms,
            rtt: self.rtt,
        })
    }
}

/// What Alice has when the handshake is done on her side.
pub(in crate::ntcp2) struct InitiatorDone {
    /// Message 3, to be written in one piece.
    pub(in crate::ntcp2) message3: BytesMut,
    /// The keys of the data phase.
    pub(in crate::ntcp2) keys: DataKeys,
    /// By how many milliseconds the peer's clock is ahead.
    pub(in crate::ntcp2) skew_ms: i64,
    /// The time between message 1 and message 2.
    pub(in crate::ntcp2) rtt: Duration,
}

/// Splits message 1 or 2 into the hidden key and the sealed options.
fn split_fixed(bytes: &[u8; FIXED_LEN]) -> ([u8; KEY_LEN], [u8; FIXED_LEN - KEY_LEN]) {
    let mut key = [0; KEY_LEN];
    let mut options = [0; FIXED_LEN - KEY_LEN];
    let (front, back) = bytes.split_at(KEY_LEN);
    key.copy_from_slice(front);
    options.copy_from_slice(back);
    (key, options)
}

impl fmt::Debug for AwaitCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwaitCreated(..)")
    }
}

impl fmt::Debug for AwaitCreatedPadding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwaitCreatedPadding(..)")
    }
}

impl fmt::Debug for InitiatorDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitiatorDone(..)")
    }
}
