//! X25519 keys that look like random bytes: Elligator2 on Curve25519 (ECIES-X25519-AEAD-Ratchet,
//! Elligator2; Bernstein, Hamburg, Krasnova, Lange, "Elligator: Elliptic-curve points
//! indistinguishable from uniform random strings", section 5).
//!
//! The representative goes over the wire, the key it stands for into the protocol. About half of all
//! keys have a representative, so that making one is a matter of trying.

use std::fmt;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::EIGHT_TORSION;

use crate::random::Random;
use crate::x25519::{AgreeError, PrivateKey, SharedSecret};

mod field;
use field::Field;

/// The bits of the last byte that no representative has, and that are random on the wire.
const HIGH_BITS: u8 = 0xc0;

/// An X25519 key pair of which the public key has a representative.
///
/// The public key is not the one of [`PrivateKey::public`]: a point of small order is added, any of
/// the eight. Without it every representative would decode to a point of the large subgroup, where
/// random bytes do so one time in eight, which an observer can check. What is agreed on is the same
/// with and without it, because private keys are multiples of eight.
#[derive(Clone)]
pub struct HiddenKey {
    private: PrivateKey,
    public: [u8; 32],
    representative: [u8; 32],
}

impl HiddenKey {
    /// Draws keys until one has a representative, two on average; to be done ahead.
    pub fn generate(random: &mut Random) -> Self {
        loop {
            let private: [u8; 32] = random.bytes();
            let [tweak, torsion] = random.bytes();
            if let Some(pair) = Self::from_bytes(private, torsion, tweak) {
                return pair;
            }
        }
    }

    /// Returns the pair of these private bytes with the point of small order of this number, the
    /// neutral one for 0, and the representative that [`encode`] chooses; `None` if there is none.
    pub fn from_bytes(private: [u8; 32], torsion: u8, tweak: u8) -> Option<Self> {
        let public = public(&private, torsion);
        Some(Self {
            representative: encode(&public, tweak)?,
            private: PrivateKey::from_bytes(private),
            public,
        })
    }

    /// Returns the public key, which the protocol hashes.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Returns what goes over the wire: 32 bytes that look random.
    pub fn representative(&self) -> [u8; 32] {
        self.representative
    }

    /// Computes what this key and the owner of `peer` have in common.
    ///
    /// # Errors
    ///
    /// As [`PrivateKey::agree`].
    pub fn agree(&self, peer: &[u8; 32]) -> Result<SharedSecret, AgreeError> {
        self.private.agree(peer)
    }
}

impl fmt::Debug for HiddenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HiddenKey(..)")
    }
}

/// The public key with one of the eight points of small order added.
fn public(private: &[u8; 32], torsion: u8) -> [u8; 32] {
    #[cfg(feature = "fake")]
    if crate::fake::is_enabled() {
        return crate::fake::public(private);
    }
    #[cfg(feature = "simulation")]
    crate::simulation::count(|work| work.keys += 1);
    let torsion = EIGHT_TORSION
        .get(usize::from(torsion & 7))
        .expect("there are eight");
    (EdwardsPoint::mul_base_clamped(*private) + torsion)
        .to_montgomery()
        .to_bytes()
}

/// Returns a representative of a public key, `None` if it has none, as about half of them.
///
/// There are two: the lowest bit of `tweak` chooses. Its two highest bits become those of the
/// representative, which mean nothing and are to be random.
pub fn encode(public: &[u8; 32], tweak: u8) -> Option<[u8; 32]> {
    #[cfg(feature = "fake")]
    if crate::fake::is_enabled() {
        return Some(*public);
    }
    let u = Field::from_bytes(public);
    let sum = u.add(&Field::A);
    // r² = -u / 2(u + A) or -(u + A) / 2u: both are squares or neither is.
    let (above, below) = if tweak & 1 == 0 { (u, sum) } else { (sum, u) };
    let below = below.add(&below);
    if below.is_zero() || above.is_zero() {
        return None;
    }
    let mut bytes = above.negated().mul(&below.inverted()).root()?.to_bytes();
    if let Some(last) = bytes.last_mut() {
        *last |= tweak & HIGH_BITS;
    }
    Some(bytes)
}

/// Returns the public key of a representative, whatever its two highest bits; `None` for the few
/// numbers above (p - 1) / 2, which stand for the same keys as those below and are never sent: i2pd
/// refuses them, too.
pub fn decode(representative: &[u8; 32]) -> Option<[u8; 32]> {
    #[cfg(feature = "fake")]
    if crate::fake::is_enabled() {
        return Some(crate::fake::public(representative));
    }
    let mut bytes = *representative;
    if let Some(last) = bytes.last_mut() {
        *last &= !HIGH_BITS;
    }
    let r = Field::from_bytes(&bytes);
    if r.is_upper_half() {
        return None;
    }
    // v = -A / (1 + 2r²), which is never a division by zero since -1/2 is no square.
    let square = r.square();
    let v = Field::A
        .negated()
        .mul(&Field::ONE.add(&square).add(&square).inverted());
    // v³ + Av² + v
    let curve = v.square().mul(&v.add(&Field::A)).add(&v);
    let u = if curve.is_square() {
        v
    } else {
        v.negated().sub(&Field::A)
    };
    Some(u.to_bytes())
}

#[cfg(test)]
mod tests;
