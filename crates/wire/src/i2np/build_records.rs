use std::fmt;

use bytes::BufMut;

use crate::{DecodeError, EncodeError, Reader};

/// The records of a tunnel build message or its reply: `[n: u8][n records]`, 1 to 8 of them.
///
/// Each hop replaces its own record by the reply and adds a layer to the others, in place.
#[derive(Clone, PartialEq, Eq)]
pub struct BuildRecords<const N: usize> {
    records: Vec<[u8; N]>,
}

/// Records of ShortTunnelBuild and OutboundTunnelBuildReply (I2NP, ShortTunnelBuild), 218 bytes.
pub type ShortBuildRecords = BuildRecords<218>;

/// Records of VariableTunnelBuild and its reply (I2NP, VariableTunnelBuild), 528 bytes.
pub type LongBuildRecords = BuildRecords<528>;

impl<const N: usize> BuildRecords<N> {
    /// The most records of a message.
    pub const MAX: usize = 8;

    /// Takes these records.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Empty`], [`EncodeError::TooMany`].
    pub fn new(records: Vec<[u8; N]>) -> Result<Self, EncodeError> {
        match records.len() {
            0 => Err(EncodeError::Empty),
            1..=8 => Ok(Self { records }),
            actual => Err(EncodeError::TooMany {
                actual,
                limit: Self::MAX,
            }),
        }
    }

    /// Decodes records that are all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`], [`DecodeError::Empty`],
    /// [`DecodeError::TooMany`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let count = reader.u8()?;
        match usize::from(count) {
            0 => return Err(DecodeError::Empty),
            1..=8 => {}
            actual => {
                return Err(DecodeError::TooMany {
                    actual,
                    limit: Self::MAX,
                });
            }
        }
        let records = (0..count)
            .map(|_| reader.array())
            .collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { records })
    }

    /// Returns the records.
    pub fn as_slice(&self) -> &[[u8; N]] {
        &self.records
    }

    /// Returns the records, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [[u8; N]] {
        &mut self.records
    }

    /// Returns the index of the first record whose first 16 bytes are these: a hop's own.
    pub fn position(&self, prefix: &[u8; 16]) -> Option<usize> {
        self.records
            .iter()
            .position(|record| record.starts_with(prefix))
    }

    /// Returns how many bytes [`BuildRecords::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        self.records.len().saturating_mul(N).saturating_add(1)
    }

    /// Appends the records.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(u8::try_from(self.records.len()).expect("every constructor checks the number"));
        for record in &self.records {
            out.put_slice(record);
        }
    }
}

impl<const N: usize> fmt::Debug for BuildRecords<N> {
    /// Writes the number only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildRecords({} of {N} bytes)", self.records.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_changed_and_written() {
        let bytes = [&[2][..], &[1; 218], &[2; 218]].concat();
        let mut records = ShortBuildRecords::parse(&bytes).unwrap();
        assert_eq!(records.position(&[2; 16]), Some(1));
        assert_eq!(records.position(&[3; 16]), None);
        let mut out = Vec::new();
        records.encode(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(out.len(), records.encoded_len());
        records.as_mut_slice()[0].fill(5);
        assert_eq!(records.as_slice(), [[5; 218], [2; 218]]);
        let again = ShortBuildRecords::new(records.as_slice().to_vec());
        assert_eq!(again, Ok(records));
    }

    #[test]
    fn there_are_one_to_eight_records() {
        assert_eq!(ShortBuildRecords::parse(&[0]), Err(DecodeError::Empty));
        let (actual, limit) = (9, 8);
        assert_eq!(
            ShortBuildRecords::parse(&[9]),
            Err(DecodeError::TooMany { actual, limit })
        );
        assert_eq!(
            LongBuildRecords::new(vec![[0; 528]; 9]),
            Err(EncodeError::TooMany { actual, limit })
        );
        assert_eq!(LongBuildRecords::new(vec![]), Err(EncodeError::Empty));
        let most = LongBuildRecords::new(vec![[0; 528]; 8]).unwrap();
        let mut out = Vec::new();
        most.encode(&mut out);
        assert_eq!(LongBuildRecords::parse(&out), Ok(most));
        assert_eq!(
            LongBuildRecords::parse(&out[..out.len() - 1]),
            Err(DecodeError::Truncated { missing: 1 })
        );
        out.push(0);
        assert_eq!(
            LongBuildRecords::parse(&out),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
    }
}
