//! Datagrams of a Destination, of all kinds (Datagram Specification).

use bytes::Bytes;
use ramson_proto::Now;
use ramson_wire::datagram::{Datagram1, Datagram2, Datagram3};
use ramson_wire::{Destination, DestinationHash, PayloadHeader};

use super::DestinationPart;
use crate::inbox::Sender;

/// The kinds of datagrams, by their protocol numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatagramKind {
    /// Signed, and for anybody: it may be a replay (17).
    Datagram1,
    /// Bytes from nobody (18).
    Raw,
    /// Signed, and for its receiver alone (19).
    Datagram2,
    /// It names its sender, without a proof (20).
    Datagram3,
    /// Bytes from nobody under another protocol number that applications have agreed on.
    Other(u8),
}

impl DatagramKind {
    fn protocol(self) -> u8 {
        match self {
            Self::Datagram1 => PayloadHeader::DATAGRAM1,
            Self::Raw => PayloadHeader::RAW,
            Self::Datagram2 => PayloadHeader::DATAGRAM2,
            Self::Datagram3 => PayloadHeader::DATAGRAM3,
            Self::Other(protocol) => protocol,
        }
    }

    fn of(protocol: u8) -> Self {
        match protocol {
            PayloadHeader::DATAGRAM1 => Self::Datagram1,
            PayloadHeader::RAW => Self::Raw,
            PayloadHeader::DATAGRAM2 => Self::Datagram2,
            PayloadHeader::DATAGRAM3 => Self::Datagram3,
            other => Self::Other(other),
        }
    }
}

/// A datagram that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedDatagram {
    /// Its kind.
    pub kind: DatagramKind,
    /// The hash of whoever says to have sent it; proven for the first and second kind, and for
    /// the third if its session says so, too.
    pub from: Option<DestinationHash>,
    /// Who that is, where the datagram says so.
    pub destination: Option<Destination>,
    /// Whether that is proven.
    pub authentic: bool,
    /// The sender's port.
    pub from_port: u16,
    /// The port it is for.
    pub to_port: u16,
    /// What was sent.
    pub payload: Bytes,
}

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingDatagram {
    /// Its kind.
    pub kind: DatagramKind,
    /// Whom it is for.
    pub to: DestinationHash,
    /// Our port.
    pub from_port: u16,
    /// The port it is for.
    pub to_port: u16,
    /// What is sent.
    pub payload: Bytes,
}

impl DestinationPart {
    /// Somebody takes datagrams of a kind to a port from now on; 0 is all that have no other.
    pub(super) fn receive_datagrams(
        &mut self,
        kind: DatagramKind,
        port: u16,
        to: Sender<ReceivedDatagram>,
    ) {
        self.receivers.insert((kind, port), to);
    }

    /// Writes, signs and sends a datagram.
    pub(super) fn send_datagram(&mut self, datagram: &OutgoingDatagram, now: Now) {
        let header = PayloadHeader {
            protocol: datagram.kind.protocol(),
            from_port: datagram.from_port,
            to_port: datagram.to_port,
        };
        let us = &self.keys.destination;
        let (key, payload) = (&self.keys.signing, &datagram.payload[..]);
        let mut out = Vec::with_capacity(payload.len() + 512);
        let written = match datagram.kind {
            DatagramKind::Datagram1 => Datagram1::encode(us, key, payload, &mut out),
            DatagramKind::Datagram2 => {
                let to = &datagram.to;
                Datagram2::encode(us, (key, None), to, None, payload, &mut out)
            }
            DatagramKind::Datagram3 => {
                let from = us.hash();
                let options = None;
                Datagram3 {
                    from,
                    options,
                    payload,
                }
                .encode(&mut out);
                Ok(())
            }
            DatagramKind::Raw | DatagramKind::Other(_) => {
                out.extend_from_slice(payload);
                Ok(())
            }
        };
        let sent = written.is_ok() && self.send_payload(datagram.to, header, &out, 0, now);
        self.drops.unsealed += u64::from(!sent);
    }

    /// A datagram came in a session of `session`, if that is known.
    pub(super) fn datagram(
        &mut self,
        header: PayloadHeader,
        data: Vec<u8>,
        session: Option<DestinationHash>,
        now: Now,
    ) {
        let kind = DatagramKind::of(header.protocol);
        let exact = self.receivers.get(&(kind, header.to_port));
        let Some(receiver) = exact.or_else(|| self.receivers.get(&(kind, 0))) else {
            self.drops.unknown_type += 1;
            return;
        };
        let us = self.keys.destination.hash();
        let of = |from: Option<DestinationHash>, destination, authentic, payload: &[u8]| {
            ReceivedDatagram {
                kind,
                from,
                destination,
                authentic,
                from_port: header.from_port,
                to_port: header.to_port,
                payload: Bytes::copy_from_slice(payload),
            }
        };
        let read = match kind {
            DatagramKind::Datagram1 => Datagram1::parse(&data).ok().and_then(|it| {
                let from = it.from.hash();
                // The session's key is that of a LeaseSet which the same key has signed.
                let proven = session == Some(from) || it.verify().is_ok();
                proven.then(|| of(Some(from), Some(it.from.clone()), true, it.payload))
            }),
            DatagramKind::Datagram2 => Datagram2::parse(&data).ok().and_then(|it| {
                let from = it.from.hash();
                // i2pd signs its own hash in place of ours: of use only in a session of its own.
                let proven = it.verify(&us, now.unix).is_ok()
                    || (session == Some(from) && it.verify(&from, now.unix).is_ok());
                proven.then(|| of(Some(from), Some(it.from.clone()), true, it.payload))
            }),
            DatagramKind::Datagram3 => Datagram3::parse(&data).ok().map(|it| {
                let authentic = session == Some(it.from);
                of(Some(it.from), None, authentic, it.payload)
            }),
            DatagramKind::Raw | DatagramKind::Other(_) => Some(of(None, None, false, &data)),
        };
        let Some(datagram) = read else {
            self.drops.malformed += 1;
            return;
        };
        if receiver.post(datagram).is_err() {
            self.drops.unread += 1;
        }
    }
}
