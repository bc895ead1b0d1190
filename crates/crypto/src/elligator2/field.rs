//! Numbers modulo p = 2^255 - 19, over arithmetic that was generated together with its proof.

use fiat_crypto::curve25519_64 as fiat;

/// A number modulo p.
///
/// Nothing in here is secret: representatives and the keys they stand for are one the same
/// knowledge. So what is computed may depend on them.
#[derive(Clone, Copy)]
pub(super) struct Field(fiat::fiat_25519_tight_field_element);

/// The larger form that sums have until they are carried.
type Loose = fiat::fiat_25519_loose_field_element;

/// (p - 1) / 2 = 2^254 - 10, little-endian.
const HALF: [u8; 32] = {
    let mut half = [0xff; 32];
    half[0] = 0xf6;
    half[31] = 0x3f;
    half
};

impl Field {
    const ZERO: Self = Self(fiat::fiat_25519_tight_field_element([0; 5]));
    pub(super) const ONE: Self = Self(fiat::fiat_25519_tight_field_element([1, 0, 0, 0, 0]));
    /// The coefficient of Curve25519.
    pub(super) const A: Self = Self(fiat::fiat_25519_tight_field_element([486_662, 0, 0, 0, 0]));

    /// Reads a number, little-endian, without its topmost bit.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut bytes = *bytes;
        if let Some(last) = bytes.last_mut() {
            *last &= 0x7f;
        }
        let mut out = Self::ZERO;
        fiat::fiat_25519_from_bytes(&mut out.0, &bytes);
        out
    }

    /// Writes the number, below p.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        fiat::fiat_25519_to_bytes(&mut out, &self.0);
        out
    }

    fn loose(&self) -> Loose {
        let mut out = fiat::fiat_25519_loose_field_element([0; 5]);
        fiat::fiat_25519_relax(&mut out, &self.0);
        out
    }

    fn carried(loose: &Loose) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry(&mut out.0, loose);
        out
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let mut out = fiat::fiat_25519_loose_field_element([0; 5]);
        fiat::fiat_25519_add(&mut out, &self.0, &other.0);
        Self::carried(&out)
    }

    pub(super) fn sub(&self, other: &Self) -> Self {
        let mut out = fiat::fiat_25519_loose_field_element([0; 5]);
        fiat::fiat_25519_sub(&mut out, &self.0, &other.0);
        Self::carried(&out)
    }

    pub(super) fn negated(&self) -> Self {
        Self::ZERO.sub(self)
    }

    pub(super) fn mul(&self, other: &Self) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry_mul(&mut out.0, &self.loose(), &other.loose());
        out
    }

    pub(super) fn square(&self) -> Self {
        self.squared(1)
    }

    /// Squares so many times.
    fn squared(&self, times: u32) -> Self {
        let mut out = *self;
        for _ in 0..times {
            let loose = out.loose();
            fiat::fiat_25519_carry_square(&mut out.0, &loose);
        }
        out
    }

    /// Returns the powers 2^250 - 1 and 11, from which all others here are made.
    fn powers(&self) -> (Self, Self) {
        let two = self.square();
        let nine = two.squared(2).mul(self);
        let eleven = nine.mul(&two);
        let ones5 = eleven.square().mul(&nine);
        let ones10 = ones5.squared(5).mul(&ones5);
        let ones20 = ones10.squared(10).mul(&ones10);
        let ones40 = ones20.squared(20).mul(&ones20);
        let ones50 = ones40.squared(10).mul(&ones10);
        let ones100 = ones50.squared(50).mul(&ones50);
        let ones200 = ones100.squared(100).mul(&ones100);
        (ones200.squared(50).mul(&ones50), eleven)
    }

    /// The power p - 2 = 2^255 - 21, which is the inverse; zero of zero.
    pub(super) fn inverted(&self) -> Self {
        let (ones, eleven) = self.powers();
        ones.squared(5).mul(&eleven)
    }

    /// Says by the power (p - 1) / 2 = 2^254 - 10 whether it is the square of another than zero.
    pub(super) fn is_square(&self) -> bool {
        let six = self.square().mul(self).square();
        let power = self.powers().0.squared(4).mul(&six);
        power.to_bytes() == Self::ONE.to_bytes()
    }

    /// Returns the root that is at most (p - 1) / 2, `None` if there is none.
    pub(super) fn root(&self) -> Option<Self> {
        // The power (p + 3) / 8 = 2^252 - 2 is a root of this number or of its negative; another
        // factor, the root of -1, makes the one from the other: 2^((p - 1) / 4).
        let square = self.square();
        let mut root = self.powers().0.squared(2).mul(&square);
        if !root.square().equals(self) {
            let two = Self::ONE.add(&Self::ONE);
            let of_minus_one = two.powers().0.squared(3).mul(&two.square().mul(&two));
            root = root.mul(&of_minus_one);
        }
        if !root.square().equals(self) {
            return None;
        }
        Some(if root.is_upper_half() {
            root.negated()
        } else {
            root
        })
    }

    fn equals(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.equals(&Self::ZERO)
    }

    /// Says whether the number is above (p - 1) / 2.
    pub(super) fn is_upper_half(&self) -> bool {
        self.to_bytes().iter().rev().gt(HALF.iter().rev())
    }
}
