use std::time::Duration;

use super::{
    Bytes, Contents, DecodeError, Destination, EncryptionKey, Lease, LeaseSetFlags, LeaseSetType,
    Mapping, MetaLease, OfflineBlock, Parts, Reader, Signer, SigningKeyType, StoredLeaseSet,
    UnixTime,
};
use crate::{EncryptionKeyType, share::share_or_copy};

/// `[Destination][ElGamal key: 256][signing key][n: u8][n leases][signature]`.
pub(super) fn lease_set(bytes: Bytes) -> Result<Parts, DecodeError> {
    let mut reader = Reader::new(&bytes);
    let destination = Destination::parse(&mut reader)?;
    let key = EncryptionKey {
        kind: EncryptionKeyType::ElGamal,
        bytes: share_or_copy(&bytes, reader.take(256)?),
    };
    let signing = destination.signing_key_type();
    let unknown = DecodeError::UnknownSigningType(signing.code());
    // A key to revoke the LeaseSet with, which nobody ever did.
    reader.take(signing.public_key_len().ok_or(unknown)?)?;
    let leases = take_leases(&mut reader, Lease::parse_1)?;
    let ends = || leases.iter().map(|lease| lease.ends);
    let (published, expires) = (
        ends().min().unwrap_or_default(),
        ends().max().unwrap_or_default(),
    );
    let signed_len = take_signature(&bytes, reader, signing)?;
    Ok(Parts {
        kind: LeaseSetType::LeaseSet,
        key: destination.hash().0,
        signer: Signer::Destination(destination),
        published,
        expires,
        flags: LeaseSetFlags::default(),
        offline: None,
        contents: Contents::Leases {
            options: Mapping::default(),
            keys: vec![key],
            leases,
        },
        signed_len,
        bytes,
    })
}

/// `[header][options: Mapping][n: u8][n times type: u16 BE, len: u16 BE, key][n: u8][n leases]
/// [signature]`.
pub(super) fn lease_set_2(bytes: Bytes) -> Result<Parts, DecodeError> {
    let mut reader = Reader::new(&bytes);
    let destination = Destination::parse(&mut reader)?;
    let header = Header::parse(&mut reader, destination.signing_key_type())?;
    let options = Mapping::share_signed(&bytes, &mut reader)?;
    let count = usize::from(reader.u8()?);
    check_count(count, StoredLeaseSet::MAX_KEYS)?;
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = EncryptionKeyType::from_code(reader.u16()?);
        let len = usize::from(reader.u16()?);
        let bytes = share_or_copy(&bytes, reader.take(len)?);
        keys.push(EncryptionKey { kind, bytes });
    }
    let leases = take_leases(&mut reader, Lease::parse_2)?;
    let signed_len = take_signature(&bytes, reader, header.signing)?;
    Ok(Parts {
        kind: LeaseSetType::LeaseSet2,
        key: destination.hash().0,
        signer: Signer::Destination(destination),
        published: header.published,
        expires: header.expires,
        flags: header.flags,
        offline: header.offline,
        contents: Contents::Leases {
            options,
            keys,
            leases,
        },
        signed_len,
        bytes,
    })
}

/// `[type: u16 BE][blinded key][times, flags and offline block][len: u16 BE][ciphertext]
/// [signature]`.
pub(super) fn encrypted(bytes: Bytes) -> Result<Parts, DecodeError> {
    let mut reader = Reader::new(&bytes);
    let blinded = SigningKeyType::from_code(reader.u16()?);
    let unknown = DecodeError::UnknownSigningType(blinded.code());
    let public = reader.take(blinded.public_key_len().ok_or(unknown)?)?;
    let named = bytes.len().saturating_sub(reader.remaining());
    let key = ramson_crypto::sha256(bytes.get(..named).unwrap_or_default());
    let header = Header::parse(&mut reader, blinded)?;
    let len = usize::from(reader.u16()?);
    let data = share_or_copy(&bytes, reader.take(len)?);
    if data.is_empty() {
        return Err(DecodeError::Empty);
    }
    let signer = Signer::Blinded(blinded, share_or_copy(&bytes, public));
    let signed_len = take_signature(&bytes, reader, header.signing)?;
    Ok(Parts {
        kind: LeaseSetType::Encrypted,
        key,
        signer,
        published: header.published,
        expires: header.expires,
        flags: header.flags,
        offline: header.offline,
        contents: Contents::Encrypted(data),
        signed_len,
        bytes,
    })
}

/// `[header][options: Mapping][n: u8][n Meta leases][n: u8][n hashes][signature]`.
pub(super) fn meta(bytes: Bytes) -> Result<Parts, DecodeError> {
    let mut reader = Reader::new(&bytes);
    let destination = Destination::parse(&mut reader)?;
    let header = Header::parse(&mut reader, destination.signing_key_type())?;
    let options = Mapping::share_signed(&bytes, &mut reader)?;
    // Their number is bounded by its byte and by the length of the whole.
    let count = reader.u8()?;
    check_count(usize::from(count), usize::from(u8::MAX))?;
    let leases = (0..count)
        .map(|_| MetaLease::parse(&mut reader))
        .collect::<Result<_, _>>()?;
    let count = reader.u8()?;
    let revocations = (0..count)
        .map(|_| reader.array())
        .collect::<Result<_, _>>()?;
    let signed_len = take_signature(&bytes, reader, header.signing)?;
    Ok(Parts {
        kind: LeaseSetType::Meta,
        key: destination.hash().0,
        signer: Signer::Destination(destination),
        published: header.published,
        expires: header.expires,
        flags: header.flags,
        offline: header.offline,
        contents: Contents::Meta {
            options,
            leases,
            revocations,
        },
        signed_len,
        bytes,
    })
}

/// What follows Destination or blinded key (Common structures, LeaseSet2Header):
/// `[published: u32 BE, s][expires: u16 BE, s after that][flags: u16 BE][offline block]`.
struct Header {
    published: UnixTime,
    expires: UnixTime,
    flags: LeaseSetFlags,
    offline: Option<OfflineBlock>,
    /// The type of the signature at the end.
    signing: SigningKeyType,
}

impl Header {
    fn parse(reader: &mut Reader<'_>, long_term: SigningKeyType) -> Result<Self, DecodeError> {
        let published = UnixTime::from_secs(reader.u32()?);
        let lifetime = Duration::from_secs(reader.u16()?.into());
        let flags = LeaseSetFlags::from_bits(reader.u16()?);
        let offline = match flags.is_offline() {
            true => Some(OfflineBlock::parse(reader, long_term)?),
            false => None,
        };
        let signing = offline
            .as_ref()
            .map_or(long_term, |offline| offline.transient_type);
        Ok(Self {
            published,
            expires: published + lifetime,
            flags,
            offline,
            signing,
        })
    }
}

fn check_count(count: usize, limit: usize) -> Result<(), DecodeError> {
    match count {
        0 => Err(DecodeError::Empty),
        actual if actual > limit => Err(DecodeError::TooMany { actual, limit }),
        _ => Ok(()),
    }
}

fn take_leases(
    reader: &mut Reader<'_>,
    parse: impl Fn(&mut Reader<'_>) -> Result<Lease, DecodeError>,
) -> Result<Vec<Lease>, DecodeError> {
    let count = usize::from(reader.u8()?);
    check_count(count, StoredLeaseSet::MAX_LEASES)?;
    (0..count).map(|_| parse(reader)).collect()
}

/// Checks that nothing but a signature of this type is left, and returns how much it covers.
fn take_signature(
    bytes: &Bytes,
    mut reader: Reader<'_>,
    kind: SigningKeyType,
) -> Result<usize, DecodeError> {
    let signed_len = bytes.len().saturating_sub(reader.remaining());
    let len = kind
        .signature_len()
        .ok_or(DecodeError::UnknownSigningType(kind.code()))?;
    reader.take(len)?;
    reader.finish()?;
    Ok(signed_len)
}
