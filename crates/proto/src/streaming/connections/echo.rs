//! Pings and pongs (Streaming Protocol, Ping / Pong).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ramson_wire::streaming::{Flags, Packet, PacketBuilder};
use ramson_wire::{DestinationHash, Instant};

use super::{Bucket, ConnectError, Connections, Event, Transmit};
use crate::Now;
use crate::streaming::identity::PeerKey;
use crate::streaming::stream::read_options;
use crate::streaming::{Identity, PacketError, Ports};

/// How much of a ping's payload comes back.
const MAX_PAYLOAD: usize = 32;

/// How many pings may be unanswered at once, and for how long.
const MAX_PINGS: usize = 64;
const PING_TIME: Duration = Duration::from_secs(60);

/// How many pings are looked at, at once and then each second: each is a signature to check.
const PINGS_PER_SECOND: u32 = 16;

/// How many answers wait to be told.
const MAX_EVENTS: usize = 2 * MAX_PINGS;

/// Our pings that are not answered.
#[derive(Debug)]
pub(super) struct Pings {
    sent: BTreeMap<u32, (DestinationHash, Instant)>,
    order: VecDeque<(Instant, u32)>,
    events: VecDeque<Event>,
    heard: Bucket,
}

impl Pings {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            sent: BTreeMap::new(),
            order: VecDeque::new(),
            events: VecDeque::new(),
            heard: Bucket::new(PINGS_PER_SECOND, now),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.order.front().map(|&(sent, _)| sent + PING_TIME)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(sent, ping)) = self.order.front()
            && sent + PING_TIME <= now
        {
            self.order.pop_front();
            if self.sent.get(&ping).is_some_and(|&(_, at)| at == sent) {
                self.sent.remove(&ping);
                self.push_event(Event::PingLost { ping });
            }
        }
    }
}

impl Connections {
    /// Sends a ping, of whose payload the peer returns the first 32 bytes, and returns its number.
    /// [`Event::Pong`] or, after a minute, [`Event::PingLost`] follows.
    ///
    /// # Errors
    ///
    /// [`ConnectError::TooMany`] if 64 are unanswered.
    pub fn ping(
        &mut self,
        peer: DestinationHash,
        payload: &[u8],
        ports: Ports,
        now: Instant,
    ) -> Result<u32, ConnectError> {
        // Those that were answered stay in the order until their time.
        if self.pings.order.len() >= MAX_PINGS {
            let sent = &self.pings.sent;
            self.pings.order.retain(|(_, ping)| sent.contains_key(ping));
        }
        if self.pings.order.len() >= MAX_PINGS {
            return Err(ConnectError::TooMany);
        }
        // A number of none of our streams, in case it comes back otherwise than as a pong.
        let ping = self.new_id();
        self.pings.sent.insert(ping, (peer, now));
        self.pings.order.push_back((now, ping));
        let mut packet = BytesMut::new();
        let range = PacketBuilder {
            send_stream: ping,
            flags: Flags::ECHO,
            from: Some(self.identity.destination()),
            offline: self.identity.offline(),
            signature_len: Some(Identity::SIGNATURE_LEN),
            payload: payload.get(..MAX_PAYLOAD).unwrap_or(payload),
            ..PacketBuilder::default()
        }
        .encode(&mut packet)
        .expect("a Destination and a signature fit the options");
        self.identity.sign(&mut packet, range);
        self.answer(Transmit {
            peer,
            ports,
            packet: packet.freeze(),
            path: 0,
            opens: true,
        });
        Ok(ping)
    }

    pub(super) fn handle_echo(
        &mut self,
        packet: &Packet<'_>,
        ports: Ports,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<(), PacketError> {
        match packet.send_stream {
            0 => self.handle_pong(packet, session, now.instant),
            ping => self.handle_ping(ping, packet, ports, session, now),
        }
    }

    fn handle_pong(
        &mut self,
        packet: &Packet<'_>,
        session: Option<DestinationHash>,
        now: Instant,
    ) -> Result<(), PacketError> {
        let ping = packet.receive_stream;
        let &(peer, sent) = self
            .pings
            .sent
            .get(&ping)
            .ok_or(PacketError::UnwantedEcho)?;
        if session.is_some_and(|session| session != peer) {
            return Err(PacketError::WrongSender);
        }
        self.pings.sent.remove(&ping);
        let payload = packet.payload.get(..MAX_PAYLOAD).unwrap_or(packet.payload);
        self.pings.push_event(Event::Pong {
            ping,
            rtt: now.saturating_since(sent),
            payload: Bytes::copy_from_slice(payload),
        });
        Ok(())
    }

    fn handle_ping(
        &mut self,
        ping: u32,
        packet: &Packet<'_>,
        ports: Ports,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<(), PacketError> {
        if !self.config.answer_pings || !self.pings.heard.take(now.instant) {
            return Err(PacketError::UnwantedEcho);
        }
        let options = read_options(packet, None)?;
        let peer = PeerKey::from_packet(packet, &options, session, now.unix)?.hash();
        if !self.config.access.allows(&peer) {
            return Err(PacketError::Denied);
        }
        let mut pong = BytesMut::new();
        PacketBuilder {
            receive_stream: ping,
            flags: Flags::ECHO,
            payload: packet.payload.get(..MAX_PAYLOAD).unwrap_or(packet.payload),
            ..PacketBuilder::default()
        }
        .encode(&mut pong)
        .expect("there are no options");
        self.stats.pongs += 1;
        self.answer(Transmit {
            peer,
            ports,
            packet: pong.freeze(),
            path: 0,
            opens: false,
        });
        Ok(())
    }
}
