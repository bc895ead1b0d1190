//! What a stream sends, and how it looks.

use bytes::{BufMut, Bytes, BytesMut};
use ramson_wire::Instant;
use ramson_wire::streaming::{Flags, MIN_PACKET_LEN, PacketBuilder};

use super::{State, Stream};
use crate::streaming::Identity;
use crate::streaming::send::Action;

/// Where the fields are that may change in a packet without NACKs and signature.
const ACK_AT: usize = 12;
const FLAGS_AT: usize = 18;

impl Stream {
    /// Says whether data may be sent that has not been.
    pub(super) fn may_send_new(&self) -> bool {
        match self.state {
            State::Open => true,
            State::Opening => self.sender.next_sequence() <= self.config.early_packets,
            State::Closed { .. } => false,
        }
    }

    /// Returns the next packet to be sent, and whether it is a SYN: then the peer needs our
    /// LeaseSet with it.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(Bytes, bool)> {
        let (packet, opens) = self.next_packet(now)?;
        self.counts.sent_packets += 1;
        self.counts.sent_bytes += packet.len() as u64;
        Some((packet, opens))
    }

    fn next_packet(&mut self, now: Instant) -> Option<(Bytes, bool)> {
        if let State::Closed { reset, .. } = &mut self.state {
            let packet = match std::mem::take(reset) {
                true => self.reset_packet(),
                false => self.ack_packet()?,
            };
            return Some((packet, false));
        }
        if self.sender.next_sequence() == 0 {
            return Some((self.syn_packet(now), true));
        }
        match self.sender.poll(self.may_send_new(), now) {
            Some(Action::Resend(sequence)) => {
                if let Some(packet) = self.sender.resend(sequence, now) {
                    self.last_activity = now;
                    return Some((self.refresh(packet, sequence), sequence == 0));
                }
            }
            Some(Action::New) => return Some((self.data_packet(now), false)),
            None => {}
        }
        if self.state == State::Open && self.sender.is_idle() {
            if self.finishing && self.close_sequence.is_none() {
                return Some((self.close_packet(now), false));
            }
            if std::mem::take(&mut self.keep_alive) {
                return Some((self.data_packet(now), false));
            }
        }
        Some((self.ack_packet()?, false))
    }

    /// Returns the SYN that opens the stream, or the one that answers.
    fn syn_packet(&mut self, now: Instant) -> Bytes {
        let identity = self.identity.clone();
        let opening = self.state == State::Opening;
        let seconds = self.sender.rtt().timeout().as_secs();
        let flags = match opening {
            true => Flags::SYNCHRONIZE | Flags::NO_ACK,
            false => Flags::SYNCHRONIZE,
        };
        let builder = PacketBuilder {
            send_stream: self.remote_id,
            receive_stream: self.local_id,
            ack_through: self.receiver.ack_with_data(),
            target: opening.then_some(self.peer_hash),
            resend_delay: u8::try_from(seconds).unwrap_or(u8::MAX),
            flags,
            from: Some(identity.destination()),
            max_size: Some(self.config.max_payload),
            offline: identity.offline(),
            signature_len: Some(Identity::SIGNATURE_LEN),
            ..PacketBuilder::default()
        };
        self.signed(&builder, now)
    }

    /// Returns the packet that ends our side.
    fn close_packet(&mut self, now: Instant) -> Bytes {
        self.close_sequence = Some(self.sender.next_sequence());
        let identity = self.identity.clone();
        let builder = PacketBuilder {
            send_stream: self.remote_id,
            receive_stream: self.local_id,
            sequence: self.sender.next_sequence(),
            ack_through: self.receiver.ack_with_data(),
            flags: Flags::CLOSE,
            delay: Some(0),
            offline: identity.offline(),
            signature_len: Some(Identity::SIGNATURE_LEN),
            ..PacketBuilder::default()
        };
        self.signed(&builder, now)
    }

    /// Writes a packet, adds what is written to be sent, signs and keeps it.
    fn signed(&mut self, builder: &PacketBuilder<'_>, now: Instant) -> Bytes {
        let mut packet = BytesMut::new();
        let range = builder
            .encode(&mut packet)
            .expect("a Destination and a signature fit the options");
        let len = self.sender.take_payload(self.max_payload, &mut packet);
        self.identity.sign(&mut packet, range);
        let packet = packet.freeze();
        self.sender.record(packet.clone(), len, now);
        self.last_activity = now;
        packet
    }

    fn data_packet(&mut self, now: Instant) -> Bytes {
        let mut packet = BytesMut::with_capacity(MIN_PACKET_LEN + 2 + self.max_payload);
        let nothing_came = self.receiver.expected() == 0;
        PacketBuilder {
            send_stream: self.remote_id,
            receive_stream: self.local_id,
            sequence: self.sender.next_sequence(),
            ack_through: self.receiver.ack_with_data(),
            flags: match nothing_came {
                true => Flags::NO_ACK,
                false => Flags::default(),
            },
            delay: self.sender.asks(self.max_payload).then_some(0),
            ..PacketBuilder::default()
        }
        .encode(&mut packet)
        .expect("a delay fits the options");
        let len = self.sender.take_payload(self.max_payload, &mut packet);
        let packet = packet.freeze();
        self.sender.record(packet.clone(), len, now);
        self.last_activity = now;
        packet
    }

    /// Brings the acknowledgement in a packet that is sent again up to date, and the peer's number,
    /// unless it is signed, as those with NACKs in them are.
    fn refresh(&mut self, packet: Bytes, sequence: u32) -> Bytes {
        let flags = packet
            .get(FLAGS_AT..)
            .and_then(|rest| rest.first_chunk())
            .map(|flags| Flags(u16::from_be_bytes(*flags)))
            .filter(|flags| sequence != 0 && !flags.contains(Flags::SIGNATURE_INCLUDED));
        let Some(flags) = flags else {
            return packet;
        };
        let mut fresh = BytesMut::with_capacity(packet.len());
        fresh.put_u32(self.remote_id);
        fresh.put_slice(packet.get(4..ACK_AT).unwrap_or_default());
        fresh.put_u32(self.receiver.ack_with_data());
        fresh.put_slice(packet.get(ACK_AT + 4..FLAGS_AT).unwrap_or_default());
        let flags = match self.receiver.expected() {
            0 => flags,
            _ => Flags(flags.0 & !Flags::NO_ACK.0),
        };
        fresh.put_u16(flags.0);
        fresh.put_slice(packet.get(FLAGS_AT + 2..).unwrap_or_default());
        fresh.freeze()
    }

    fn ack_packet(&mut self) -> Option<Bytes> {
        if self.remote_id == 0 {
            return None;
        }
        let ack = self.receiver.poll_ack()?;
        let mut packet = BytesMut::new();
        PacketBuilder {
            send_stream: self.remote_id,
            receive_stream: self.local_id,
            ack_through: ack.through,
            nacks: &ack.nacks,
            delay: ack.delay,
            ..PacketBuilder::default()
        }
        .encode(&mut packet)
        .expect("at most 255 NACKs are given");
        Some(packet.freeze())
    }

    fn reset_packet(&mut self) -> Bytes {
        let identity = self.identity.clone();
        let mut packet = BytesMut::new();
        let mut flags = Flags::RESET;
        if self.receiver.expected() == 0 {
            flags |= Flags::NO_ACK;
        }
        // In order, since i2pd looks at a packet only when all before it came; with FROM for a peer
        // that may not know us.
        let range = PacketBuilder {
            send_stream: self.remote_id,
            receive_stream: self.local_id,
            sequence: self.sender.next_sequence(),
            ack_through: self.receiver.ack_with_data(),
            flags,
            from: (self.remote_id == 0).then_some(identity.destination()),
            offline: identity.offline(),
            signature_len: Some(Identity::SIGNATURE_LEN),
            ..PacketBuilder::default()
        }
        .encode(&mut packet)
        .expect("a Destination and a signature fit the options");
        identity.sign(&mut packet, range);
        packet.freeze()
    }
}
