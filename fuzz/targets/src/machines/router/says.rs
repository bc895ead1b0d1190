//! What neighbours and the owner of the router say.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ramson_crypto::SigningKey;
use ramson_router::TransitLimits;
use ramson_wire::clove::PayloadBlock;
use ramson_wire::i2np::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, LookupKind,
    ReplyEncryption, StoreEntry, StoreReply, TunnelGateway,
};
use ramson_wire::lease_set::{EncryptionKey, LeaseSetFlags};
use ramson_wire::{
    CloveDelivery, Destination, GarlicClove, I2npMessage, I2npRef, Lease, LeaseSet2Builder,
    LeaseSetType, Mapping, MessageType, RouterHash, RouterInfoBuilder, StoredLeaseSet, TunnelId,
};

use super::net::{Net, Stage};
use crate::machines::peer::{Peer, frame, short};
use crate::machines::tunnel_data::clear;
use crate::reach::{reached, reached_variant};
use crate::script::Script;

/// The longest message that is made here.
const MAX_BODY: usize = 60_000;

impl Net {
    /// One operation of the script.
    pub(super) fn operate(&mut self, operation: u8, script: &mut Script<'_>) {
        match operation {
            0 => {
                self.pass(u64::from(script.u16()) * 50);
                self.note_expiry();
            }
            1 => self.connect(1 + script.u8() % 6),
            2 => {
                let now = self.now();
                let index = self.choose(script.u8());
                if let Some(link) = index.and_then(|index| self.links.get_mut(index)) {
                    link.part.handle_end(now);
                }
            }
            3 => {
                let (link, kind) = (script.u8(), MessageType::from_code(script.u8()));
                let (ttl, repeat) = (script.u8(), script.u8());
                let body = script.piece();
                for _ in 0..=repeat {
                    self.say_until(link, kind, body, ttl);
                }
            }
            4 => self.say_store(script),
            5 => self.say_lookup(script),
            6 => self.say_search_reply(script),
            7 => {
                let (link, which) = (script.u8(), script.u8());
                let id = match which & 1 {
                    0 => script.u32(),
                    _ => self.token().unwrap_or(0),
                };
                self.say_status(link, id);
            }
            8 => self.say_garlic(script),
            9 => self.say_build(script),
            10 => self.answer_build(script),
            11 => self.answer_question(script),
            12 => {
                let (link, tunnel) = (script.u8(), script.u8());
                let (tag, repeat) = (script.u8(), script.u8() % 32);
                for count in 0..=repeat {
                    let payload = self.payload(script, tag.wrapping_add(count));
                    let mut body = BytesMut::new();
                    body.put_u32(self.tunnel(tunnel).get());
                    body.extend_from_slice(&payload);
                    self.say(link, MessageType::TunnelData, &body);
                }
            }
            13 => self.command(script),
            14 => {
                let (link, tunnel, repeat) = (script.u8(), script.u8(), script.u8());
                let message = self.inner(script);
                let mut long = Vec::new();
                message.encode_long(&mut long);
                script.edit(&mut long);
                let gateway = TunnelGateway {
                    tunnel: self.tunnel(tunnel),
                    message: &long,
                };
                let mut body = Vec::new();
                if gateway.encode(&mut body).is_ok() {
                    for _ in 0..=repeat {
                        self.say(link, MessageType::TunnelGateway, &body);
                    }
                }
            }
            15 => self.come_around(),
            16 => {
                self.accept(1 + script.u8() % 6);
            }
            17 => {
                let index = self.choose(script.u8());
                let bytes = script.piece();
                if let Some(index) = index {
                    self.feed(index, bytes);
                }
            }
            18 => {
                let index = self.choose(script.u8());
                let (tag, repeat) = (script.u8(), script.u8());
                let frame = frame(script.piece(), tag);
                for _ in 0..=repeat {
                    if let Some(index) = index {
                        self.feed(index, &frame);
                    }
                }
            }
            _ => {
                let (link, which, key) = (script.u8(), script.u8(), script.u8());
                let now = self.now();
                let Some(index) = self.choose(link) else {
                    return;
                };
                let Some(peer) = self.links.get(index).map(|link| link.peer.clone()) else {
                    return;
                };
                let mut message = match which & 1 {
                    0 => peer.message1(key, which >> 1, now),
                    _ => peer.message3(),
                };
                script.edit(&mut message);
                self.feed(index, &message);
            }
        }
    }

    /// A message of a neighbour.
    pub(super) fn say(&mut self, link: u8, kind: MessageType, body: &[u8]) {
        self.say_until(link, kind, body, 20);
    }

    fn say_until(&mut self, link: u8, kind: MessageType, body: &[u8], ttl: u8) {
        if let Some(index) = self.choose(link) {
            self.say_over(index, kind, body, ttl);
        }
    }

    pub(super) fn say_over(&mut self, index: usize, kind: MessageType, body: &[u8], ttl: u8) {
        let Some(link) = self.links.get(index) else {
            return;
        };
        if link.stage != Stage::Frames || body.len() > MAX_BODY {
            return;
        }
        reached_variant("to us", &kind);
        // Of 255 seconds, 100 were before.
        let expires = self.now().unix + Duration::from_secs(ttl.into());
        let message = I2npRef {
            kind,
            id: u32::from_be_bytes([1, ttl, 2, 3]),
            expires: if ttl > 200 {
                expires - Duration::from_secs(400)
            } else {
                expires
            },
            body,
        };
        let mut content = vec![3];
        content.extend_from_slice(&short(body.len().saturating_add(9)));
        message.encode_short(&mut content);
        let frame = frame(&content, 0);
        self.feed(index, &frame);
    }

    /// A message as the links of routers have it, whose id counts.
    pub(super) fn pass_on(&mut self, index: usize, message: &I2npMessage) {
        let mut content = vec![3];
        content.extend_from_slice(&short(message.short_len()));
        message.encode_short(&mut content);
        let ready = self.links.get(index).map(|link| link.stage) == Some(Stage::Frames);
        if ready && message.body().len() <= MAX_BODY {
            reached_variant("to us", &message.kind());
            let frame = frame(&content, 0);
            self.feed(index, &frame);
        }
    }

    /// Whom a number means.
    pub(super) fn who(&self, number: u8) -> RouterHash {
        match number % 16 {
            0 => self.us,
            near @ 1..=8 => Peer::of(near).hash(),
            far => RouterHash([far; 32]),
        }
    }

    /// What a number means: a router, or the Destination of a LeaseSet.
    fn key(&self, number: u8) -> [u8; 32] {
        match number {
            0..=127 => self.who(number).0,
            _ => *destination(number % 8).hash().as_bytes(),
        }
    }

    fn say_store(&mut self, script: &mut Script<'_>) {
        let (link, what, number) = (script.u8(), script.u8(), script.u8());
        let (answer, gateway) = (script.u8(), script.u8());
        let now = self.now().unix;
        let reply = match answer % 4 {
            0 => None,
            1 => NonZeroU32::new(u32::MAX).map(|token| (token, None)),
            2 => NonZeroU32::new(77).map(|token| (token, None)),
            _ => NonZeroU32::new(78).map(|token| (token, Some(self.tunnel(answer >> 2)))),
        };
        match &reply {
            None => reached("store without an answer"),
            Some((_, None)) => reached("store with an answer"),
            Some(_) => reached("store with an answer through a tunnel"),
        }
        let reply = reply.map(|(token, tunnel)| StoreReply {
            token,
            tunnel,
            gateway: self.who(gateway),
        });
        let mut body = Vec::new();
        let done = match what % 4 {
            kind @ 0..=1 => {
                let peer = Peer::of(1 + number % 12);
                let info = if kind == 0 {
                    peer.info.to_gzip()
                } else {
                    let again = RouterInfoBuilder {
                        identity: peer.info.identity().clone(),
                        published: now,
                        addresses: peer.info.addresses().to_vec(),
                        options: peer.info.options().clone(),
                    };
                    let again = again.sign(&peer.keys.signing).map(|info| info.to_gzip());
                    again.unwrap_or_default()
                };
                reached("store RouterInfo");
                let store = DatabaseStore {
                    key: peer.hash().0,
                    reply,
                    entry: StoreEntry::RouterInfo(&info),
                };
                store.encode(&mut body).is_ok()
            }
            2 => {
                let lease_set = lease_set(number % 8, self.now().unix);
                reached("store LeaseSet LeaseSet2");
                let store = DatabaseStore {
                    key: lease_set.key(),
                    reply,
                    entry: StoreEntry::LeaseSet(LeaseSetType::LeaseSet2, lease_set.as_bytes()),
                };
                store.encode(&mut body).is_ok()
            }
            _ => {
                let raw = script.piece();
                let Some(kind) = LeaseSetType::from_code(number) else {
                    return;
                };
                let Ok(lease_set) = StoredLeaseSet::parse(kind, raw) else {
                    return;
                };
                reached_variant("store LeaseSet", &kind);
                let store = DatabaseStore {
                    key: lease_set.key(),
                    reply,
                    entry: StoreEntry::LeaseSet(kind, raw),
                };
                store.encode(&mut body).is_ok()
            }
        };
        script.edit(&mut body);
        if done {
            self.say(link, MessageType::DatabaseStore, &body);
        }
    }

    fn say_lookup(&mut self, script: &mut Script<'_>) {
        let (link, key, flags, from) = (script.u8(), script.u8(), script.u8(), script.u8());
        let excluded = script.u8() % 4;
        let kind = match (flags >> 2) & 3 {
            0 => LookupKind::Any,
            1 => LookupKind::LeaseSet,
            2 => LookupKind::RouterInfo,
            _ => LookupKind::Exploration,
        };
        reached_variant("look-up", &kind);
        let encryption = match flags & 0x12 {
            0x10 => Some(ReplyEncryption::Ratchet {
                key: [5; 32].into(),
                tag: [6; 8],
            }),
            0x02 => Some(ReplyEncryption::ElGamal {
                key: [5; 32].into(),
                tags: vec![[6; 32]],
            }),
            _ => None,
        };
        match &encryption {
            Some(encryption) => reached_variant("look-up", encryption),
            None => reached("look-up answered in clear"),
        }
        let tunnel = (flags & 1 != 0).then(|| self.tunnel(flags >> 5));
        if tunnel.is_some() {
            reached("look-up through a tunnel");
        }
        let lookup = DatabaseLookup {
            key: self.key(key),
            from: self.who(from),
            kind,
            tunnel,
            excluded: (1..=excluded).map(|number| self.who(number)).collect(),
            encryption,
        };
        let mut body = Vec::new();
        if lookup.encode(&mut body).is_ok() {
            script.edit(&mut body);
            self.say(link, MessageType::DatabaseLookup, &body);
        }
    }

    fn say_search_reply(&mut self, script: &mut Script<'_>) {
        let (link, key, from, count) = (script.u8(), script.u8(), script.u8(), script.u8());
        let asked = self.heard.iter().rev().find_map(|(number, message)| {
            let lookup = DatabaseLookup::parse(message.body()).ok();
            let lookup = lookup.filter(|_| message.kind() == MessageType::DatabaseLookup)?;
            Some((Peer::of(*number).hash(), lookup.key))
        });
        let (from, key) = match asked {
            Some(asked) if key >= 128 => asked,
            _ => (self.who(from), self.key(key)),
        };
        let reply = DatabaseSearchReply {
            key,
            peers: (0..count % 20).map(|number| self.who(number)).collect(),
            from,
        };
        let mut body = Vec::new();
        if reply.encode(&mut body).is_ok() {
            script.edit(&mut body);
            self.say(link, MessageType::DatabaseSearchReply, &body);
        }
    }

    /// The token of the store that the router wants to have confirmed.
    fn token(&self) -> Option<u32> {
        self.heard.iter().rev().find_map(|(_, message)| {
            let is = message.kind() == MessageType::DatabaseStore;
            let store = DatabaseStore::parse(message.body()).ok().filter(|_| is)?;
            Some(store.reply?.token.get())
        })
    }

    pub(super) fn say_status(&mut self, link: u8, id: u32) {
        let status = DeliveryStatus {
            id,
            timestamp: self.now().unix,
        };
        let mut body = Vec::new();
        status.encode(&mut body);
        self.say(link, MessageType::DeliveryStatus, &body);
    }

    fn say_garlic(&mut self, script: &mut Script<'_>) {
        let (link, mode, depth) = (script.u8(), script.u8(), script.u8());
        let mut payload = Vec::new();
        if mode & 1 == 0 {
            let time = PayloadBlock::DateTime(self.now().unix);
            let _ = time.encode(&mut payload);
        }
        for _ in 0..(mode >> 4) {
            let (kind, target, tunnel) = (script.u8(), script.u8(), script.u8());
            let delivery = match kind % 4 {
                0 => CloveDelivery::Local,
                1 => CloveDelivery::Destination(destination(0).hash()),
                2 => CloveDelivery::Router(self.who(target)),
                _ => CloveDelivery::Tunnel {
                    gateway: self.who(target),
                    tunnel: self.tunnel(tunnel),
                },
            };
            reached_variant("clove", &delivery);
            let inner = self.inner(script);
            let message = inner.as_ref();
            let clove = PayloadBlock::Clove(GarlicClove { delivery, message });
            let _ = clove.encode(&mut payload);
        }
        if mode & 2 != 0 {
            payload.extend_from_slice(script.piece());
        }
        script.edit(&mut payload);
        // In as many wrappings as the script wants, each for us.
        let mut body = wrap(&payload, script.u8());
        for _ in 0..depth {
            if body.len() > MAX_BODY - 200 {
                break;
            }
            let mut payload = Vec::new();
            let _ = PayloadBlock::DateTime(self.now().unix).encode(&mut payload);
            let message = I2npRef {
                kind: MessageType::Garlic,
                id: 4,
                expires: self.now().unix + Duration::from_secs(10),
                body: &body,
            };
            let delivery = match mode & 4 {
                0 => CloveDelivery::Router(self.us),
                _ => CloveDelivery::Local,
            };
            let clove = PayloadBlock::Clove(GarlicClove { delivery, message });
            let _ = clove.encode(&mut payload);
            body = wrap(&payload, 0);
        }
        self.say(link, MessageType::Garlic, &body);
    }

    /// A message within another: `[kind: u8][time to live: u8][piece]`; of kind 0, one that is in
    /// order.
    fn inner(&mut self, script: &mut Script<'_>) -> I2npMessage {
        let (kind, ttl) = (script.u8(), script.u8());
        let body = Bytes::copy_from_slice(script.piece());
        let expires = self.now().unix + Duration::from_secs(ttl.into());
        let expires = match ttl {
            201.. => expires - Duration::from_secs(400),
            _ => expires,
        };
        let (kind, body) = match kind {
            0 => {
                let mut body = Vec::new();
                let (id, timestamp) = (1, self.now().unix);
                DeliveryStatus { id, timestamp }.encode(&mut body);
                (MessageType::DeliveryStatus, body.into())
            }
            kind => (MessageType::from_code(kind), body),
        };
        let message = I2npMessage::new(kind, 9, expires, body);
        message.expect("a piece is short enough")
    }

    /// A clear tunnel message: of any payload, or of one that is in order. What comes twice is
    /// dropped, and the IV makes the difference.
    fn payload(&mut self, script: &mut Script<'_>, iv: u8) -> Bytes {
        let how = script.u8();
        if how & 1 == 0 {
            return clear(script.piece(), iv);
        }
        let (delivery, target) = (script.u8() % 3, script.u8());
        let tunnel = self.tunnel(script.u8());
        let message = self.inner(script);
        let mut long = Vec::new();
        message.encode_long(&mut long);
        script.edit(&mut long);
        let (flags, name) = match delivery {
            0 => (0x00, "Local"),
            1 => (0x40, "Router"),
            _ => (0x20, "Tunnel"),
        };
        let mut payload = vec![flags];
        reached(format_args!("endpoint {name}"));
        if delivery == 2 {
            payload.extend_from_slice(&tunnel.get().to_be_bytes());
        }
        if delivery > 0 {
            payload.extend_from_slice(self.who(target).as_bytes());
        }
        payload.extend_from_slice(&short(long.len()));
        payload.extend_from_slice(&long);
        clear(&payload, iv)
    }

    /// The tunnel that a number means: of others, of our own, or none.
    pub(super) fn tunnel(&self, number: u8) -> TunnelId {
        let own = self.own_tunnels.iter().rev();
        let own = own.map(|(_, tunnel)| *tunnel).nth(usize::from(number >> 4));
        let other = TunnelId::new(u32::from(number % 8) + 10).expect("it is not zero");
        match number & 8 {
            0 => other,
            _ => own.unwrap_or(other),
        }
    }

    fn command(&mut self, script: &mut Script<'_>) {
        let handle = &self.router.handle;
        match script.u8() % 8 {
            0 => {
                let from = script.u8() % 16;
                let infos = (from..from + 3).map(|number| Peer::of(number + 1).info.clone());
                handle.seed(infos.collect());
            }
            1 => {
                handle.store_known_routers();
            }
            2 => {
                let router = self.who(script.u8());
                handle.look_up(router, self.outcomes.sender(16));
            }
            3 => {
                let limits = TransitLimits {
                    tunnels: usize::from(script.u8() % 100),
                    rate_bytes_per_s: script.u16().into(),
                };
                handle.set_transit_limits(limits);
            }
            4 => {
                handle.drain();
            }
            5 => {
                handle.stop();
            }
            _ => self.refuse_dials = !self.refuse_dials,
        }
    }
}

/// `[length: u32 BE][ephemeral key: 32][payload][tag: 16]`.
fn wrap(payload: &[u8], tag: u8) -> Vec<u8> {
    let len = payload.len().saturating_add(48);
    let mut body = u32::try_from(len).unwrap_or(0).to_be_bytes().to_vec();
    body.extend_from_slice(&[0x33; 32]);
    body.extend_from_slice(payload);
    body.extend_from_slice(&[tag; 16]);
    body
}

fn destination(number: u8) -> Destination {
    let mut bytes = vec![number; 384 - 32];
    bytes.extend_from_slice(&signer(number).public());
    bytes.extend_from_slice(&[5, 0, 4, 0, 7, 0, 0]);
    Destination::from_bytes(&bytes).expect("keys and a certificate make a Destination")
}

fn signer(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn lease_set(number: u8, now: ramson_wire::UnixTime) -> StoredLeaseSet {
    let builder = LeaseSet2Builder {
        destination: destination(number),
        published: now,
        lifetime_s: 600,
        flags: LeaseSetFlags::from_bits(u16::from(number == 7) << 1),
        offline: None,
        options: Mapping::default(),
        keys: vec![EncryptionKey::x25519(&[number; 32])],
        leases: vec![Lease {
            gateway: Peer::of(2).hash(),
            tunnel: TunnelId::new(5).expect("it is not zero"),
            ends: now + Duration::from_secs(500),
        }],
    };
    let signed = builder.sign(&signer(number)).expect("all is in order");
    (*signed).clone()
}
