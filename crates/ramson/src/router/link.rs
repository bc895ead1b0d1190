//! A link's task: the socket in front of a [`LinkPart`].

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use ramson_proto::Now;
use ramson_router::LinkPart;
use ramson_wire::Instant;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::part::Alarm;

/// What the kernel may hold that is not sent yet. With more, priorities and early drop would act
/// behind it.
const UNSENT: u32 = 32 * 1024;
/// Rounds of reading and writing before others have their turn.
const ROUNDS: usize = 8;
/// A read takes so much at most: a whole frame and more.
const MAX_READ: usize = 64 * 1024;
/// A read takes so much at least. Messages keep the buffer alive in which they came, so that the
/// buffers of quiet links are small.
const MIN_READ: usize = 4 * 1024;
/// A frame and what came behind it; with more, the link does not want to read now.
const MAX_INPUT: usize = 2 * MAX_READ;
/// Buffers beyond this are given back when a link goes to sleep.
const KEEP: usize = 4 * 1024;
/// What came is acknowledged at once if it is less. i2pd sends nothing while a small segment of its
/// is not acknowledged (Nagle), and the kernel would wait 40 ms for something to send along.
const SMALL: usize = 4 * 1024;
/// What a closed link has not written after this is dropped with the socket.
const LINGER: Duration = Duration::from_secs(2);

/// Prepares a socket for links.
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    // Frames are put together here; the kernel has nothing to wait for.
    socket.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    SockRef::from(socket).set_send_buffer_size(2 * UNSENT as usize)?;
    Ok(())
}

/// Carries a link until it is over.
pub(super) async fn run(link: LinkPart, socket: TcpStream, shared: Shared) {
    let mut task = LinkTask {
        link,
        socket,
        shared,
        input: BytesMut::new(),
        output: BytesMut::new(),
        read_size: MIN_READ,
        unanswered: 0,
        ended: false,
        linger: None,
        alarm: Alarm::new(),
    };
    poll_fn(|context| task.poll(context)).await;
    if !task.ended {
        let _ = task.socket.shutdown().await;
    }
}

struct LinkTask {
    link: LinkPart,
    socket: TcpStream,
    shared: Shared,
    input: BytesMut,
    output: BytesMut,
    read_size: usize,
    /// Bytes that came since the last write.
    unanswered: usize,
    /// The socket can do nothing any more.
    ended: bool,
    /// How long a closed link's last bytes may take.
    linger: Option<Instant>,
    alarm: Alarm,
}

impl LinkTask {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let now = self.shared.clock.now();
            let read = self.read(context, now);
            let mut next = self.link.step(now);
            let wrote = self.write(context, now);
            if self.link.is_closed() {
                let until = *self.linger.get_or_insert(now.instant + LINGER);
                let written = self.output.is_empty() && !wrote;
                if written || until <= now.instant {
                    return Poll::Ready(());
                }
                next = Some(next.map_or(until, |next| next.min(until)));
            }
            // What was written made room in the link, what was read may be to be answered.
            if read || wrote || self.link.register(context.waker()) {
                continue;
            }
            if self.alarm.poll(next, now.instant, context).is_pending() {
                self.acknowledge();
                self.give_memory_back();
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once; says whether something came.
    fn read(&mut self, context: &mut Context<'_>, now: Now) -> bool {
        if self.ended {
            return false;
        }
        if self.input.len() >= MAX_INPUT {
            self.link.handle_input(&mut self.input, now);
            return false;
        }
        // Before there is a buffer: most wake-ups are about something else.
        if self.socket.poll_read_ready(context).is_pending() {
            return false;
        }
        let room = self.input.capacity().saturating_sub(self.input.len());
        if room < self.read_size {
            self.input.reserve(self.read_size);
        }
        match pin!(self.socket.read_buf(&mut self.input)).poll(context) {
            Poll::Pending => false,
            Poll::Ready(Ok(0) | Err(_)) => {
                self.end(now);
                true
            }
            Poll::Ready(Ok(count)) => {
                self.shared.traffic.received(count);
                self.unanswered = self.unanswered.saturating_add(count);
                if count >= self.read_size {
                    self.read_size = (self.read_size * 4).min(MAX_READ);
                } else if count < self.read_size / 8 {
                    self.read_size = (self.read_size / 2).max(MIN_READ);
                }
                self.link.handle_input(&mut self.input, now);
                true
            }
        }
    }

    /// Writes once; says whether something went. As long as the socket takes nothing, nothing is
    /// asked of the link, which goes on choosing what comes first.
    fn write(&mut self, context: &mut Context<'_>, now: Now) -> bool {
        if self.ended || self.output.is_empty() && !self.link.poll_transmit(now, &mut self.output) {
            return false;
        }
        match Pin::new(&mut self.socket).poll_write(context, &self.output) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) => {
                self.shared.traffic.sent(count);
                self.unanswered = 0;
                self.output.advance(count);
                true
            }
            Poll::Ready(Err(_)) => {
                self.end(now);
                true
            }
        }
    }

    fn end(&mut self, now: Now) {
        self.ended = true;
        self.output.clear();
        self.link.handle_end(now);
    }

    /// Has the kernel acknowledge the little that came, if nothing was sent that does.
    fn acknowledge(&mut self) {
        let unanswered = std::mem::take(&mut self.unanswered);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !self.ended && (1..SMALL).contains(&unanswered) {
            // Without it the peer is slower, no more.
            let _ = self.socket.set_quickack(true);
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = unanswered;
    }

    fn give_memory_back(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() && buffer.capacity() > KEEP {
                *buffer = BytesMut::new();
            }
        }
    }
}
