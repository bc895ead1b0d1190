//! The tunnels that a Destination has, and what goes out through them.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::garlic::router;
use ramson_proto::ntcp2::{LinkMessage, Priority};
use ramson_proto::tunnel::Gateway;
use ramson_wire::i2np::TunnelGateway;
use ramson_wire::{
    CloveDelivery, GarlicClove, I2npMessage, Instant, MessageType, RouterHash, TunnelDelivery,
    TunnelId,
};

use super::{DestinationPart, Floodfill, NewInbound, NewOutbound};
use crate::core::CoreMessage;
use crate::own_tunnel::{GATEWAY_BYTES, next_message};
use crate::relay::{seconds_up, tunnel_message};

/// A tunnel that ends so soon carries nothing new.
const LAST: Duration = Duration::from_secs(10);

/// Room that there is to be in a queue before a packet is made.
const ROOM: usize = 16 * 1024;
/// Failed tests in a row after which a tunnel is given up.
const MAX_FAILED: u32 = 2;

#[derive(Debug)]
struct Inbound {
    tunnel: NewInbound,
    tests: Tests,
}

#[derive(Debug)]
struct Outbound {
    tunnel: NewOutbound,
    gateway: Gateway,
    tests: Tests,
}

#[derive(Debug, Default)]
struct Tests {
    failed_in_a_row: u32,
    /// How long the last message took around, through this and another.
    took: Option<Duration>,
}

impl Tests {
    fn passed(&mut self, took: Duration) {
        self.failed_in_a_row = 0;
        self.took = Some(took);
    }

    /// Says whether that was once too often.
    fn failed(&mut self) -> bool {
        self.failed_in_a_row += 1;
        self.failed_in_a_row >= MAX_FAILED
    }
}

/// The tunnels of one Destination.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    inbound: Vec<Inbound>,
    outbound: Vec<Outbound>,
    /// In turns.
    turn: usize,
}

impl Tunnels {
    pub(super) fn add_inbound(&mut self, tunnel: NewInbound) {
        let tests = Tests::default();
        self.inbound.push(Inbound { tunnel, tests });
    }

    pub(super) fn add_outbound(&mut self, tunnel: NewOutbound) {
        self.outbound.push(Outbound {
            tunnel,
            gateway: Gateway::new(GATEWAY_BYTES),
            tests: Tests::default(),
        });
    }

    /// Inbound and outbound ones.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.inbound.len(), self.outbound.len()]
    }

    /// Forgets those whose time is over; says whether there were any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.counts();
        self.inbound.retain(|it| it.tunnel.expires > now);
        self.outbound.retain(|it| it.tunnel.expires > now);
        before != self.counts()
    }

    /// Those through which others may reach us, the ones that last longest first.
    pub(super) fn leases(&self, now: Instant) -> Vec<&NewInbound> {
        let lasting = self.inbound.iter().map(|it| &it.tunnel);
        let lasting = lasting.filter(|it| it.expires > now + LAST);
        let mut leases: Vec<_> = lasting.collect();
        leases.sort_by_key(|it| std::cmp::Reverse((it.expires, it.receive)));
        leases
    }

    /// Where an answer is to go.
    pub(super) fn reply_to(&self, now: Instant) -> Option<(RouterHash, TunnelId)> {
        let lasting = self
            .inbound
            .iter()
            .filter(|it| it.tunnel.expires > now + LAST);
        let best = lasting.min_by_key(|it| it.tests.failed_in_a_row)?;
        Some((best.tunnel.gateway, best.tunnel.gateway_tunnel))
    }

    /// The gateway of the inbound tunnel received under this id.
    pub(super) fn gateway_of(&self, receive: TunnelId) -> Option<(RouterHash, TunnelId)> {
        let mut inbound = self.inbound.iter().map(|it| &it.tunnel);
        let found = inbound.find(|it| it.receive == receive)?;
        Some((found.gateway, found.gateway_tunnel))
    }

    /// Pairs in which each tunnel is at least once, inbound ones first.
    pub(super) fn pairs(&self, shift: usize) -> Vec<(TunnelId, TunnelId)> {
        let [inbound, outbound] = self.counts();
        if inbound == 0 || outbound == 0 {
            return Vec::new();
        }
        let receive = self.inbound.iter().map(|it| it.tunnel.receive);
        let send = self.outbound.iter().map(|it| it.tunnel.tunnel);
        let shifted = receive.cycle().skip(shift % inbound);
        shifted
            .zip(send.cycle())
            .take(inbound.max(outbound))
            .collect()
    }

    /// A message came around through these.
    pub(super) fn passed(&mut self, inbound: TunnelId, outbound: TunnelId, took: Duration) {
        if let Some(it) = self
            .inbound
            .iter_mut()
            .find(|it| it.tunnel.receive == inbound)
        {
            it.tests.passed(took);
        }
        if let Some(it) = self
            .outbound
            .iter_mut()
            .find(|it| it.tunnel.tunnel == outbound)
        {
            it.tests.passed(took);
        }
    }

    /// A message did not come around through these; those that are given up for it.
    pub(super) fn failed(&mut self, inbound: TunnelId, outbound: TunnelId) -> Vec<TunnelId> {
        let mut gone = Vec::new();
        self.inbound.retain_mut(|it| {
            let give_up = it.tunnel.receive == inbound && it.tests.failed();
            gone.extend(give_up.then_some(inbound));
            !give_up
        });
        self.outbound.retain_mut(|it| {
            let give_up = it.tunnel.tunnel == outbound && it.tests.failed();
            gone.extend(give_up.then_some(outbound));
            !give_up
        });
        gone
    }

    /// The outbound tunnel for a way, of those that are not in doubt.
    pub(super) fn by_path(&self, path: u32, now: Instant) -> Option<TunnelId> {
        let good = self.good(now);
        let index = (path as usize).checked_rem(good.len())?;
        good.get(index).copied()
    }

    /// Says whether the queues towards the first hops take more.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let mut lasting = self.outbound.iter().map(|it| &it.tunnel);
        lasting.all(|it| {
            let first = it.first.as_ref();
            it.expires <= now + LAST || first.is_none_or(|first| first.has_room(ROOM))
        })
    }

    /// The outbound tunnels that are not in doubt.
    fn good(&self, now: Instant) -> Vec<TunnelId> {
        let lasting = || {
            let lasting = self.outbound.iter();
            lasting.filter(|it| it.tunnel.expires > now + LAST)
        };
        let least = lasting().map(|it| it.tests.failed_in_a_row).min();
        let good = lasting().filter(|it| Some(it.tests.failed_in_a_row) == least);
        good.map(|it| it.tunnel.tunnel).collect()
    }

    /// An outbound tunnel that is not in doubt, in turns.
    fn next_outbound(&mut self, now: Instant) -> Option<TunnelId> {
        self.turn = self.turn.wrapping_add(1);
        let good = self.good(now);
        let index = self.turn.checked_rem(good.len())?;
        good.get(index).copied()
    }
}

impl DestinationPart {
    /// Sends a message to a floodfill, which alone can read it; says whether it left.
    pub(super) fn send_sealed(&mut self, to: Floodfill, message: &I2npMessage, now: Now) -> bool {
        let clove = GarlicClove {
            delivery: CloveDelivery::Local,
            message: message.as_ref(),
        };
        let key = &to.encryption_key;
        let sealed = router::seal(key, &[clove], 0, now.unix, &mut self.random);
        let garlic = sealed
            .ok()
            .and_then(|sealed| self.message(MessageType::Garlic, sealed, now));
        garlic.is_some_and(|garlic| self.send(TunnelDelivery::Router(to.router), &garlic, now))
    }

    /// Sends a message through an outbound tunnel; says whether it left.
    pub(super) fn send(
        &mut self,
        delivery: TunnelDelivery,
        message: &I2npMessage,
        now: Now,
    ) -> bool {
        match self.tunnels.next_outbound(now.instant) {
            Some(tunnel) => self.send_by(tunnel, delivery, message, now),
            None => {
                self.drops.outbound += 1;
                false
            }
        }
    }

    /// Sends a message through this outbound tunnel; says whether it left.
    pub(super) fn send_by(
        &mut self,
        tunnel: TunnelId,
        delivery: TunnelDelivery,
        message: &I2npMessage,
        now: Now,
    ) -> bool {
        let sent = self.put_in(tunnel, delivery, message, now);
        if !sent {
            self.drops.outbound += 1;
        }
        sent
    }

    fn put_in(
        &mut self,
        tunnel: TunnelId,
        delivery: TunnelDelivery,
        message: &I2npMessage,
        now: Now,
    ) -> bool {
        let mut outbound = self.tunnels.outbound.iter_mut();
        let Some(outbound) = outbound.find(|it| it.tunnel.tunnel == tunnel) else {
            return false;
        };
        let Some(first) = outbound.tunnel.first.clone() else {
            let forward = forward(delivery, message, &mut self.random, now);
            return forward.is_some_and(|message| self.core.post(message).is_ok());
        };
        let mut long = BytesMut::with_capacity(message.long_len());
        message.encode_long(&mut long);
        let taken = outbound
            .gateway
            .handle_message(delivery, message.id(), long.freeze());
        if taken.is_err() {
            return false;
        }
        let layers = &outbound.tunnel.layers;
        let mut all = true;
        while let Some(body) = next_message(tunnel, &mut outbound.gateway, layers, &mut self.random)
        {
            let message = tunnel_message(MessageType::TunnelData, body, &mut self.random, now);
            let sent = first.send(message, Priority::OwnData, now.instant);
            all &= sent.is_ok();
        }
        all
    }
}

/// A message that goes through a tunnel without hops: straight to where it is to go.
fn forward(
    delivery: TunnelDelivery,
    message: &I2npMessage,
    random: &mut Random,
    now: Now,
) -> Option<CoreMessage> {
    let (router, message) = match delivery {
        TunnelDelivery::Local => return None,
        TunnelDelivery::Router(router) => (
            router,
            LinkMessage {
                kind: message.kind(),
                id: message.id(),
                expiration_s: seconds_up(message.expires()),
                body: BytesMut::from(&message.body()[..]),
            },
        ),
        TunnelDelivery::Tunnel { gateway, tunnel } => {
            let len = u16::try_from(message.long_len()).ok()?;
            let mut body = BytesMut::with_capacity(TunnelGateway::HEADER_LEN + message.long_len());
            body.put_u32(tunnel.get());
            body.put_u16(len);
            message.encode_long(&mut body);
            let kind = MessageType::TunnelGateway;
            (gateway, tunnel_message(kind, body, random, now))
        }
    };
    Some(CoreMessage::SendTo { router, message })
}
