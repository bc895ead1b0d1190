//! Datagrams of the kinds that name their sender (Datagram Specification, Datagram1 to 3).
//!
//! Which kind a message is, only its protocol number tells ([`PayloadHeader`](crate::PayloadHeader)).
//! Raw datagrams have no form.

use bytes::BufMut;
use ramson_crypto::{SigningKey, sha256};

use crate::{
    DecodeError, Destination, DestinationHash, EncodeError, Mapping, OfflineBlock, Reader,
    SigningKeyType, UnixTime, VerifyError, verify_signature,
};

/// The bits of the flags that tell the version.
const VERSION: u16 = 0x0f;
/// A mapping of options follows the flags.
const OPTIONS: u16 = 0x10;
/// A transient key and the leave to use it follow.
const OFFLINE: u16 = 0x20;

/// A Datagram1: `[from: Destination][signature][payload]`. The signature is over the payload, of a
/// DSA key over its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram1<'a> {
    /// Who says that it is from them.
    pub from: Destination,
    /// What was sent.
    pub payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Datagram1<'a> {
    /// Decodes a datagram that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::UnknownSigningType`], and those of a
    /// [`Destination`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let from = Destination::parse(&mut reader)?;
        let signature = reader.take(signature_len(from.signing_key_type())?)?;
        Ok(Self {
            from,
            signature,
            payload: reader.rest(),
        })
    }

    /// Checks that it is from whom it says. It may be a replay, and for anybody.
    ///
    /// # Errors
    ///
    /// See [`VerifyError`].
    pub fn verify(&self) -> Result<(), VerifyError> {
        let kind = self.from.signing_key_type();
        let public = public_of(&self.from)?;
        if kind == SigningKeyType::DsaSha1 {
            verify_signature(kind, &public, &sha256(self.payload), self.signature)
        } else {
            verify_signature(kind, &public, self.payload, self.signature)
        }
    }

    /// Writes a datagram of a Destination and signs it with its key.
    ///
    /// # Errors
    ///
    /// [`EncodeError::KeyMismatch`] if it is not its key.
    pub fn encode(
        from: &Destination,
        key: &SigningKey,
        payload: &[u8],
        out: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        check_key(from, None, key)?;
        out.put_slice(from.as_bytes());
        out.put_slice(&key.sign(payload));
        out.put_slice(payload);
        Ok(())
    }
}

/// A Datagram2: `[from: Destination][flags: u16 BE][options][offline signature][payload]
/// [signature]`. The signature is over the hash of whom it is for and all from the flags to the
/// payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram2<'a> {
    /// Who says that it is from them.
    pub from: Destination,
    /// The options, if there are any.
    pub options: Option<Mapping>,
    /// The transient key that signs, if one does.
    pub offline: Option<OfflineBlock>,
    /// What was sent.
    pub payload: &'a [u8],
    /// What is signed of it.
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Datagram2<'a> {
    /// Decodes a datagram that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::UnknownType`] for flags of another kind,
    /// [`DecodeError::UnknownSigningType`], and those of a [`Destination`] and a [`Mapping`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let from = Destination::parse(&mut reader)?;
        let rest = reader.rest();
        let mut reader = Reader::new(rest);
        let flags = flags_of(&mut reader, 2)?;
        let options = parse_options(&mut reader, flags)?;
        let kind = from.signing_key_type();
        let offline = match flags & OFFLINE {
            0 => None,
            _ => Some(OfflineBlock::parse(&mut reader, kind)?),
        };
        let signer = offline.as_ref().map_or(kind, |it| it.transient_type);
        let signature_len = signature_len(signer)?;
        let payload_len = reader.remaining().checked_sub(signature_len);
        let payload_len = payload_len.ok_or(DecodeError::Truncated {
            missing: signature_len.saturating_sub(reader.remaining()),
        })?;
        let payload = reader.take(payload_len)?;
        let signed_len = rest.len().saturating_sub(signature_len);
        Ok(Self {
            from,
            options,
            offline,
            payload,
            signed: rest.get(..signed_len).unwrap_or_default(),
            signature: reader.rest(),
        })
    }

    /// Checks that it is from whom it says and for this Destination.
    ///
    /// i2pd up to 2.59 at least signs the hash of the sender in place of that of the receiver. Such a
    /// datagram passes with `target` = the sender's own hash: for anybody, as often as somebody
    /// likes, so that it is good only over a session that is bound to the sender.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Expired`] for a transient key whose time is over; else see [`VerifyError`].
    pub fn verify(&self, target: &DestinationHash, now: UnixTime) -> Result<(), VerifyError> {
        let mut message = Vec::with_capacity(32 + self.signed.len());
        message.extend_from_slice(target.as_bytes());
        message.extend_from_slice(self.signed);
        let kind = self.from.signing_key_type();
        let public = public_of(&self.from)?;
        match &self.offline {
            None => verify_signature(kind, &public, &message, self.signature),
            Some(offline) => {
                if offline.expires < now {
                    return Err(VerifyError::Expired);
                }
                offline.verify(kind, &public)?;
                let (kind, public) = (offline.transient_type, &offline.transient_public);
                verify_signature(kind, public, &message, self.signature)
            }
        }
    }

    /// Writes a datagram of a Destination to another and signs it with its key, or the transient one
    /// of `offline`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::KeyMismatch`] if it is not that key.
    pub fn encode(
        from: &Destination,
        (key, offline): (&SigningKey, Option<&OfflineBlock>),
        target: &DestinationHash,
        options: Option<&Mapping>,
        payload: &[u8],
        out: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        check_key(from, offline, key)?;
        let offline_flag = if offline.is_some() { OFFLINE } else { 0 };
        let mut message = target.as_bytes().to_vec();
        put_flags(&mut message, 2 | offline_flag, options);
        if let Some(offline) = offline {
            offline.encode(&mut message);
        }
        message.extend_from_slice(payload);
        out.put_slice(from.as_bytes());
        out.put_slice(message.get(32..).unwrap_or_default());
        out.put_slice(&key.sign(&message));
        Ok(())
    }
}

/// A Datagram3: `[hash of the sender: 32][flags: u16 BE][options][payload]`. Nothing proves from
/// whom it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram3<'a> {
    /// Who says that it is from them.
    pub from: DestinationHash,
    /// The options, if there are any.
    pub options: Option<Mapping>,
    /// What was sent.
    pub payload: &'a [u8],
}

impl<'a> Datagram3<'a> {
    /// Decodes a datagram that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::UnknownType`] for flags of another kind, and
    /// those of a [`Mapping`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let from = DestinationHash(reader.array()?);
        let flags = flags_of(&mut reader, 3)?;
        let options = parse_options(&mut reader, flags)?;
        Ok(Self {
            from,
            options,
            payload: reader.rest(),
        })
    }

    /// Appends the datagram.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(self.from.as_bytes());
        put_flags(out, 3, self.options.as_ref());
        out.put_slice(self.payload);
    }
}

fn flags_of(reader: &mut Reader<'_>, version: u16) -> Result<u16, DecodeError> {
    let flags = reader.u16()?;
    // Unknown flags may come one day, and say nothing to us.
    if flags & VERSION == version {
        Ok(flags)
    } else {
        let [.., low] = (flags & VERSION).to_be_bytes();
        Err(DecodeError::UnknownType(low))
    }
}

fn parse_options(reader: &mut Reader<'_>, flags: u16) -> Result<Option<Mapping>, DecodeError> {
    match flags & OPTIONS {
        0 => Ok(None),
        _ => Mapping::parse(reader).map(Some),
    }
}

fn put_flags(out: &mut impl BufMut, flags: u16, options: Option<&Mapping>) {
    match options {
        None => out.put_u16(flags),
        Some(options) => {
            out.put_u16(flags | OPTIONS);
            options.encode(out);
        }
    }
}

fn signature_len(kind: SigningKeyType) -> Result<usize, DecodeError> {
    let unknown = DecodeError::UnknownSigningType(kind.code());
    kind.signature_len().ok_or(unknown)
}

fn public_of(from: &Destination) -> Result<Vec<u8>, VerifyError> {
    let kind = from.signing_key_type();
    let public = from.signing_public_key();
    let public = public.ok_or(VerifyError::UnsupportedType(kind))?;
    Ok(public.into_owned())
}

/// Says whether this key signs for that Destination.
fn check_key(
    from: &Destination,
    offline: Option<&OfflineBlock>,
    key: &SigningKey,
) -> Result<(), EncodeError> {
    let (kind, public) = match offline {
        Some(offline) => (
            offline.transient_type,
            Some(offline.transient_public.as_ref().into()),
        ),
        None => (from.signing_key_type(), from.signing_public_key()),
    };
    if kind == SigningKeyType::Ed25519 && public.as_deref() == Some(&key.public()) {
        Ok(())
    } else {
        Err(EncodeError::KeyMismatch)
    }
}

#[cfg(test)]
mod tests;
