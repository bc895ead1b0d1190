//! Checks of DSA signatures with SHA-1 (FIPS 186-2) over the one group that I2P uses.

use aws_lc_rs::digest;
use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{NonZero, U192, U1024, const_monty_params};

use crate::signature::SignatureError;

pub(crate) const PUBLIC_LEN: usize = 128;
pub(crate) const SIGNATURE_LEN: usize = 40;

// Cryptography, DSA.
const P_HEX: &str = "\
    9C05B2AA960D9B97B8931963C9CC9E8C3026E9B8ED92FAD0A69CC886D5BF8015\
    FCADAE31A0AD18FAB3F01B00A358DE237655C4964AFAA2B337E96AD316B9FB1C\
    C564B5AEC5B69A9FF6C3E4548707FEF8503D91DD8602E867E6D35D2235C1869C\
    E2479C3B9D5401DE04E0727FB33D6511285D4CF29538D9E3B6051F5B22CC1C93";
const G_HEX: &str = "\
    0C1F4D27D40093B429E962D7223824E0BBC47E7C832A39236FC683AF84889581\
    075FF9082ED32353D4374D7301CDA1D23C431F4698599DDA02451824FF369752\
    593647CC3DDC197DE985E43D136CDCFC6BD5409CD2F450821142A5E6F8EB1C3A\
    B5D0484B8129FCF17BCE4F7F33321C3CB3DBB14A905E7B2B3E93BE4708CBCC82";
// 160 bits, with zeros before them to make whole words.
const Q_HEX: &str = "00000000A5DFC28FEF4CA1E286744CD8EED9D29D684046B7";

const P: U1024 = U1024::from_be_hex(P_HEX);
const Q: U192 = U192::from_be_hex(Q_HEX);
const Q_WIDE: NonZero<U1024> = NonZero::<U1024>::new_unwrap(Q.resize());
const G: Element = Element::new(&U1024::from_be_hex(G_HEX));

const_monty_params!(ModP, U1024, P_HEX);
const_monty_params!(ModQ, U192, Q_HEX);

type Element = ConstMontyForm<ModP, { U1024::LIMBS }>;
type Exponent = ConstMontyForm<ModQ, { U192::LIMBS }>;

/// A public key: an element of the group that g generates.
#[derive(Clone)]
pub(crate) struct PublicKey(Element);

impl PublicKey {
    pub(crate) fn from_bytes(bytes: &[u8; PUBLIC_LEN]) -> Result<Self, SignatureError> {
        let y = U1024::from_be_slice(bytes);
        if y <= U1024::ONE || y >= P {
            return Err(SignatureError::InvalidPublicKey);
        }
        // Outside of the group, as with keys of small order, one signature can fit many messages.
        let y = Element::new(&y);
        if y.pow_vartime(&Q) != Element::ONE {
            return Err(SignatureError::InvalidPublicKey);
        }
        Ok(Self(y))
    }

    /// FIPS 186-2, section 6. Nothing in here is secret, so the time may vary.
    pub(crate) fn verify(
        &self,
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), SignatureError> {
        let (r, s) = signature.split_at(SIGNATURE_LEN / 2);
        let (r, s) = (number(r), number(s));
        if [r, s].iter().any(|n| *n == U192::ZERO || *n >= Q) {
            return Err(SignatureError::Mismatch);
        }
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, message);
        let w = Option::from(Exponent::new(&s).invert_vartime());
        let w: Exponent = w.ok_or(SignatureError::Mismatch)?;
        let u1 = (Exponent::new(&number(hash.as_ref())) * w).retrieve();
        let u2 = (Exponent::new(&r) * w).retrieve();
        let v = (G.pow_vartime(&u1) * self.0.pow_vartime(&u2)).retrieve();
        if v.rem_vartime(&Q_WIDE) == r.resize() {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// Reads a number of at most 24 bytes.
fn number(bytes: &[u8]) -> U192 {
    bytes.iter().fold(U192::ZERO, |number, byte| {
        (number << 8) | U192::from_u8(*byte)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{hex, hex_array};

    /// A key made with the parameters above, and its signature over "sample": by OpenSSL 3.0
    /// (`openssl dgst -sha1 -sign`).
    pub(crate) const PUBLIC: &str = "
        86e33e53c009ef0dd7e99d7fac4e0030e8e650692c255ddb7ffce84da03dff87
        ee8c0eb28b0765eea5b2f228bf93b326e095ab55335a2bf5750425da3ccd4ac2
        1a5bcae36e84280b139f1bfb9354e70bcedca91f9b4920e676dd0cb8b478bf05
        95abd0452ba6b9b19b0bee7407b44da546c7ba9e4657632817904d6de9e1c923";
    pub(crate) const SIGNATURE: &str =
        "46b6341772aebac8c90486e5e546fd94ad8676b007e9af1c9eb63473b38af333809123144a91fa94";

    #[test]
    fn a_signature_by_openssl_holds() {
        let key = PublicKey::from_bytes(&hex_array(PUBLIC)).unwrap();
        assert_eq!(key.verify(b"sample", &hex_array(SIGNATURE)), Ok(()));
        assert_eq!(
            key.verify(b"simple", &hex_array(SIGNATURE)),
            Err(SignatureError::Mismatch)
        );
    }

    /// r and r + q, s and s + q are the same numbers modulo q: only the lower ones may count.
    #[test]
    fn numbers_above_the_group_order_do_not_hold() {
        let key = PublicKey::from_bytes(&hex_array(PUBLIC)).unwrap();
        let signature = hex(SIGNATURE);
        for half in [0..20, 20..40] {
            let sum = number(&signature[half.clone()]).wrapping_add(&Q);
            let sum = &sum.to_be_bytes()[4..];
            let mut changed: [u8; 40] = hex_array(SIGNATURE);
            changed[half.clone()].copy_from_slice(sum);
            assert_eq!(
                key.verify(b"sample", &changed),
                Err(SignatureError::Mismatch)
            );
            changed[half].fill(0);
            assert_eq!(
                key.verify(b"sample", &changed),
                Err(SignatureError::Mismatch)
            );
        }
    }

    #[test]
    fn what_is_outside_of_the_group_is_no_key() {
        let p_minus_1 = P.wrapping_sub(&U1024::ONE);
        for y in [
            U1024::ZERO,
            U1024::ONE,
            U1024::from_u8(2),
            p_minus_1,
            P,
            U1024::MAX,
        ] {
            let bytes = y.to_be_bytes();
            assert!(PublicKey::from_bytes(bytes.as_ref().try_into().unwrap()).is_err());
        }
        assert!(PublicKey::from_bytes(&hex_array(G_HEX)).is_ok());
    }
}
