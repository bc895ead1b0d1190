use ramson_crypto::{AeadKey, SymmetricState, hkdf, siphash24};
use ramson_wire::{DecodeError, Reader};
use zeroize::ZeroizeOnDrop;

/// What both directions of the data phase are encrypted with (NTCP2, KDF for data phase).
#[derive(Debug)]
pub(super) struct DataKeys {
    /// From the initiator, Alice, to the responder.
    pub(super) alice_to_bob: DirectionKeys,
    /// From the responder to the initiator.
    pub(super) bob_to_alice: DirectionKeys,
}

/// The key of one direction's frames and the mask of their lengths.
#[derive(Debug)]
pub(super) struct DirectionKeys {
    pub(super) aead: AeadKey,
    pub(super) mask: LengthMask,
}

impl DataKeys {
    /// Derives the keys from the handshake's state after message 3.
    pub(super) fn derive(state: &SymmetricState) -> Self {
        let (ab, ba) = state.split();
        let ask = hkdf::<32>(state.ck(), &[], b"ask");
        let mut input = [0; 32 + 7];
        let (hash, label) = input.split_at_mut(32);
        hash.copy_from_slice(state.h());
        label.copy_from_slice(b"siphash");
        let master = hkdf::<32>(&ask, &input, &[]);
        let sip = hkdf::<64>(&master, &[], &[]);
        let (sip_ab, sip_ba) = sip.split_at(32);
        Self {
            alice_to_bob: DirectionKeys {
                aead: AeadKey::new(*ab),
                mask: LengthMask::new(sip_ab),
            },
            bob_to_alice: DirectionKeys {
                aead: AeadKey::new(*ba),
                mask: LengthMask::new(sip_ba),
            },
        }
    }
}

/// The stream of masks that hides the frames' lengths (NTCP2, SipHash obfuscated length): each
/// mask is made from the one before.
#[derive(ZeroizeOnDrop)]
pub(super) struct LengthMask {
    k1: u64,
    k2: u64,
    iv: u64,
}

impl LengthMask {
    /// Takes `[k1: u64 LE][k2: u64 LE][IV: u64 LE]` from the front of 32 bytes.
    fn new(keys: &[u8]) -> Self {
        let mut reader = Reader::new(keys);
        let mut next = || -> Result<u64, DecodeError> { Ok(u64::from_le_bytes(reader.array()?)) };
        let mut take = || next().expect("half of 64 bytes holds three integers");
        Self {
            k1: take(),
            k2: take(),
            iv: take(),
        }
    }

    /// Returns the mask of the next frame's length, taken as a number.
    pub(super) fn next(&mut self) -> u16 {
        self.iv = siphash24(self.k1, self.k2, &self.iv.to_le_bytes());
        // The mask is the two low bytes of the hash, the lowest one over the length's low byte.
        let [low, high, ..] = self.iv.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

impl std::fmt::Debug for LengthMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LengthMask(..)")
    }
}
