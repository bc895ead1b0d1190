use siphasher::sip::SipHasher24;

/// Returns the SipHash-2-4 of `data` under the key halves `k1` and `k2`.
///
/// With the key as bytes, `k1` is its first half and `k2` its second, both little-endian.
pub fn siphash24(k1: u64, k2: u64, data: &[u8]) -> u64 {
    #[cfg(feature = "fake")]
    if crate::fake::is_enabled() && data.len() == 8 {
        return 0;
    }
    SipHasher24::new_with_keys(k1, k2).hash(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the reference implementation, github.com/veorq/SipHash `vectors.h`; the one of 15 bytes
    /// is also appendix A of the paper.
    #[test]
    fn hashes_as_the_reference_does() {
        let k1 = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
        let k2 = u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15]);
        let data: Vec<u8> = (0..15).collect();
        assert_eq!(siphash24(k1, k2, &data), 0xa129_ca61_49be_45e5);
        assert_eq!(siphash24(k1, k2, b""), 0x726f_db47_dd0e_0e31);
        assert_eq!(siphash24(k1, k2, &data[..8]), 0x93f5_f579_9a93_2462);
    }
}
