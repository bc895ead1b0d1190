//! What the neighbours answer to the router's own questions.

use bytes::Bytes;
use ramson_crypto::Random;
use ramson_proto::garlic::router;
use ramson_proto::tunnel::build::{BuildKind, HopRequest, NextStep};
use ramson_proto::tunnel::noise::Receiver;
use ramson_proto::tunnel::reassembly::{EndpointKind, ReassemblyLimits};
use ramson_proto::tunnel::{Endpoint, Gateway, LAYERED_LEN};
use ramson_wire::build::{BuildReply, HopRole, ReplyCode};
use ramson_wire::i2np::{DatabaseLookup, DatabaseStore, Garlic, StoreEntry, TunnelGateway};
use ramson_wire::{I2npMessage, MessageType, RouterHash, TunnelDelivery, TunnelId};

use super::net::Net;
use crate::machines::peer::{Peer, at};
use crate::script::Script;

impl Net {
    /// The hops of the tunnel that the router builds answer: `[code: u8]` each, then edits.
    pub(super) fn answer_build(&mut self, script: &mut Script<'_>) {
        let Some((mut number, message)) = self.take_heard(MessageType::ShortTunnelBuild) else {
            return;
        };
        let mut body = message.body().to_vec();
        for _ in 0..8 {
            let code = ReplyCode::from_code(script.u8());
            script.edit(&mut body);
            let peer = Peer::of(number);
            let receiver = Receiver::new(peer.keys.encryption.clone());
            let opened = HopRequest::find(BuildKind::Short, peer.hash(), &body);
            let Ok(opened) = opened.and_then(|it| it.open(&receiver)) else {
                return;
            };
            let request = opened.request().clone();
            let expires = self.now().unix + std::time::Duration::from_secs(8);
            let mut random = Random::from_seed([number; 32]);
            let step = opened.reply(&BuildReply::new(code), expires, &mut random);
            let Ok(NextStep::Send { to, message }) = step else {
                return;
            };
            if to == self.us && request.role != HopRole::OutboundEndpoint {
                self.own_tunnels.push((number, request.next_tunnel));
            }
            if to == self.us {
                // The last hop may have to connect to us first.
                if self.link_of(number).is_none() {
                    self.connect(number);
                }
                if let Some(index) = self.link_of(number) {
                    self.pass_on(index, &message);
                }
                return;
            }
            if message.kind() == MessageType::TunnelGateway {
                // Through the inbound tunnel, as its gateway and all hops would.
                if let Ok(gateway) = TunnelGateway::parse(message.body()) {
                    self.send_to_own(&Bytes::copy_from_slice(gateway.message));
                }
                return;
            }
            let Some(next) = number_of(&to) else {
                return;
            };
            number = next;
            body = message.body().to_vec();
        }
    }

    /// `[how]`: a store or a look-up of the router is answered.
    pub(super) fn answer_question(&mut self, script: &mut Script<'_>) {
        let how = script.u8();
        if how & 1 == 0
            && let Some((number, message)) = self.take_heard(MessageType::DatabaseStore)
        {
            let store = DatabaseStore::parse(message.body()).ok();
            let token = store.and_then(|store| store.reply).map(|it| it.token.get());
            let index = self
                .link_of(number)
                .and_then(|index| u8::try_from(index).ok());
            if let (Some(token), Some(index)) = (token, index) {
                self.say_status(index, token);
            }
        } else if let Some((number, message)) = self.take_heard(MessageType::DatabaseLookup) {
            let lookup = DatabaseLookup::parse(message.body()).ok();
            let Some(wanted) = lookup.and_then(|it| number_of(&RouterHash(it.key))) else {
                return;
            };
            let peer = Peer::of(wanted);
            let store = DatabaseStore {
                key: peer.hash().0,
                reply: None,
                entry: StoreEntry::RouterInfo(&peer.info.to_gzip()),
            };
            let mut body = Vec::new();
            let written = store.encode(&mut body).is_ok();
            if let Some(index) = self.link_of(number).filter(|_| written) {
                self.say_over(index, MessageType::DatabaseStore, &body, 10);
            }
        }
    }

    /// What the router sent through its outbound tunnel comes back through its inbound one.
    pub(super) fn come_around(&mut self) {
        let mut endpoint = Endpoint::new(EndpointKind::Outbound, ReassemblyLimits::TRANSIT);
        while let Some((_, message)) = self.take_heard(MessageType::TunnelData) {
            let message = message.body().slice(4..);
            let _ = endpoint.handle_message(&message, at(self.millis).instant);
        }
        while let Some(output) = endpoint.poll_message() {
            match output.delivery {
                TunnelDelivery::Tunnel { .. } => self.send_to_own(&output.message),
                // The endpoint hands it to the first hop of a tunnel to be built.
                TunnelDelivery::Router(router) => {
                    if let Some(number) = number_of(&router) {
                        self.unwrap(number, &output.message);
                    }
                }
                TunnelDelivery::Local => {}
            }
        }
    }

    /// What is in a garlic message to a neighbour, it has heard.
    fn unwrap(&mut self, number: u8, message: &Bytes) {
        let receiver = Receiver::new(Peer::of(number).keys.encryption.clone());
        let Ok(message) = I2npMessage::parse_long(message) else {
            return;
        };
        let garlic = Garlic::parse(message.body()).ok();
        let opened = garlic.and_then(|garlic| router::open(&receiver, garlic).ok());
        for clove in opened.into_iter().flat_map(|opened| opened.cloves) {
            self.heard.push_back((number, clove.message));
        }
    }

    /// A message, with its long header, through the router's newest inbound tunnel.
    fn send_to_own(&mut self, message: &Bytes) {
        let Some((number, tunnel)) = self.own_tunnels.last().copied() else {
            return;
        };
        let mut gateway = Gateway::new(0);
        let local = TunnelDelivery::Local;
        if gateway.handle_message(local, 6, message.clone()).is_err() {
            return;
        }
        // Each message of a tunnel once.
        let millis = u8::try_from(self.millis & 0xff).unwrap_or(0);
        let mut random = Random::from_seed([millis; 32]);
        let mut out = [0; LAYERED_LEN];
        while gateway.flush(&mut random, &mut out) {
            self.tunnel_data(number, tunnel, &out);
        }
    }

    fn tunnel_data(&mut self, number: u8, tunnel: TunnelId, message: &[u8; LAYERED_LEN]) {
        let body = [&tunnel.get().to_be_bytes(), &message[..]].concat();
        let expires = self.now().unix + std::time::Duration::from_secs(8);
        let message = I2npMessage::new(MessageType::TunnelData, 3, expires, body);
        if let (Some(index), Ok(message)) = (self.link_of(number), message) {
            self.pass_on(index, &message);
        }
    }
}

/// Which of the neighbours has this hash.
fn number_of(router: &RouterHash) -> Option<u8> {
    (1..=12).find(|number| Peer::of(*number).hash() == *router)
}
