//! What the primitives cost: the limit that everything built on them is compared with.
//!
//! Sizes are those of the tunnel message (1,008 bytes under the layer) and of a full block of data.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{
    AeadKey, Aes256Decryptor, Aes256Encryptor, CbcJob, Random, SignatureKind, SigningKey,
    VerifyingKey, chacha20, hkdf, hmac_sha256, sha256, siphash24,
};

/// What an endpoint and a hop encrypt of a tunnel message.
const LAYER: usize = 1008;

fn aes(c: &mut Criterion) {
    let encryptor = Aes256Encryptor::new(&[1; 32]);
    let decryptor = Aes256Decryptor::new(&[1; 32]);
    let mut group = c.benchmark_group("aes");
    group.bench_function("new", |b| {
        b.iter(|| Aes256Encryptor::new(black_box(&[1; 32])))
    });
    let mut block = [2; 16];
    group.bench_function("encrypt_block", |b| {
        b.iter(|| encryptor.encrypt_block(black_box(&mut block)));
    });
    group.bench_function("decrypt_block", |b| {
        b.iter(|| decryptor.decrypt_block(black_box(&mut block)));
    });
    let mut blocks = [[2; 16]; 8];
    group.bench_function("encrypt_blocks of 8", |b| {
        b.iter(|| encryptor.encrypt_blocks(black_box(&mut blocks)));
    });
    let mut data = [3; LAYER];
    group.throughput(Throughput::Elements(1));
    group.bench_function("cbc_encrypt", |b| {
        b.iter(|| encryptor.cbc_encrypt(&[4; 16], black_box(&mut data)));
    });
    group.bench_function("cbc_decrypt", |b| {
        b.iter(|| decryptor.cbc_decrypt(&[4; 16], black_box(&mut data)));
    });
    for count in [2, 4, 8] {
        let mut messages = vec![[3; LAYER]; count];
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("cbc_encrypt_batch of {count}"), |b| {
            b.iter(|| {
                let mut jobs: Vec<CbcJob<'_>> = messages
                    .iter_mut()
                    .map(|data| CbcJob { iv: [4; 16], data })
                    .collect();
                encryptor.cbc_encrypt_batch(black_box(&mut jobs))
            });
        });
    }
    group.finish();
}

fn chacha(c: &mut Criterion) {
    let mut group = c.benchmark_group("chacha20");
    let key = AeadKey::new([1; 32]);
    group.bench_function("aead_new", |b| b.iter(|| AeadKey::new(black_box([1; 32]))));
    for len in [64, 1024] {
        let mut data = vec![2; len];
        group.bench_function(format!("seal {len}"), |b| {
            b.iter(|| key.seal(black_box(3), &[4; 32], black_box(&mut data)));
        });
        let mut sealed = data.clone();
        key.seal_vec(3, &[4; 32], &mut sealed);
        group.bench_function(format!("open {len}"), |b| {
            b.iter_batched_ref(
                || sealed.clone(),
                |sealed| {
                    key.open_in_place(3, &[4; 32], sealed)
                        .map(|data| data.len())
                },
                BatchSize::SmallInput,
            );
        });
    }
    for len in [8, 218] {
        let mut data = vec![2; len];
        group.bench_function(format!("apply {len}"), |b| {
            b.iter(|| chacha20::apply(black_box(&[1; 32]), &[2; 12], black_box(&mut data)));
        });
    }
    group.finish();
}

fn hashes(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash");
    group.bench_function("sha256 32", |b| b.iter(|| sha256(black_box(&[1; 32]))));
    group.bench_function("hmac 32", |b| {
        b.iter(|| hmac_sha256(black_box(&[1; 32]), black_box(&[2; 32])));
    });
    group.bench_function("hkdf 64", |b| {
        b.iter(|| {
            hkdf::<64>(
                black_box(&[1; 32]),
                black_box(&[2; 32]),
                b"SymmetricRatchet",
            )
        });
    });
    group.bench_function("siphash 8", |b| {
        b.iter(|| siphash24(1, 2, black_box(&[3; 8])))
    });
    let mut random = Random::from_seed([1; 32]);
    group.bench_function("random u64", |b| b.iter(|| random.u64()));
    group.finish();
}

fn public_keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("public_key");
    let key = PrivateKey::from_bytes([1; 32]);
    let peer = PrivateKey::from_bytes([2; 32]).public();
    group.bench_function("x25519 key", |b| {
        b.iter(|| PrivateKey::from_bytes(black_box([1; 32])));
    });
    group.bench_function("x25519 agree", |b| b.iter(|| key.agree(black_box(&peer))));

    let signing = SigningKey::from_seed(&[3; 32]);
    let message = [4; 500];
    group.bench_function("ed25519 sign", |b| {
        b.iter(|| signing.sign(black_box(&message)))
    });
    let signature = signing.sign(&message);
    let public = signing.public();
    group.bench_function("ed25519 verify", |b| {
        b.iter(|| ramson_crypto::verify(black_box(&public), &message, &signature));
    });
    let parsed = VerifyingKey::from_parts(SignatureKind::Ed25519, &public).expect("it is a key");
    group.bench_function("ed25519 verify, parsed", |b| {
        b.iter(|| parsed.verify(black_box(&message), &signature));
    });

    for (name, kind, public) in [
        ("ecdsa p-256", SignatureKind::EcdsaP256, P256_PUBLIC),
        ("dsa", SignatureKind::Dsa, DSA_PUBLIC),
    ] {
        let public = hex(public);
        group.bench_function(format!("{name} key"), |b| {
            b.iter(|| VerifyingKey::from_parts(kind, black_box(&public)));
        });
        let parsed = VerifyingKey::from_parts(kind, &public).expect("it is a key");
        // One that does not fit costs as much as one that does.
        let signature = vec![1; kind.signature_len()];
        group.bench_function(format!("{name} verify, parsed"), |b| {
            b.iter(|| parsed.verify(black_box(&message), &signature));
        });
    }
    group.finish();
}

/// RFC 6979, A.2.5.
const P256_PUBLIC: &str = "\
    60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

/// The generator of I2P's group.
const DSA_PUBLIC: &str = "\
    0c1f4d27d40093b429e962d7223824e0bbc47e7c832a39236fc683af84889581\
    075ff9082ed32353d4374d7301cda1d23c431f4698599dda02451824ff369752\
    593647cc3ddc197de985e43d136cdcfc6bd5409cd2f450821142a5e6f8eb1c3a\
    b5d0484b8129fcf17bce4f7f33321c3cb3dbb14a905e7b2b3e93be4708cbcc82";

fn hex(text: &str) -> Vec<u8> {
    let digits = text.chars().filter_map(|digit| digit.to_digit(16));
    let digits: Vec<u8> = digits.map(|digit| digit as u8).collect();
    digits
        .as_chunks()
        .0
        .iter()
        .map(|[high, low]| high << 4 | low)
        .collect()
}

criterion_group!(benches, aes, chacha, hashes, public_keys);
criterion_main!(benches);
