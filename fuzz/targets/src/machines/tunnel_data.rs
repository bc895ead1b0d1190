use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ramson_crypto::{Random, sha256};
use ramson_proto::tunnel::reassembly::{
    EndpointKind, ReassemblyLimits, TunnelMessageError, TunnelOutput,
};
use ramson_proto::tunnel::{
    DuplicateFilter, Endpoint, Gateway, HopLayer, LAYERED_LEN, TunnelKeys, TunnelLayers, duplicates,
};
use ramson_wire::delivery::{Fragments, Instructions};
use ramson_wire::{RouterHash, TunnelDelivery, TunnelId};

use super::peer::at;
use crate::reach::{reached, reached_variant};
use crate::script::Script;

/// What the inputs of [`tunnel_data`] have to reach.
pub const TUNNEL_DATA: &[&str] = &[
    "whole Local",
    "whole Tunnel",
    "whole Router",
    "first Local",
    "first Tunnel",
    "first Router",
    "follow on",
    "follow on, last",
    "out Local",
    "out Tunnel",
    "out Router",
    "gateway Length",
    "gateway Full",
    "endpoint Length",
    "endpoint Padding",
    "endpoint Checksum",
    "endpoint Instructions",
    "dropped, not local",
    "dropped, duplicate",
    "dropped, inconsistent",
    "dropped, expired",
    "dropped, full",
    "filtered",
];

/// What goes into a gateway comes out of the endpoint, in the same order, through any hops; what is
/// lost, changed or made up on the way costs no more than itself.
pub fn tunnel_data(data: &[u8]) {
    let mut script = Script::new(data);
    let setup = script.u8();
    let mut tunnel = Tunnel::new(setup);
    while let Some(operation) = script.operation(11) {
        tunnel.operate(operation, &mut script);
        tunnel.collect();
    }
    tunnel.finish();
}

const INBOUND: u8 = 1;
const SMALL: u8 = 2;

struct Tunnel {
    gateway: Gateway,
    endpoint: Endpoint,
    layers: TunnelLayers,
    hops: Vec<HopLayer>,
    filter: DuplicateFilter,
    random: Random,
    /// Layered messages under way.
    wire: VecDeque<[u8; LAYERED_LEN]>,
    sent: Vec<TunnelOutput>,
    came: Vec<TunnelOutput>,
    inbound: bool,
    /// Nothing was lost, delayed or made up.
    faithful: bool,
    millis: u64,
    next_id: u32,
}

impl Tunnel {
    fn new(setup: u8) -> Self {
        let keys: Vec<TunnelKeys> = (0..(setup >> 2) % 4)
            .map(|hop| TunnelKeys {
                layer: [hop; 32],
                iv: [hop | 64; 32],
            })
            .collect();
        let inbound = setup & INBOUND != 0;
        let kind = match inbound {
            true => EndpointKind::Inbound,
            false => EndpointKind::Outbound,
        };
        let limits = match setup & SMALL {
            0 => ReassemblyLimits::TRANSIT,
            _ => ReassemblyLimits {
                messages: 2,
                bytes: 3000,
                age: Duration::from_secs(10),
            },
        };
        let mut random = Random::from_seed([3; 32]);
        Self {
            gateway: Gateway::new(4000),
            endpoint: Endpoint::new(kind, limits),
            layers: TunnelLayers::new(&keys),
            hops: keys.iter().map(HopLayer::new).collect(),
            filter: DuplicateFilter::new(1 << 14, Duration::from_secs(60), &mut random),
            random,
            wire: VecDeque::new(),
            sent: Vec::new(),
            came: Vec::new(),
            inbound,
            faithful: setup & SMALL == 0,
            millis: 0,
            next_id: 1,
        }
    }

    fn operate(&mut self, operation: u8, script: &mut Script<'_>) {
        match operation {
            0 => self.send(script),
            1 => {
                let mut message = [0; LAYERED_LEN];
                if self.gateway.poll_full(&mut self.random, &mut message) {
                    self.push(message);
                }
            }
            2 => self.flush(),
            3 => {
                if let Some(message) = self.wire.pop_front() {
                    self.deliver(message);
                }
            }
            4 => {
                self.faithful = false;
                let index = usize::from(script.u8()).checked_rem(self.wire.len());
                if let Some(message) = index.and_then(|index| self.wire.remove(index)) {
                    self.deliver(message);
                }
            }
            5 => {
                self.faithful = false;
                self.wire.pop_front();
            }
            6 => {
                // Once more; the filter of a hop would have seen it.
                self.faithful = false;
                if let Some(message) = self.wire.front().copied() {
                    self.deliver(message);
                }
            }
            7 => {
                self.faithful = false;
                if let Some(message) = self.wire.pop_front() {
                    let mut message = message.to_vec();
                    script.edit(&mut message);
                    self.receive(&Bytes::from(message));
                }
            }
            8 => {
                self.faithful = false;
                self.receive(&clear(script.piece(), 0x42));
            }
            9 => {
                self.millis = self.millis.saturating_add(u64::from(script.u16()) * 10);
                self.faithful = false;
                let now = at(self.millis).instant;
                let before = self.endpoint.stats().dropped_expired;
                self.endpoint.handle_timeout(now);
                if self.endpoint.stats().dropped_expired > before {
                    reached("dropped, expired");
                }
                assert!(self.endpoint.poll_timeout().is_none_or(|due| due > now));
            }
            _ => {
                self.faithful = false;
                self.receive(&Bytes::copy_from_slice(script.piece()));
            }
        }
    }

    fn send(&mut self, script: &mut Script<'_>) {
        let router = RouterHash([script.u8(); 32]);
        let delivery = match script.u8() % 3 {
            0 => TunnelDelivery::Local,
            1 => TunnelDelivery::Router(router),
            _ => TunnelDelivery::Tunnel {
                tunnel: TunnelId::new(9).expect("it is not zero"),
                gateway: router,
            },
        };
        let len = usize::from(script.u16());
        let id = self.next_id;
        let message = Bytes::from_iter((0..len).map(|at| at.to_le_bytes()[0] ^ id as u8));
        match self.gateway.handle_message(delivery, id, message.clone()) {
            Ok(()) => {
                self.next_id += 1;
                self.sent.push(TunnelOutput { delivery, message });
            }
            Err(error) => reached_variant("gateway", &error),
        }
    }

    fn flush(&mut self) {
        let mut message = [0; LAYERED_LEN];
        if self.gateway.flush(&mut self.random, &mut message) {
            self.push(message);
        }
    }

    /// On its way through the hops, off which the creator took their layers.
    fn push(&mut self, clear: [u8; LAYERED_LEN]) {
        let mut message = clear;
        self.layers.remove_all(&mut message);
        for hop in &self.hops {
            hop.add_batch(&mut [&mut message]);
        }
        assert!(message == clear, "the layers do not undo each other");
        self.wire.push_back(message);
    }

    fn deliver(&mut self, message: [u8; LAYERED_LEN]) {
        let key = duplicates::message_key(&message);
        if !self.filter.insert(&key, at(self.millis).instant) {
            reached("filtered");
        }
        self.receive(&Bytes::copy_from_slice(&message));
    }

    fn receive(&mut self, message: &Bytes) {
        let before = *self.endpoint.stats();
        match self
            .endpoint
            .handle_message(message, at(self.millis).instant)
        {
            Ok(()) => tell_fragments(message),
            Err(error) => {
                reached_variant("endpoint", &error);
                if error != TunnelMessageError::Instructions {
                    assert_eq!(before.delivered, self.endpoint.stats().delivered);
                }
            }
        }
        let after = self.endpoint.stats();
        for (what, before, after) in [
            (
                "not local",
                before.dropped_not_local,
                after.dropped_not_local,
            ),
            (
                "duplicate",
                before.dropped_duplicate,
                after.dropped_duplicate,
            ),
            (
                "inconsistent",
                before.dropped_inconsistent,
                after.dropped_inconsistent,
            ),
            ("expired", before.dropped_expired, after.dropped_expired),
            ("full", before.dropped_full, after.dropped_full),
        ] {
            if after > before {
                reached(format_args!("dropped, {what}"));
            }
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.endpoint.poll_message() {
            reached_variant("out", &output.delivery);
            assert!(!self.inbound || output.delivery == TunnelDelivery::Local);
            self.came.push(output);
        }
    }

    fn finish(mut self) {
        while !self.gateway.is_empty() {
            self.flush();
        }
        assert_eq!(self.gateway.waiting_bytes(), 0);
        while let Some(message) = self.wire.pop_front() {
            self.deliver(message);
        }
        self.collect();
        if self.faithful {
            let (inbound, local) = (self.inbound, TunnelDelivery::Local);
            self.sent.retain(|it| !inbound || it.delivery == local);
            assert!(self.came == self.sent);
        }
        let far = at(self.millis).instant + Duration::from_secs(60);
        self.endpoint.handle_timeout(far);
        assert_eq!(self.endpoint.poll_timeout(), None);
    }
}

/// Says which instructions an accepted message has.
fn tell_fragments(message: &[u8]) {
    let payload = message.get(20..).unwrap_or_default();
    let start = payload.iter().position(|byte| *byte == 0);
    let payload = start
        .and_then(|start| payload.get(start..))
        .unwrap_or_default();
    for fragment in Fragments::new(payload.get(1..).unwrap_or_default()).flatten() {
        match fragment.instructions {
            Instructions::First {
                delivery,
                message_id: None,
            } => reached_variant("whole", &delivery),
            Instructions::First { delivery, .. } => reached_variant("first", &delivery),
            Instructions::FollowOn { last: true, .. } => reached("follow on, last"),
            Instructions::FollowOn { last: false, .. } => reached("follow on"),
        }
    }
}

/// A clear message with this payload, as far as it fits, whose checksum holds.
pub(crate) fn clear(payload: &[u8], iv: u8) -> Bytes {
    let most = LAYERED_LEN - 16 - 4 - 1;
    let payload = payload.get(..most).unwrap_or(payload);
    let iv = [iv; 16];
    let sum = sha256(&[payload, &iv].concat());
    let [a, b, c, d, ..] = sum;
    let mut message = [&iv[..], &[a, b, c, d]].concat();
    message.resize(LAYERED_LEN - payload.len() - 1, 0x55);
    message.push(0);
    message.extend_from_slice(payload);
    message.into()
}
