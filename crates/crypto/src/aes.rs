use std::fmt;

use ::aes::Block;
use ::aes::cipher::array::Array;
use ::aes::cipher::consts::U16;
use ::aes::cipher::typenum::Unsigned;
use ::aes::cipher::{
    BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, ParBlocks,
};
use thiserror::Error;

/// The length of a block, in bytes.
pub const BLOCK_LEN: usize = 16;

/// An AES-256 key with its schedule for encryption (FIPS 197), 240 bytes, zeroed when dropped.
///
/// CBC (NIST SP 800-38A, section 6.2) is without padding, as everywhere in I2P.
#[derive(Clone)]
pub struct Aes256Encryptor(::aes::Aes256Enc);

impl Aes256Encryptor {
    /// Computes the schedule of a key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(::aes::Aes256Enc::new(key.into()))
    }

    /// Encrypts one block in place.
    pub fn encrypt_block(&self, block: &mut [u8; BLOCK_LEN]) {
        self.0.encrypt_block(block.into());
    }

    /// Encrypts each block on its own, in place: many in little more than the time of one.
    pub fn encrypt_blocks(&self, blocks: &mut [[u8; BLOCK_LEN]]) {
        self.0
            .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    }

    /// Encrypts `data` in place with CBC.
    ///
    /// # Errors
    ///
    /// If `data` is no number of whole blocks; it is then as it was.
    pub fn cbc_encrypt(
        &self,
        iv: &[u8; BLOCK_LEN],
        data: &mut [u8],
    ) -> Result<(), BlockLengthError> {
        self.cbc_encrypt_batch(&mut [CbcJob { iv: *iv, data }])
    }

    /// Encrypts messages of this one key in place with CBC, each as [`Self::cbc_encrypt`] does.
    ///
    /// Goes through up to eight messages side by side, which takes a fraction of the time if they
    /// are equally long: within a message no block can begin before the one ahead is done.
    ///
    /// # Errors
    ///
    /// If the data of a job is no number of whole blocks; then all jobs are as they were.
    pub fn cbc_encrypt_batch(&self, jobs: &mut [CbcJob<'_>]) -> Result<(), BlockLengthError> {
        for job in jobs.iter_mut() {
            blocks_of(job.data)?;
        }
        let (eights, rest) = jobs.as_chunks_mut::<8>();
        let (fours, rest) = rest.as_chunks_mut::<4>();
        let (twos, ones) = rest.as_chunks_mut::<2>();
        for jobs in eights {
            self.0.encrypt_with_backend(CbcEncrypt { jobs });
        }
        for jobs in fours {
            self.0.encrypt_with_backend(CbcEncrypt { jobs });
        }
        for jobs in twos {
            self.0.encrypt_with_backend(CbcEncrypt { jobs });
        }
        for jobs in ones.as_chunks_mut::<1>().0 {
            self.0.encrypt_with_backend(CbcEncrypt { jobs });
        }
        Ok(())
    }
}

/// An AES-256 key with its schedule for decryption, the inverse of [`Aes256Encryptor`].
#[derive(Clone)]
pub struct Aes256Decryptor(::aes::Aes256Dec);

impl Aes256Decryptor {
    /// Computes the schedule of a key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(::aes::Aes256Dec::new(key.into()))
    }

    /// Decrypts one block in place.
    pub fn decrypt_block(&self, block: &mut [u8; BLOCK_LEN]) {
        self.0.decrypt_block(block.into());
    }

    /// Decrypts each block on its own, in place: many in little more than the time of one.
    pub fn decrypt_blocks(&self, blocks: &mut [[u8; BLOCK_LEN]]) {
        self.0
            .decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    }

    /// Decrypts `data` in place with CBC.
    ///
    /// # Errors
    ///
    /// If `data` is no number of whole blocks; it is then as it was.
    pub fn cbc_decrypt(
        &self,
        iv: &[u8; BLOCK_LEN],
        data: &mut [u8],
    ) -> Result<(), BlockLengthError> {
        let blocks = blocks_of(data)?;
        self.0
            .decrypt_with_backend(CbcDecrypt { last: *iv, blocks });
        Ok(())
    }
}

impl fmt::Debug for Aes256Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aes256Encryptor(..)")
    }
}

impl fmt::Debug for Aes256Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aes256Decryptor(..)")
    }
}

/// One message of a batch, for [`Aes256Encryptor::cbc_encrypt_batch`].
pub struct CbcJob<'a> {
    /// The initialization vector.
    pub iv: [u8; BLOCK_LEN],
    /// Whole blocks, encrypted in place.
    pub data: &'a mut [u8],
}

/// Data for CBC is no number of whole blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} bytes are no number of whole blocks")]
pub struct BlockLengthError(pub usize);

fn blocks_of(data: &mut [u8]) -> Result<&mut [[u8; BLOCK_LEN]], BlockLengthError> {
    let len = data.len();
    match data.as_chunks_mut() {
        (blocks, []) => Ok(blocks),
        _ => Err(BlockLengthError(len)),
    }
}

fn xor(left: &[u8; BLOCK_LEN], right: &[u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    (u128::from_ne_bytes(*left) ^ u128::from_ne_bytes(*right)).to_ne_bytes()
}

/// Encrypts `N` messages side by side: the processor works on all of them, since they do not wait
/// for each other.
struct CbcEncrypt<'a, 'b, const N: usize> {
    jobs: &'a mut [CbcJob<'b>; N],
}

impl<const N: usize> BlockSizeUser for CbcEncrypt<'_, '_, N> {
    type BlockSize = U16;
}

impl<const N: usize> BlockCipherEncClosure for CbcEncrypt<'_, '_, N> {
    // All the work is in here, because here the processor's instructions are known.
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        // The last ciphertext of each message, and then its next.
        let mut state = self.jobs.each_ref().map(|job| Block::from(job.iv));
        let mut lanes = self
            .jobs
            .each_mut()
            .map(|job| job.data.as_chunks_mut().0.iter_mut());
        let common = lanes.iter().map(|lane| lane.len()).min().unwrap_or(0);
        for _ in 0..common {
            let blocks = lanes.each_mut().map(Iterator::next);
            for (state, block) in state.iter_mut().zip(&blocks) {
                if let Some(block) = block {
                    *state = xor(state.as_ref(), block).into();
                }
            }
            let (wide, single) = Array::<_, B::ParBlocksSize>::slice_as_chunks_mut(&mut state);
            for blocks in wide {
                backend.encrypt_par_blocks_inplace(blocks);
            }
            for block in single {
                backend.encrypt_block_inplace(block);
            }
            for (state, block) in state.iter().zip(blocks) {
                if let Some(block) = block {
                    *block = (*state).into();
                }
            }
        }
        // What some messages have more than the shortest.
        for (state, lane) in state.iter_mut().zip(lanes) {
            for block in lane {
                *state = xor(state.as_ref(), block).into();
                backend.encrypt_block_inplace(state);
                *block = (*state).into();
            }
        }
    }
}

/// Decrypts one message: all its blocks may be worked on at once.
struct CbcDecrypt<'a> {
    last: [u8; BLOCK_LEN],
    blocks: &'a mut [[u8; BLOCK_LEN]],
}

impl BlockSizeUser for CbcDecrypt<'_> {
    type BlockSize = U16;
}

impl BlockCipherDecClosure for CbcDecrypt<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        let mut last = self.last;
        let width = B::ParBlocksSize::USIZE;
        for chunk in self.blocks.chunks_mut(width) {
            let mut wide = ParBlocks::<B>::default();
            for (to, from) in wide.iter_mut().zip(chunk.iter()) {
                *to = (*from).into();
            }
            // The zeros behind a last chunk cost less than going block by block, unless it is
            // a small one.
            if chunk.len() * 2 > width {
                backend.decrypt_par_blocks_inplace(&mut wide);
            } else {
                for block in wide.iter_mut().take(chunk.len()) {
                    backend.decrypt_block_inplace(block);
                }
            }
            for (block, plain) in chunk.iter_mut().zip(&wide) {
                let cipher = *block;
                *block = xor(&last, plain.as_ref());
                last = cipher;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{hex, hex_array};

    fn both(key: &[u8; 32]) -> (Aes256Encryptor, Aes256Decryptor) {
        (Aes256Encryptor::new(key), Aes256Decryptor::new(key))
    }

    /// FIPS 197, appendix C.3.
    #[test]
    fn encrypts_a_block_as_the_standard_does() {
        let (encryptor, decryptor) = both(&hex_array(
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        ));
        let plain = hex_array("00112233445566778899aabbccddeeff");
        let mut block = plain;
        encryptor.encrypt_block(&mut block);
        assert_eq!(block, hex_array("8ea2b7ca516745bfeafc49904b496089"));
        decryptor.decrypt_block(&mut block);
        assert_eq!(block, plain);
    }

    const KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    const IV: &str = "000102030405060708090a0b0c0d0e0f";
    const PLAIN: &str = "
        6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51
        30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
    const CIPHER: &str = "
        f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d
        39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b";

    /// NIST SP 800-38A, F.2.5 and F.2.6.
    #[test]
    fn chains_as_the_standard_does() {
        let (encryptor, decryptor) = both(&hex_array(KEY));
        let mut data = hex(PLAIN);
        encryptor.cbc_encrypt(&hex_array(IV), &mut data).unwrap();
        assert_eq!(data, hex(CIPHER));
        decryptor.cbc_decrypt(&hex_array(IV), &mut data).unwrap();
        assert_eq!(data, hex(PLAIN));
    }

    #[test]
    fn only_whole_blocks_are_taken() {
        let (encryptor, decryptor) = both(&[1; 32]);
        for len in [1, 15, 17, 1003] {
            let mut data = vec![7; len];
            assert_eq!(
                encryptor.cbc_encrypt(&[0; 16], &mut data),
                Err(BlockLengthError(len))
            );
            assert_eq!(
                decryptor.cbc_decrypt(&[0; 16], &mut data),
                Err(BlockLengthError(len))
            );
            assert_eq!(data, vec![7; len]);
        }
        assert_eq!(encryptor.cbc_encrypt(&[0; 16], &mut []), Ok(()));
        assert_eq!(decryptor.cbc_decrypt(&[0; 16], &mut []), Ok(()));
    }

    #[test]
    fn a_batch_with_half_a_block_is_left_alone() {
        let (mut whole, mut half) = ([7; 32], [7; 24]);
        let mut jobs = [
            CbcJob {
                iv: [0; 16],
                data: &mut whole,
            },
            CbcJob {
                iv: [0; 16],
                data: &mut half,
            },
        ];
        assert_eq!(
            Aes256Encryptor::new(&[1; 32]).cbc_encrypt_batch(&mut jobs),
            Err(BlockLengthError(24))
        );
        assert_eq!((whole, half), ([7; 32], [7; 24]));
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let (encryptor, decryptor) = both(&[7; 32]);
        assert_eq!(format!("{encryptor:?}"), "Aes256Encryptor(..)");
        assert_eq!(format!("{decryptor:?}"), "Aes256Decryptor(..)");
    }

    fn whole_blocks() -> impl Strategy<Value = Vec<u8>> {
        (0..150usize).prop_flat_map(|blocks| proptest::collection::vec(any::<u8>(), blocks * 16))
    }

    proptest! {
        /// Of every length around the widths that processors offer.
        #[test]
        fn what_is_encrypted_decrypts(key: [u8; 32], iv: [u8; 16], data in whole_blocks()) {
            let (encryptor, decryptor) = both(&key);
            let mut copy = data.clone();
            encryptor.cbc_encrypt(&iv, &mut copy).unwrap();
            prop_assert!(data.is_empty() || copy != data);
            decryptor.cbc_decrypt(&iv, &mut copy).unwrap();
            prop_assert_eq!(copy, data);
        }

        #[test]
        fn many_blocks_are_one_by_one(
            key: [u8; 32], blocks in proptest::collection::vec(any::<[u8; 16]>(), 0..150),
        ) {
            let (encryptor, decryptor) = both(&key);
            let (mut many, mut single) = (blocks.clone(), blocks.clone());
            encryptor.encrypt_blocks(&mut many);
            single.iter_mut().for_each(|block| encryptor.encrypt_block(block));
            prop_assert_eq!(&many, &single);
            decryptor.decrypt_blocks(&mut many);
            single.iter_mut().for_each(|block| decryptor.decrypt_block(block));
            prop_assert_eq!(&many, &blocks);
            prop_assert_eq!(&single, &blocks);
        }

        /// Any number of messages, mostly of one length.
        #[test]
        fn a_batch_is_one_by_one(
            key: [u8; 32],
            blocks in 0..70usize,
            messages in proptest::collection::vec((any::<[u8; 16]>(), 0..10usize, any::<u8>()), 0..20),
        ) {
            let encryptor = Aes256Encryptor::new(&key);
            let mut batch: Vec<([u8; 16], Vec<u8>)> = messages
                .into_iter()
                .map(|(iv, odd, filler)| {
                    let blocks = if odd == 0 { blocks / 2 } else { blocks };
                    (iv, vec![filler; blocks * 16])
                })
                .collect();
            let mut single = batch.clone();
            for (iv, data) in &mut single {
                encryptor.cbc_encrypt(iv, data).unwrap();
            }
            let mut jobs: Vec<CbcJob<'_>> = batch
                .iter_mut()
                .map(|(iv, data)| CbcJob { iv: *iv, data })
                .collect();
            encryptor.cbc_encrypt_batch(&mut jobs).unwrap();
            prop_assert_eq!(batch, single);
        }

        /// CBC by its definition, out of single blocks.
        #[test]
        fn chains_by_the_definition(key: [u8; 32], iv: [u8; 16], data in whole_blocks()) {
            let encryptor = Aes256Encryptor::new(&key);
            let mut expected = data.clone();
            let mut last = iv;
            for block in expected.as_chunks_mut::<16>().0 {
                for (byte, before) in block.iter_mut().zip(last) {
                    *byte ^= before;
                }
                encryptor.encrypt_block(block);
                last = *block;
            }
            let mut copy = data;
            encryptor.cbc_encrypt(&iv, &mut copy).unwrap();
            prop_assert_eq!(copy, expected);
        }
    }
}
