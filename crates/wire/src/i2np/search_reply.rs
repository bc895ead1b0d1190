use bytes::BufMut;

use crate::{DecodeError, EncodeError, Reader, RouterHash};

/// A DatabaseSearchReply (I2NP, DatabaseSearchReply): the answer to a look-up that found nothing.
///
/// `[key: 32][n: u8][n hashes][from: 32]`. Nothing in it is signed: hints, no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSearchReply {
    /// The hash that was looked up.
    pub key: [u8; 32],
    /// Routers nearer to it, 3 as a rule and at most 255.
    pub peers: Vec<RouterHash>,
    /// Who claims to answer.
    pub from: RouterHash,
}

impl DatabaseSearchReply {
    /// Decodes a reply that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let key = reader.array()?;
        let count = reader.u8()?;
        let mut hashes = reader.sub(usize::from(count).saturating_mul(RouterHash::LEN))?;
        let mut peers = Vec::with_capacity(usize::from(count));
        while !hashes.is_empty() {
            peers.push(RouterHash::parse(&mut hashes)?);
        }
        let from = RouterHash::parse(&mut reader)?;
        reader.finish()?;
        Ok(Self { key, peers, from })
    }

    /// Appends the reply.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooMany`] peers.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        let count = u8::try_from(self.peers.len()).map_err(|_| EncodeError::TooMany {
            actual: self.peers.len(),
            limit: usize::from(u8::MAX),
        })?;
        out.put_slice(&self.key);
        out.put_u8(count);
        for peer in &self.peers {
            out.put_slice(peer.as_bytes());
        }
        out.put_slice(self.from.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn peers_stand_between_key_and_sender() {
        let reply = DatabaseSearchReply {
            key: [1; 32],
            peers: vec![RouterHash([2; 32]), RouterHash([3; 32])],
            from: RouterHash([4; 32]),
        };
        let mut out = Vec::new();
        reply.encode(&mut out).unwrap();
        assert_eq!(
            out,
            [&[1; 32][..], &[2], &[2; 32], &[3; 32], &[4; 32]].concat()
        );
        assert_eq!(DatabaseSearchReply::parse(&out), Ok(reply.clone()));
        for end in 0..out.len() {
            let result = DatabaseSearchReply::parse(&out[..end]);
            assert!(
                matches!(result, Err(DecodeError::Truncated { .. })),
                "{end}"
            );
        }
        out.push(0);
        assert_eq!(
            DatabaseSearchReply::parse(&out),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
        let many = DatabaseSearchReply {
            peers: vec![RouterHash([2; 32]); 256],
            ..reply
        };
        let (actual, limit) = (256, 255);
        assert_eq!(
            many.encode(&mut Vec::new()),
            Err(EncodeError::TooMany { actual, limit })
        );
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_the_same(count in 0u8..5, extra in 0usize..3, byte: u8) {
            let len = 32 + usize::from(count) * 32 + 31 + extra;
            let mut bytes = vec![byte; len];
            bytes.insert(32, count);
            if let Ok(reply) = DatabaseSearchReply::parse(&bytes) {
                let mut out = Vec::new();
                reply.encode(&mut out).unwrap();
                prop_assert_eq!(out, bytes);
                prop_assert_eq!(extra, 1);
            }
        }
    }
}
