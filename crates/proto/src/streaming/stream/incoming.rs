//! What a stream makes of the packets that come.

use bytes::Bytes;
use ramson_wire::DestinationHash;
use ramson_wire::Instant;
use ramson_wire::streaming::{Flags, Options, Packet};

use super::{RESET_INTERVAL, State, Stream};
use crate::Now;
use crate::streaming::identity::{AuthError, PeerKey};
use crate::streaming::send::Pressure;
use crate::streaming::{CloseReason, PacketError, StreamConfig};

/// How many packets in a row that had come before tell that acknowledgements get lost.
const DUPLICATES: u32 = 3;

impl Stream {
    /// Handles a packet of this stream; `bytes` is what it was read from. `session` is the
    /// Destination to whose session the packet's message belonged, if it came over one, and `room`
    /// how many bytes more than now may be held.
    ///
    /// # Errors
    ///
    /// [`PacketError`], if something was wrong with it. With [`PacketError::AckOfUnsent`] and
    /// [`PacketError::Duplicate`] it had an effect all the same.
    pub fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        bytes: &Bytes,
        session: Option<DestinationHash>,
        room: usize,
        now: Now,
    ) -> Result<(), PacketError> {
        if session.is_some_and(|session| session != self.peer_hash) {
            return Err(PacketError::WrongSender);
        }
        let result = match self.state {
            _ if packet.flags.contains(Flags::RESET) => self.handle_reset(packet, session, now),
            State::Closed { .. } => self.handle_late(packet, now.instant),
            _ if packet.flags.contains(Flags::SYNCHRONIZE) => {
                self.handle_syn(packet, bytes, session, room, now)
            }
            State::Opening => self.handle_early(packet, bytes, room),
            State::Open => self.handle_open(packet, bytes, session, room, now),
        };
        self.settle(now.instant);
        result
    }

    /// Handles a SYN: the answer to ours, or one that came again.
    fn handle_syn(
        &mut self,
        packet: &Packet<'_>,
        bytes: &Bytes,
        session: Option<DestinationHash>,
        room: usize,
        now: Now,
    ) -> Result<(), PacketError> {
        if packet.sequence != 0 || packet.receive_stream == 0 {
            return Err(PacketError::Flags);
        }
        if self.state == State::Open {
            if packet.receive_stream != self.remote_id {
                return Err(PacketError::WrongStream);
            }
            self.counts.duplicates += 1;
            self.receiver.want_ack();
            // Whoever sends a SYN again has not seen the answer.
            self.sender.hurry(0, now.instant);
            return Err(PacketError::Duplicate);
        }
        let options = read_options(packet, None)?;
        let peer = PeerKey::from_packet(packet, &options, session, now.unix)?;
        if peer.hash() != self.peer_hash {
            return Err(PacketError::WrongSender);
        }
        if self.sender.next_sequence() == 0 {
            // Nothing asked for it: the SYN has not been sent.
            return Err(PacketError::UnknownStream);
        }
        if self
            .claimed_id
            .is_some_and(|id| id != packet.receive_stream)
        {
            self.receiver.forget_held();
        }
        self.remote_id = packet.receive_stream;
        self.peer = Some(peer);
        self.set_max_payload(&options);
        self.state = State::Open;
        self.events.established = true;
        self.last_activity = now.instant;
        // The answer is an acknowledgement, whatever it says.
        let _ = self.sender.handle_ack(0, std::iter::empty(), now.instant);
        let acked = match packet.flags.contains(Flags::NO_ACK) {
            true => Ok(0),
            false => self
                .sender
                .handle_ack(packet.ack_through, packet.nacks(), now.instant),
        };
        self.counts.received_packets += 1;
        self.receiver.want_ack();
        self.receive(packet, bytes, room)?;
        acked.map(|_| ()).map_err(|_| PacketError::AckOfUnsent)
    }

    /// Keeps data that overtook the answer to our SYN. Nothing in it is believed yet.
    fn handle_early(
        &mut self,
        packet: &Packet<'_>,
        bytes: &Bytes,
        room: usize,
    ) -> Result<(), PacketError> {
        if packet.is_plain_ack() || packet.flags.contains(Flags::CLOSE) {
            return Err(PacketError::Unsigned);
        }
        match self.claimed_id {
            _ if packet.receive_stream == 0 => return Err(PacketError::WrongStream),
            Some(id) if id != packet.receive_stream => return Err(PacketError::WrongStream),
            _ => self.claimed_id = Some(packet.receive_stream),
        }
        self.receive(packet, bytes, room)
    }

    fn handle_open(
        &mut self,
        packet: &Packet<'_>,
        bytes: &Bytes,
        session: Option<DestinationHash>,
        room: usize,
        now: Now,
    ) -> Result<(), PacketError> {
        if packet.receive_stream != self.remote_id {
            return Err(PacketError::WrongStream);
        }
        // What ends the stream, and what claims to be signed, has to be authentic.
        let checked = Flags::CLOSE
            | Flags::SIGNATURE_INCLUDED
            | Flags::FROM_INCLUDED
            | Flags::OFFLINE_SIGNATURE;
        let delay = match packet.flags.intersects(checked) {
            true => self.authenticate(packet, session, now)?.delay,
            false => packet.delay().map_err(|_| PacketError::MalformedOptions)?,
        };
        self.counts.received_packets += 1;
        self.last_activity = now.instant;
        let acked = match packet.flags.contains(Flags::NO_ACK) {
            true => Ok(0),
            false => self
                .sender
                .handle_ack(packet.ack_through, packet.nacks(), now.instant),
        };
        let progress = acked.is_ok_and(|packets| packets > 0);
        let pressure = Pressure::from_delay(delay);
        self.sender.handle_pressure(pressure, progress, now.instant);
        if delay == Some(0) {
            self.receiver.want_ack();
        }
        if !packet.is_plain_ack() {
            self.receive(packet, bytes, room)?;
            let delay = self.ack_delay();
            self.receiver.want_ack_soon(delay, now.instant);
        }
        acked.map(|_| ()).map_err(|_| PacketError::AckOfUnsent)
    }

    fn handle_reset(
        &mut self,
        packet: &Packet<'_>,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<(), PacketError> {
        if packet.receive_stream != 0
            && self.remote_id != 0
            && packet.receive_stream != self.remote_id
        {
            return Err(PacketError::WrongStream);
        }
        self.authenticate(packet, session, now)?;
        match self.state {
            State::Closed { .. } => {}
            State::Opening => self.close(CloseReason::Refused, false, now.instant),
            State::Open => self.close(CloseReason::ResetByPeer, false, now.instant),
        }
        Ok(())
    }

    /// Answers what comes after the end.
    fn handle_late(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), PacketError> {
        if let State::Closed {
            reason,
            reset,
            next_reset,
            ..
        } = &mut self.state
            && !packet.is_plain_ack()
        {
            if self.remote_id == 0 && packet.flags.contains(Flags::SYNCHRONIZE) {
                self.remote_id = packet.receive_stream;
            }
            if *reason == CloseReason::Finished {
                if packet.sequence < self.receiver.expected() {
                    self.receiver.want_ack();
                }
            } else if !matches!(reason, CloseReason::ResetByPeer | CloseReason::Refused)
                && *next_reset <= now
            {
                *next_reset = now + RESET_INTERVAL;
                *reset = true;
            }
        }
        Err(PacketError::BehindEnd)
    }

    fn authenticate<'a>(
        &mut self,
        packet: &Packet<'a>,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<Options<'a>, PacketError> {
        match &mut self.peer {
            Some(peer) => {
                let options = read_options(packet, Some(peer))?;
                peer.authenticate(packet, &options, session, now.unix)?;
                Ok(options)
            }
            None => {
                if !packet.flags.contains(Flags::FROM_INCLUDED) {
                    return Err(PacketError::Unsigned);
                }
                let options = read_options(packet, None)?;
                let peer = PeerKey::from_packet(packet, &options, session, now.unix)?;
                match peer.hash() == self.peer_hash {
                    true => Ok(options),
                    false => Err(PacketError::WrongSender),
                }
            }
        }
    }

    pub(super) fn receive(
        &mut self,
        packet: &Packet<'_>,
        bytes: &Bytes,
        room: usize,
    ) -> Result<(), PacketError> {
        let payload = match packet.payload.is_empty() {
            true => Bytes::new(),
            false => bytes.slice_ref(packet.payload),
        };
        let close = packet.flags.contains(Flags::CLOSE);
        let payload = if self.deaf { Bytes::new() } else { payload };
        let len = payload.len();
        let result = self.receiver.receive(packet.sequence, payload, close, room);
        match result {
            Ok(()) => self.counts.received_bytes += len as u64,
            Err(PacketError::Duplicate) => {
                self.counts.duplicates += 1;
                // Our acknowledgements do not get there.
                if self.receiver.duplicates().is_multiple_of(DUPLICATES) {
                    self.path = self.path.wrapping_add(1);
                }
            }
            Err(_) => {}
        }
        if self.orphaned && len > 0 && result.is_ok() {
            // Nobody will read it, and the peer had better know.
            self.close(CloseReason::ResetLocally, true, self.last_activity);
        }
        result
    }

    pub(super) fn set_max_payload(&mut self, options: &Options<'_>) {
        let theirs = options.max_size.unwrap_or(StreamConfig::OLD_PAYLOAD);
        let theirs = theirs.max(StreamConfig::LEAST_PAYLOAD);
        self.max_payload = usize::from(theirs.min(self.config.max_payload).max(1));
    }
}

/// Reads the options of a packet whose sender may be known.
pub(in crate::streaming) fn read_options<'a>(
    packet: &Packet<'a>,
    peer: Option<&PeerKey>,
) -> Result<Options<'a>, PacketError> {
    packet
        .options(peer.map(PeerKey::signer))
        .map_err(|_| PacketError::MalformedOptions)
}

impl From<AuthError> for PacketError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Self::Unsigned,
            AuthError::Mismatch => Self::BadSignature,
            AuthError::Expired => Self::ExpiredKey,
            AuthError::WrongSender => Self::WrongSender,
        }
    }
}
