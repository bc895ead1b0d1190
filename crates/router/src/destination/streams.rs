//! The streams of a Destination: their machine, and those who read and write them.

use std::collections::BTreeSet;

use bytes::Bytes;
use ramson_proto::Now;
use ramson_proto::streaming::{
    CloseReason, Connections, Event, Ports, Read, StreamEvent, StreamId, Transmit, WriteError,
};
use ramson_wire::{DestinationHash, PayloadHeader};

use super::pipe::{Got, PipeEnd};
use super::{DestinationPart, StreamPipe};
use crate::inbox::Sender;

/// Streams that wait for whoever accepts them.
pub(super) const BACKLOG: usize = 64;
/// Packets that leave in one step.
const PACKETS: usize = 256;

/// Packets that wait for room in a session.
const MAX_KEPT: usize = 128;

/// Why no stream came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No floodfill has a LeaseSet of the peer: it is offline, or not published yet.
    #[error("no LeaseSet of the peer was found")]
    NoLeaseSet,
    /// There are as many streams as there may be.
    #[error("there are too many streams")]
    TooMany,
    /// How the stream ended before it began.
    #[error(transparent)]
    Closed(CloseReason),
    /// The Destination is gone.
    #[error("the Destination is closed")]
    Gone,
}

/// What came of opening a stream.
pub type Connected = Result<StreamPipe, ConnectError>;

/// One stream's pipe, and who waits for it to be established.
#[derive(Debug)]
pub(super) struct Open {
    end: PipeEnd,
    waiting: Option<Sender<Connected>>,
}

impl DestinationPart {
    /// Opens a stream for somebody.
    pub(super) fn connect(
        &mut self,
        to: DestinationHash,
        ports: Ports,
        reply: Sender<Connected>,
        now: Now,
    ) {
        match self.connections.connect(to, ports, now.instant) {
            Ok(id) => {
                let end = PipeEnd::default();
                let waiting = Some(reply);
                self.open.insert(id, Open { end, waiting });
            }
            Err(_) => {
                let _ = reply.post(Err(ConnectError::TooMany));
            }
        }
    }

    /// Somebody accepts streams to a port from now on.
    pub(super) fn listen(&mut self, port: u16, to: Sender<StreamPipe>) {
        self.connections.listen(port, BACKLOG);
        self.listeners.insert(port, to);
    }

    /// Nobody does any more.
    pub(super) fn unlisten(&mut self, port: u16, now: Now) {
        self.connections.unlisten(port, now.instant);
        self.listeners.remove(&port);
    }

    /// Tells what happened on streams to those who have them.
    pub(super) fn stream_events(&mut self, now: Now) {
        while let Some(event) = self.connections.poll_event() {
            match event {
                Event::Incoming { port } => self.accept(port, now),
                Event::Stream { id, event } => match event {
                    StreamEvent::Established => self.established(id),
                    StreamEvent::Readable | StreamEvent::Writable => self.serve(id, now),
                    StreamEvent::Closed(why) => self.stream_closed(id, why, now),
                },
                _ => {}
            }
        }
    }

    fn accept(&mut self, port: u16, now: Now) {
        while let Some(id) = self.connections.accept(port, now.instant) {
            let end = PipeEnd::default();
            let pipe = self.pipe(id, &end);
            let taken = match (self.listeners.get(&port), pipe) {
                (Some(to), Some(pipe)) => to.post(pipe).is_ok(),
                _ => false,
            };
            if taken {
                let waiting = None;
                self.open.insert(id, Open { end, waiting });
                self.serve(id, now);
            } else if let Some(mut stream) = self.connections.stream_mut(id, now.instant) {
                stream.reset();
                stream.release();
            }
        }
    }

    fn pipe(&self, id: StreamId, end: &PipeEnd) -> Option<StreamPipe> {
        let stream = self.connections.stream(id)?;
        let to = (stream.peer(), stream.ports());
        Some(end.open(self.inbox.sender(super::OWNER_SHARE), id, to))
    }

    fn established(&mut self, id: StreamId) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        let (end, waiting) = (open.end.clone(), open.waiting.take());
        if let (Some(waiting), Some(pipe)) = (waiting, self.pipe(id, &end)) {
            // If nobody waits any more, the pipe is dropped, which ends the stream.
            let _ = waiting.post(Ok(pipe));
        }
    }

    /// Moves bytes between a stream and whoever has it.
    pub(super) fn serve(&mut self, id: StreamId, now: Now) {
        let Some(open) = self.open.get(&id) else {
            return;
        };
        let Some(stream) = self.connections.stream_mut(id, now.instant) else {
            return;
        };
        let stream = std::cell::RefCell::new(stream);
        let wishes = open.end.serve(
            |chunk: &mut Bytes| match stream.borrow_mut().write_bytes(chunk) {
                Ok(_) => true,
                Err(WriteError::Finished | WriteError::Closed(_)) => false,
            },
            |room| match stream.borrow_mut().read_chunk(room) {
                Ok(Read::Data(chunk)) => Got::Chunk(chunk),
                Ok(Read::Pending) => Got::Nothing,
                Ok(Read::End) => Got::End,
                Err(why) => Got::Closed(why),
            },
        );
        let mut stream = stream.into_inner();
        if wishes.finish {
            stream.finish();
        }
        if wishes.dropped && open.waiting.is_none() {
            stream.release();
            self.open.remove(&id);
        }
    }

    fn stream_closed(&mut self, id: StreamId, why: CloseReason, now: Now) {
        self.serve(id, now);
        if let Some(open) = self.open.get_mut(&id) {
            match open.waiting.take() {
                Some(waiting) => {
                    let _ = waiting.post(Err(ConnectError::Closed(why)));
                    self.open.remove(&id);
                    if let Some(stream) = self.connections.stream_mut(id, now.instant) {
                        stream.release();
                    }
                }
                None => open.end.close(why),
            }
        }
    }

    /// There is no LeaseSet of a peer: whoever waits for a stream to it need not wait on.
    pub(super) fn give_up_on(&mut self, peer: DestinationHash, now: Now) {
        let connections = &self.connections;
        let to_peer = |id: &StreamId| connections.stream(*id).is_some_and(|it| it.peer() == peer);
        let waiting = self.open.iter().filter(|(_, open)| open.waiting.is_some());
        let waiting = waiting.map(|(id, _)| *id).filter(to_peer);
        let waiting: Vec<StreamId> = waiting.collect();
        for id in waiting {
            if let Some(reply) = self.open.remove(&id).and_then(|open| open.waiting) {
                let _ = reply.post(Err(ConnectError::NoLeaseSet));
            }
            if let Some(mut stream) = self.connections.stream_mut(id, now.instant) {
                stream.reset();
                stream.release();
            }
        }
    }

    /// Looks at all streams: what they were told may have got lost.
    pub(super) fn serve_all(&mut self, now: Now) {
        let ids: Vec<StreamId> = self.open.keys().copied().collect();
        for id in ids {
            self.serve(id, now);
        }
    }

    /// Sends what streams have to send, as long as there is room; says whether there is more.
    pub(super) fn send_packets(&mut self, now: Now) -> bool {
        // What a session did not take the last time, in its order.
        let mut full = BTreeSet::new();
        for transmit in std::mem::take(&mut self.kept) {
            self.send_or_keep(transmit, &mut full, now);
        }
        for _ in 0..PACKETS {
            if self.kept.len() >= MAX_KEPT || !self.tunnels.has_room(now.instant) {
                return true;
            }
            let Some(transmit) = self.connections.poll_transmit(now.instant) else {
                return !self.kept.is_empty();
            };
            self.send_or_keep(transmit, &mut full, now);
        }
        true
    }

    /// `full` are those whose sessions take nothing more.
    fn send_or_keep(&mut self, transmit: Transmit, full: &mut BTreeSet<DestinationHash>, now: Now) {
        let peer = transmit.peer;
        let header = PayloadHeader {
            protocol: PayloadHeader::STREAMING,
            from_port: transmit.ports.local,
            to_port: transmit.ports.remote,
        };
        let (packet, path) = (&transmit.packet, transmit.path);
        if full.contains(&peer) || !self.send_payload(peer, header, packet, path, now) {
            full.insert(peer);
            self.kept.push(transmit);
        }
    }

    /// A packet of a stream came.
    pub(super) fn packet(
        &mut self,
        header: PayloadHeader,
        packet: Vec<u8>,
        session: Option<DestinationHash>,
        now: Now,
    ) {
        let ports = Ports {
            local: header.to_port,
            remote: header.from_port,
        };
        // Counted there, whatever is wrong.
        let _ =
            Connections::handle_packet(&mut self.connections, packet.into(), ports, session, now);
    }
}
