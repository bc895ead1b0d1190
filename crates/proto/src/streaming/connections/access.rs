//! Streams that others open: who is let in, and what the others get.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ramson_wire::streaming::{Flags, Packet, PacketBuilder};
use ramson_wire::{DestinationHash, Instant};

use super::{Connections, Transmit, listener_port};
use crate::Now;
use crate::streaming::identity::PeerKey;
use crate::streaming::limits::Verdict;
use crate::streaming::stream::{Origin, read_options};
use crate::streaming::{Identity, LimitAction, PacketError, Ports, Stream};

/// How many packets are kept that overtook their SYN, and for how long (as i2pd).
const MAX_EARLY: usize = 64;
const EARLY_TIME: Duration = Duration::from_secs(10);

/// How many streams that are over are remembered, and for how long, so that their SYN does not open
/// them again.
const MAX_GONE: usize = 4096;
const GONE_TIME: Duration = Duration::from_secs(600);

impl Connections {
    /// Handles the SYN of a stream that a peer opens.
    pub(super) fn handle_syn(
        &mut self,
        packet: &Packet<'_>,
        bytes: &Bytes,
        ports: Ports,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<(), PacketError> {
        if packet.sequence != 0 || packet.receive_stream == 0 || packet.flags.contains(Flags::RESET)
        {
            return Err(PacketError::Flags);
        }
        // Replay Prevention: peers before 0.9.58 do not say whom they mean.
        if packet
            .target()
            .is_some_and(|target| target != self.identity.hash())
        {
            return Err(PacketError::WrongTarget);
        }
        let options = read_options(packet, None)?;
        let from = options.from.as_ref().ok_or(PacketError::Unsigned)?.hash();
        if session.is_some_and(|session| session != from) {
            return Err(PacketError::WrongSender);
        }
        let key = (packet.receive_stream, from);
        if let Some(&id) = self.theirs.get(&key) {
            return self.pass(id, packet, bytes, session, now);
        }
        if self.gone.contains(&key, now.instant) {
            return Err(PacketError::Replayed);
        }
        let peer = PeerKey::from_packet(packet, &options, session, now.unix)?;
        let refusal = self.admit(from, ports, now.instant).err();
        let answer = match (refusal, &self.config.limit_action) {
            (None, _) => None,
            (Some(Refusal { error, told: false }), _) => return Err(error),
            (Some(Refusal { error, .. }), LimitAction::Drop) => return Err(error),
            (Some(Refusal { error, .. }), LimitAction::Respond(answer))
                if error != PacketError::NotListening
                    && self.streams.len() < self.config.max_streams =>
            {
                Some((error, answer.clone()))
            }
            (Some(Refusal { error, .. }), _) => {
                self.refuse(from, packet.receive_stream, ports);
                return Err(error);
            }
        };
        let id = self.new_id();
        let origin = Origin {
            identity: self.identity.clone(),
            config: self.config.stream,
            local_id: id,
            ports,
        };
        let room = self.config.max_bytes.saturating_sub(self.bytes);
        let instant = now.instant;
        let mut stream = Stream::accept(origin, packet, bytes, &options, peer, room, instant);
        if let Some((smoothed, variance)) = self.peers.rtt(&from, instant) {
            stream.seed_rtt(smoothed, variance);
        }
        self.theirs.insert(key, id);
        self.insert(id, stream, answer.is_some(), instant);
        if let Some((error, mut answer)) = answer {
            self.stats.refused += 1;
            if let Some(entry) = self.streams.get_mut(&id) {
                // What does not fit the buffer is of no use to anyone.
                let _ = entry.stream.write_bytes(&mut answer, usize::MAX);
                entry.stream.answer_and_end(instant);
                entry.released = true;
            }
            self.touch(id, instant);
            return Err(error);
        }
        self.stats.accepted += 1;
        let port = listener_port(&self.listeners, ports.local);
        if let Some(listener) = self.listeners.get_mut(&port) {
            listener.streams.push_back(id);
        }
        let deadline = instant + self.config.accept_timeout;
        self.waiting.insert((deadline, id));
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.accept_by = Some(deadline);
        }
        for (early, of) in self.early.take(packet.receive_stream, session) {
            // It was looked at before it was kept.
            if let Ok(packet) = Packet::parse(&early)
                && let Err(error) = self.pass(id, &packet, &early, of, now)
            {
                self.stats.count(error);
            }
        }
        Ok(())
    }

    fn admit(&mut self, from: DestinationHash, ports: Ports, now: Instant) -> Result<(), Refusal> {
        let refusal = |error, told| Err(Refusal { error, told });
        if !self.config.access.allows(&from) {
            return refusal(PacketError::Denied, true);
        }
        match self.peers.judge(from, &self.config, now) {
            Verdict::Admit => {}
            Verdict::Refuse => return refusal(PacketError::TooManyStreams, true),
            Verdict::Ignore => return refusal(PacketError::TooManyStreams, false),
        }
        let port = listener_port(&self.listeners, ports.local);
        let Some(listener) = self.listeners.get(&port) else {
            return refusal(PacketError::NotListening, true);
        };
        if listener.streams.len() >= listener.backlog || !self.make_room(now) {
            return refusal(PacketError::TooManyStreams, true);
        }
        Ok(())
    }

    /// Answers a SYN with RESET. It has FROM, since the peer does not know us, acknowledges the SYN
    /// and is the first in order, or i2pd would not look at it.
    fn refuse(&mut self, peer: DestinationHash, stream: u32, ports: Ports) {
        self.stats.refused += 1;
        self.answer_reset(peer, stream, ports, true);
    }

    /// Tells a peer that its stream is not known here, but not often: whoever has this Destination's
    /// session could make it sign at will.
    pub(super) fn answer_unknown(
        &mut self,
        packet: &Packet<'_>,
        ports: Ports,
        session: Option<DestinationHash>,
        now: Instant,
    ) {
        let Some(peer) = session else {
            return;
        };
        let quiet = Flags::RESET | Flags::SYNCHRONIZE;
        if packet.flags.intersects(quiet) || packet.receive_stream == 0 || packet.is_plain_ack() {
            return;
        }
        if self.resets.take(now) {
            self.stats.unknown_resets += 1;
            self.answer_reset(peer, packet.receive_stream, ports, false);
        }
    }

    fn answer_reset(&mut self, peer: DestinationHash, stream: u32, ports: Ports, acks: bool) {
        let flags = match acks {
            true => Flags::RESET,
            false => Flags::RESET | Flags::NO_ACK,
        };
        let mut packet = BytesMut::new();
        let range = PacketBuilder {
            send_stream: stream,
            flags,
            from: Some(self.identity.destination()),
            offline: self.identity.offline(),
            signature_len: Some(Identity::SIGNATURE_LEN),
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
    }
}

/// Why a stream is not let in, and whether its peer is told.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    error: PacketError,
    told: bool,
}

/// Packets that overtook their SYN.
#[derive(Default)]
pub(super) struct Early {
    packets: VecDeque<EarlyPacket>,
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Early({} packets)", self.packets.len())
    }
}

struct EarlyPacket {
    at: Instant,
    stream: u32,
    session: Option<DestinationHash>,
    bytes: Bytes,
}

impl Early {
    /// Keeps one, in place of the oldest if there are too many. Says why not.
    pub(super) fn keep(
        &mut self,
        packet: &Packet<'_>,
        bytes: &Bytes,
        session: Option<DestinationHash>,
        now: Instant,
    ) -> Result<(), PacketError> {
        if packet.receive_stream == 0 || packet.is_plain_ack() {
            return Err(PacketError::UnknownStream);
        }
        while let Some(oldest) = self.packets.front()
            && (self.packets.len() >= MAX_EARLY || now.saturating_since(oldest.at) >= EARLY_TIME)
        {
            self.packets.pop_front();
        }
        self.packets.push_back(EarlyPacket {
            at: now,
            stream: packet.receive_stream,
            session,
            bytes: bytes.clone(),
        });
        Ok(())
    }

    /// Takes those of a stream out. Those of another session are not of it.
    fn take(
        &mut self,
        stream: u32,
        session: Option<DestinationHash>,
    ) -> Vec<(Bytes, Option<DestinationHash>)> {
        let mut taken = Vec::new();
        self.packets.retain(|packet| {
            let of_it = packet.stream == stream && packet.session == session;
            if of_it {
                taken.push((packet.bytes.clone(), packet.session));
            }
            !of_it
        });
        taken
    }
}

/// Streams of others that are over.
#[derive(Debug, Default)]
pub(super) struct Gone {
    streams: BTreeMap<(u32, DestinationHash), Instant>,
    order: VecDeque<(Instant, (u32, DestinationHash))>,
}

impl Gone {
    pub(super) fn add(&mut self, key: (u32, DestinationHash), now: Instant) {
        while let Some(&(at, oldest)) = self.order.front()
            && (self.order.len() >= MAX_GONE || now.saturating_since(at) >= GONE_TIME)
        {
            self.order.pop_front();
            self.streams.remove(&oldest);
        }
        self.order.push_back((now, key));
        self.streams.insert(key, now);
    }

    fn contains(&self, key: &(u32, DestinationHash), now: Instant) -> bool {
        let at = self.streams.get(key);
        at.is_some_and(|&at| now.saturating_since(at) < GONE_TIME)
    }
}
