use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use ramson_wire::Instant;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};

use super::{Endpoint, Error, now, sleep_until, timeout_at};
use crate::{Client, ClientConfig, Event, Reply, Request, Version};

/// Read at most this much at once from a control socket.
const READ_SIZE: usize = 8 * 1024;
/// Notices and datagrams kept while the answer to a request is awaited.
const STASH_LIMIT: usize = 64;
/// Nothing is read while more than this waits to be written: a router that asks and does not listen.
const OUT_LIMIT: usize = 256 * 1024;
/// The operating system asks a silent peer after this long whether it is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// One TCP connection to a SAM bridge, past its HELLO.
///
/// All methods are cancel-safe: what was read or is still to be written stays in here.
#[derive(Debug)]
pub struct Connection {
    tcp: TcpStream,
    machine: Client,
    /// Bytes not written yet.
    out: Vec<u8>,
    input: Box<[u8]>,
    stash: VecDeque<Event>,
}

impl Connection {
    /// Connects to `endpoint` and says HELLO for the versions `min` to `max`.
    ///
    /// # Errors
    ///
    /// See [`Error`]; [`Error::TimedOut`] says which step the deadline cut.
    pub async fn open(
        endpoint: &Endpoint,
        min: Option<Version>,
        max: Option<Version>,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let tcp = timeout_at(deadline, dial(endpoint))
            .await
            .map_err(|_| Error::TimedOut {
                waiting_for: "a TCP connection to the router",
            })??;
        let started = now();
        let machine = Client::new(
            ClientConfig {
                min,
                max,
                user: endpoint.login().map(|login| login.user.clone()),
                password: endpoint.login().map(|login| login.password.clone()),
                hello_timeout: deadline.saturating_since(started),
                ..ClientConfig::default()
            },
            started,
        );
        let mut connection = Self {
            tcp,
            machine,
            out: Vec::new(),
            input: vec![0; READ_SIZE].into_boxed_slice(),
            stash: VecDeque::new(),
        };
        match connection.event().await? {
            Event::Hello { .. } => Ok(connection),
            _ => Err(Error::Nonsense { what: "HELLO" }),
        }
    }

    /// The version agreed on.
    pub fn version(&self) -> Version {
        self.machine.version().unwrap_or(Version::V3_0)
    }

    /// The TCP socket, to look at its addresses and state.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether the kernel knows that the router closed this connection, read or not.
    pub fn is_closed(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        match SockRef::from(&self.tcp).peek(&mut byte) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Sends `request` and waits for the event that answers it.
    ///
    /// What comes unasked in between is handed out by later calls of [`Self::event`].
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] after `timeout`, [`Error::Refused`] for any RESULT but OK.
    pub async fn request(&mut self, request: &Request, timeout: Duration) -> Result<Event, Error> {
        let what = name(request);
        self.machine
            .request(request, Some(timeout), now())
            .map_err(|_| Error::Nonsense { what })?;
        loop {
            match self.machine_event().await? {
                Event::Reply(reply) => return refuse(what, reply).map(Event::Reply),
                event @ (Event::Connected | Event::Accepting | Event::Forwarding) => {
                    return Ok(event);
                }
                other => {
                    if self.stash.len() < STASH_LIMIT {
                        self.stash.push_back(other);
                    }
                }
            }
        }
    }

    /// Queues a request that has no answer, with its payload (DATAGRAM SEND, RAW SEND).
    ///
    /// # Errors
    ///
    /// [`Error::Nonsense`] when the connection is past taking requests.
    pub fn send_datagram(&mut self, request: &Request, payload: &[u8]) -> Result<(), Error> {
        self.machine
            .send_datagram(request, payload)
            .map_err(|_| Error::Nonsense {
                what: name(request),
            })
    }

    /// Waits for the next thing the router says; PINGs are answered on the way.
    ///
    /// # Errors
    ///
    /// Any error ends the connection.
    pub async fn event(&mut self) -> Result<Event, Error> {
        if let Some(event) = self.stash.pop_front() {
            return Ok(event);
        }
        self.machine_event().await
    }

    async fn machine_event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.machine.poll_event() {
                return match event {
                    Event::Failed(failure) => Err(Error::Failed(failure)),
                    event => Ok(event),
                };
            }
            while let Some(bytes) = self.machine.poll_transmit() {
                self.out.extend_from_slice(&bytes);
            }
            let timeout = self.machine.poll_timeout();
            let (mut reader, mut writer) = self.tcp.split();
            tokio::select! {
                written = writer.write(&self.out), if !self.out.is_empty() => {
                    let written = written.map_err(|source| Error::Io { source })?;
                    self.out.drain(..written.min(self.out.len()));
                }
                read = reader.read(&mut self.input), if self.out.len() <= OUT_LIMIT => match read {
                    Ok(0) => self.machine.handle_eof(now()),
                    Ok(count) => {
                        let bytes = self.input.get(..count).unwrap_or_default();
                        self.machine.handle_input(bytes, now());
                    }
                    // A router that answers and resets (unread input) did answer.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                        self.machine.handle_eof(now());
                    }
                    Err(source) => return Err(Error::Io { source }),
                },
                () = sleep_until(timeout.unwrap_or(Instant::MAX)), if timeout.is_some() => {
                    self.machine.handle_timeout(now());
                }
            }
        }
    }

    /// Takes the socket of a connected or accepted stream, with the bytes that came behind the
    /// last line.
    pub fn into_stream(self) -> (TcpStream, Vec<u8>) {
        (self.tcp, self.machine.into_remainder())
    }
}

async fn dial(endpoint: &Endpoint) -> Result<TcpStream, Error> {
    let addresses = lookup_host((endpoint.host(), endpoint.port()))
        .await
        .map_err(|source| Error::Resolve { source })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                // Neither is worth failing for.
                let _ = tcp.set_nodelay(true);
                let keepalive = TcpKeepalive::new()
                    .with_time(KEEPALIVE_AFTER)
                    .with_interval(KEEPALIVE_EVERY);
                let _ = SockRef::from(&tcp).set_tcp_keepalive(&keepalive);
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(Error::Connect { source: last })
}

/// Makes an error of a reply that is a refusal.
fn refuse(what: &'static str, reply: Reply) -> Result<Reply, Error> {
    match reply.result() {
        Some(code) if !code.is_ok() => {
            let message = reply.message().map(str::to_owned);
            Err(Error::Refused {
                what,
                code: code.clone(),
                message,
            })
        }
        _ => Ok(reply),
    }
}

/// The command words of a request.
fn name(request: &Request) -> &'static str {
    match request {
        Request::SessionCreate { .. } => "SESSION CREATE",
        Request::SessionAdd { .. } => "SESSION ADD",
        Request::SessionRemove { .. } => "SESSION REMOVE",
        Request::StreamConnect { .. } => "STREAM CONNECT",
        Request::StreamAccept { .. } => "STREAM ACCEPT",
        Request::StreamForward { .. } => "STREAM FORWARD",
        Request::NamingLookup { .. } => "NAMING LOOKUP",
        Request::DestGenerate { .. } => "DEST GENERATE",
        other => other.words().0,
    }
}
