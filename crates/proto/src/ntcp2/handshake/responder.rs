use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{AeadKey, Random, SymmetricState};
use ramson_wire::{Instant, RouterInfo, UnixTime, Verified};

use super::check::check_confirmed;
use super::options::{CreatedOptions, RequestOptions};
use super::{
    KEY_LEN, OPTIONS_LEN, Obfuscation, STATIC_LEN, VERSION, append_padding, check_ephemeral,
    check_padding, half_ms, initial_state, is_excessive, mix_agreement, mix_padding, open,
    open_options, own_padding, seal_into, skew_ms,
};
use crate::Now;
use crate::ntcp2::keys::DataKeys;
use crate::ntcp2::{AcceptConfig, HandshakeError, HandshakeMessage};

/// The bounds of the second part of message 3, in bytes: a block with the shortest RouterInfo
/// there can be (a DSA identity without any address), and all of message 3 within the 4,096 bytes
/// that a Java router reads.
const PART2_LEN: std::ops::RangeInclusive<u16> = 459..=4096 - STATIC_LEN as u16;

/// Bob, who waits for the obfuscated ephemeral key of message 1.
#[derive(Debug)]
pub(in crate::ntcp2) struct AwaitKey(());

impl AwaitKey {
    /// Waits for a first message.
    pub(in crate::ntcp2) fn new() -> Self {
        Self(())
    }

    /// Takes the obfuscated key.
    pub(in crate::ntcp2) fn handle(self, bytes: &[u8; KEY_LEN]) -> AwaitOptions {
        AwaitOptions { hidden: *bytes }
    }
}

/// Bob, who waits for the options of message 1.
#[derive(Debug)]
pub(in crate::ntcp2) struct AwaitOptions {
    hidden: [u8; KEY_LEN],
}

impl AwaitOptions {
    /// Returns the ephemeral key as it came, by which replays are recognised.
    pub(in crate::ntcp2) fn encrypted_key(&self) -> &[u8; KEY_LEN] {
        &self.hidden
    }

    /// Takes the options (NTCP2, SessionRequest).
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidKey`], [`HandshakeError::NotAuthentic`],
    /// [`HandshakeError::Version`], [`HandshakeError::Network`],
    /// [`HandshakeError::PaddingTooLong`], [`HandshakeError::ConfirmedLength`]. None is answered;
    /// the responder goes on reading for a while as if nothing had happened.
    pub(in crate::ntcp2) fn handle(
        self,
        bytes: &[u8; OPTIONS_LEN],
        config: &AcceptConfig,
        now: Now,
    ) -> Result<AwaitRequestPadding, HandshakeError> {
        let message = HandshakeMessage::Request;
        let local = &config.local;
        let mut obfuscation = Obfuscation::new(&local.router_info.hash(), local.iv);
        let initiator = obfuscation.reveal(self.hidden);
        check_ephemeral(&initiator)?;
        let mut state = initial_state(&local.static_key.public());
        state.mix_hash(&initiator);
        let key = mix_agreement(&mut state, &local.static_key, &initiator)?;
        let options = open_options(&mut state, &key, *bytes, message)?;
        let options = RequestOptions::decode(&options);
        if options.version != VERSION {
            return Err(HandshakeError::Version {
                theirs: options.version,
            });
        }
        // 0 is what routers sent before networks had ids.
        if options.network_id != 0 && options.network_id != local.network_id {
            return Err(HandshakeError::Network {
                theirs: options.network_id,
            });
        }
        let padding_len = check_padding(message, options.padding_len)?;
        if !PART2_LEN.contains(&options.part2_len) {
            return Err(HandshakeError::ConfirmedLength {
                len: options.part2_len,
            });
        }
        Ok(AwaitRequestPadding {
            state,
            initiator,
            obfuscation,
            padding_len,
            part2_len: usize::from(options.part2_len),
            theirs: options.time(),
            skew_ms: skew_ms(options.time(), now.unix),
        })
    }
}

/// Bob, who waits for the padding of message 1.
pub(in crate::ntcp2) struct AwaitRequestPadding {
    state: SymmetricState,
    initiator: [u8; 32],
    obfuscation: Obfuscation,
    padding_len: usize,
    part2_len: usize,
    theirs: UnixTime,
    skew_ms: i64,
}

impl AwaitRequestPadding {
    /// Returns how many bytes [`AwaitRequestPadding::handle`] takes; possibly none.
    pub(in crate::ntcp2) fn needed(&self) -> usize {
        self.padding_len
    }

    /// Takes the padding and makes message 2 (NTCP2, SessionCreated):
    /// `[Y, obfuscated: 32][options, sealed: 32][padding: 1-31]`.
    ///
    /// Also when the clocks differ too much: that is how Alice learns it.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidKey`].
    pub(in crate::ntcp2) fn handle(
        mut self,
        padding: &[u8],
        now: Now,
        random: &mut Random,
    ) -> Result<(AwaitConfirmed, BytesMut), HandshakeError> {
        mix_padding(&mut self.state, padding);
        let ephemeral = PrivateKey::generate(random);
        let mut message = BytesMut::new();
        self.state.mix_hash(&ephemeral.public());
        message.extend_from_slice(&self.obfuscation.hide(ephemeral.public()));
        let key = mix_agreement(&mut self.state, &ephemeral, &self.initiator)?;
        let padding_len = own_padding(random);
        let options = CreatedOptions {
            padding_len: u16::from(padding_len),
            time_s: now.unix.to_secs_nearest(),
        };
        seal_into(&mut self.state, &key, 0, &options.encode(), &mut message);
        append_padding(
            &mut self.state,
            usize::from(padding_len),
            &mut message,
            random,
        );
        let next = AwaitConfirmed {
            state: self.state,
            key,
            ephemeral,
            part2_len: self.part2_len,
            theirs: self.theirs,
            skew_ms: self.skew_ms,
            sent: now.instant,
        };
        Ok((next, message))
    }
}

/// Bob, who has made message 2 and waits for message 3.
pub(in crate::ntcp2) struct AwaitConfirmed {
    state: SymmetricState,
    key: AeadKey,
    ephemeral: PrivateKey,
    part2_len: usize,
    theirs: UnixTime,
    skew_ms: i64,
    sent: Instant,
}

impl AwaitConfirmed {
    /// Returns how many bytes [`AwaitConfirmed::handle`] takes.
    pub(in crate::ntcp2) fn needed(&self) -> usize {
        STATIC_LEN.saturating_add(self.part2_len)
    }

    /// Takes message 3 (NTCP2, SessionConfirmed), which is decrypted in place.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed`], with the keys of the data phase where the message was authentic: then the
    /// failure is answered with a termination, as [`HandshakeError::termination`] says.
    pub(in crate::ntcp2) fn handle(
        mut self,
        message: &mut [u8],
        config: &AcceptConfig,
        now: Now,
    ) -> Result<Confirmed, NotConfirmed> {
        let rtt = now.instant.saturating_since(self.sent);
        // The message with the peer's time was half a round trip on the way.
        let skew_ms = self.skew_ms.saturating_add(half_ms(rtt));
        let (static_key, payload) = self.open(message)?;
        let keys = DataKeys::derive(&self.state);
        let skew = if is_excessive(skew_ms) {
            Some(HandshakeError::ClockSkew {
                theirs: self.theirs,
            })
        } else {
            None
        };
        match check_confirmed(payload, &static_key, skew, config, now.unix) {
            Ok(peer) => Ok(Confirmed {
                keys,
                peer,
                skew_ms,
                rtt,
            }),
            Err(error) => Err(NotConfirmed {
                error,
                keys: Some(keys),
            }),
        }
    }

    /// Decrypts both parts and returns Alice's static key and the blocks.
    fn open<'a>(
        &mut self,
        message: &'a mut [u8],
    ) -> Result<([u8; 32], &'a mut [u8]), HandshakeError> {
        let number = HandshakeMessage::Confirmed;
        let (part1, part2) = message
            .split_at_mut_checked(STATIC_LEN)
            .ok_or(HandshakeError::NotAuthentic(number))?;
        let static_key = open(&mut self.state, &self.key, 1, part1, number)?;
        let static_key: [u8; 32] = *static_key
            .first_chunk()
            .expect("48 bytes without a tag of 16 are 32");
        let key = mix_agreement(&mut self.state, &self.ephemeral, &static_key)?;
        let payload = open(&mut self.state, &key, 0, part2, number)?;
        Ok((static_key, payload))
    }
}

/// What Bob has when the handshake is done.
pub(in crate::ntcp2) struct Confirmed {
    /// The keys of the data phase.
    pub(in crate::ntcp2) keys: DataKeys,
    /// Alice.
    pub(in crate::ntcp2) peer: Verified<RouterInfo>,
    /// By how many milliseconds her clock is ahead.
    pub(in crate::ntcp2) skew_ms: i64,
    /// The time between message 2 and message 3.
    pub(in crate::ntcp2) rtt: Duration,
}

/// What Bob has when message 3 was no good.
pub(in crate::ntcp2) struct NotConfirmed {
    /// Why.
    pub(in crate::ntcp2) error: HandshakeError,
    /// The keys of the data phase, to answer with, if the message was authentic.
    pub(in crate::ntcp2) keys: Option<DataKeys>,
}

impl From<HandshakeError> for NotConfirmed {
    fn from(error: HandshakeError) -> Self {
        Self { error, keys: None }
    }
}

macro_rules! hidden_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

hidden_debug!(AwaitRequestPadding, AwaitConfirmed, Confirmed, NotConfirmed);
