use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use ramson_sam::aio;
use ramson_wire::{Address, Destination};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::Error;
use crate::sam::{Generation, StreamGuard};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;

/// A connection to a peer on I2P: ordered, reliable bytes both ways, like TCP.
///
/// Reads and writes by the traits of tokio and of the `futures` crate. End of stream means that
/// the peer (or its router) ended the stream: before it is reported, the control connection of the
/// session is looked at, so that a dying router is [`ErrorKind::RouterLost`] and never a complete
/// transfer. A close and a reset by the peer cannot be told apart over SAM, and neither can how
/// much of what was written has arrived: protocols that must know let the receiver say so.
///
/// Shutting down the sending side ends both directions on today's routers
/// ([`Capability::HalfClose`](crate::Capability::HalfClose)); what the peer sent before is still
/// read. The session lives at least as long as its streams.
///
/// [`ErrorKind::RouterLost`]: crate::ErrorKind::RouterLost
#[derive(Debug)]
pub struct Stream {
    reader: StreamReader,
    writer: StreamWriter,
}

/// The receiving half of a [`Stream`].
#[derive(Debug)]
pub struct StreamReader {
    io: OwnedReadHalf,
    info: Arc<Info>,
    /// Bytes that came together with the line that announced the stream.
    head: Vec<u8>,
    head_read: usize,
    /// Something came from the peer.
    answered: bool,
    timer: Timer,
    loss: Loss,
    end: End,
}

/// The sending half of a [`Stream`]; dropping it ends the sending side.
#[derive(Debug)]
pub struct StreamWriter {
    io: OwnedWriteHalf,
    info: Arc<Info>,
    timer: Timer,
    loss: Loss,
    end: End,
}

/// What both halves know of the stream.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) peer: Address,
    pub(crate) local_port: Option<u16>,
    pub(crate) peer_port: Option<u16>,
    /// The peer answered before the router said connected, or it is the one who connected.
    pub(crate) confirmed: bool,
    pub(crate) answer_within: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) generation: Arc<Generation>,
    pub(crate) _guard: StreamGuard,
}

impl Info {
    fn silence_limit(&self, answered: bool) -> Option<(Duration, bool)> {
        match (self.answer_within, self.idle_timeout) {
            (Some(limit), idle) if !self.confirmed && !answered => match idle {
                Some(idle) if idle < limit => Some((idle, false)),
                _ => Some((limit, true)),
            },
            (_, Some(idle)) => Some((idle, false)),
            _ => None,
        }
    }
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream, head: Vec<u8>, info: Info) -> Self {
        let (read, write) = tcp.into_split();
        let info = Arc::new(info);
        Self {
            reader: StreamReader {
                io: read,
                info: Arc::clone(&info),
                head,
                head_read: 0,
                answered: false,
                timer: Timer::default(),
                loss: Loss::default(),
                end: End::Open,
            },
            writer: StreamWriter {
                io: write,
                info,
                timer: Timer::default(),
                loss: Loss::default(),
                end: End::Open,
            },
        }
    }

    /// Who is at the other end: the full Destination where it connected to us, else what was
    /// connected to.
    pub fn peer(&self) -> &Address {
        &self.reader.info.peer
    }

    /// The peer's Destination, where the router told it or the caller knew it.
    pub fn peer_destination(&self) -> Option<&Destination> {
        match self.peer() {
            Address::Destination(destination) => Some(destination),
            _ => None,
        }
    }

    /// The own port of the stream; `None` where the router has no ports
    /// ([`Capability::StreamPorts`](crate::Capability::StreamPorts)).
    pub fn local_port(&self) -> Option<u16> {
        self.reader.info.local_port
    }

    /// The peer's port of the stream, as [`Self::local_port`].
    pub fn peer_port(&self) -> Option<u16> {
        self.reader.info.peer_port
    }

    /// Waits until the peer is known to have answered.
    ///
    /// Done at once for accepted streams and on routers that wait for the peer in `connect`. On
    /// others (i2pd) it waits for the first byte from the peer, which stays to be read: where the
    /// peer speaks second, write first. i2pd ends a new stream before anything of it has left when
    /// the session's other streams to that peer keep it busy; here that is
    /// [`Error::PeerRefused`], and connecting again is right.
    ///
    /// # Errors
    ///
    /// [`Error::PeerSilent`] when nothing came within the limit of
    /// [`ConnectOptions::answer_within`](crate::ConnectOptions::answer_within) (two minutes if that
    /// is off), [`Error::PeerRefused`] when the stream ended, [`Error::RouterLost`].
    pub async fn confirmed(&self) -> Result<(), Error> {
        let reader = &self.reader;
        if reader.info.confirmed || reader.answered || reader.head_read < reader.head.len() {
            return Ok(());
        }
        let limit = reader
            .info
            .answer_within
            .unwrap_or(Duration::from_secs(120));
        let tcp: &TcpStream = reader.io.as_ref();
        let mut byte = [0];
        let answer = async {
            tokio::select! {
                biased;
                peeked = tcp.peek(&mut byte) => peeked,
                _ = reader.info.generation.lost() => Ok(0),
            }
        };
        match aio::timeout_at(aio::now() + limit, answer).await {
            Ok(Ok(1..)) => Ok(()),
            Ok(_) if !reader.info.generation.is_live().await => Err(Error::RouterLost),
            Ok(_) => Err(Error::PeerRefused {
                peer: reader.info.peer.to_string(),
            }),
            Err(_) => Err(Error::PeerSilent { after: limit }),
        }
    }

    /// Takes the halves apart, for two tasks.
    pub fn into_split(self) -> (StreamReader, StreamWriter) {
        (self.reader, self.writer)
    }
}

/// The error of this library inside an [`io::Error`] of a stream, if it is one.
pub fn stream_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// How far the end of a half is.
enum End {
    Open,
    /// The socket ended, so the session's state is being looked at.
    Checking {
        cause: Option<io::Error>,
        live: BoxFuture<bool>,
    },
    Finished,
    Lost,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Checking { .. } => "Checking",
            Self::Finished => "Finished",
            Self::Lost => "Lost",
        })
    }
}

impl End {
    fn check(&mut self, info: &Info, cause: Option<io::Error>) {
        let generation = Arc::clone(&info.generation);
        *self = Self::Checking {
            cause,
            live: Box::pin(async move { generation.is_live().await }),
        };
    }

    /// What the end turned out to be; only called when not open.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Open | Self::Finished => Poll::Ready(Ok(())),
            Self::Lost => Poll::Ready(Err(Error::RouterLost.into())),
            Self::Checking { cause, live } => {
                let live = ready!(live.as_mut().poll(cx));
                let cause = cause.take();
                if !live {
                    *self = Self::Lost;
                    return Poll::Ready(Err(Error::RouterLost.into()));
                }
                *self = Self::Finished;
                Poll::Ready(cause.map_or(Ok(()), Err))
            }
        }
    }
}

/// A limit on how long a half waits, armed only while it does.
#[derive(Default)]
struct Timer(Option<BoxFuture<()>>);

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Timer(armed)"
        } else {
            "Timer"
        })
    }
}

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        self.0
            .get_or_insert_with(|| Box::pin(aio::sleep(limit)))
            .as_mut()
            .poll(cx)
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

/// The end of the session while a half waits: the router may leave the stream's socket open.
#[derive(Default)]
struct Loss(Option<(BoxFuture<()>, Waker)>);

impl std::fmt::Debug for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loss")
    }
}

impl Loss {
    fn poll(&mut self, cx: &mut Context<'_>, info: &Info) -> Poll<()> {
        if info.generation.is_over() {
            return Poll::Ready(());
        }
        let (wait, waker) = self.0.get_or_insert_with(|| {
            let generation = Arc::clone(&info.generation);
            let wait = Box::pin(async move {
                generation.lost().await;
            });
            (wait, Waker::noop().clone())
        });
        // Bulk transfers come by here with the same waker again and again.
        if waker.will_wake(cx.waker()) {
            return Poll::Pending;
        }
        waker.clone_from(cx.waker());
        wait.as_mut().poll(cx)
    }
}

impl AsyncRead for StreamReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(head) = this
            .head
            .get(this.head_read..)
            .filter(|head| !head.is_empty())
        {
            let count = head.len().min(buf.remaining());
            buf.put_slice(head.get(..count).unwrap_or_default());
            this.head_read += count;
            if this.head_read == this.head.len() {
                this.head = Vec::new();
                this.head_read = 0;
            }
            this.answered = true;
            return Poll::Ready(Ok(()));
        }
        if !matches!(this.end, End::Open) {
            return this.end.poll(cx);
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                this.answered = true;
                this.timer.disarm();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(result) => {
                this.timer.disarm();
                this.end.check(&this.info, result.err());
                this.end.poll(cx)
            }
            Poll::Pending => {
                if this.loss.poll(cx, &this.info).is_ready() {
                    this.end = End::Lost;
                    return this.end.poll(cx);
                }
                let Some((limit, unanswered)) = this.info.silence_limit(this.answered) else {
                    return Poll::Pending;
                };
                ready!(this.timer.poll(cx, limit));
                this.timer.disarm();
                Poll::Ready(Err(if unanswered {
                    Error::PeerSilent { after: limit }.into()
                } else {
                    Error::Idle { after: limit }.into()
                }))
            }
        }
    }
}

impl StreamWriter {
    /// Whether the end is known; a session that is lost takes no bytes, although its socket may.
    fn has_ended(&mut self) -> bool {
        if matches!(self.end, End::Open) && self.info.generation.is_over() {
            self.end = End::Lost;
        }
        !matches!(self.end, End::Open)
    }

    /// Turns the outcome of a socket operation into that of the stream.
    fn finish<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Ready(Ok(value)) => {
                self.timer.disarm();
                Poll::Ready(Ok(value))
            }
            Poll::Ready(Err(error)) => {
                self.end.check(&self.info, Some(error));
                self.poll_ended(cx)
            }
            Poll::Pending => {
                if self.loss.poll(cx, &self.info).is_ready() {
                    self.end = End::Lost;
                    return self.poll_ended(cx);
                }
                let Some(limit) = self.info.idle_timeout else {
                    return Poll::Pending;
                };
                ready!(self.timer.poll(cx, limit));
                self.timer.disarm();
                Poll::Ready(Err(Error::Idle { after: limit }.into()))
            }
        }
    }

    fn poll_ended<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.end.poll(cx))?;
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_ended() {
            return self.poll_ended(cx);
        }
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.finish(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.has_ended() {
            return self.poll_ended(cx);
        }
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.finish(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is lost with the session.
        if self.has_ended() && matches!(self.end, End::Lost) {
            return self.end.poll(cx);
        }
        match ready!(Pin::new(&mut self.io).poll_shutdown(cx)) {
            // The other side was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

/// The traits of the `futures` crate, by way of tokio's.
macro_rules! futures_read {
    ($($kind:ty),*) => {$(
        impl futures_io::AsyncRead for $kind {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let mut buf = ReadBuf::new(bytes);
                ready!(AsyncRead::poll_read(self, cx, &mut buf))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
        }
    )*};
}

macro_rules! futures_write {
    ($($kind:ty),*) => {$(
        impl futures_io::AsyncWrite for $kind {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                AsyncWrite::poll_write(self, cx, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                AsyncWrite::poll_write_vectored(self, cx, slices)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_flush(self, cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_shutdown(self, cx)
            }
        }
    )*};
}

futures_read!(Stream, StreamReader);
futures_write!(Stream, StreamWriter);
