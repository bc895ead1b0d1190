use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ramson_sam::{
    Bridge, BridgeEvent, BridgeLimits, DestinationSpec, Line, LineBuffer, PeerLine, Reply, Request,
    ResultCode, Secret, Style, Version, aio,
};
use ramson_wire::{Destination, Instant, PrivateKeys};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::datagrams;
use super::pipe::{pipe, unless_paused};
use super::rule::{Step, Verb};
use super::state::{Entry, Forward, Incoming, Registered, Role, Route, Shared, State};

/// Datagrams that wait for the control connection.
const MAIL: usize = 256;
/// The longest line of a program that `expect` reads.
const LINE_LIMIT: usize = 64 * 1024;

/// One TCP connection of a program.
struct Connection {
    tcp: TcpStream,
    machine: Bridge,
    shared: Arc<Shared>,
    registered: Registered,
    mail: mpsc::Sender<Vec<u8>>,
    mailbox: mpsc::Receiver<Vec<u8>>,
}

/// The connection is over.
struct Over;

/// How a connection becomes a stream.
enum Handover {
    /// It carries the stream, to and from this socket.
    Take(TcpStream),
    /// The connection that carries the stream gets the socket, and what came on it too early.
    Give(oneshot::Sender<(TcpStream, Vec<u8>)>, Vec<u8>),
}

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// Serves a connection until its end.
pub(super) async fn serve(registered: Registered, tcp: TcpStream) {
    let shared = Arc::clone(&registered.shared);
    let paused = shared.silent.subscribe();
    let limits = BridgeLimits {
        keepalive: shared.config.ping_every,
        versions: shared.config.personality.versions().to_vec(),
        ..BridgeLimits::default()
    };
    let (mail, mailbox) = mpsc::channel(MAIL);
    let mut connection = Connection {
        tcp,
        machine: Bridge::new(limits, aio::now()),
        shared,
        registered,
        mail,
        mailbox,
    };
    let end = unless_paused(connection.run(), paused.clone()).await;
    let Connection {
        tcp, registered, ..
    } = connection;
    match end {
        Ok(Handover::Take(peer)) => {
            registered.role(Role::Stream);
            pipe(tcp, peer, paused).await;
        }
        Ok(Handover::Give(socket, early)) => drop(socket.send((tcp, early))),
        Err(Over) => {}
    }
}

impl Connection {
    /// Answers until the connection becomes a stream.
    async fn run(&mut self) -> Result<Handover, Over> {
        let _ = self.tcp.set_nodelay(true);
        if let Some(steps) = self
            .shared
            .note(self.registered.id, Verb::Open, String::new())
        {
            self.act(steps, Verb::Open).await?;
        }
        let mut bytes = vec![0; 8 * 1024];
        loop {
            while let Some(event) = self.machine.poll_event() {
                if let Some(handover) = self.event(event).await? {
                    return Ok(handover);
                }
                self.flush().await?;
            }
            self.flush().await?;
            if self.machine.is_closed() {
                return Err(Over);
            }
            let timeout = self.machine.poll_timeout();
            tokio::select! {
                read = self.tcp.read(&mut bytes), if self.machine.wants_input() => {
                    match read? {
                        0 => self.machine.handle_eof(aio::now()),
                        count => {
                            let bytes = bytes.get(..count).unwrap_or_default();
                            self.machine.handle_input(bytes, aio::now());
                        }
                    }
                }
                Some(packet) = self.mailbox.recv() => self.machine.send_raw(&packet),
                () = aio::sleep_until(timeout.unwrap_or(Instant::MAX)), if timeout.is_some() => {
                    self.machine.handle_timeout(aio::now());
                }
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Over> {
        while let Some(bytes) = self.machine.poll_transmit() {
            self.tcp.write_all(&bytes).await?;
        }
        Ok(())
    }

    async fn reply(&mut self, reply: Reply) -> Result<(), Over> {
        self.machine.reply(&reply);
        self.flush().await
    }

    async fn event(&mut self, event: BridgeEvent) -> Result<Option<Handover>, Over> {
        let request = match event {
            BridgeEvent::Request(request) => request,
            BridgeEvent::Datagram { request, payload } | BridgeEvent::Raw { request, payload } => {
                self.shared
                    .note(self.registered.id, Verb::Other, shown(&request));
                datagrams::send_by_control(
                    &self.shared,
                    &self.registered.sessions,
                    &request,
                    &payload,
                )
                .await;
                return Ok(None);
            }
            BridgeEvent::Bad(error) => {
                let line = format!("({error})");
                if let Some(steps) = self.shared.note(self.registered.id, Verb::Other, line) {
                    self.act(steps, Verb::Other).await?;
                }
                self.machine
                    .send_raw(b"SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"malformed line\"\n");
                self.machine.close();
                return Ok(None);
            }
            BridgeEvent::TimedOut(_) => return Ok(None),
            BridgeEvent::Eof => return Err(Over),
        };
        let verb = Verb::of(&request);
        let steps = self.shared.note(self.registered.id, verb, shown(&request));
        if let Some(steps) = steps
            && self.act(steps, verb).await?
        {
            return Ok(None);
        }
        self.answer(request).await
    }

    /// Does what a rule says; returns whether that was the answer.
    async fn act(&mut self, steps: Vec<Step>, verb: Verb) -> Result<bool, Over> {
        let mut answered = false;
        for step in steps {
            match step {
                Step::Delay(time) => aio::sleep(time).await,
                Step::Say(line) => self.send_line(&line).await?,
                Step::Reply(line) => {
                    self.scripted_reply(&line, verb).await?;
                    answered = true;
                }
                Step::Garbage(bytes) => {
                    self.tcp.write_all(&bytes).await?;
                    answered = true;
                }
                Step::Expect(text) => self.expect(&text).await?,
                Step::Silence => self.swallow().await?,
                Step::Close => return Err(Over),
                Step::Reset => {
                    let _ = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
                    return Err(Over);
                }
            }
        }
        Ok(answered)
    }

    async fn send_line(&mut self, line: &str) -> Result<(), Over> {
        self.flush().await?;
        self.tcp.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(())
    }

    /// Says a line of the script as the answer, and leaves the machine as after that answer.
    async fn scripted_reply(&mut self, line: &str, verb: Verb) -> Result<(), Over> {
        let parsed = Line::parse_reply(line).ok().map(|line| Reply::parse(&line));
        match (verb, parsed) {
            (
                Verb::Hello,
                Some(Ok(Reply::Hello {
                    result, version, ..
                })),
            ) => {
                self.send_line(line).await?;
                match version {
                    Some(version) if result.is_ok() => self.machine.speak(version),
                    _ => self.machine.close(),
                }
            }
            (Verb::StreamConnect | Verb::StreamAccept, Some(Ok(reply)))
                if reply.result().is_some_and(ResultCode::is_ok) =>
            {
                self.send_line(line).await?;
                // What follows goes nowhere.
                self.swallow().await?;
            }
            (Verb::StreamConnect | Verb::StreamAccept, Some(Ok(_))) => {
                self.send_line(line).await?;
                return Err(Over);
            }
            _ => self.send_line(line).await?,
        }
        Ok(())
    }

    /// Reads what comes until the end.
    async fn swallow(&mut self) -> Result<(), Over> {
        let mut bytes = vec![0; 64 * 1024];
        while self.tcp.read(&mut bytes).await? > 0 {}
        Err(Over)
    }

    async fn expect(&mut self, text: &str) -> Result<(), Over> {
        self.flush().await?;
        let mut lines = LineBuffer::new(LINE_LIMIT);
        let mut byte = [0];
        loop {
            if self.tcp.read(&mut byte).await? == 0 {
                return Err(Over);
            }
            lines.push(&byte);
            if let Some(line) = lines.next_line().map_err(|_| Over)? {
                let line = line.to_owned();
                let met = line.starts_with(text);
                let verb = match Line::parse_request(&line).as_ref().map(Request::parse) {
                    Ok(Ok(request)) => Verb::of(&request),
                    _ => Verb::Other,
                };
                self.shared.note(self.registered.id, verb, line);
                return if met { Ok(()) } else { Err(Over) };
            }
        }
    }

    /// The usual answer.
    async fn answer(&mut self, request: Request) -> Result<Option<Handover>, Over> {
        let personality = self.shared.config.personality;
        match request {
            Request::Hello {
                min,
                max,
                user,
                password,
                ..
            } => self.hello(min, max, user, password).await?,
            Request::SessionCreate { .. } => {
                let reply = self.create(request);
                self.reply(reply).await?;
            }
            Request::SessionAdd { ref id, .. } => {
                let id = id.clone();
                let (result, message) = self.add(request);
                let fatal = !result.is_ok() && personality.is_i2pd();
                self.reply(Reply::SessionStatus {
                    result,
                    destination: None,
                    id: Some(id),
                    message,
                })
                .await?;
                if fatal {
                    return Err(Over);
                }
            }
            Request::SessionRemove { id } => {
                let ours = self.registered.sessions.iter().position(|own| *own == id);
                let result = match ours {
                    // The first is the primary session itself.
                    None | Some(0) => ResultCode::InvalidId,
                    Some(index) => {
                        self.registered.sessions.remove(index);
                        self.shared.state().end(&self.shared.config, &id);
                        ResultCode::Ok
                    }
                };
                let message = Some(format!("REMOVE {id}"));
                self.reply(Reply::SessionStatus {
                    result,
                    destination: None,
                    id: Some(id),
                    message,
                })
                .await?;
            }
            Request::StreamConnect {
                id,
                destination,
                silent,
                from_port,
                to_port,
            } => {
                let ports = (from_port.unwrap_or(0), to_port.unwrap_or(0));
                return self.connect(&id, &destination, silent, ports).await;
            }
            Request::StreamAccept { id, silent } => return self.accept(&id, silent).await,
            Request::StreamForward {
                id,
                host,
                port,
                silent,
                ..
            } => self.forward(id, host.as_deref(), port, silent).await?,
            Request::NamingLookup { name, .. } => self.lookup(name).await?,
            Request::DestGenerate { .. } => {
                let keys = PrivateKeys::generate();
                self.reply(Reply::Dest {
                    public: keys.destination().to_base64(),
                    private: Secret::new(keys.to_base64().to_string()),
                })
                .await?;
            }
            Request::Ping(text) => {
                let control = !self.registered.sessions.is_empty();
                if !(control && personality == super::Personality::I2pd56) {
                    self.reply(Reply::Pong(text)).await?;
                }
                if control && personality.is_i2pd() {
                    return Err(Over);
                }
            }
            Request::Pong(_) => {}
            Request::Quit | Request::Stop | Request::Exit => return Err(Over),
            Request::Help if personality == super::Personality::Emissary => return Err(Over),
            other => {
                self.reply(Reply::Status {
                    command: other.words().0.to_owned(),
                    result: ResultCode::I2pError,
                    message: Some("not supported".to_owned()),
                })
                .await?;
            }
        }
        Ok(None)
    }

    async fn hello(
        &mut self,
        min: Option<Version>,
        max: Option<Version>,
        user: Option<String>,
        password: Option<Secret>,
    ) -> Result<(), Over> {
        let config = &self.shared.config;
        let refused = config.login.as_ref().is_some_and(|(name, secret)| {
            user.as_ref() != Some(name) || password.as_ref().map(Secret::expose) != Some(secret)
        });
        let version = config.personality.negotiate(min, max);
        let (result, version, message) = match version {
            _ if refused => {
                let message = "Authorization failed".to_owned();
                (ResultCode::I2pError, None, Some(message))
            }
            Some(version) => (ResultCode::Ok, Some(version), None),
            None => (ResultCode::NoVersion, None, None),
        };
        self.reply(Reply::Hello {
            result,
            version,
            message,
        })
        .await?;
        match version {
            Some(version) => self.machine.speak(version),
            None => self.machine.close(),
        }
        Ok(())
    }

    fn version(&self) -> Version {
        self.machine.version().unwrap_or(Version::V3_0)
    }

    fn create(&mut self, request: Request) -> Reply {
        let refuse = |result, message: &str| Reply::SessionStatus {
            result,
            destination: None,
            id: None,
            message: Some(message.to_owned()),
        };
        let Request::SessionCreate {
            style,
            id,
            destination,
            params,
        } = request
        else {
            return refuse(ResultCode::I2pError, "no SESSION CREATE");
        };
        if !self.registered.sessions.is_empty() {
            return refuse(ResultCode::I2pError, "Session already exists");
        }
        if !self.shared.config.personality.has_style(style) {
            return refuse(ResultCode::I2pError, "Unsupported STYLE");
        }
        let keys = match destination {
            DestinationSpec::Transient { .. } => Ok(PrivateKeys::generate()),
            DestinationSpec::Keys(keys) => PrivateKeys::from_base64(keys.expose()),
        };
        let Ok(keys) = keys else {
            return refuse(ResultCode::InvalidKey, "Invalid destination");
        };
        let Ok(datagrams_to) = datagrams_to(params.host.as_deref(), params.port) else {
            return refuse(ResultCode::I2pError, "HOST is not on this machine");
        };
        let entry = Entry {
            datagrams_to,
            header: params.header,
            from_port: params.from_port.unwrap_or(0),
            to_port: params.to_port.unwrap_or(0),
            protocol: params.protocol.unwrap_or(18),
            ..Entry::new(
                keys.destination().clone(),
                style,
                self.version(),
                self.mail.clone(),
            )
        };
        let created = self.shared.state().create(&self.shared.config, &id, entry);
        if let Err(result) = created {
            return Reply::SessionStatus {
                result,
                destination: None,
                id: None,
                message: None,
            };
        }
        self.registered.sessions.push(id);
        self.registered.role(Role::Control);
        Reply::SessionStatus {
            result: ResultCode::Ok,
            destination: Some(Secret::new(keys.to_base64().to_string())),
            id: None,
            message: None,
        }
    }

    fn add(&mut self, request: Request) -> (ResultCode, Option<String>) {
        let refuse = |message: &str| (ResultCode::I2pError, Some(message.to_owned()));
        let Request::SessionAdd { style, id, params } = request else {
            return refuse("no SESSION ADD");
        };
        let config = &self.shared.config;
        if !config.personality.has_subsessions() || !config.personality.has_style(style) {
            return refuse("Unsupported STYLE");
        }
        let Ok(datagrams_to) = datagrams_to(params.host.as_deref(), params.port) else {
            return refuse("HOST is not on this machine");
        };
        let mut state = self.shared.state();
        let primary = self.registered.sessions.first();
        let primary = primary
            .and_then(|id| state.sessions.get(id))
            .filter(|entry| matches!(entry.style, Style::Primary | Style::Master));
        let Some(primary) = primary else {
            return refuse("no primary session on this connection");
        };
        let entry = Entry {
            deaf: primary.deaf,
            datagrams_to,
            header: params.header,
            from_port: params.from_port.unwrap_or(0),
            to_port: params.to_port.unwrap_or(0),
            protocol: params.protocol.unwrap_or(18),
            ..Entry::new(
                primary.destination.clone(),
                style,
                primary.version,
                self.mail.clone(),
            )
        };
        if let Err(result) = state.add(config, &id, entry) {
            return (result, None);
        }
        let message = format!("ADD {id}");
        self.registered.sessions.push(id);
        (ResultCode::Ok, Some(message))
    }

    async fn stream_status(&mut self, result: ResultCode, message: &str) -> Result<(), Over> {
        self.reply(Reply::StreamStatus {
            result,
            message: Some(message.to_owned()).filter(|message| !message.is_empty()),
        })
        .await
    }

    /// Refuses a stream; the Java router closes after that, and we always do.
    async fn refuse_stream<T>(&mut self, result: ResultCode, message: &str) -> Result<T, Over> {
        self.stream_status(result, message).await?;
        Err(Over)
    }

    async fn connect(
        &mut self,
        id: &str,
        destination: &str,
        silent: bool,
        (from_port, to_port): (u16, u16),
    ) -> Result<Option<Handover>, Over> {
        let personality = self.shared.config.personality;
        let own = {
            let state = self.shared.state();
            let entry = state.sessions.get(id);
            entry
                .filter(|entry| entry.style == Style::Stream)
                .map(|entry| entry.destination.clone())
        };
        let Some(from) = own else {
            return self
                .refuse_stream(ResultCode::InvalidId, "no such session")
                .await;
        };
        let to = match self.shared.resolve(destination) {
            Ok(to) => to,
            // An address of nobody, not a malformed one.
            Err(_) if destination.ends_with(".b32.i2p") => {
                let message = "LeaseSet not found";
                return self.refuse_stream(ResultCode::CantReachPeer, message).await;
            }
            Err(code) => return self.refuse_stream(code, "").await,
        };
        let (socket, given) = oneshot::channel();
        let incoming = Incoming {
            from: from.clone(),
            from_port,
            to_port,
            socket,
        };
        let route = self.shared.state().route(&to, incoming);
        if let Route::Refused(code, message) = route {
            return self.refuse_stream(code, message).await;
        }
        if !personality.confirms() && !silent {
            self.stream_status(ResultCode::Ok, "").await?;
        }
        let (mut peer, early) = match route {
            Route::Forward(forward) => match dial(forward, &from, from_port, to_port).await {
                Ok(peer) => (peer, Vec::new()),
                Err(_) if personality.confirms() => {
                    let code = ResultCode::ConnectionRefused;
                    return self.refuse_stream(code, "nobody listens").await;
                }
                Err(error) => return Err(error.into()),
            },
            Route::Accept => match tokio::time::timeout(personality.accept_wait(), given).await {
                Ok(Ok(given)) => given,
                _ if personality.confirms() => {
                    let code = ResultCode::ConnectionRefused;
                    return self.refuse_stream(code, "nobody accepts").await;
                }
                _ => return Err(Over),
            },
            _ => {
                if personality.confirms() {
                    self.stream_status(ResultCode::Ok, "").await?;
                }
                self.machine.begin_stream();
                self.swallow().await?;
                return Err(Over);
            }
        };
        if personality.confirms() && !silent {
            self.stream_status(ResultCode::Ok, "").await?;
        }
        peer.write_all(&self.take_remainder()).await?;
        self.tcp.write_all(&early).await?;
        Ok(Some(Handover::Take(peer)))
    }

    /// What the program sent beyond its last line; the machine is over.
    fn take_remainder(&mut self) -> Vec<u8> {
        let spent = Bridge::new(BridgeLimits::default(), aio::now());
        let mut machine = std::mem::replace(&mut self.machine, spent);
        machine.begin_stream();
        machine.into_remainder()
    }

    /// Hands the socket to the stream that comes, and ends this task.
    async fn accept(&mut self, id: &str, silent: bool) -> Result<Option<Handover>, Over> {
        let i2pd = self.shared.config.personality.is_i2pd();
        let receive = {
            let mut state = self.shared.state();
            let entry = state.sessions.get_mut(id);
            entry
                .filter(|entry| entry.style == Style::Stream)
                .map(|entry| State::accept(entry, i2pd))
        };
        let Some(receive) = receive else {
            return self
                .refuse_stream(ResultCode::InvalidId, "no such session")
                .await;
        };
        self.registered.role(Role::Accepting);
        if !silent {
            self.stream_status(ResultCode::Ok, "").await?;
        }
        let incoming = tokio::select! {
            biased;
            () = ended(&self.tcp) => return Err(Over),
            incoming = receive => incoming.map_err(|_| Over)?,
        };
        if !silent {
            let ports = self.shared.config.personality.has_ports();
            self.machine.send_peer(&PeerLine {
                destination: incoming.from.to_base64(),
                from_port: ports.then_some(incoming.from_port),
                to_port: ports.then_some(incoming.to_port),
            });
            self.flush().await?;
        }
        let early = self.take_remainder();
        Ok(Some(Handover::Give(incoming.socket, early)))
    }

    async fn forward(
        &mut self,
        id: String,
        host: Option<&str>,
        port: u16,
        silent: bool,
    ) -> Result<(), Over> {
        let Ok(Some(to)) = datagrams_to(host, Some(port)) else {
            let code = ResultCode::I2pError;
            return self
                .refuse_stream(code, "HOST is not on this machine")
                .await;
        };
        let forward = Forward {
            to,
            version: self.version(),
            silent,
        };
        let result = match self.shared.state().sessions.get_mut(&id) {
            Some(entry) if entry.forward.is_some() => ResultCode::AlreadyAccepting,
            Some(entry) => {
                entry.forward = Some(forward);
                for incoming in entry.waiting.drain(..) {
                    tokio::spawn(deliver(forward, incoming));
                }
                ResultCode::Ok
            }
            None => ResultCode::InvalidId,
        };
        if result.is_ok() {
            self.registered.forwards = Some(id);
            self.registered.role(Role::Forwarding);
        }
        self.stream_status(result, "").await
    }

    async fn lookup(&mut self, name: String) -> Result<(), Over> {
        let personality = self.shared.config.personality;
        let found = if name == "ME" {
            let own = {
                let state = self.shared.state();
                let id = self.registered.sessions.first();
                id.and_then(|id| state.sessions.get(id))
                    .map(|entry| entry.destination.clone())
            };
            match own {
                Some(own) => Ok(own),
                // Its shared Destination.
                None if personality.is_i2pd() => Ok(PrivateKeys::generate().destination().clone()),
                None if personality == super::Personality::Java => return Err(Over),
                None => Err(ResultCode::KeyNotFound),
            }
        } else {
            self.shared.resolve(&name)
        };
        let (result, value) = match found {
            Ok(destination) => (ResultCode::Ok, Some(destination.to_base64())),
            Err(code) => (code, None),
        };
        self.reply(Reply::Naming {
            result,
            name: Some(name),
            value,
            message: None,
            extra: Vec::new(),
        })
        .await
    }
}

/// Where datagrams or streams of a session are forwarded to; an error unless on this machine.
fn datagrams_to(host: Option<&str>, port: Option<u16>) -> Result<Option<SocketAddr>, ()> {
    let Some(port) = port.filter(|port| *port != 0) else {
        return Ok(None);
    };
    let host: IpAddr = match host {
        Some(host) => host.parse().map_err(|_| ())?,
        None => Ipv4Addr::LOCALHOST.into(),
    };
    if host.is_loopback() {
        Ok(Some(SocketAddr::new(host, port)))
    } else {
        Err(())
    }
}

/// Forwards a stream that waited.
async fn deliver(forward: Forward, incoming: Incoming) {
    let Incoming {
        from,
        from_port,
        to_port,
        socket,
    } = incoming;
    if let Ok(peer) = dial(forward, &from, from_port, to_port).await {
        let _ = socket.send((peer, Vec::new()));
    }
}

async fn dial(
    forward: Forward,
    from: &Destination,
    from_port: u16,
    to_port: u16,
) -> std::io::Result<TcpStream> {
    let mut peer = TcpStream::connect(forward.to).await?;
    let _ = peer.set_nodelay(true);
    if !forward.silent {
        let line = PeerLine {
            destination: from.to_base64(),
            from_port: Some(from_port),
            to_port: Some(to_port),
        };
        peer.write_all(line.encode(forward.version).as_bytes())
            .await?;
    }
    Ok(peer)
}

/// Waits until the program closed the connection; for ever once it sent something.
async fn ended(tcp: &TcpStream) {
    let mut byte = [0];
    if matches!(tcp.peek(&mut byte).await, Ok(1..)) {
        std::future::pending().await
    }
}

/// A request as a line without its secrets.
fn shown(request: &Request) -> String {
    let mut request = request.clone();
    match &mut request {
        Request::SessionCreate {
            destination: DestinationSpec::Keys(keys),
            ..
        } => *keys = Secret::from("(keys)"),
        Request::Hello {
            password: Some(password),
            ..
        } => *password = Secret::from("(password)"),
        _ => {}
    }
    let line = request.encode(Version::V3_3);
    line.trim_end().to_owned()
}
