//! Answers for those who know nothing newer than ElGamal (ElGamal/AES+SessionTag, Existing Session;
//! I2NP, Garlic).
//!
//! Sessions of a client that has i2pd publish an ElGamal key alone ask floodfills for them, and find
//! nobody without.

use bytes::{BufMut, Bytes};
use ramson_crypto::{Aes256Encryptor, Random, sha256};
use ramson_wire::I2npMessage;
use zeroize::Zeroizing;

/// How long the tag in front of an answer is.
const TAG_LEN: usize = 32;
const BLOCK_LEN: usize = 16;

/// Writes an answer under a key and a tag which the asking side has chosen: the body of a Garlic
/// message with one clove for whoever opens it.
///
/// `[length: u32 BE][tag: 32]`, then under AES-256-CBC, with the first half of the tag's SHA-256 as
/// IV, `[number of new tags: u16 BE, 0][payload length: u32 BE][SHA-256 of the payload: 32]
/// [flag: 0][payload][padding to whole blocks]`.
pub fn seal_with_session_tag(
    key: &[u8; 32],
    tag: &[u8; TAG_LEN],
    message: &I2npMessage,
    random: &mut Random,
) -> Bytes {
    let payload = payload(message, random);
    let mut block = Zeroizing::new(Vec::with_capacity(payload.len() + 64));
    block.put_u16(0);
    // No I2NP message is longer than 64 KiB.
    block.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    block.put_slice(&sha256(&payload));
    block.put_u8(0);
    block.put_slice(&payload);
    let padding: [u8; BLOCK_LEN] = random.bytes();
    let missing = block.len().next_multiple_of(BLOCK_LEN) - block.len();
    block.put_slice(padding.get(..missing).unwrap_or_default());

    let hash = sha256(tag);
    let iv = hash.first_chunk().expect("a hash has 32 bytes");
    Aes256Encryptor::new(key)
        .cbc_encrypt(iv, &mut block)
        .expect("it was padded to whole blocks");
    let mut body = Vec::with_capacity(4 + TAG_LEN + block.len());
    body.put_u32(u32::try_from(TAG_LEN + block.len()).unwrap_or(u32::MAX));
    body.put_slice(tag);
    body.put_slice(&block);
    body.into()
}

/// `[number of cloves: 1]`, the clove `[delivery: 0][message with its long header][clove id: u32 BE]
/// [expiration: u64 BE, ms][certificate: 3]`, then `[certificate: 3][message id: u32 BE]
/// [expiration: u64 BE, ms]`.
fn payload(message: &I2npMessage, random: &mut Random) -> Zeroizing<Vec<u8>> {
    /// Type 0, length 0.
    const NULL_CERTIFICATE: [u8; 3] = [0; 3];
    let expires = message.expires().as_millis();
    let mut payload = Zeroizing::new(Vec::with_capacity(message.long_len() + 32));
    payload.put_u8(1);
    payload.put_u8(0);
    message.encode_long(&mut *payload);
    payload.put_u32(random.u32());
    payload.put_u64(expires);
    payload.put_slice(&NULL_CERTIFICATE);
    payload.put_slice(&NULL_CERTIFICATE);
    payload.put_u32(random.u32());
    payload.put_u64(expires);
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ramson_wire::{MessageType, UnixTime};

    use super::*;

    proptest! {
        /// Read as the specification's receiver does.
        #[test]
        fn an_answer_is_opened_by_whoever_asked(
            key: [u8; 32],
            tag: [u8; 32],
            content in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let expires = UnixTime::from_millis(1_700_000_000_123);
            let message =
                I2npMessage::new(MessageType::DatabaseStore, 7, expires, content).unwrap();
            let mut random = Random::from_seed([1; 32]);
            let body = seal_with_session_tag(&key, &tag, &message, &mut random);
            let (length, rest) = body.split_first_chunk::<4>().unwrap();
            prop_assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
            let (begin, sealed) = rest.split_first_chunk::<32>().unwrap();
            prop_assert_eq!(begin, &tag);
            let mut block = sealed.to_vec();
            let iv = *sha256(&tag).first_chunk().unwrap();
            ramson_crypto::Aes256Decryptor::new(&key).cbc_decrypt(&iv, &mut block).unwrap();
            prop_assert_eq!(&block[..2], &[0, 0]);
            let length = u32::from_be_bytes(*block[2..].first_chunk().unwrap()) as usize;
            prop_assert_eq!(block[38], 0);
            let payload = &block[39..39 + length];
            prop_assert_eq!(&block[6..38], &sha256(payload));
            prop_assert!(block.len() - 39 - length < 16);

            prop_assert_eq!(&payload[..2], &[1, 0]);
            let (inner, rest) = payload[2..].split_at(message.long_len());
            prop_assert_eq!(&I2npMessage::parse_long(&Bytes::copy_from_slice(inner)).unwrap(), &message);
            prop_assert_eq!(rest.len(), 4 + 8 + 3 + 3 + 4 + 8);
            prop_assert_eq!(&rest[4..12], &expires.as_millis().to_be_bytes());
            prop_assert_eq!(&rest[12..18], &[0; 6]);
        }
    }
}
