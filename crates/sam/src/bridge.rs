use std::{collections::VecDeque, time::Duration};

use ramson_wire::Instant;

use crate::{
    line::{DEFAULT_LINE_LIMIT, Line, LineBuffer, LineError},
    reply::{PeerLine, Reply, ResultCode},
    request::{Request, RequestError},
    version::{Version, negotiate},
};

/// What a [`Bridge`] bears.
#[derive(Debug, Clone)]
pub struct BridgeLimits {
    /// How long a client may take to say HELLO. Java I2P: 60 s.
    pub hello_timeout: Duration,
    /// How long it may take from HELLO to its first command. Java I2P: 60 s before 3.2.
    pub command_timeout: Option<Duration>,
    /// How long a client of 3.2 or later may be silent before it is sent a PING, and then may take for its PONG.
    /// Java I2P: 3 min.
    pub keepalive: Option<Duration>,
    /// The longest line, in bytes. Java I2P: 8 KiB.
    pub line_limit: usize,
    /// The versions spoken.
    pub versions: Vec<Version>,
}

impl Default for BridgeLimits {
    fn default() -> Self {
        BridgeLimits {
            hello_timeout: Duration::from_secs(60),
            command_timeout: None,
            keepalive: Some(Duration::from_secs(180)),
            line_limit: DEFAULT_LINE_LIMIT,
            versions: Version::ALL.to_vec(),
        }
    }
}

/// One SAM connection seen from the router.
///
/// It knows lines, payloads, versions and timers, but no sessions: who uses it answers each
/// [`BridgeEvent::Request`] with [`Bridge::reply`], PINGs included, and HELLO with [`Bridge::welcome`].
///
/// Lines are read when events are polled, one at a time. After STREAM CONNECT and STREAM ACCEPT nothing is
/// read, for what follows belongs to the stream, until [`Bridge::begin_stream`] or a refusal; see
/// [`Bridge::wants_input`]. So poll events again after each command, then send what `poll_transmit` hands out,
/// and close the connection once [`Bridge::is_closed`] holds and all is sent.
#[derive(Debug)]
pub struct Bridge {
    limits: BridgeLimits,
    state: State,
    version: Option<Version>,
    input: LineBuffer,
    eof: bool,
    /// The DATAGRAM SEND or RAW SEND whose payload is being read.
    payload: Option<Request>,
    deadline: Option<Instant>,
    /// The latest time it was told.
    now: Instant,
    /// The text of the PING that the client has to answer.
    ping: Option<String>,
    events: VecDeque<BridgeEvent>,
    transmits: VecDeque<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// HELLO is to come, or to be answered.
    Hello,
    /// HELLO is answered, no command has come.
    First,
    /// Commands are read.
    Ready,
    /// STREAM CONNECT or ACCEPT was read.
    Held,
    /// Raw bytes.
    Stream,
    /// Nothing more is read.
    Closed,
}

/// What happened on a [`Bridge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeEvent {
    /// A request; not DATAGRAM SEND and RAW SEND, which come with their payload.
    Request(Request),
    /// A DATAGRAM SEND, which has no answer.
    Datagram {
        /// The request.
        request: Request,
        /// What it carries.
        payload: Vec<u8>,
    },
    /// A RAW SEND, which has no answer.
    Raw {
        /// The request.
        request: Request,
        /// What it carries.
        payload: Vec<u8>,
    },
    /// A line that is no request. After one that is too long, or announces a payload that is, the connection
    /// is closed; after others it is for the user of the machine to say.
    Bad(RequestError),
    /// The client let a time pass. It has been told and the connection is closed.
    TimedOut(BridgeTimeout),
    /// The client's bytes ended.
    Eof,
}

/// What a client was too late with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BridgeTimeout {
    /// HELLO VERSION.
    Hello,
    /// The first command.
    Command,
    /// The PONG to our PING.
    Pong,
}

impl Bridge {
    /// Creates the machine; the client has to speak first.
    pub fn new(limits: BridgeLimits, now: Instant) -> Bridge {
        Bridge {
            state: State::Hello,
            version: None,
            input: LineBuffer::new(limits.line_limit),
            eof: false,
            payload: None,
            deadline: Some(now + limits.hello_timeout),
            now,
            ping: None,
            events: VecDeque::new(),
            transmits: VecDeque::new(),
            limits,
        }
    }

    /// Takes bytes from the client, in pieces of any size.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.now = now;
        if self.state == State::Closed {
            return;
        }
        self.input.push(bytes);
        if self.state == State::Ready && self.ping.is_none() {
            self.deadline = self.keepalive();
        }
    }

    /// Takes the end of the client's bytes. A line without its newline is dropped.
    pub fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        self.eof = true;
    }

    /// Takes the time; before [`Bridge::poll_timeout`] it changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.state {
            State::Hello => self.time_out(
                BridgeTimeout::Hello,
                Reply::Hello {
                    result: ResultCode::I2pError,
                    version: None,
                    message: Some("Timeout waiting for HELLO VERSION".to_owned()),
                },
            ),
            State::First => {
                self.time_out(
                    BridgeTimeout::Command,
                    session_error("command timeout, bye"),
                );
            }
            State::Ready if self.ping.is_some() => {
                self.time_out(BridgeTimeout::Pong, session_error("PONG timeout"));
            }
            State::Ready => {
                let text = (now.as_micros() / 1000).to_string();
                self.reply(&Reply::Ping(text.clone()));
                self.ping = Some(text);
                self.deadline = self.keepalive();
            }
            State::Held | State::Stream | State::Closed => self.deadline = None,
        }
    }

    /// Answers HELLO: chooses the highest version between the bounds and says it, or says NOVERSION and closes.
    pub fn welcome(&mut self, min: Option<Version>, max: Option<Version>) -> Option<Version> {
        let version = negotiate(min, max, &self.limits.versions);
        let result = if version.is_some() {
            ResultCode::Ok
        } else {
            ResultCode::NoVersion
        };
        self.reply(&Reply::Hello {
            result,
            version,
            message: None,
        });
        match version {
            Some(version) => self.speak(version),
            None => self.close(),
        }
        version
    }

    /// Goes on with a version whose HELLO REPLY is already queued, as scripts may want it.
    pub fn speak(&mut self, version: Version) {
        self.version = Some(version);
        self.state = State::First;
        self.deadline = self
            .limits
            .command_timeout
            .map(|timeout| self.now + timeout);
    }

    /// Queues a reply, written as the version wants it.
    ///
    /// A STREAM STATUS other than OK to CONNECT or ACCEPT lets the machine read commands again; Java I2P
    /// closes the connection instead, which is for the caller to do.
    pub fn reply(&mut self, reply: &Reply) {
        let line = reply.encode(self.spoken());
        self.transmits.push_back(line.into_bytes());
        let refused = reply.result().is_some_and(|result| !result.is_ok());
        if self.state == State::Held && refused {
            self.state = State::Ready;
        }
    }

    /// Queues the line that tells who an accepted stream comes from.
    pub fn send_peer(&mut self, peer: &PeerLine) {
        let line = peer.encode(self.spoken());
        self.transmits.push_back(line.into_bytes());
    }

    /// Queues bytes as they are: payloads, and lines no [`Reply`] has.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.transmits.push_back(bytes.to_vec());
    }

    /// Makes the connection a stream: nothing is read any more, what was not is the remainder.
    pub fn begin_stream(&mut self) {
        if self.state != State::Closed {
            self.state = State::Stream;
            self.deadline = None;
        }
    }

    /// Reads nothing more; what is queued is still to be sent.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.deadline = None;
        self.payload = None;
        self.input.clear();
    }

    /// Returns the next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// Reads on and returns the next event.
    pub fn poll_event(&mut self) -> Option<BridgeEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if matches!(self.state, State::Held | State::Stream | State::Closed) {
                return self.poll_eof();
            }
            if let Some(request) = self.payload.take() {
                let (Request::DatagramSend { size, .. } | Request::RawSend { size, .. }) = &request
                else {
                    continue;
                };
                let Some(payload) = self.input.take(*size) else {
                    self.payload = Some(request);
                    return self.poll_eof();
                };
                return Some(match request {
                    Request::RawSend { .. } => BridgeEvent::Raw { request, payload },
                    request => BridgeEvent::Datagram { request, payload },
                });
            }
            match self.input.next_line() {
                Ok(Some(line)) => self.handle_line(&line),
                Ok(None) => return self.poll_eof(),
                Err(error) => {
                    if matches!(error, LineError::TooLong { .. }) {
                        self.close();
                    }
                    self.events.push_back(BridgeEvent::Bad(error.into()));
                }
            }
        }
    }

    fn poll_eof(&mut self) -> Option<BridgeEvent> {
        std::mem::take(&mut self.eof).then_some(BridgeEvent::Eof)
    }

    /// Returns when [`Bridge::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Tells whether to read from the client: not while a line's worth of bytes waits that may not be read yet.
    pub fn wants_input(&self) -> bool {
        match self.state {
            State::Stream | State::Closed => false,
            State::Held => self.input.len() < self.limits.line_limit,
            _ => true,
        }
    }

    /// Returns the version spoken, once HELLO is answered.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Tells whether the bytes from here on are a stream's.
    pub fn is_stream(&self) -> bool {
        self.state == State::Stream
    }

    /// Tells whether nothing more is read.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Returns the bytes that came behind the last line: the stream's first.
    pub fn into_remainder(mut self) -> Vec<u8> {
        self.input.take_remainder()
    }

    fn handle_line(&mut self, text: &str) {
        let request = match Line::parse_request(text) {
            // Java I2P passes empty lines over, too.
            Err(LineError::Empty) => return,
            Ok(line) if self.state == State::Hello && !line.is("HELLO", "VERSION") => {
                Err(RequestError::NoHello)
            }
            Ok(line) => Request::parse(&line),
            Err(error) => Err(error.into()),
        };
        if self.state == State::First {
            self.state = State::Ready;
            self.deadline = self.keepalive();
        }
        let event = match request {
            Ok(Request::Pong(text)) if self.ping.as_deref() == Some(&*text) => {
                self.ping = None;
                self.deadline = self.keepalive();
                return;
            }
            Ok(request @ (Request::DatagramSend { .. } | Request::RawSend { .. })) => {
                self.payload = Some(request);
                return;
            }
            Ok(request) => {
                if matches!(
                    request,
                    Request::StreamConnect { .. } | Request::StreamAccept { .. }
                ) {
                    self.state = State::Held;
                    self.deadline = None;
                }
                BridgeEvent::Request(request)
            }
            Err(error) => {
                if matches!(error, RequestError::BadNumber { key: "SIZE", .. }) {
                    self.close();
                }
                BridgeEvent::Bad(error)
            }
        };
        self.events.push_back(event);
    }

    fn time_out(&mut self, timeout: BridgeTimeout, reply: Reply) {
        self.reply(&reply);
        self.close();
        self.events.push_back(BridgeEvent::TimedOut(timeout));
    }

    fn keepalive(&self) -> Option<Instant> {
        let keepalive = self
            .limits
            .keepalive
            .filter(|_| self.spoken().has_ports())?;
        Some(self.now + keepalive)
    }

    fn spoken(&self) -> Version {
        self.version.unwrap_or(Version::V3_0)
    }
}

fn session_error(message: &str) -> Reply {
    Reply::SessionStatus {
        result: ResultCode::I2pError,
        destination: None,
        id: None,
        message: Some(message.to_owned()),
    }
}
