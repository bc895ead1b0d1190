use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes};
use ramson_crypto::SigningKey;

use crate::{
    Capabilities, DecodeError, EncodeError, Mapping, Ntcp2Address, Reader, RouterAddress,
    RouterHash, RouterIdentity, RouterVersion, SigningKeyType, UnixTime, Verified, VerifyError,
    gzip, verify_signature,
};

#[cfg(feature = "simulation")]
mod intern;

/// What a router publishes about itself (Common structures, RouterInfo):
/// `[Router Identity][published: u64 BE, ms][n: u8][n addresses][peers: u8][options: Mapping]
/// [signature]`.
///
/// The bytes are kept as they came, because the signature covers them. Clones share them.
/// Equality is that of the bytes.
#[derive(Clone)]
pub struct RouterInfo(Arc<Parts>);

struct Parts {
    bytes: Bytes,
    identity: RouterIdentity,
    published: UnixTime,
    addresses: Vec<RouterAddress>,
    options: Mapping,
    /// Where the signature begins.
    signed_len: usize,
    /// The gzip form, once it was asked for: floodfills send it again and again.
    gzip: OnceLock<Vec<u8>>,
    /// The signature was found good before.
    #[cfg(feature = "simulation")]
    verified: std::sync::atomic::AtomicBool,
}

impl RouterInfo {
    /// The most bytes of a RouterInfo: what i2pd takes. Java I2P stops to flood there.
    pub const MAX_LEN: usize = 3072;
    /// The most addresses of a RouterInfo: what Java I2P takes.
    pub const MAX_ADDRESSES: usize = 16;

    /// Decodes a RouterInfo that is all of `bytes`. Its signature is not checked; see
    /// [`RouterInfo::verify`].
    ///
    /// # Errors
    ///
    /// Those of its parts; [`DecodeError::TooLong`], [`DecodeError::TooMany`],
    /// [`DecodeError::UnknownSigningType`], [`DecodeError::TrailingBytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(DecodeError::TooLong {
                actual: bytes.len(),
                limit: Self::MAX_LEN,
            });
        }
        #[cfg(feature = "simulation")]
        if let Some(known) = intern::known(bytes) {
            return Ok(Self(known));
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let mut reader = Reader::new(&bytes);
        let identity = RouterIdentity::share(&bytes, &mut reader)?;
        let published = UnixTime::from_millis(reader.u64()?);
        let count = usize::from(reader.u8()?);
        if count > Self::MAX_ADDRESSES {
            return Err(DecodeError::TooMany {
                actual: count,
                limit: Self::MAX_ADDRESSES,
            });
        }
        let mut addresses = Vec::with_capacity(count);
        for _ in 0..count {
            addresses.push(RouterAddress::share(&bytes, &mut reader)?);
        }
        // Hashes of peers: never used, always none.
        let peers = usize::from(reader.u8()?);
        reader.take(peers.saturating_mul(RouterHash::LEN))?;
        let options = Mapping::share_signed(&bytes, &mut reader)?;
        let signing = identity.signing_key_type();
        let signature_len = signing
            .signature_len()
            .ok_or(DecodeError::UnknownSigningType(signing.code()))?;
        let signed_len = bytes.len().saturating_sub(reader.remaining());
        reader.take(signature_len)?;
        reader.finish()?;
        let parts = Arc::new(Parts {
            bytes: bytes.clone(),
            identity,
            published,
            addresses,
            options,
            signed_len,
            gzip: OnceLock::new(),
            #[cfg(feature = "simulation")]
            verified: std::sync::atomic::AtomicBool::new(false),
        });
        #[cfg(feature = "simulation")]
        intern::remember(&parts);
        Ok(Self(parts))
    }

    /// Decodes a RouterInfo from the gzip form in which a DatabaseStore holds it.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Gzip`], otherwise as [`RouterInfo::from_bytes`].
    pub fn from_gzip(bytes: &[u8]) -> Result<Self, DecodeError> {
        #[cfg(feature = "simulation")]
        if let Some(known) = intern::known_gzip(bytes) {
            return Ok(Self(known));
        }
        Self::from_bytes(&gzip::decompress(bytes, Self::MAX_LEN)?)
    }

    /// Checks the signature over the bytes as they came.
    ///
    /// # Errors
    ///
    /// See [`VerifyError`].
    pub fn verify(self) -> Result<Verified<Self>, VerifyError> {
        #[cfg(feature = "simulation")]
        if intern::is_verified(&self.0) {
            return Ok(Verified::trust(self));
        }
        let (signed, signature) = self
            .0
            .bytes
            .split_at_checked(self.0.signed_len)
            .ok_or(VerifyError::Length)?;
        let kind = self.identity().signing_key_type();
        let public = self
            .identity()
            .signing_public_key()
            .ok_or(VerifyError::UnsupportedType(kind))?;
        verify_signature(kind, &public, signed, signature)?;
        #[cfg(feature = "simulation")]
        self.0
            .verified
            .store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(Verified::trust(self))
    }

    /// Returns the bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Returns the gzip form for a DatabaseStore; it is made once.
    pub fn to_gzip(&self) -> Vec<u8> {
        let gzip = self.0.gzip.get_or_init(|| {
            let gzip = gzip::compress(&self.0.bytes);
            #[cfg(feature = "simulation")]
            intern::remember_gzip(&self.0, &gzip);
            gzip
        });
        gzip.clone()
    }

    /// Returns who published it.
    pub fn identity(&self) -> &RouterIdentity {
        &self.0.identity
    }

    /// Returns the hash of the router that published it.
    pub fn hash(&self) -> RouterHash {
        self.0.identity.hash()
    }

    /// Returns when it was published; of two the later one counts.
    pub fn published(&self) -> UnixTime {
        self.0.published
    }

    /// Returns the addresses in the order they stand.
    pub fn addresses(&self) -> &[RouterAddress] {
        &self.0.addresses
    }

    /// Returns the valid NTCP2 addresses in the order they stand.
    pub fn ntcp2_addresses(&self) -> impl Iterator<Item = Ntcp2Address> + '_ {
        self.0.addresses.iter().filter_map(RouterAddress::ntcp2)
    }

    /// Returns the options.
    pub fn options(&self) -> &Mapping {
        &self.0.options
    }

    /// Returns the capabilities, none if the option is missing, which it must not be.
    pub fn capabilities(&self) -> Capabilities<'_> {
        Capabilities::new(self.0.options.get("caps").unwrap_or_default())
    }

    /// Returns the id of the network the router is in, 2 for I2P; `None` if the option is missing
    /// or no byte.
    pub fn net_id(&self) -> Option<u8> {
        self.0.options.get("netId")?.parse().ok()
    }

    /// Returns the version of the protocol the router implements, `None` if the option is missing
    /// or damaged.
    pub fn version(&self) -> Option<RouterVersion> {
        self.0.options.get("router.version")?.parse().ok()
    }
}

impl PartialEq for RouterInfo {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for RouterInfo {}

impl fmt::Debug for RouterInfo {
    /// Writes the hash and the capabilities, but no IP addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterInfo")
            .field("hash", &self.hash())
            .field("published", &self.published())
            .field("caps", &self.capabilities().as_str())
            .finish_non_exhaustive()
    }
}

/// What a [`RouterInfo`] is made of.
#[derive(Debug, Clone)]
pub struct RouterInfoBuilder {
    /// Who publishes it.
    pub identity: RouterIdentity,
    /// When it is published.
    pub published: UnixTime,
    /// The addresses, at most [`RouterInfo::MAX_ADDRESSES`].
    pub addresses: Vec<RouterAddress>,
    /// The options; everyone needs `caps`, `netId` and `router.version`.
    pub options: Mapping,
}

impl RouterInfoBuilder {
    /// Writes the RouterInfo and signs it with the key of the identity.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooMany`] addresses, [`EncodeError::TooLong`],
    /// [`EncodeError::KeyMismatch`].
    pub fn sign(&self, key: &SigningKey) -> Result<Verified<RouterInfo>, EncodeError> {
        if self.identity.signing_key_type() != SigningKeyType::Ed25519
            || self.identity.signing_public_key().as_deref() != Some(&key.public())
        {
            return Err(EncodeError::KeyMismatch);
        }
        let too_many = EncodeError::TooMany {
            actual: self.addresses.len(),
            limit: RouterInfo::MAX_ADDRESSES,
        };
        if self.addresses.len() > RouterInfo::MAX_ADDRESSES {
            return Err(too_many);
        }
        let count = u8::try_from(self.addresses.len()).map_err(|_| too_many)?;
        let mut bytes = self.identity.as_bytes().to_vec();
        bytes.put_u64(self.published.as_millis());
        bytes.put_u8(count);
        for address in &self.addresses {
            address.encode(&mut bytes);
        }
        bytes.put_u8(0);
        self.options.encode(&mut bytes);
        let signature = key.sign(&bytes);
        bytes.put_slice(&signature);
        match RouterInfo::from_bytes(&bytes) {
            Ok(info) => Ok(Verified::trust(info)),
            // Received options may have a key twice; only builders refuse it.
            Err(DecodeError::DuplicateKey) => Err(EncodeError::DuplicateKey),
            Err(_) => Err(EncodeError::TooLong {
                actual: bytes.len(),
                limit: RouterInfo::MAX_LEN,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
