use std::{collections::VecDeque, time::Duration};

use crate::{
    failure::{Awaited, Failure, StateError},
    line::{DEFAULT_LINE_LIMIT, Line, LineBuffer, LineError, PAYLOAD_LIMIT},
    reply::{PeerLine, Reply, ResultCode},
    request::{Auth, Request},
    secret::Secret,
    version::Version,
};
use ramson_wire::Instant;

/// How a [`Client`] greets and what it bears.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The lowest version to take; without bounds i2pd 2.56 chooses 3.1 and the others their highest.
    pub min: Option<Version>,
    /// The highest version to take.
    pub max: Option<Version>,
    /// The user's name, if the bridge wants one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// How long the answer to HELLO may take.
    pub hello_timeout: Duration,
    /// The longest line, in bytes.
    pub line_limit: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            min: None,
            max: None,
            user: None,
            password: None,
            hello_timeout: Duration::from_secs(30),
            line_limit: DEFAULT_LINE_LIMIT,
        }
    }
}

/// One SAM connection seen from the client.
///
/// After each `handle_*` and each command, poll events until there are none, send what `poll_transmit` hands
/// out, and ask `poll_timeout` when to call `handle_timeout`. From [`Event::Connected`] or [`Event::Accepted`]
/// on the connection is a stream: the machine reads nothing more and [`Client::into_remainder`] gives back what
/// it was fed beyond the last line.
///
/// PINGs are answered without being asked for, also while an answer is awaited.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    state: State,
    version: Option<Version>,
    deadline: Option<Instant>,
    input: LineBuffer,
    /// The header of the datagram whose payload is being read.
    payload: Option<Reply>,
    events: VecDeque<Event>,
    /// The payload bytes in `events`.
    queued: usize,
    dropped: u64,
    transmits: VecDeque<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between answers.
    Ready,
    /// An answer is to come.
    Waiting(Awaited),
    /// ACCEPT was answered OK: the peer line is to come.
    Accepting,
    /// Raw bytes from here on.
    Stream,
    /// `Failed` was said.
    Over,
}

/// What happened on a [`Client`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The bridge took the HELLO.
    Hello {
        /// The version spoken.
        version: Version,
    },
    /// The answer to the outstanding request. Of the STREAM requests only refusals come so.
    Reply(Reply),
    /// A line nobody asked for, such as the SESSION STATUS of a dying session.
    Notice(Reply),
    /// A repliable datagram.
    Datagram {
        /// The sender in base 64, for Datagram3 its hash.
        destination: String,
        /// The I2CP port it came from.
        from_port: Option<u16>,
        /// The I2CP port it came to.
        to_port: Option<u16>,
        /// What it carries.
        payload: Vec<u8>,
    },
    /// A raw datagram.
    Raw {
        /// The I2CP protocol.
        protocol: Option<u8>,
        /// The I2CP port it came from.
        from_port: Option<u16>,
        /// The I2CP port it came to.
        to_port: Option<u16>,
        /// What it carries.
        payload: Vec<u8>,
    },
    /// The answer to a PING.
    Pong(String),
    /// STREAM CONNECT was answered OK or was silent: raw bytes follow.
    Connected,
    /// STREAM ACCEPT was answered OK: a peer line will follow. If it was silent, raw bytes follow
    /// and [`Client::is_stream`] holds already.
    Accepting,
    /// The peer line came: raw bytes follow.
    Accepted {
        /// Who it is.
        peer: PeerLine,
    },
    /// STREAM FORWARD was answered OK.
    Forwarding,
    /// The machine is over; nothing follows.
    Failed(Failure),
}

/// The most datagram bytes that wait to be polled; what comes beyond is dropped and counted.
const QUEUE_LIMIT: usize = 1024 * 1024;
/// The most events and the most transmits that wait to be polled.
const QUEUE_LENGTH: usize = 4096;
/// How much is pushed into the line buffer at once.
const PIECE: usize = 16 * 1024;

impl Client {
    /// Creates the machine and queues its HELLO.
    ///
    /// User and password are written as they are; line ends in them become spaces.
    pub fn new(config: ClientConfig, now: Instant) -> Client {
        let hello = Request::Hello {
            min: config.min,
            max: config.max,
            user: config.user.clone(),
            password: config.password.clone(),
            extra: Vec::new(),
        };
        let line = hello.encode(config.max.unwrap_or(Version::V3_3));
        Client {
            state: State::Waiting(Awaited::Hello),
            version: None,
            deadline: Some(now + config.hello_timeout),
            input: LineBuffer::new(config.line_limit),
            payload: None,
            events: VecDeque::new(),
            queued: 0,
            dropped: 0,
            transmits: VecDeque::from([line.into_bytes()]),
            config,
        }
    }

    /// Queues a request, to be answered within `timeout`.
    ///
    /// One may be outstanding at a time; PING and PONG, which have no [`Event::Reply`], go at any time after
    /// HELLO. A silent STREAM CONNECT or ACCEPT has no answer: the connection is a stream at once, and ends if
    /// it fails. `timeout` covers the answer to ACCEPT, not the wait for the peer.
    ///
    /// # Errors
    ///
    /// See [`StateError`]; nothing is queued then.
    pub fn request(
        &mut self,
        request: &Request,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<(), StateError> {
        let (awaited, silent) = match request {
            Request::Hello { .. } | Request::DatagramSend { .. } | Request::RawSend { .. } => {
                return Err(StateError::WrongRequest {
                    command: request.words().0,
                });
            }
            Request::SessionCreate { .. } => (Awaited::SessionCreate, false),
            Request::SessionAdd { .. } => (Awaited::SessionAdd, false),
            Request::SessionRemove { .. } => (Awaited::SessionRemove, false),
            Request::StreamConnect { silent, .. } => (Awaited::StreamConnect, *silent),
            Request::StreamAccept { silent, .. } => (Awaited::StreamAccept, *silent),
            Request::StreamForward { .. } => (Awaited::StreamForward, false),
            Request::NamingLookup { .. } => (Awaited::NamingLookup, false),
            Request::DestGenerate { .. } => (Awaited::DestGenerate, false),
            Request::Auth(
                Auth::Enable | Auth::Disable | Auth::Add { .. } | Auth::Remove { .. },
            ) => (Awaited::Auth, false),
            Request::Help => (Awaited::Help, false),
            Request::Quit | Request::Stop | Request::Exit => (Awaited::Quit, false),
            Request::Ping(_) | Request::Pong(_) => (Awaited::Nothing, false),
        };
        let version = self.usable()?;
        request.check()?;
        if awaited != Awaited::Nothing {
            match self.state {
                State::Ready => {}
                State::Waiting(waiting_for) => return Err(StateError::Busy { waiting_for }),
                _ => return Err(StateError::Stream),
            }
        }
        self.send(request.encode(version).into_bytes())?;
        match awaited {
            Awaited::Nothing => {}
            Awaited::StreamConnect if silent => self.become_stream(Event::Connected),
            Awaited::StreamAccept if silent => self.become_stream(Event::Accepting),
            _ => {
                self.state = State::Waiting(awaited);
                self.deadline = timeout.map(|timeout| now + timeout);
            }
        }
        Ok(())
    }

    /// Queues a DATAGRAM SEND or RAW SEND with its payload; the request's size is set to the payload's length.
    ///
    /// There is no answer: what the bridge cannot send it drops, and Java I2P closes a connection that has no
    /// session of that kind.
    ///
    /// # Errors
    ///
    /// See [`StateError`]; nothing is queued then.
    pub fn send_datagram(&mut self, request: &Request, payload: &[u8]) -> Result<(), StateError> {
        let mut request = request.clone();
        match &mut request {
            Request::DatagramSend { size, .. } | Request::RawSend { size, .. } => {
                *size = payload.len();
            }
            _ => {
                return Err(StateError::WrongRequest {
                    command: request.words().0,
                });
            }
        }
        let version = self.usable()?;
        request.check()?;
        if payload.len() > PAYLOAD_LIMIT {
            return Err(StateError::TooLong {
                limit: PAYLOAD_LIMIT,
            });
        }
        let mut bytes = request.encode(version).into_bytes();
        bytes.extend_from_slice(payload);
        self.send(bytes)
    }

    /// Returns the version if commands may be sent at all.
    fn usable(&self) -> Result<Version, StateError> {
        match (self.state, self.version) {
            (State::Over, _) => Err(StateError::Over),
            (State::Stream | State::Accepting, _) => Err(StateError::Stream),
            (_, Some(version)) => Ok(version),
            (_, None) => Err(StateError::Busy {
                waiting_for: Awaited::Hello,
            }),
        }
    }

    fn send(&mut self, bytes: Vec<u8>) -> Result<(), StateError> {
        if self.transmits.len() >= QUEUE_LENGTH {
            return Err(StateError::Full);
        }
        self.transmits.push_back(bytes);
        Ok(())
    }

    /// Takes bytes from the bridge, in pieces of any size.
    ///
    /// Once the connection is a stream the bytes are kept for [`Client::into_remainder`]: better feed none.
    pub fn handle_input(&mut self, bytes: &[u8], _now: Instant) {
        for piece in bytes.chunks(PIECE) {
            if self.state == State::Over {
                return;
            }
            self.input.push(piece);
            self.read();
        }
    }

    /// Takes the end of the bridge's bytes.
    ///
    /// A refusal without its newline, as emissary writes them, is read as if it had one. Any other unfinished
    /// line is dropped, for nothing tells whether it was cut.
    pub fn handle_eof(&mut self, _now: Instant) {
        if matches!(self.state, State::Stream | State::Over) {
            return;
        }
        if self.payload.is_some() {
            return self.fail(Failure::Closed {
                during: Awaited::Payload,
            });
        }
        self.read_unfinished();
        if self.state != State::Over {
            self.fail(Failure::Closed {
                during: self.awaited(),
            });
        }
    }

    /// Takes the time; before [`Client::poll_timeout`] it changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let waiting_for = self.awaited();
        // A refusal without its newline and without the end of the connection: it will not get longer.
        if self.payload.is_none() {
            self.read_unfinished();
        }
        if matches!(self.state, State::Waiting(..)) {
            self.fail(Failure::TimedOut { waiting_for });
        }
    }

    /// Returns the next bytes to send, a line with its payload in one piece.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Datagram { payload, .. } | Event::Raw { payload, .. } = &event {
            self.queued = self.queued.saturating_sub(payload.len());
        }
        Some(event)
    }

    /// Returns when [`Client::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the version spoken, once HELLO is answered.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Tells whether the bytes from here on are a stream's.
    pub fn is_stream(&self) -> bool {
        self.state == State::Stream
    }

    /// Tells whether the machine has failed.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Returns what is awaited now.
    pub fn awaited(&self) -> Awaited {
        match self.state {
            State::Waiting(awaited) => awaited,
            State::Accepting => Awaited::Peer,
            State::Ready | State::Stream | State::Over => Awaited::Nothing,
        }
    }

    /// Returns how many datagrams, notices and PONGs were dropped because nobody polled.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns the bytes that came behind the last line: the stream's first.
    pub fn into_remainder(mut self) -> Vec<u8> {
        self.input.take_remainder()
    }

    /// Reads lines and payloads for as long as they are complete.
    fn read(&mut self) {
        while !matches!(self.state, State::Stream | State::Over) {
            if let Some(header) = self.payload.take() {
                let Some(payload) = self.input.take(payload_size(&header)) else {
                    self.payload = Some(header);
                    return;
                };
                self.push_datagram(header, payload);
                continue;
            }
            let foreign = self.foreign_start();
            match self.input.next_line() {
                Ok(Some(line)) => self.handle_line(&line),
                Ok(None) => return,
                Err(LineError::NotUtf8) if foreign.is_some() => {
                    self.fail(not_sam(&foreign.unwrap_or_default()));
                }
                Err(error) => self.fail_line(error),
            }
        }
    }

    /// Returns how the answer to HELLO starts if it is nothing of SAM's.
    fn foreign_start(&self) -> Option<Vec<u8>> {
        let start = self.input.peek();
        let start = start.get(..EXCERPT).unwrap_or(start);
        let start = start.split(|b| *b == b'\n').next().unwrap_or_default();
        let foreign = self.awaited() == Awaited::Hello && !start.starts_with(b"HELLO REPLY");
        foreign.then(|| start.to_vec())
    }

    fn fail_line(&mut self, error: LineError) {
        self.fail(match error {
            LineError::TooLong { limit } => Failure::TooLong { limit },
            error => Failure::Malformed(error),
        });
    }

    fn handle_line(&mut self, text: &str) {
        if text.trim_matches([' ', '\t', '\r']).is_empty() {
            return;
        }
        let line = match Line::parse_reply(text) {
            Ok(line) => line,
            Err(error) => return self.fail_line(error),
        };
        if self.awaited() == Awaited::Hello && !line.is("HELLO", "REPLY") && !is_early(&line) {
            return self.fail(not_sam(text.as_bytes()));
        }
        if self.state == State::Accepting && !is_command(&line) {
            match PeerLine::parse(text) {
                Ok(peer) => self.become_stream(Event::Accepted { peer }),
                Err(error) => self.fail(Failure::Unexpected {
                    during: Awaited::Peer,
                    error,
                }),
            }
            return;
        }
        match Reply::parse(&line) {
            Ok(reply) => self.handle_reply(reply),
            Err(error) => self.fail(Failure::Unexpected {
                during: self.awaited(),
                error,
            }),
        }
    }

    fn handle_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Ping(text) => {
                let pong = Reply::Pong(text).encode(Version::V3_2);
                if self.send(pong.into_bytes()).is_err() {
                    self.dropped += 1;
                }
            }
            Reply::Pong(text) => self.push_droppable(Event::Pong(text)),
            Reply::DatagramReceived { .. } | Reply::RawReceived { .. } => {
                self.payload = Some(reply)
            }
            reply if self.answers(&reply) => self.handle_answer(reply),
            reply => self.push_droppable(Event::Notice(reply)),
        }
    }

    /// Tells whether a reply answers what is awaited.
    ///
    /// Java I2P answers any command with an error in SESSION STATUS when something in it throws, and an unknown
    /// one with `<COMMAND> STATUS`.
    fn answers(&self, reply: &Reply) -> bool {
        let awaited = self.awaited();
        let refused = reply.result().is_some_and(|result| !result.is_ok());
        match reply {
            Reply::Hello { .. } => awaited == Awaited::Hello,
            Reply::SessionStatus { .. } => match awaited {
                Awaited::SessionCreate | Awaited::SessionAdd | Awaited::SessionRemove => true,
                Awaited::Nothing => false,
                _ => refused,
            },
            Reply::StreamStatus { .. } => match awaited {
                Awaited::StreamConnect | Awaited::StreamAccept | Awaited::StreamForward => true,
                Awaited::Peer => refused,
                _ => false,
            },
            Reply::Naming { .. } => awaited == Awaited::NamingLookup,
            Reply::Dest { .. } | Reply::DestError { .. } => awaited == Awaited::DestGenerate,
            Reply::Status { command, .. } => match awaited {
                Awaited::Auth => command == "AUTH",
                Awaited::Help => command == "HELP",
                Awaited::Quit => matches!(&**command, "QUIT" | "STOP" | "EXIT"),
                Awaited::NamingLookup => command == "NAMING" && refused,
                Awaited::DestGenerate => command == "DEST" && refused,
                Awaited::Hello => command == "HELLO" && refused,
                _ => false,
            },
            _ => false,
        }
    }

    fn handle_answer(&mut self, reply: Reply) {
        let awaited = self.awaited();
        self.deadline = None;
        self.state = State::Ready;
        match (awaited, reply) {
            (
                Awaited::Hello,
                Reply::Hello {
                    result: ResultCode::Ok,
                    version,
                    ..
                },
            ) => {
                self.handle_version(version);
            }
            (
                Awaited::Hello,
                Reply::Hello {
                    result: ResultCode::NoVersion,
                    version: offered,
                    ..
                },
            ) => self.fail(Failure::NoVersion { offered }),
            (Awaited::Hello, reply) => self.fail(Failure::HelloRefused {
                result: reply.result().cloned().unwrap_or(ResultCode::I2pError),
                message: reply.message().map(str::to_owned),
            }),
            (
                Awaited::StreamConnect,
                Reply::StreamStatus {
                    result: ResultCode::Ok,
                    ..
                },
            ) => {
                self.become_stream(Event::Connected);
            }
            (
                Awaited::StreamAccept,
                Reply::StreamStatus {
                    result: ResultCode::Ok,
                    ..
                },
            ) => {
                self.state = State::Accepting;
                self.events.push_back(Event::Accepting);
            }
            (
                Awaited::StreamForward,
                Reply::StreamStatus {
                    result: ResultCode::Ok,
                    ..
                },
            ) => {
                self.events.push_back(Event::Forwarding);
            }
            (_, reply) => self.events.push_back(Event::Reply(reply)),
        }
    }

    fn handle_version(&mut self, version: Option<Version>) {
        let asked = |version: &Version| {
            version.major == 3
                && self.config.min.is_none_or(|min| *version >= min)
                && self.config.max.is_none_or(|max| *version <= max)
        };
        match version {
            Some(version) if asked(&version) => {
                self.version = Some(version);
                self.events.push_back(Event::Hello { version });
            }
            offered => self.fail(Failure::NoVersion { offered }),
        }
    }

    /// Reads what has no newline yet, if it is a refusal or, in answer to HELLO, nothing of SAM's.
    fn read_unfinished(&mut self) {
        let hello = self.awaited() == Awaited::Hello;
        let text = String::from_utf8_lossy(self.input.peek()).into_owned();
        let Ok(line) = Line::parse_reply(&text) else {
            return;
        };
        let refused = Reply::parse(&line)
            .is_ok_and(|reply| reply.result().is_some_and(|r| !r.is_ok()) && self.answers(&reply));
        let begun = "HELLO REPLY".starts_with(&text) || text.starts_with("HELLO REPLY");
        if refused || (hello && !begun) {
            let foreign = self.foreign_start();
            match self.input.last_line() {
                Ok(Some(line)) => self.handle_line(&line),
                Ok(None) => {}
                Err(LineError::NotUtf8) if foreign.is_some() => {
                    self.fail(not_sam(&foreign.unwrap_or_default()));
                }
                Err(error) => self.fail_line(error),
            }
        }
    }

    fn become_stream(&mut self, event: Event) {
        self.state = State::Stream;
        self.deadline = None;
        self.events.push_back(event);
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Over;
        self.deadline = None;
        self.payload = None;
        self.input.clear();
        self.events.push_back(Event::Failed(failure));
    }

    fn push_droppable(&mut self, event: Event) {
        if self.events.len() >= QUEUE_LENGTH {
            self.dropped += 1;
        } else {
            self.events.push_back(event);
        }
    }

    fn push_datagram(&mut self, header: Reply, payload: Vec<u8>) {
        if self.queued + payload.len() > QUEUE_LIMIT {
            self.dropped += 1;
            return;
        }
        let size = payload.len();
        let before = self.events.len();
        match header {
            Reply::DatagramReceived {
                destination,
                from_port,
                to_port,
                ..
            } => {
                self.push_droppable(Event::Datagram {
                    destination,
                    from_port,
                    to_port,
                    payload,
                });
            }
            Reply::RawReceived {
                protocol,
                from_port,
                to_port,
                ..
            } => {
                self.push_droppable(Event::Raw {
                    protocol,
                    from_port,
                    to_port,
                    payload,
                });
            }
            _ => {}
        }
        if self.events.len() > before {
            self.queued += size;
        }
    }
}

fn payload_size(header: &Reply) -> usize {
    match header {
        Reply::DatagramReceived { size, .. } | Reply::RawReceived { size, .. } => *size,
        _ => 0,
    }
}

/// Lines a bridge may say before it answers HELLO.
fn is_early(line: &Line) -> bool {
    line.is("HELLO", "STATUS")
        || line.is("SESSION", "STATUS")
        || line.words.first().is_some_and(|word| word == "PING")
}

/// Tells a line of the protocol from a peer line, whose first word is base 64.
fn is_command(line: &Line) -> bool {
    let ping = line
        .words
        .first()
        .is_some_and(|word| word == "PING" || word == "PONG");
    ping || line.is("STREAM", "STATUS") || line.is("SESSION", "STATUS")
}

/// How much of a foreign answer is told.
const EXCERPT: usize = 64;

fn not_sam(start: &[u8]) -> Failure {
    let start = start.get(..EXCERPT).unwrap_or(start);
    let first_bytes = String::from_utf8_lossy(start).escape_default().to_string();
    Failure::NotSam { first_bytes }
}
