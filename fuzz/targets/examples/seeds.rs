//! Writes the inputs that the fuzzing of the machines begins with into `fuzz/corpus`.
//!
//! Run it after a change of a target's script: `cargo run -p ramson-fuzz-targets --features machines
//! --example seeds`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Seeds = BTreeMap<String, Vec<u8>>;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (target, seeds) in [
        ("ntcp2", ntcp2()),
        ("ntcp2_admission", admission()),
        ("tunnel_build", tunnel_build()),
        ("tunnel_data", tunnel_data()),
        ("garlic_router", garlic()),
        ("router_core", core()),
        ("router_link", link()),
        ("router_relay", relay()),
        ("file_router", file_router()),
        ("file_seed", file_seed()),
        ("file_text", file_text()),
        ("transfer_frame", transfer_frame()),
    ] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).unwrap();
        println!("{target}: {}", seeds.len());
        for (name, bytes) in seeds {
            fs::write(folder.join(format!("seed-{name}")), bytes).unwrap();
        }
    }
}

/// `[length][bytes]`, as scripts have it.
fn piece(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    match u8::try_from(len) {
        Ok(short) if short < u8::MAX => [&[short], bytes].concat(),
        _ => [&[u8::MAX][..], &len.to_be_bytes(), bytes].concat(),
    }
}

fn all(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A block of a frame or a payload.
fn block(kind: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    [&[kind][..], &len.to_be_bytes(), data].concat()
}

/// The time in seconds of the targets' first moment.
const TIME: [u8; 4] = 1_790_000_000_u32.to_be_bytes();

fn insert(seeds: &mut Seeds, name: &str, bytes: Vec<u8>) {
    assert!(seeds.insert(name.to_owned(), bytes).is_none(), "{name}");
}

const NO_EDITS: &[u8] = &[0];

/// One edit.
fn edit(at: u16, xor: u8) -> Vec<u8> {
    [&[1][..], &at.to_be_bytes(), &[xor]].concat()
}

fn ntcp2() -> Seeds {
    let mut seeds = Seeds::new();
    // Roles, with the handshake of each: message 2, or messages 1 and 3.
    let dial = all(&[&[1, 3, 7, 0, 5, 9], NO_EDITS]);
    let request = |setup: u8, edits: &[u8]| all(&[&[setup, 3, 7, 0, 5, 9], edits]);
    let confirmed = |edits: &[u8]| all(&[&[7, 1, 0, 0], edits]);
    let accept = all(&[&request(2, NO_EDITS), &confirmed(NO_EDITS)]);
    let frame = |content: &[u8]| all(&[&[6, 0, 0], &piece(content)]);

    let message = all(&[&[1], &7_u32.to_be_bytes(), &TIME, b"a body"]);
    let blocks: [(&str, Vec<u8>); 8] = [
        ("time", block(0, &TIME)),
        ("options", block(1, &[1; 12])),
        ("i2np", block(3, &message)),
        ("termination", block(4, &[0; 9])),
        ("padding", block(254, &[0; 20])),
        ("unknown", block(99, b"?")),
        ("truncated", vec![3, 0, 200, 1]),
        ("skew", block(0, &[1, 2, 3, 4])),
    ];
    for (role, opening) in [("dial", &dial), ("accept", &accept)] {
        insert(&mut seeds, role, opening.clone());
        for (name, block) in &blocks {
            let name = format!("{role}-{name}");
            insert(&mut seeds, &name, all(&[opening, &frame(block)]));
        }
        // Many at once, nobody takes the events for a while.
        let many = all(&[&[8, 6, 0, 200], &piece(&blocks[2].1), &[8]]);
        insert(&mut seeds, &format!("{role}-many"), all(&[opening, &many]));
        let bad_tag = all(&[&[6, 255, 0], &piece(&blocks[0].1)]);
        insert(
            &mut seeds,
            &format!("{role}-tag"),
            all(&[opening, &bad_tag]),
        );
        let short = all(&[&[0], &piece(&[0, 3, 1, 1, 1])]);
        insert(
            &mut seeds,
            &format!("{role}-short"),
            all(&[opening, &short]),
        );
        for (name, end) in [
            ("close", &[4, 0][..]),
            ("end", &[5]),
            ("idle", &[1, 0x0f, 0xff]),
            ("send", &[2, 0, 1, 0, 50, 2, 2, 18, 2, 2, 2, 1, 10, 0, 20]),
            ("send-long", &[2, 0, 1, 0xff, 0xff]),
            ("closed-send", &[5, 2, 0, 1, 0, 1]),
            ("info", &[3, 1, 3, 0]),
            ("refresh", &[1, 4, 0, 2, 0, 1, 0, 1, 1, 4, 0, 3, 0]),
        ] {
            insert(&mut seeds, &format!("{role}-{name}"), all(&[opening, end]));
        }
        let mut small = opening.clone();
        small[0] |= 16;
        let full: Vec<u8> = [2, 2, 18, 1, 200].repeat(6);
        let (settings, opening) = small.split_at(2);
        let full = all(&[settings, &full, opening]);
        insert(&mut seeds, &format!("{role}-full"), full);
    }
    // RouterInfos inside of frames are message 3's: the block begins behind 48 bytes.
    let info = ramson_fuzz_targets::machines::router_info_of(1);
    for (name, flood) in [("info", 0), ("info-flood", 1), ("info-many", 1)] {
        let block = block(2, &[&[flood], &info[..]].concat());
        let repeat = if name == "info-many" { 20 } else { 0 };
        let frame = all(&[&[6, 0, repeat], &piece(&block)]);
        insert(&mut seeds, &format!("in-{name}"), all(&[&dial, &frame]));
    }

    // What the handshake refuses.
    for (name, edits) in [
        ("key", edit(31, 0x80)),
        ("tag", edit(48, 0xff)),
        ("version", edit(33, 3)),
        ("network", edit(32, 9)),
        ("padding", edit(34, 9)),
        ("length", edit(36, 0xff)),
        ("clock", edit(40, 1)),
    ] {
        let first = request(0, &edits);
        let drained = [1, 2, 0];
        let bytes = all(&[&first, &confirmed(NO_EDITS), &drained]);
        insert(&mut seeds, &format!("request-{name}"), bytes);
    }
    for (name, edits) in [
        ("key", edit(31, 0x80)),
        ("tag", edit(48, 0xff)),
        ("padding", edit(34, 9)),
        ("clock", edit(40, 1)),
    ] {
        let bytes = all(&[&[1, 3, 7, 0, 5, 0], &edits]);
        insert(&mut seeds, &format!("created-{name}"), bytes);
    }
    let end = u16::try_from(64 + 4 + info.len()).unwrap();
    for (name, setup, edits) in [
        ("static", 0, edit(3, 1)),
        ("tag-1", 0, edit(32, 0xff)),
        ("tag-2", 0, edit(end - 16 + 16, 0xff)),
        ("block", 0, edit(48, 3)),
        ("malformed", 0, edit(48, 1)),
        ("block-length", 0, edit(49, 0x40)),
        ("identity", 0, edit(48 + 4 + 384, 0xf)),
        ("published", 0, edit(48 + 4 + 391 + 3, 1)),
        ("published-later", 0, edit(48 + 4 + 391 + 2, 1)),
        ("signature", 0, edit(end - 16 - 64, 0xff)),
        ("host", 32, vec![0]),
        ("any-host", 36, vec![0]),
        ("banned", 8, vec![0]),
    ] {
        let bytes = all(&[&request(setup, NO_EDITS), &confirmed(&edits)]);
        insert(&mut seeds, &format!("confirmed-{name}"), bytes);
    }
    // Every place of the times and of the network among the options.
    for at in 0..8_u16 {
        for xor in [1, 0x80] {
            let edits = edit(48 + 4 + 391 + at, xor);
            let bytes = all(&[&request(0, NO_EDITS), &confirmed(&edits)]);
            insert(&mut seeds, &format!("published-{at}-{xor}"), bytes);
        }
    }
    let net_id = info
        .windows(7)
        .position(|part| part == b"netId=\x01")
        .unwrap();
    let edits = edit(u16::try_from(48 + 4 + net_id + 7).unwrap(), 1);
    let bytes = all(&[&request(0, NO_EDITS), &confirmed(&edits)]);
    insert(&mut seeds, "confirmed-network", bytes);
    let other = all(&[&request(0, NO_EDITS), &[9, 2], NO_EDITS]);
    insert(&mut seeds, "confirmed-other", other);
    let replay = all(&[&[0, 3, 7, 0, 0x11, 9], NO_EDITS, &confirmed(NO_EDITS)]);
    insert(&mut seeds, "replay", replay);
    insert(
        &mut seeds,
        "slow-request",
        vec![0, 0, 0, 3, 1, 2, 3, 1, 4, 0],
    );
    insert(&mut seeds, "slow-created", vec![1, 0, 1, 4, 0]);
    let slow = all(&[&request(0, NO_EDITS), &[1, 4, 0]]);
    insert(&mut seeds, "slow-confirmed", slow);
    let early = all(&[&request(0, NO_EDITS), &request(0, NO_EDITS)[2..]]);
    insert(&mut seeds, "request-twice", early);
    // All in one piece.
    let held = all(&[&[0, 0, 8, 7, 0, 5, 9], NO_EDITS, &confirmed(NO_EDITS), &[8]]);
    insert(&mut seeds, "out-of-turn", held);
    seeds
}

fn admission() -> Seeds {
    let mut seeds = Seeds::new();
    let open = |address: u8| [0, 0, address];
    for count in [1, 5, 14] {
        let bytes: Vec<u8> = (0..count).flat_map(open).collect();
        insert(&mut seeds, &format!("sources-{count}"), bytes);
        let bytes = [0, 1, 0x21].repeat(count.into());
        insert(&mut seeds, &format!("one-source-{count}"), bytes);
        let bytes: Vec<u8> = (0..count).flat_map(|key| [2, key]).collect();
        insert(&mut seeds, &format!("keys-{count}"), bytes);
        let bytes: Vec<u8> = (0..count)
            .flat_map(|key| [0, 1, key, 1, 0, 2, key])
            .collect();
        insert(&mut seeds, &format!("mixed-{count}"), bytes);
        let bytes: Vec<u8> = (0..count).flat_map(|_| [2, 7, 3, 0x10, 0]).collect();
        insert(&mut seeds, &format!("again-{count}"), bytes);
    }
    seeds
}

fn tunnel_build() -> Seeds {
    let mut seeds = Seeds::new();
    for hops in [0, 1, 2, 3, 5, 7, 8, 9] {
        for way in [0, 1, 2] {
            let bytes = vec![2, way, hops];
            insert(&mut seeds, &format!("hops-{hops}-{way}"), bytes);
        }
    }
    for (name, bytes) in [
        ("twice", vec![2, 4, 3]),
        ("ourselves", vec![2, 5, 3]),
        ("options", vec![2, 8, 2, 60]),
        ("options-long", vec![2, 8, 2, 120]),
        // Of each hop: edits of its request, the code of its answer, the length of its options.
        ("refused", vec![2, 0, 2, 0, 30, 0, 0, 0, 9]),
        ("refused-in", vec![2, 1, 2, 0, 0, 3, 0, 30, 0]),
        ("reply-options-long", vec![2, 1, 1, 0, 0, 250]),
    ] {
        insert(&mut seeds, name, bytes);
    }
    // One byte of each record changed: before the hop, in the wrapping, in the answer.
    for record in 0..4_u16 {
        for (name, at) in [
            ("prefix", 5),
            ("key", 16 + 31),
            ("role", 88),
            ("next", 60),
            ("tag", 202),
        ] {
            for xor in [0x80, 0xff] {
                let change = edit(1 + record * 218 + at, xor);
                let bytes = all(&[&[2, 1, 1], &change, &[0, 0]]);
                insert(&mut seeds, &format!("before-{name}-{record}-{xor}"), bytes);
            }
        }
        let change = edit(1 + record * 218 + 202, 0xff);
        let bytes = all(&[&[2, 1, 1, 0, 0, 0], &change]);
        insert(&mut seeds, &format!("after-{record}"), bytes);
        let bytes = all(&[&[2, 2, 2, 0, 0, 0, 0, 0, 0], &change]);
        insert(&mut seeds, &format!("after-out-{record}"), bytes);
    }
    for (name, at, xor) in [
        ("count", 0, 12),
        ("count-9", 0, 13),
        ("cut", u16::MAX, 9),
        ("more", 5000, 9),
    ] {
        let bytes = all(&[&[2, 1, 1], &edit(at, xor), &[0, 0]]);
        insert(&mut seeds, &format!("message-{name}"), bytes);
        let bytes = all(&[&[2, 1, 1, 0, 0, 0], &edit(at, xor)]);
        insert(&mut seeds, &format!("reply-{name}"), bytes);
    }
    // A reply with one record less.
    let bytes = all(&[&[2, 1, 1, 0, 0, 0, 2, 0, 0, 7, 0xff, 0xff, 218]]);
    insert(&mut seeds, "reply-record-less", bytes);
    for (name, at, xor) in [
        ("tag", 4, 1),
        ("mac", u16::MAX, 0),
        ("clove", 13, 1),
        ("length", 0, 1),
        ("id", 21, 1),
        ("delivery", 15, 0x40),
    ] {
        let bytes = all(&[&[2, 0, 1, 0, 0, 0], &edit(at, xor)]);
        insert(&mut seeds, &format!("garlic-{name}"), bytes);
    }
    let garlic_len = 4 + 8 + 3 + 1 + 9 + 1 + 4 * 218_u16;
    let bytes = all(&[&[2, 0, 1, 0, 0, 0], &edit(garlic_len, 0xff)]);
    insert(&mut seeds, "garlic-not-authentic", bytes);

    // For one hop: all roles in both formats.
    for (format, plain, role_at) in [(0, 154, 40), (1, 464, 152)] {
        let mut own = vec![0; plain];
        own[3] = 9;
        own[7] = 8;
        own[8..40].copy_from_slice(&[5; 32]);
        for (name, role, layer, zero) in [
            ("participant", 0, 0, false),
            ("gateway", 0x80, 0, false),
            ("endpoint", 0x40, 0, false),
            ("both", 0xc0, 0, false),
            ("layer", 0, 1, false),
            ("no-tunnel", 0, 0, true),
        ] {
            let mut request = own.clone();
            request[role_at] = role;
            request[role_at + 3] = layer;
            if zero {
                request[3] = 0;
            }
            let us = ramson_fuzz_targets::machines::hash_of(0);
            for (end, next) in [("", [5; 32]), ("-us", us)] {
                let mut request = request.clone();
                request[8..40].copy_from_slice(&next);
                let record = [&us[..16], &[0x33; 32], &request, &[0; 16]].concat();
                let other = vec![0x66; record.len()];
                let body = [&[2][..], &other, &record].concat();
                let bytes = all(&[&[format, 0, 0], &body]);
                let name = format!("hop-{format}-{name}{end}");
                insert(&mut seeds, &name, bytes);
            }
        }
    }
    seeds
}

fn tunnel_data() -> Seeds {
    let mut seeds = Seeds::new();
    let send = |to: u8, len: u16| all(&[&[0, 7, to], &len.to_be_bytes()]);
    for setup in [0, 1, 4, 12, 2] {
        for to in 0..3 {
            for (name, len) in [("small", 30), ("medium", 900), ("large", 3000)] {
                let bytes = all(&[&[setup], &send(to, len), &send(to, 100), &[1, 2, 3]]);
                insert(&mut seeds, &format!("{setup}-{to}-{name}"), bytes);
            }
        }
    }
    let large = send(0, 5000);
    for (name, rest) in [
        ("empty", send(0, 0)),
        ("too-long", send(0, 0xffff)),
        ("full", all(&[&send(0, 3900), &send(0, 3900)])),
        ("reorder", all(&[&large, &[2; 6], &[4, 3, 4, 1, 4, 2]])),
        ("lost", all(&[&large, &[2; 6], &[3, 5, 3, 3]])),
        ("twice", all(&[&large, &[2; 6], &[6, 6, 3, 6, 3]])),
        ("late", all(&[&large, &[2; 6], &[3, 3, 9, 4, 0, 3]])),
        (
            "tampered",
            all(&[&large, &[2; 6], &[7], &edit(300, 1), &[3]]),
        ),
        ("cut", all(&[&large, &[2; 6], &[7], &edit(u16::MAX, 1)])),
        ("short", all(&[&[10], &piece(&[1; 100])])),
        ("padding", all(&[&[10], &piece(&[1; 1024])])),
        // Made by hand: a message in pieces that contradict each other.
        ("whole", all(&[&[8], &piece(&[0, 0, 2, b'h', b'i'])])),
        ("no-data", all(&[&[8], &piece(&[0, 0, 0])])),
        ("bad-flags", all(&[&[8], &piece(&[0x60, 0, 1, 1])])),
        (
            "contradiction",
            all(&[
                &[8],
                &piece(&[0x85, 0, 0, 0, 9, 0, 1, 1]),
                &[8],
                &piece(&[0x89, 0, 0, 0, 9, 0, 1, 1]),
            ]),
        ),
        (
            "delay-and-extension",
            all(&[&[8], &piece(&[0x14, 9, 2, 1, 1, 0, 1, b'!'])]),
        ),
    ] {
        insert(&mut seeds, name, all(&[&[0], &rest]));
    }
    let many: Vec<u8> = (0..9_u8)
        .flat_map(|id| all(&[&[8], &piece(&[8, 0, 0, 0, id, 0, 1, 1])]))
        .collect();
    insert(&mut seeds, "many-unfinished", all(&[&[2], &many]));
    seeds
}

/// A clove: `[delivery][message of a short header]`.
fn clove(delivery: &[u8], kind: u8, body: &[u8]) -> Vec<u8> {
    let message = all(&[&[kind], &7_u32.to_be_bytes(), &TIME, body]);
    block(11, &all(&[delivery, &message]))
}

fn garlic() -> Seeds {
    let mut seeds = Seeds::new();
    let time = block(0, &TIME);
    let deliveries: [(&str, Vec<u8>); 6] = [
        ("local", vec![0]),
        ("destination", all(&[&[0x20], &[1; 32]])),
        ("router", all(&[&[0x40], &[1; 32]])),
        ("tunnel", all(&[&[0x60], &[1; 32], &[0, 0, 0, 9]])),
        ("delay", vec![0x10, 0, 0, 0, 1]),
        ("encrypted", vec![0x80]),
    ];
    for mode in [2, 3] {
        for (name, delivery) in &deliveries {
            let clove = clove(delivery, 10, &[1; 12]);
            let name = format!("{name}-{mode}");
            insert(&mut seeds, &name, all(&[&[mode], &time, &clove]));
        }
        for (name, block) in [
            ("stale", block(0, &[0, 0, 0, 1])),
            ("termination", block(4, &[1])),
            ("numbers", block(6, &[0, 1])),
            ("key", block(7, &[1; 35])),
            ("ack", block(8, &[0; 8])),
            ("ack-request", block(9, &[0])),
            ("padding", block(254, &[0; 9])),
            ("unknown", block(200, &[0; 9])),
            ("truncated", vec![11, 9, 9]),
        ] {
            insert(
                &mut seeds,
                &format!("{name}-{mode}"),
                all(&[&[mode], &block]),
            );
        }
        let many = clove(&[0], 10, &[1; 12]).repeat(20);
        insert(
            &mut seeds,
            &format!("many-{mode}"),
            all(&[&[mode], &time, &many]),
        );
    }
    insert(&mut seeds, "too-short", vec![0, 1, 2, 3]);
    insert(&mut seeds, "bad-key", all(&[&[0], &[0xff; 60]]));
    insert(
        &mut seeds,
        "not-authentic",
        all(&[&[0], &[1; 60], &[0xff; 16]]),
    );
    insert(&mut seeds, "other-tag", all(&[&[1], &[1; 60]]));
    insert(
        &mut seeds,
        "key-not-authentic",
        all(&[&[1], &[9; 8], &[0xff; 16]]),
    );
    seeds
}

// Operations of `router_core`.
const TIME_PASSES: u8 = 0;
const SEED: [u8; 3] = [13, 0, 0];

fn core() -> Seeds {
    let mut seeds = Seeds::new();
    let tick = [TIME_PASSES, 0, 10];
    for kind in [1, 2, 3, 10, 11, 18, 19, 20, 21, 22, 23, 24, 25, 26, 77_u8] {
        let bytes = all(&[&[1, 3, 0, kind, 20, 0], &piece(&[1; 70]), &tick]);
        insert(&mut seeds, &format!("raw-{kind}"), bytes);
    }
    insert(
        &mut seeds,
        "expired",
        all(&[&[1, 3, 0, 1, 255, 0], &piece(&[1; 70])]),
    );
    for what in 0..3 {
        for answer in 0..4 {
            let store = [4, 0, what, 3, answer, 2, 0];
            let bytes = all(&[&[1], &store, &store, &tick]);
            insert(&mut seeds, &format!("store-{what}-{answer}"), bytes);
        }
    }
    let damaged = all(&[&[1, 4, 0, 0, 3, 0, 2], &edit(40, 0x55), &tick]);
    insert(&mut seeds, "store-damaged", damaged);
    for (name, kind) in [
        ("lease-set", 1),
        ("lease-set-2", 3),
        ("encrypted", 5),
        ("meta", 7),
    ] {
        let Some(found) = lease_set_of(kind) else {
            println!("no LeaseSet of kind {kind}");
            continue;
        };
        let bytes = all(&[&[1, 4, 0, 3, kind, 0, 2], &piece(&found), NO_EDITS, &tick]);
        insert(&mut seeds, &format!("store-raw-{name}"), bytes);
    }
    for flags in 0..32_u8 {
        for (name, key) in [("router", 2), ("ourselves", 0), ("lease-set", 131)] {
            let stores = [4, 0, 2, 3, 0, 2, 0, 4, 0, 1, 1, 0, 2, 0];
            let lookup = [5, 1, key, flags, 3, 2, 0];
            let bytes = all(&[&[1], &stores, &lookup, &tick]);
            insert(&mut seeds, &format!("look-up-{name}-{flags}"), bytes);
        }
    }
    insert(
        &mut seeds,
        "look-up-no-floodfill",
        vec![0, 5, 1, 2, 0, 3, 2, 0, 0, 0, 9],
    );
    // Three hundred of each, more than a neighbour may.
    for (name, kind) in [
        ("stores", 1),
        ("look-ups", 2),
        ("garlic", 11),
        ("builds", 25),
    ] {
        let one = all(&[&[3, 0, kind, 20, 255], &piece(&[1; 40])]);
        insert(
            &mut seeds,
            &format!("flood-{name}"),
            all(&[&[1], &one, &one, &tick]),
        );
    }
    for delivery in 0..4 {
        for target in [0, 1, 9] {
            // A DeliveryStatus in order, and a look-up without one.
            let status = all(&[&[delivery, target, 0, 0, 10], &piece(b"")]);
            let other = all(&[&[delivery, target, 1, 2, 10], &piece(&[1; 67])]);
            let bytes = all(&[&[1, 8, 0, 0x20, 0], &status, &other, NO_EDITS, &[0], &tick]);
            insert(&mut seeds, &format!("garlic-{delivery}-{target}"), bytes);
        }
    }
    insert(
        &mut seeds,
        "garlic-stale",
        all(&[&[1, 8, 0, 1, 0], NO_EDITS, &[0], &tick]),
    );
    insert(
        &mut seeds,
        "garlic-tag",
        all(&[&[1, 8, 0, 0, 0], NO_EDITS, &[255], &tick]),
    );
    for mode in [0, 4] {
        let bytes = all(&[&[1, 8, 0, mode, 250], NO_EDITS, &[0], &tick]);
        insert(&mut seeds, &format!("garlic-deep-{mode}"), bytes);
    }
    for format in [0, 1] {
        for role in 0..3 {
            let request = [9, 0, format, role, 1, 2, 0, 0x44, 0, 0, 0];
            let bytes = all(&[&[1], &request, &request, &tick]);
            insert(&mut seeds, &format!("build-{format}-{role}"), bytes);
            let to_us = [9, 0, format, role, 1, 0, 0, 0x45, 0, 0, 0];
            let bytes = all(&[&[1], &to_us, &tick]);
            insert(&mut seeds, &format!("build-us-{format}-{role}"), bytes);
        }
        let old = [9, 0, format, 1, 1, 2, 60, 0x46, 0, 0, 0];
        insert(
            &mut seeds,
            &format!("build-old-{format}"),
            all(&[&[1], &old, &tick]),
        );
        let kind = [9, 0, format, 1, 1, 2, 0, 0x47, 1, 0, 0];
        insert(
            &mut seeds,
            &format!("build-kind-{format}"),
            all(&[&[1], &kind, &tick]),
        );
        let many: Vec<u8> = (0..9)
            .flat_map(|n| [9, 0, format, 1, n, 2, 0, n, 0, 0, 0])
            .collect();
        insert(
            &mut seeds,
            &format!("build-many-{format}"),
            all(&[&[5], &many, &tick]),
        );
    }
    // Our own tunnels: hops accept, refuse, or what they say is damaged; then tests go around.
    for setup in [0, 16] {
        let answer = |code: u8| [10, code, 0, code, 0];
        let around = [15, TIME_PASSES, 0, 10, 15];
        let mut good = all(&[&[setup], &SEED, &tick]);
        for _ in 0..6 {
            good.extend_from_slice(&answer(0).repeat(3));
            good.extend_from_slice(&around);
            good.extend_from_slice(&[TIME_PASSES, 0, 40]);
            good.extend_from_slice(&around);
        }
        insert(&mut seeds, &format!("own-{setup}"), good.clone());
        good.extend_from_slice(&[TIME_PASSES, 0x40, 0]);
        insert(&mut seeds, &format!("own-expire-{setup}"), good);
        let bad = all(&[
            &[setup],
            &SEED,
            &tick,
            &answer(30),
            &tick,
            &answer(30),
            &tick,
        ]);
        insert(&mut seeds, &format!("own-refused-{setup}"), bad);
        let silent = all(&[&[setup], &SEED, &tick, &[TIME_PASSES, 1, 0]]);
        insert(&mut seeds, &format!("own-silent-{setup}"), silent);
        for at in [100, 203, 420, 640, 860] {
            let one = all(&[&[10, 0], NO_EDITS, &[0], &edit(at, 0xff)]);
            let bytes = all(&[&[setup], &SEED, &tick, &one, &tick, &one, &tick]);
            insert(&mut seeds, &format!("own-damaged-{setup}-{at}"), bytes);
        }
    }
    // Look-ups of ours and what is answered.
    let ask = |who: u8| [13, 2, who];
    for (name, rest) in [
        ("answered", all(&[&ask(6), &[11, 1], &tick])),
        ("unanswered", all(&[&ask(6), &[TIME_PASSES, 1, 64]])),
        (
            "unknown",
            all(&[&ask(12), &[6, 0, 200, 0, 7, 0], &[TIME_PASSES, 1, 64]]),
        ),
        ("known", all(&[&ask(1), &[11, 1], &tick])),
        ("confirmed", all(&[&tick, &[11, 0], &tick])),
        ("stored", all(&[&[13, 1], &tick])),
        ("limits", all(&[&[13, 3, 0, 0, 9], &tick])),
        (
            "drain",
            all(&[&[13, 4], &[9, 0, 0, 1, 1, 2, 0, 0x44, 0, 0, 0], &tick]),
        ),
        ("stop", all(&[&[13, 5], &tick])),
        ("end", all(&[&[2, 0], &tick, &[2, 0], &tick])),
        ("day", all(&[&[TIME_PASSES, 0xff, 0xff].repeat(3)])),
        (
            "explore",
            all(&[&[TIME_PASSES, 1, 0], &[6, 0, 200, 0, 7, 0], &tick]),
        ),
    ] {
        insert(&mut seeds, name, all(&[&[1], &SEED, &tick, &rest]));
        insert(
            &mut seeds,
            &format!("{name}-no-dials"),
            all(&[&[3], &SEED, &tick, &rest]),
        );
    }
    let in_tunnel = all(&[&[12, 0, 8, 1, 0, 1, 0, 0, 0, 0, 10], &piece(b""), NO_EDITS]);
    insert(&mut seeds, "tunnel-data", all(&[&[1], &in_tunnel, &tick]));
    let gateway = all(&[&[14, 0, 1, 0, 0, 10], &piece(b""), NO_EDITS]);
    let build = [9, 0, 0, 0, 1, 2, 0, 0x44, 0, 0, 0];
    insert(
        &mut seeds,
        "tunnel-gateway",
        all(&[&[1], &build, &gateway, &tick]),
    );
    seeds
}

/// A LeaseSet of this kind among the inputs of `wire_lease_set`, which begin with the kind.
fn lease_set_of(kind: u8) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/wire_lease_set");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    let inputs = files.iter().map(|file| fs::read(file).unwrap());
    let mut inputs = inputs.filter(|bytes| bytes.first() == Some(&kind));
    inputs.find_map(|bytes| {
        let kind = ramson_wire::LeaseSetType::from_code(kind)?;
        let rest = bytes.get(1..)?.to_vec();
        ramson_wire::StoredLeaseSet::parse(kind, &rest).ok()?;
        Some(rest)
    })
}

fn link() -> Seeds {
    let mut seeds = Seeds::new();
    // The operations are numbered among those of the target.
    let [time, connect, end, raw, status, shell, gateway] = [0, 1, 2, 3, 4, 5, 6];
    let [accept, bytes, frame, handshake] = [7, 8, 9, 10];
    let tick = [time, 0, 10];
    let message = |which: u8, edits: &[u8]| all(&[&[handshake, 0, which, 9], edits]);
    for (name, rest) in [
        ("accept", vec![accept, 0]),
        ("accept-many", [accept, 0].repeat(20)),
        ("connect", vec![connect, 0, connect, 0, connect, 1]),
        ("end", vec![connect, 0, end, 0]),
        (
            "raw",
            all(&[&[connect, 0, raw, 0, 18, 20, 0], &piece(&[0; 50])]),
        ),
        ("status", vec![connect, 0, status, 0, 0, 1, 2, 3, 4]),
        (
            "dial",
            all(&[&[shell, 0, 0, connect, 0], &tick, &[time, 0, 100]]),
        ),
        (
            "dial-end",
            all(&[&[shell, 0, 0, connect, 0], &tick, &[end, 1], &tick]),
        ),
        (
            "gateway",
            all(&[&[connect, 0, gateway, 0, 0, 0, 0, 9], &piece(b""), NO_EDITS]),
        ),
        ("bytes", all(&[&[accept, 0, bytes, 0], &piece(&[1; 80])])),
        (
            "frame",
            all(&[&[connect, 0, frame, 0, 0, 0], &piece(&block(0, &TIME))]),
        ),
        (
            "frame-many",
            all(&[
                &[connect, 0, frame, 0, 0, 255],
                &piece(&block(254, &[0; 9])),
            ]),
        ),
        (
            "handshake",
            all(&[&[accept, 0], &message(0, NO_EDITS), &message(1, NO_EDITS)]),
        ),
        (
            "padded",
            all(&[&[accept, 0], &message(80, NO_EDITS), &message(1, NO_EDITS)]),
        ),
        (
            "bad-request",
            all(&[&[accept, 0], &message(0, &edit(33, 1)), &[time, 1, 0]]),
        ),
        (
            "bad-confirmed",
            all(&[
                &[accept, 0],
                &message(0, NO_EDITS),
                &message(1, &edit(3, 1)),
            ]),
        ),
        (
            "half-open",
            all(&[&[accept, 0], &message(0, NO_EDITS), &[time, 2, 0]]),
        ),
        ("stop", all(&[&[connect, 0, connect, 1, shell, 5], &tick])),
        ("idle", vec![connect, 0, time, 0x0c, 0]),
        (
            "short-tunnel-data",
            all(&[&[connect, 0, raw, 0, 18, 20, 0], &piece(&[0; 3]), &[end, 0]]),
        ),
    ] {
        insert(&mut seeds, name, all(&[&[1], &rest]));
        insert(&mut seeds, &format!("{name}-no-dials"), all(&[&[2], &rest]));
    }
    seeds
}

fn relay() -> Seeds {
    let mut seeds = Seeds::new();
    let [time, end, build, answer, data, shell, gateway, around] = [0, 1, 2, 3, 4, 5, 6, 7];
    let tick = [time, 0, 10];
    let any = |tunnel: u8, iv: u8| all(&[&[data, 0, tunnel, iv, 0, 0], &piece(&[0, 0, 2, 1, 1])]);
    for tunnel in [0, 1, 2, 7] {
        insert(
            &mut seeds,
            &format!("data-{tunnel}"),
            all(&[&[0], &any(tunnel, 1), &tick]),
        );
        let many: Vec<u8> = (0..20).flat_map(|iv| any(tunnel, iv)).collect();
        insert(
            &mut seeds,
            &format!("data-many-{tunnel}"),
            all(&[&[8], &many, &tick]),
        );
        let twice = all(&[&any(tunnel, 1), &any(tunnel, 1)]);
        insert(
            &mut seeds,
            &format!("data-twice-{tunnel}"),
            all(&[&[0], &twice, &tick]),
        );
        let message = all(&[&[gateway, 0, tunnel, 0, 0, 9], &piece(b""), NO_EDITS]);
        insert(
            &mut seeds,
            &format!("gateway-{tunnel}"),
            all(&[&[0], &message, &tick]),
        );
        let large = all(&[
            &[gateway, 0, tunnel, 200, 20, 9],
            &piece(&[9; 3000]),
            NO_EDITS,
        ]);
        insert(
            &mut seeds,
            &format!("gateway-many-{tunnel}"),
            all(&[&[0], &large, &tick]),
        );
        let damaged = all(&[&[gateway, 0, tunnel, 0, 0, 9], &piece(b""), &edit(14, 9)]);
        insert(
            &mut seeds,
            &format!("gateway-damaged-{tunnel}"),
            all(&[&[0], &damaged, &tick]),
        );
        let mut other = any(tunnel, 1);
        other[1] = 1;
        insert(
            &mut seeds,
            &format!("data-other-{tunnel}"),
            all(&[&[0], &other, &tick]),
        );
    }
    for delivery in 0..3 {
        for target in [0, 1, 6, 9] {
            for (name, ttl) in [("", 9), ("-expired", 250)] {
                let message = [data, 0, 2, 1, 0, 1, delivery, target, 1, 0, ttl];
                let bytes = all(&[&[0], &message, &piece(b""), NO_EDITS, &tick]);
                insert(
                    &mut seeds,
                    &format!("deliver-{delivery}-{target}{name}"),
                    bytes,
                );
            }
        }
    }
    // The smallest fragments there can be, as many as fit.
    let tiny = [0, 0, 1, 7].repeat(250);
    let bytes = all(&[
        &[0, data, 0, 2, 1, 31],
        &all(&[&[0], &piece(&tiny)]).repeat(32),
        &tick,
    ]);
    insert(&mut seeds, "deliver-tiny", bytes);
    let mut own = all(&[&[0, shell, 0, 0], &tick]);
    for _ in 0..4 {
        own.extend_from_slice(&[answer, 0, 0, 0, 0].repeat(6));
        own.extend_from_slice(&[around, time, 0, 40, around, time, 0, 10]);
    }
    insert(&mut seeds, "own", own);
    insert(&mut seeds, "expire", vec![0, time, 0x30, 0, time, 0x10, 0]);
    insert(
        &mut seeds,
        "rate",
        all(&[&[0, shell, 3, 9, 0, 1], &any(1, 1), &tick]),
    );
    insert(&mut seeds, "end", all(&[&[0, end, 0], &any(1, 1), &tick]));
    let request = [build, 0, 0, 1, 4, 2, 0, 0x44, 0, 0, 0];
    insert(
        &mut seeds,
        "build",
        all(&[&[0], &request, &any(4, 1), &tick]),
    );
    seeds
}

/// RouterInfos whose signature holds, which is not so of those of the fake.
fn router_infos() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/wire_router_info");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    let infos = files.iter().map(|file| fs::read(file).unwrap());
    let info = |bytes: Vec<u8>| ramson_wire::RouterInfo::from_bytes(&bytes).ok();
    let infos = infos.filter_map(info);
    let good = infos.filter_map(|info| info.verify().ok());
    good.map(|info| info.as_bytes().to_vec()).collect()
}

fn file_router() -> Seeds {
    let mut seeds = Seeds::new();
    let magic = b"ramson routers 1";
    let infos = router_infos();
    println!("RouterInfos whose signature holds: {}", infos.len());
    let record = |info: &[u8]| {
        let len = u16::try_from(info.len()).unwrap().to_be_bytes();
        all(&[b"\xf3RI\x9c", &len, info, &[0; 32]])
    };
    insert(&mut seeds, "empty", Vec::new());
    insert(&mut seeds, "magic", magic.to_vec());
    insert(&mut seeds, "text", b"no routers at all".to_vec());
    for (at, info) in infos.iter().enumerate() {
        let one = record(info);
        insert(&mut seeds, &format!("one-{at}"), all(&[magic, &one]));
        insert(&mut seeds, &format!("two-{at}"), all(&[magic, &one, &one]));
        let cut = &one[..one.len() / 2];
        insert(&mut seeds, &format!("cut-{at}"), all(&[magic, cut, &one]));
        insert(
            &mut seeds,
            &format!("noise-{at}"),
            all(&[magic, b"noise", &one, b"end"]),
        );
        let mut damaged = one.clone();
        damaged[200] ^= 1;
        insert(
            &mut seeds,
            &format!("damaged-{at}"),
            all(&[magic, &damaged, &one]),
        );
    }
    let marks = b"\xf3RI\x9c".repeat(50);
    insert(&mut seeds, "marks", all(&[magic, &marks]));
    for len in [0, 1, 0xffff_u16] {
        let bytes = all(&[magic, b"\xf3RI\x9c", &len.to_be_bytes(), &[0; 40]]);
        insert(&mut seeds, &format!("length-{len}"), bytes);
    }
    let keys = all(&[b"ramson router 1\n", &[3; 32 * 3 + 16 + 64]]);
    let sum = ramson_crypto::sha256(&keys);
    insert(&mut seeds, "keys", all(&[&keys, &sum]));
    insert(&mut seeds, "keys-sum", all(&[&keys, &[0; 32]]));
    insert(&mut seeds, "keys-cut", keys);
    seeds
}

fn file_seed() -> Seeds {
    let mut seeds = file_router();
    let infos = router_infos();
    for (at, info) in infos.iter().enumerate() {
        insert(&mut seeds, &format!("info-{at}"), info.clone());
        insert(&mut seeds, &format!("zip-{at}"), zip_of(&[("a.dat", info)]));
    }
    let two = [("netDb/rA/a.dat", &b"none"[..]), ("netDb/rA/", &b""[..])];
    insert(&mut seeds, "zip-none", zip_of(&two));
    insert(&mut seeds, "zip-empty", zip_of(&[]));
    insert(&mut seeds, "zip-begin", b"PK\x03\x04".to_vec());
    seeds
}

/// A zip file whose entries are stored as they are (PKWARE, APPNOTE, 4.3).
fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut crc = u32::MAX;
        for byte in *content {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            }
        }
        let len = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let at = u32::try_from(out.len()).unwrap().to_le_bytes();
        let common = all(&[
            &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0],
            &(!crc).to_le_bytes(),
            &len,
            &len,
            &name_len,
            &[0, 0],
        ]);
        out.extend(all(&[b"PK\x03\x04", &common, name.as_bytes(), content]));
        directory.extend(all(&[
            b"PK\x01\x02",
            &[20, 0],
            &common,
            &[0; 10],
            &at,
            name.as_bytes(),
        ]));
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let at = u32::try_from(out.len()).unwrap().to_le_bytes();
    let end = all(&[b"PK\x05\x06", &[0; 4], &count, &count, &size, &at, &[0, 0]]);
    all(&[&out, &directory, &end])
}

fn file_text() -> Seeds {
    let mut seeds = Seeds::new();
    for (name, text) in [
        (
            "config",
            "data = \"d\"\nbandwidth_kb_per_s = 100\n[ntcp2]\nport = 1\n",
        ),
        (
            "config-all",
            "data = \"d\"\nseed = \"s\"\nlog = \"debug\"\nnetwork_id = 77\nallow_local = true\n\
             [ntcp2]\nlisten = \"127.0.0.1:1\"\npublished = \"127.0.0.1:1\"\n\
             [transit]\ntunnels = 5\nrate_kb_per_s = 3\nshare = 50\n\
             [exploratory]\nhops = 2\nquantity = 3\n",
        ),
        (
            "config-any",
            "data = \"d\"\n[ntcp2]\npublished = \"0.0.0.0:1\"\n",
        ),
        ("config-open", "data = \"d\n"),
        ("config-table", "[ntcp2\n"),
        ("config-unknown", "data = \"d\"\nmore = 1\n"),
        ("hosts", "# a comment\nexample.i2p=AAAA\n"),
        ("hosts-no", "example.i2p\n"),
        ("hosts-name", "\u{e9}.i2p=AAAA#!a=b\n"),
        ("numbers", "{\"version\":\"1\",\"links\":7}"),
        ("numbers-array", "[[[[[[[["),
        ("numbers-string", "\"\\u00"),
        ("empty", ""),
    ] {
        insert(&mut seeds, name, text.as_bytes().to_vec());
    }
    seeds
}

fn transfer_frame() -> Seeds {
    let mut seeds = Seeds::new();
    for (name, kind, body) in [
        ("hello", 1_u8, all(&[b"RAMSONtx", &[0; 14]])),
        ("hello-other", 1, vec![0; 22]),
        ("offer", 2, all(&[&[0; 44], b"name"])),
        ("start", 3, vec![0; 12]),
        ("data", 4, vec![1; 30]),
        ("data-none", 4, Vec::new()),
        ("end", 5, vec![0; 4]),
        ("bye", 6, Vec::new()),
        ("abort", 7, vec![0; 4]),
        ("working", 8, Vec::new()),
        ("welcome", 0x81, all(&[b"RAMSONtx", &[0, 1]])),
        ("resume", 0x82, vec![0; 44]),
        ("have", 0x83, vec![0; 4]),
        ("refuse-file", 0x84, vec![0, 0, 0, 1, 2]),
        ("done", 0x85, vec![0; 4]),
        ("damaged", 0x86, vec![0; 4]),
        ("refuse-all", 0x87, vec![3]),
        ("goodbye", 0x88, Vec::new()),
        ("progress", 0x89, vec![0; 12]),
        ("unknown", 0x99, vec![0; 12]),
    ] {
        insert(&mut seeds, name, all(&[&[kind], &body]));
    }
    seeds
}
