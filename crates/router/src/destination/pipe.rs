//! What lies between a stream and whoever reads and writes it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use ramson_proto::streaming::{CloseReason, Ports, StreamId};
use ramson_wire::DestinationHash;

use super::DestinationMessage;
use crate::inbox::Sender;

/// Bytes that wait on each way.
const MAX_WAITING: usize = 256 * 1024;

#[derive(Debug, Default)]
struct Way {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Nothing follows.
    ended: bool,
    waker: Option<Waker>,
}

impl Way {
    fn room(&self) -> usize {
        MAX_WAITING.saturating_sub(self.bytes)
    }

    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }
}

#[derive(Debug, Default)]
struct State {
    /// Towards the peer.
    out: Way,
    /// From the peer.
    back: Way,
    /// How the stream ended.
    closed: Option<CloseReason>,
    /// The part was told, and has not looked yet.
    told: bool,
    /// Nobody reads or writes any more.
    dropped: bool,
}

/// The part's end of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct PipeEnd(Arc<Mutex<State>>);

/// A stream, to be read and written. Dropping it lets what was written be delivered.
pub struct StreamPipe {
    end: PipeEnd,
    part: Sender<DestinationMessage>,
    id: StreamId,
    peer: DestinationHash,
    ports: Ports,
}

impl fmt::Debug for StreamPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamPipe").finish_non_exhaustive()
    }
}

impl PipeEnd {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the application.
    pub(super) fn open(
        &self,
        part: Sender<DestinationMessage>,
        id: StreamId,
        (peer, ports): (DestinationHash, Ports),
    ) -> StreamPipe {
        StreamPipe {
            end: self.clone(),
            part,
            id,
            peer,
            ports,
        }
    }

    /// What is to be done for the application: `write` takes from the front of what it is given, and
    /// `read` returns what there is.
    pub(super) fn serve(
        &self,
        mut write: impl FnMut(&mut Bytes) -> bool,
        mut read: impl FnMut(usize) -> Got,
    ) -> Wishes {
        let mut state = self.lock();
        state.told = false;
        let before = state.out.bytes;
        while let Some(chunk) = state.out.chunks.front_mut() {
            let had = chunk.len();
            let all = write(chunk);
            let left = chunk.len();
            if left == 0 {
                state.out.chunks.pop_front();
            }
            state.out.bytes = state.out.bytes.saturating_sub(had - left);
            if !all || left > 0 {
                break;
            }
        }
        let writer = (state.out.bytes < before)
            .then(|| state.out.waker.take())
            .flatten();
        let mut news = false;
        while state.back.room() > 0 && !state.back.ended && state.closed.is_none() {
            match read(state.back.room()) {
                Got::Chunk(chunk) => state.back.push(chunk),
                Got::Nothing => break,
                Got::End => state.back.ended = true,
                Got::Closed(why) => state.closed = Some(why),
            }
            news = true;
        }
        let reader = news.then(|| state.back.waker.take()).flatten();
        let finish = state.out.ended && state.out.chunks.is_empty();
        let dropped = state.dropped && (state.out.chunks.is_empty() || state.closed.is_some());
        drop(state);
        // Outside of the lock, which whoever is woken wants.
        for waker in [writer, reader].into_iter().flatten() {
            waker.wake();
        }
        Wishes { finish, dropped }
    }

    /// The stream is over, and nothing of it is left to be read.
    pub(super) fn close(&self, why: CloseReason) {
        let mut state = self.lock();
        state.closed.get_or_insert(why);
        let wakers = [state.out.waker.take(), state.back.waker.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// What there is to be read.
pub(super) enum Got {
    Chunk(Bytes),
    Nothing,
    End,
    Closed(CloseReason),
}

/// What the application wants beside.
pub(super) struct Wishes {
    /// Everything is written.
    pub(super) finish: bool,
    /// The application has let it go, and everything is written.
    pub(super) dropped: bool,
}

impl StreamPipe {
    /// Whom it leads to.
    pub fn peer(&self) -> DestinationHash {
        self.peer
    }

    /// Its ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Reads into `out`; 0 bytes are the end.
    pub fn poll_read(
        &self,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<Result<usize, CloseReason>> {
        let mut state = self.end.lock();
        let Some(chunk) = state.back.chunks.front_mut() else {
            return match (state.back.ended, state.closed) {
                (true, _) | (_, Some(CloseReason::Finished)) => Poll::Ready(Ok(0)),
                (false, Some(why)) => Poll::Ready(Err(why)),
                (false, None) => {
                    state.back.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        let len = chunk.len().min(out.len());
        if let (Some(out), Some(from)) = (out.get_mut(..len), chunk.get(..len)) {
            out.copy_from_slice(from);
        }
        chunk.advance(len);
        if chunk.is_empty() {
            state.back.chunks.pop_front();
        }
        let was_full = state.back.room() < MAX_WAITING / 2;
        state.back.bytes = state.back.bytes.saturating_sub(len);
        let has_room = state.back.room() >= MAX_WAITING / 2;
        if was_full && has_room {
            self.tell(state);
        }
        Poll::Ready(Ok(len))
    }

    /// Takes bytes to be sent; returns how many.
    pub fn poll_write(
        &self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, CloseReason>> {
        let mut state = self.end.lock();
        if let Some(why) = state.closed {
            return Poll::Ready(Err(why));
        }
        if state.out.ended {
            return Poll::Ready(Err(CloseReason::Finished));
        }
        let len = data.len().min(state.out.room());
        if len == 0 && !data.is_empty() {
            state.out.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let chunk = Bytes::copy_from_slice(data.get(..len).unwrap_or_default());
        state.out.push(chunk);
        self.tell(state);
        Poll::Ready(Ok(len))
    }

    /// Nothing more is written; what was is still delivered.
    pub fn finish(&self) {
        let mut state = self.end.lock();
        state.out.ended = true;
        self.tell(state);
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.told, true) {
            return;
        }
        drop(state);
        // Without room it is looked at with the next tick.
        let _ = self.part.post(DestinationMessage::Touched(self.id));
    }
}

impl Drop for StreamPipe {
    fn drop(&mut self) {
        let mut state = self.end.lock();
        state.dropped = true;
        self.tell(state);
    }
}
