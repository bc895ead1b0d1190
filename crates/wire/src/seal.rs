use ramson_crypto::hmac_sha256;

use crate::{RouterInfo, Verified, VerifyError};

/// What the key is used for, so that no other use of it gives the same bytes.
const PURPOSE: &[u8] = b"ramson verified RouterInfo";

impl Verified<RouterInfo> {
    /// Returns the HMAC-SHA256 by which [`RouterInfo::unseal`] knows that this signature was
    /// checked before: hundreds of times as fast as checking it again.
    pub fn seal(&self, key: &[u8; 32]) -> [u8; 32] {
        seal(key, self)
    }
}

impl RouterInfo {
    /// Takes the holder of `key` at its word that the signature has been checked.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Mismatch`] when the seal is not that of this RouterInfo under this key.
    pub fn unseal(self, key: &[u8; 32], given: &[u8; 32]) -> Result<Verified<Self>, VerifyError> {
        let wanted = seal(key, &self);
        // Without a way out in between: how far it is right must not show in time.
        let pairs = wanted.iter().zip(given);
        let difference = pairs.fold(0, |sum, (one, other)| sum | (one ^ other));
        match difference {
            0 => Ok(Verified::trust(self)),
            _ => Err(VerifyError::Mismatch),
        }
    }
}

fn seal(key: &[u8; 32], info: &RouterInfo) -> [u8; 32] {
    let key = hmac_sha256(key, PURPOSE);
    hmac_sha256(&key, info.as_bytes())
}

#[cfg(test)]
mod tests {
    use ramson_crypto::SigningKey;

    use super::*;
    use crate::{Mapping, RouterIdentity, RouterInfoBuilder, UnixTime};

    #[test]
    fn only_the_same_key_and_bytes_unseal() {
        let key = SigningKey::from_seed(&[3; 32]);
        let sign = |published| {
            let identity = RouterIdentity::new(&[1; 32], &key.public(), &[2; 32]);
            let published = UnixTime::from_millis(published);
            let builder = RouterInfoBuilder {
                identity,
                published,
                addresses: Vec::new(),
                options: Mapping::default(),
            };
            builder.sign(&key).unwrap()
        };
        let (info, other) = (sign(1), sign(2));
        let mut seal = info.seal(&[7; 32]);
        let unseal = |info: &Verified<RouterInfo>, key, seal: &[u8; 32]| {
            info.clone().into_inner().unseal(key, seal)
        };
        assert_eq!(unseal(&info, &[7; 32], &seal), Ok(info.clone()));
        assert_eq!(unseal(&info, &[8; 32], &seal), Err(VerifyError::Mismatch));
        assert_eq!(unseal(&other, &[7; 32], &seal), Err(VerifyError::Mismatch));
        seal[31] ^= 1;
        assert_eq!(unseal(&info, &[7; 32], &seal), Err(VerifyError::Mismatch));
    }
}
