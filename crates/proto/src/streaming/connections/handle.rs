use bytes::Bytes;
use ramson_wire::Instant;

use super::{Connections, Entry, Stream, StreamId};
use crate::streaming::{CloseReason, Congestion, Read, WriteError};

/// A stream of [`Connections`], to be read, written or ended. When it is dropped, timers and sums
/// are brought up to date; poll afterwards.
#[derive(Debug)]
pub struct StreamMut<'a> {
    connections: &'a mut Connections,
    id: StreamId,
    now: Instant,
}

impl<'a> StreamMut<'a> {
    /// `id` is one of the streams.
    pub(super) fn new(connections: &'a mut Connections, id: StreamId, now: Instant) -> Self {
        Self {
            connections,
            id,
            now,
        }
    }

    fn entry(&mut self) -> &mut Entry {
        let entry = self.connections.streams.get_mut(&self.id.0);
        entry.expect("nothing else takes streams away while this holds them all")
    }

    /// Returns the stream, to look at.
    pub fn stream(&self) -> &Stream {
        let entry = self.connections.streams.get(&self.id.0);
        &entry
            .expect("nothing else takes streams away while this holds them all")
            .stream
    }

    /// Takes as many bytes as there is room for to be sent, and returns how many.
    ///
    /// # Errors
    ///
    /// As [`Stream::write`].
    pub fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        let room = self.connections.room(self.id.0);
        self.entry().stream.write(data, room)
    }

    /// As [`StreamMut::write`], from the front of `data` and without copying.
    ///
    /// # Errors
    ///
    /// As [`Stream::write`].
    pub fn write_bytes(&mut self, data: &mut Bytes) -> Result<usize, WriteError> {
        let room = self.connections.room(self.id.0);
        self.entry().stream.write_bytes(data, room)
    }

    /// Reads what came into `out`.
    ///
    /// # Errors
    ///
    /// As [`Stream::read`].
    pub fn read(&mut self, out: &mut [u8]) -> Result<Read<usize>, CloseReason> {
        let now = self.now;
        self.entry().stream.read(out, now)
    }

    /// Reads up to `max` bytes, without copying.
    ///
    /// # Errors
    ///
    /// As [`Stream::read`].
    pub fn read_chunk(&mut self, max: usize) -> Result<Read<Bytes>, CloseReason> {
        let now = self.now;
        self.entry().stream.read_chunk(max, now)
    }

    /// Finishes the own side: see [`Stream::finish`].
    pub fn finish(&mut self) {
        let now = self.now;
        self.entry().stream.finish(now);
    }

    /// Ends the stream at once: see [`Stream::reset`].
    pub fn reset(&mut self) {
        let now = self.now;
        self.entry().stream.reset(now);
    }

    /// Puts another judge of congestion in place of the usual one, before anything is sent.
    pub fn set_congestion(&mut self, congestion: Box<dyn Congestion>) {
        self.entry().stream.set_congestion(congestion);
    }

    /// Lets the stream go: what was written is still delivered, and it is forgotten when it is over.
    /// If something was not read, it is reset. Its id is of no use any more.
    pub fn release(mut self) {
        let now = self.now;
        let entry = self.entry();
        entry.stream.orphan(now);
        entry.released = true;
    }
}

impl Drop for StreamMut<'_> {
    fn drop(&mut self) {
        self.connections.touch(self.id.0, self.now);
    }
}
