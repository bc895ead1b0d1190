//! With what is stored and looked up.

use std::num::NonZeroU32;

use bytes::{BufMut, BytesMut};
use ramson_crypto::Random;
use ramson_wire::i2np::{DatabaseLookup, DatabaseStore, LookupKind, StoreEntry, StoreReply};
use ramson_wire::lease_set::{EncryptionKey, LeaseSetFlags};
use ramson_wire::{
    Destination, Lease, LeaseSet2Builder, Mapping, MessageType, RouterHash, RouterInfo, RoutingKey,
    StoredLeaseSet, UtcDay, Verified,
};

use super::stage::{Stage, config};
use super::{Honest, under_attack};
use crate::core::{DropReason, OwnRouter, RouterKeys};

/// The RouterInfo of somebody whom nobody ever met.
fn stranger(random: &mut Random, stage_now: ramson_proto::Now) -> Verified<RouterInfo> {
    let keys = RouterKeys::generate(random);
    OwnRouter::new(keys, &config(), stage_now)
        .unwrap()
        .info()
        .clone()
}

fn store(key: [u8; 32], entry: StoreEntry<'_>, reply: Option<StoreReply>) -> BytesMut {
    let mut body = BytesMut::new();
    DatabaseStore { key, reply, entry }
        .encode(&mut body)
        .unwrap();
    body
}

#[test]
fn stores_whose_signatures_do_not_hold_are_dropped_and_held_to_a_rate() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    let mut bytes = stage.info_of(loud).as_bytes().to_vec();
    under_attack(&mut stage, |stage, _| {
        for _ in 0..4 {
            // The padding of the identity: another hash each time.
            stage.random.fill(&mut bytes[32..64]);
            let hash = RouterInfo::from_bytes(&bytes).unwrap().hash();
            let gzip = ramson_wire::gzip::store(&bytes).unwrap();
            let body = store(hash.0, StoreEntry::RouterInfo(&gzip), None);
            stage.send(loud, MessageType::DatabaseStore, body);
        }
        // Under another key than its own.
        let gzip = stage.info_of(loud).to_gzip();
        let body = store(stage.random.bytes(), StoreEntry::RouterInfo(&gzip), None);
        stage.send(loud, MessageType::DatabaseStore, body);
    });
    let drops = stage.drops();
    assert!(drops[&DropReason::StoreRefused] < 1000, "{drops:?}");
    assert!(drops[&DropReason::StoreQuota] > 3000, "{drops:?}");
    assert_eq!(stage.router.handle.status().routers, 3);
}

#[test]
fn routers_that_are_made_up_displace_nobody_whom_others_told_of() {
    let mut stage = Stage::new(config());
    let (loud, quiet) = (stage.neighbour("10.9.0.1"), stage.neighbour("10.8.0.1"));
    stage.link(loud);
    stage.link(quiet);
    let mut random = Random::from_seed([3; 32]);
    let mut told = Vec::new();
    for _ in 0..20 {
        let info = stranger(&mut random, stage.now());
        let body = store(info.hash().0, StoreEntry::RouterInfo(&info.to_gzip()), None);
        stage.send(quiet, MessageType::DatabaseStore, body);
        told.push(info.hash());
    }
    stage.run(1000);
    under_attack(&mut stage, |stage, step| {
        if step % 2 == 0 {
            let info = stranger(&mut random, stage.now());
            let gzip = info.to_gzip();
            let body = store(info.hash().0, StoreEntry::RouterInfo(&gzip), None);
            stage.send(loud, MessageType::DatabaseStore, body);
        }
    });
    let status = stage.router.handle.status();
    // Four neighbours, what the quiet one told and an eighth of all places.
    assert_eq!(status.routers, 4 + 20 + 200 / 8);
    for hash in told {
        assert!(stage.router.core.netdb().router(&hash).is_some());
    }
    assert!(stage.dropped(DropReason::StoreQuota) > 0);
}

/// A LeaseSet of somebody.
fn lease_set(random: &mut Random, now: ramson_proto::Now) -> Verified<StoredLeaseSet> {
    // Routers and Destinations are made of the same.
    let keys = RouterKeys::generate(random);
    let destination = Destination::from_bytes(keys.identity().as_bytes()).unwrap();
    let encryption = keys.encryption.public();
    LeaseSet2Builder {
        destination,
        published: now.unix,
        lifetime_s: 600,
        flags: LeaseSetFlags::default(),
        offline: None,
        options: Mapping::default(),
        keys: vec![EncryptionKey::x25519(&encryption)],
        leases: vec![Lease {
            gateway: RouterHash(random.bytes()),
            tunnel: ramson_wire::TunnelId::new(7).unwrap(),
            ends: now.unix + std::time::Duration::from_secs(600),
        }],
    }
    .sign(&keys.signing)
    .unwrap()
}

#[test]
fn lease_sets_that_belong_elsewhere_make_room_for_those_that_belong_here() {
    let mut stage = Stage::new(config());
    let (loud, quiet) = (stage.neighbour("10.9.0.1"), stage.neighbour("10.8.0.1"));
    stage.link(loud);
    stage.link(quiet);
    let us = stage.router.handle.hash();
    let day = UtcDay::of(stage.now().unix);
    let mut random = Random::from_seed([5; 32]);
    let mut made: Vec<_> = (0..200)
        .map(|_| lease_set(&mut random, stage.now()))
        .collect();
    made.sort_by_key(|it| RoutingKey::new(&it.key(), day).distance(&us));
    let far = made.split_off(20);
    let tell = |stage: &mut Stage, neighbour, it: &StoredLeaseSet, token| {
        let reply = NonZeroU32::new(token).map(|token| StoreReply {
            token,
            tunnel: None,
            gateway: stage.hash_of(neighbour),
        });
        let body = store(
            it.key(),
            StoreEntry::LeaseSet(it.kind(), it.as_bytes()),
            reply,
        );
        stage.send(neighbour, MessageType::DatabaseStore, body);
    };
    let mut confirmed = 0;
    under_attack(&mut stage, |stage, step| {
        let step = step as usize;
        // All places are taken when the others come.
        if let Some(it) = far.get(step) {
            tell(stage, loud, it, 0);
        }
        if step >= 500
            && step % 20 == 0
            && let Some(it) = made.get((step - 500) / 20)
        {
            tell(stage, quiet, it, 9);
        }
        let status = |message: &&ramson_proto::ntcp2::LinkMessage| {
            message.kind == MessageType::DeliveryStatus
        };
        confirmed += stage.take(quiet).iter().filter(status).count();
    });
    assert_eq!(stage.router.handle.status().lease_sets, 50);
    assert_eq!(confirmed, made.len());
    let now = stage.now();
    for it in &made {
        let netdb = stage.router.core.netdb();
        assert!(netdb.public_lease_set(&it.key(), now).is_some());
    }
    assert!(stage.dropped(DropReason::StoreRefused) > 50);
}

#[test]
fn look_ups_are_held_to_a_rate_and_do_not_fill_the_queues() {
    let mut stage = Stage::new(config());
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    under_attack(&mut stage, |stage, step| {
        for index in 0..5 {
            // Some want the answer sent to routers that do not exist.
            let from = if index == 0 {
                RouterHash(stage.random.bytes())
            } else {
                stage.hash_of(loud)
            };
            let question = DatabaseLookup {
                key: stage.random.bytes(),
                from,
                kind: if step % 2 == 0 {
                    LookupKind::Any
                } else {
                    LookupKind::Exploration
                },
                tunnel: None,
                excluded: Vec::new(),
                encryption: None,
            };
            let mut body = BytesMut::new();
            question.encode(&mut body).unwrap();
            stage.send(loud, MessageType::DatabaseLookup, body);
        }
    });
    let drops = stage.drops();
    assert!(drops[&DropReason::LookupQuota] > 3000, "{drops:?}");
    assert!(drops[&DropReason::UnknownRouterQuota] > 20, "{drops:?}");
}

#[test]
fn answers_to_nothing_are_dropped() {
    let mut stage = Stage::new(config());
    let mut honest = Honest::begin(&mut stage);
    let loud = stage.neighbour("10.9.0.1");
    stage.link(loud);
    for step in 0..300 {
        let mut reply = BytesMut::new();
        let key: [u8; 32] = stage.random.bytes();
        reply.put_slice(&key);
        reply.put_u8(3);
        reply.put_bytes(7, 3 * 32 + 32);
        stage.send(loud, MessageType::DatabaseSearchReply, reply);
        let mut status = BytesMut::new();
        status.put_u32(stage.random.u32());
        status.put_u64(stage.now().unix.as_millis());
        stage.send(loud, MessageType::DeliveryStatus, status);
        honest.tick(&mut stage, step * 10);
        stage.run(10);
    }
    assert!(honest.arrived * 2 > honest.sent);
    assert_eq!(stage.dropped(DropReason::UnexpectedReply), 600);
}
