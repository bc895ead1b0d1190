use std::fmt;
use std::ops::Range;

use bytes::BytesMut;
use ramson_crypto::SigningKey;
use ramson_wire::streaming::{Options, Packet};
use ramson_wire::{
    Destination, DestinationHash, OfflineBlock, PrivateKeys, SigningKeyType, UnixTime,
    verify_signature,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// A local Destination and the key that signs its packets: its own, or a transient one that it has
/// given leave to.
pub struct Identity {
    destination: Destination,
    hash: DestinationHash,
    offline: Option<OfflineBlock>,
    key: SigningKey,
}

/// Why keys cannot sign for a Destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Packets are signed with Ed25519 only.
    #[error("a signing key of type {0} cannot sign packets here")]
    UnsupportedType(SigningKeyType),
    /// The private key belongs to another public one.
    #[error("the signing key is not the one of the Destination")]
    KeyMismatch,
    /// The Destination did not sign the transient key.
    #[error("the transient key is not signed by the Destination")]
    OfflineMismatch,
}

impl Identity {
    /// How long signatures are.
    pub(super) const SIGNATURE_LEN: usize = 64;

    /// Joins a Destination and its signing key.
    ///
    /// # Errors
    ///
    /// [`IdentityError::UnsupportedType`], [`IdentityError::KeyMismatch`].
    pub fn new(destination: Destination, key: SigningKey) -> Result<Self, IdentityError> {
        let kind = destination.signing_key_type();
        if kind != SigningKeyType::Ed25519 {
            return Err(IdentityError::UnsupportedType(kind));
        }
        if destination.signing_public_key().as_deref() != Some(&key.public()[..]) {
            return Err(IdentityError::KeyMismatch);
        }
        Ok(Self {
            hash: destination.hash(),
            destination,
            offline: None,
            key,
        })
    }

    /// Joins a Destination, its leave for a transient key and that key. Peers look at the leave's
    /// expiry, nothing here does.
    ///
    /// # Errors
    ///
    /// See [`IdentityError`].
    pub fn with_offline(
        destination: Destination,
        offline: OfflineBlock,
        key: SigningKey,
    ) -> Result<Self, IdentityError> {
        if offline.transient_type != SigningKeyType::Ed25519 {
            return Err(IdentityError::UnsupportedType(offline.transient_type));
        }
        if offline.transient_public != key.public()[..] {
            return Err(IdentityError::KeyMismatch);
        }
        let public = destination.signing_public_key();
        let public = public.ok_or(IdentityError::OfflineMismatch)?;
        offline
            .verify(destination.signing_key_type(), &public)
            .map_err(|_| IdentityError::OfflineMismatch)?;
        drop(public);
        Ok(Self {
            hash: destination.hash(),
            destination,
            offline: Some(offline),
            key,
        })
    }

    /// Takes both from private keys, with a transient key if they have one.
    ///
    /// # Errors
    ///
    /// See [`IdentityError`].
    pub fn from_private_keys(keys: &PrivateKeys) -> Result<Self, IdentityError> {
        let destination = keys.destination().clone();
        let (kind, private) = match keys.offline() {
            Some(offline) => (
                offline.transient_key_type(),
                offline.transient_private_key(),
            ),
            None => (destination.signing_key_type(), keys.signing_private_key()),
        };
        if kind != SigningKeyType::Ed25519 {
            return Err(IdentityError::UnsupportedType(kind));
        }
        let seed = private
            .try_into()
            .map(Zeroizing::<[u8; 32]>::new)
            .map_err(|_| IdentityError::KeyMismatch)?;
        let key = SigningKey::from_seed(&seed);
        match keys.offline() {
            Some(offline) => Self::with_offline(destination, offline.into(), key),
            None => Self::new(destination, key),
        }
    }

    /// Returns the Destination.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Returns the Destination's hash.
    pub fn hash(&self) -> DestinationHash {
        self.hash
    }

    pub(super) fn offline(&self) -> Option<&OfflineBlock> {
        self.offline.as_ref()
    }

    /// Signs a packet that is all of `packet`, over the zeros at `range`.
    pub(super) fn sign(&self, packet: &mut BytesMut, range: Range<usize>) {
        let signature = self.key.sign(packet);
        packet
            .get_mut(range)
            .expect("the range is where the zeros were written")
            .copy_from_slice(&signature);
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// Why a packet that must be authentic is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthError {
    /// It has no signature, and came over no session of its sender's.
    Missing,
    /// The signature does not fit, or cannot be checked.
    Mismatch,
    /// The transient key has expired.
    Expired,
    /// The sender is not who it should be.
    WrongSender,
}

/// The other side as its SYN showed it: what its signatures are checked with.
#[derive(Debug, Clone)]
pub(super) struct PeerKey {
    destination: Destination,
    hash: DestinationHash,
    transient: Option<OfflineBlock>,
}

impl PeerKey {
    /// Takes the sender from a packet that has FROM, once it is found authentic.
    ///
    /// A packet without a signature is, if it came over a session bound to its sender: i2pd sends
    /// such if it is told to. A wrong signature never is.
    pub(super) fn from_packet(
        packet: &Packet<'_>,
        options: &Options<'_>,
        session: Option<DestinationHash>,
        now: UnixTime,
    ) -> Result<Self, AuthError> {
        let destination = options.from.clone().ok_or(AuthError::Missing)?;
        let mut peer = Self {
            hash: destination.hash(),
            destination,
            transient: None,
        };
        peer.authenticate(packet, options, session, now)?;
        Ok(peer)
    }

    pub(super) fn hash(&self) -> DestinationHash {
        self.hash
    }

    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    pub(super) fn signer(&self) -> SigningKeyType {
        self.destination.signing_key_type()
    }

    /// Checks a packet of this sender's, and keeps a transient key that comes with it.
    pub(super) fn authenticate(
        &mut self,
        packet: &Packet<'_>,
        options: &Options<'_>,
        session: Option<DestinationHash>,
        now: UnixTime,
    ) -> Result<(), AuthError> {
        if session.is_some_and(|session| session != self.hash) {
            return Err(AuthError::WrongSender);
        }
        if let Some(from) = &options.from
            && *from != self.destination
        {
            return Err(AuthError::WrongSender);
        }
        let Some(signature) = options.signature else {
            return match session {
                Some(_) => Ok(()),
                None => Err(AuthError::Missing),
            };
        };
        let public = self.destination.signing_public_key();
        let public = public.ok_or(AuthError::Mismatch)?;
        let (kind, key) = match options.offline.as_ref().or(self.transient.as_ref()) {
            Some(block) => {
                if block.expires < now {
                    return Err(AuthError::Expired);
                }
                if self.transient.as_ref() != Some(block) {
                    block
                        .verify(self.signer(), &public)
                        .map_err(|_| AuthError::Mismatch)?;
                }
                (block.transient_type, &block.transient_public[..])
            }
            None => (self.signer(), &*public),
        };
        verify_signature(kind, key, &packet.signed_bytes(options), signature)
            .map_err(|_| AuthError::Mismatch)?;
        if options.offline.is_some() {
            self.transient = options.offline.clone();
        }
        Ok(())
    }
}
