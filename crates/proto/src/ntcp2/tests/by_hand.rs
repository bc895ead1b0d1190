//! Both sides of the handshake written out message by message, to say what a well-behaved router
//! would not.

use ramson_crypto::{AeadKey, Aes256Decryptor, Aes256Encryptor, SymmetricState};

use super::*;

/// Alice, who says what she is told to.
pub(super) struct Alice {
    state: SymmetricState,
    ephemeral: PrivateKey,
    static_key: PrivateKey,
    aes: Aes256Decryptor,
    hidden: [u8; 32],
}

pub(super) fn request_options(
    network: u8,
    version: u8,
    padding_len: u16,
    part2_len: u16,
    time_s: u32,
) -> [u8; 16] {
    let mut out = [network, version].to_vec();
    out.extend_from_slice(&padding_len.to_be_bytes());
    out.extend_from_slice(&part2_len.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&time_s.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.try_into().unwrap()
}

fn seal(state: &mut SymmetricState, key: &AeadKey, nonce: u64, plain: &[u8]) -> Vec<u8> {
    let mut sealed = plain.to_vec();
    let tag = key.seal(nonce, state.h(), &mut sealed);
    sealed.extend_from_slice(&tag);
    state.mix_hash(&sealed);
    sealed
}

fn initial(bob_static: &[u8; 32]) -> SymmetricState {
    let mut state = SymmetricState::new_hashed("Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256");
    state.mix_hash(&[]);
    state.mix_hash(bob_static);
    state
}

impl Alice {
    /// Makes message 1 with these options and that padding.
    pub(super) fn request(
        alice: &TestRouter,
        bob: &TestRouter,
        options: [u8; 16],
        padding: &[u8],
    ) -> (Self, Vec<u8>) {
        let ephemeral = PrivateKey::generate(&mut Random::from_seed([77; 32]));
        let aes = Aes256Decryptor::new(bob.hash().as_bytes());
        let mut hidden = ephemeral.public();
        let encryptor = Aes256Encryptor::new(bob.hash().as_bytes());
        encryptor.cbc_encrypt(&bob.iv, &mut hidden).unwrap();
        let mut state = initial(&bob.static_key.public());
        state.mix_hash(&ephemeral.public());
        let secret = ephemeral.agree(&bob.static_key.public()).unwrap();
        let key = state.mix_key(secret);
        let sealed = seal(&mut state, &key, 0, &options);
        if !padding.is_empty() {
            state.mix_hash(padding);
        }
        let message = [&hidden, sealed.as_slice(), padding].concat();
        let next = Self {
            state,
            ephemeral,
            static_key: alice.static_key.clone(),
            aes,
            hidden,
        };
        (next, message)
    }

    /// Reads message 2 and makes message 3 with this payload.
    pub(super) fn confirm(mut self, message2: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut bob: [u8; 32] = message2[..32].try_into().unwrap();
        let iv: [u8; 16] = self.hidden[16..].try_into().unwrap();
        self.aes.cbc_decrypt(&iv, &mut bob).unwrap();
        self.state.mix_hash(&bob);
        let key = self.state.mix_key(self.ephemeral.agree(&bob).unwrap());
        self.state.mix_hash(&message2[32..64]);
        if message2.len() > 64 {
            self.state.mix_hash(&message2[64..]);
        }
        let mut message = seal(&mut self.state, &key, 1, &self.static_key.public());
        let key = self.state.mix_key(self.static_key.agree(&bob).unwrap());
        message.extend(seal(&mut self.state, &key, 0, payload));
        message
    }
}

/// Makes Bob's message 2 to a message 1 without looking into it, with these options and that
/// padding.
pub(super) fn created(
    bob: &TestRouter,
    message1: &[u8],
    padding_len: u16,
    time_s: u32,
    padding: &[u8],
) -> Vec<u8> {
    let ephemeral = PrivateKey::generate(&mut Random::from_seed([78; 32]));
    let decryptor = Aes256Decryptor::new(bob.hash().as_bytes());
    let mut alice: [u8; 32] = message1[..32].try_into().unwrap();
    decryptor.cbc_decrypt(&bob.iv, &mut alice).unwrap();
    let mut state = initial(&bob.static_key.public());
    state.mix_hash(&alice);
    state.mix_key(bob.static_key.agree(&alice).unwrap());
    state.mix_hash(&message1[32..64]);
    if message1.len() > 64 {
        state.mix_hash(&message1[64..]);
    }
    let iv: [u8; 16] = message1[16..32].try_into().unwrap();
    let mut hidden = ephemeral.public();
    let encryptor = Aes256Encryptor::new(bob.hash().as_bytes());
    encryptor.cbc_encrypt(&iv, &mut hidden).unwrap();
    state.mix_hash(&ephemeral.public());
    let key = state.mix_key(ephemeral.agree(&alice).unwrap());
    let mut options = [0; 16];
    options[2..4].copy_from_slice(&padding_len.to_be_bytes());
    options[8..12].copy_from_slice(&time_s.to_be_bytes());
    let sealed = seal(&mut state, &key, 0, &options);
    [&hidden, sealed.as_slice(), padding].concat()
}
