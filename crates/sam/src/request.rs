use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{
    line::{Line, LineError, LineWriter, PAYLOAD_LIMIT, is_space},
    secret::Secret,
    version::Version,
};

/// What a client says to a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `HELLO VERSION [MIN=] [MAX=] [USER=] [PASSWORD=]`
    Hello {
        /// The lowest version the client takes.
        min: Option<Version>,
        /// The highest version the client takes.
        max: Option<Version>,
        /// The user's name, where the bridge asks for one.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// Options this crate does not know.
        extra: Vec<(String, String)>,
    },
    /// `SESSION CREATE STYLE= ID= DESTINATION= ...`
    SessionCreate {
        /// What the session carries.
        style: Style,
        /// The name other connections use it by.
        id: String,
        /// Its Destination.
        destination: DestinationSpec,
        /// Everything else.
        params: SessionParams,
    },
    /// `SESSION ADD STYLE= ID= ...`: a subsession of this socket's primary session.
    SessionAdd {
        /// What the subsession carries.
        style: Style,
        /// The name other connections use it by.
        id: String,
        /// Everything else.
        params: SessionParams,
    },
    /// `SESSION REMOVE ID=`
    SessionRemove {
        /// The subsession.
        id: String,
    },
    /// `STREAM CONNECT ID= DESTINATION= [SILENT=] [FROM_PORT=] [TO_PORT=]`
    StreamConnect {
        /// The session.
        id: String,
        /// The base 64 of a Destination, a host name or a b32 address.
        destination: String,
        /// Whether the bridge says nothing before the data.
        silent: bool,
        /// The I2CP port the stream comes from.
        from_port: Option<u16>,
        /// The I2CP port the stream goes to.
        to_port: Option<u16>,
    },
    /// `STREAM ACCEPT ID= [SILENT=]`
    StreamAccept {
        /// The session.
        id: String,
        /// Whether the bridge says nothing before the data.
        silent: bool,
    },
    /// `STREAM FORWARD ID= PORT= [HOST=] [SILENT=] [SSL=]`
    StreamForward {
        /// The session.
        id: String,
        /// Where the bridge connects to; the client's address if missing.
        host: Option<String>,
        /// The port the bridge connects to.
        port: u16,
        /// Whether the bridge leaves out the line with the peer's Destination.
        silent: bool,
        /// Whether the bridge connects over TLS.
        ssl: bool,
    },
    /// `DATAGRAM SEND DESTINATION= SIZE= ...`, followed by SIZE bytes.
    DatagramSend {
        /// The target.
        destination: String,
        /// The length of the payload.
        size: usize,
        /// The I2CP port it comes from.
        from_port: Option<u16>,
        /// The I2CP port it goes to.
        to_port: Option<u16>,
        /// `SEND_TAGS`, `TAG_THRESHOLD`, `EXPIRES`, `SEND_LEASESET` and whatever else was said.
        options: SessionOptions,
    },
    /// `RAW SEND DESTINATION= SIZE= ...`, followed by SIZE bytes.
    RawSend {
        /// The target.
        destination: String,
        /// The length of the payload.
        size: usize,
        /// The I2CP protocol.
        protocol: Option<u8>,
        /// The I2CP port it comes from.
        from_port: Option<u16>,
        /// The I2CP port it goes to.
        to_port: Option<u16>,
        /// As for [`Request::DatagramSend`].
        options: SessionOptions,
    },
    /// `NAMING LOOKUP NAME= [OPTIONS=true]`
    NamingLookup {
        /// A host name, b32 address, or `ME`.
        name: String,
        /// Whether the options of the LeaseSet are wanted, too.
        options: bool,
    },
    /// `DEST GENERATE [SIGNATURE_TYPE=]`
    DestGenerate {
        /// A signature type by its number or name.
        signature_type: Option<String>,
    },
    /// `PING[ text]`
    Ping(String),
    /// `PONG[ text]`
    Pong(String),
    /// `AUTH ...`
    Auth(Auth),
    /// `HELP`
    Help,
    /// `QUIT`
    Quit,
    /// `STOP`
    Stop,
    /// `EXIT`
    Exit,
}

/// The commands that change who may connect (samv3, Authorization Configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `AUTH ENABLE`
    Enable,
    /// `AUTH DISABLE`
    Disable,
    /// `AUTH ADD USER= PASSWORD=`
    Add {
        /// The new user.
        user: String,
        /// Their password.
        password: Secret,
    },
    /// `AUTH REMOVE USER=`
    Remove {
        /// The user to forget.
        user: String,
    },
}

/// What a session carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Streams.
    Stream,
    /// Repliable, authenticated datagrams.
    Datagram,
    /// The newer form of the same.
    Datagram2,
    /// Repliable datagrams whose sender nobody vouches for.
    Datagram3,
    /// Anonymous datagrams.
    Raw,
    /// Subsessions.
    Primary,
    /// The older name of [`Style::Primary`], the only one i2pd knows.
    Master,
}

impl Style {
    /// Every style.
    pub const ALL: [Style; 7] = [
        Style::Stream,
        Style::Datagram,
        Style::Datagram2,
        Style::Datagram3,
        Style::Raw,
        Style::Primary,
        Style::Master,
    ];

    /// Returns the word of the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Style::Stream => "STREAM",
            Style::Datagram => "DATAGRAM",
            Style::Datagram2 => "DATAGRAM2",
            Style::Datagram3 => "DATAGRAM3",
            Style::Raw => "RAW",
            Style::Primary => "PRIMARY",
            Style::Master => "MASTER",
        }
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Style {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let style = Style::ALL.into_iter().find(|style| style.as_str() == text);
        style.ok_or_else(|| RequestError::BadStyle {
            style: text.to_owned(),
        })
    }
}

/// Which Destination a session has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationSpec {
    /// A new one that ends with the session.
    Transient {
        /// A signature type by its number or name; DSA if missing.
        signature_type: Option<String>,
    },
    /// The one of these private keys, in base 64.
    Keys(Secret),
}

/// What SESSION CREATE and SESSION ADD say beside style, ID and Destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionParams {
    /// Options for I2CP and streaming.
    pub options: SessionOptions,
    /// Where datagrams are forwarded to; the client's address if missing.
    pub host: Option<String>,
    /// The port datagrams are forwarded to; without it they come on the control socket.
    pub port: Option<u16>,
    /// The default I2CP port of what is sent.
    pub from_port: Option<u16>,
    /// The default I2CP port sent to.
    pub to_port: Option<u16>,
    /// The I2CP protocol of raw datagrams sent.
    pub protocol: Option<u8>,
    /// The I2CP port listened on; in a subsession `from_port` if missing. 0 is any.
    pub listen_port: Option<u16>,
    /// The I2CP protocol listened on; in a subsession `protocol` if missing. 0 is any.
    pub listen_protocol: Option<u8>,
    /// Whether forwarded raw datagrams start with a line of ports and protocol.
    pub header: bool,
}

impl SessionParams {
    fn parse(fields: &Fields<'_>) -> Result<Self, RequestError> {
        Ok(SessionParams {
            options: SessionOptions(fields.others(&SESSION_KEYS)),
            host: fields.text("HOST"),
            port: fields.port("PORT")?,
            from_port: fields.port("FROM_PORT")?,
            to_port: fields.port("TO_PORT")?,
            protocol: fields.byte("PROTOCOL")?,
            listen_port: fields.port("LISTEN_PORT")?,
            listen_protocol: fields.byte("LISTEN_PROTOCOL")?,
            header: fields.flag("HEADER"),
        })
    }

    fn write(&self, w: &mut LineWriter, ports: bool) {
        w.number("PORT", self.port)
            .option("HOST", self.host.as_deref());
        if ports {
            w.number("FROM_PORT", self.from_port)
                .number("TO_PORT", self.to_port)
                .number("PROTOCOL", self.protocol)
                .number("LISTEN_PORT", self.listen_port)
                .number("LISTEN_PROTOCOL", self.listen_protocol)
                .flag("HEADER", self.header);
        }
        w.pairs(&self.options.0);
    }

    /// Whether it says something that is new in 3.2.
    fn has_ports(&self) -> bool {
        let port = self.from_port.or(self.to_port).or(self.listen_port);
        port.is_some() || self.protocol.or(self.listen_protocol).is_some() || self.header
    }
}

/// Options of I2CP and streaming in their order, such as `inbound.length=2`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions(pub Vec<(String, String)>);

impl SessionOptions {
    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Sets `key`, in its place if it was set before.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for SessionOptions {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut options = SessionOptions::default();
        pairs
            .into_iter()
            .for_each(|(key, value)| options.set(key, value));
        options
    }
}

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The line cannot be taken apart.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The first line is not `HELLO VERSION`.
    #[error("first command is not HELLO VERSION")]
    NoHello,
    /// An unknown first word.
    #[error("unknown command {command}")]
    UnknownCommand {
        /// The word, in upper case.
        command: String,
    },
    /// A command that needs a second word and has none.
    #[error("{command} without a second word")]
    MissingSubcommand {
        /// The first word, in upper case.
        command: String,
    },
    /// An unknown second word.
    #[error("unknown command {command} {subcommand}")]
    UnknownSubcommand {
        /// The first word, in upper case.
        command: String,
        /// The second word, in upper case.
        subcommand: String,
    },
    /// A value that must be there.
    #[error("{key} not specified")]
    Missing {
        /// Its key.
        key: &'static str,
    },
    /// An unknown STYLE.
    #[error("unrecognized STYLE {style}")]
    BadStyle {
        /// The value.
        style: String,
    },
    /// An ID that is empty or has white space.
    #[error("ID is empty or has white space")]
    BadId,
    /// A number that is none, or too large.
    #[error("{key} is not a number from 0 to {max}")]
    BadNumber {
        /// Its key.
        key: &'static str,
        /// The highest value.
        max: usize,
    },
    /// A MIN or MAX that is no version.
    #[error("{key} is not a version")]
    BadVersion {
        /// `MIN` or `MAX`.
        key: &'static str,
    },
}

/// Why a request or reply cannot be written: there is no escape for what it contains.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A line end or NUL in a value.
    #[error("line end or NUL in {key}")]
    LineEnd {
        /// The value's key.
        key: String,
    },
    /// An option's key that is empty, has white space, quotes or `=`, or is one the request has itself.
    #[error("{key:?} cannot be the key of an option")]
    BadKey {
        /// The key.
        key: String,
    },
    /// An ID that is empty or has white space.
    #[error("ID is empty or has white space")]
    BadId,
}

impl Request {
    /// Reads a request.
    ///
    /// The two command words may be in any case, as with Java I2P. `SILENT`, `SSL`, `HEADER` and `OPTIONS` are
    /// true if their value is `true` in any case or if the key stands alone. Empty numbers count as missing.
    /// SIGNATURE_TYPE along with keys is dropped: clients send it always.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`] but `NoHello`.
    pub fn parse(line: &Line) -> Result<Request, RequestError> {
        let mut words = line.words.iter().map(|word| word.to_ascii_uppercase());
        let command = words.next().ok_or(LineError::Empty)?;
        match &*command {
            "PING" => return Ok(Request::Ping(line.text.clone())),
            "PONG" => return Ok(Request::Pong(line.text.clone())),
            "HELP" => return Ok(Request::Help),
            "QUIT" => return Ok(Request::Quit),
            "STOP" => return Ok(Request::Stop),
            "EXIT" => return Ok(Request::Exit),
            "HELLO" | "SESSION" | "STREAM" | "DATAGRAM" | "RAW" | "NAMING" | "DEST" | "AUTH" => {}
            _ => return Err(RequestError::UnknownCommand { command }),
        }
        let Some(subcommand) = words.next() else {
            return Err(RequestError::MissingSubcommand { command });
        };
        let fields = Fields(line);
        Ok(match (&*command, &*subcommand) {
            ("HELLO", "VERSION") => Request::Hello {
                min: fields.version("MIN")?,
                max: fields.version("MAX")?,
                user: fields.text("USER"),
                password: fields.text("PASSWORD").map(Secret::new),
                extra: fields.others(&["MIN", "MAX", "USER", "PASSWORD"]),
            },
            ("SESSION", "CREATE") => Request::SessionCreate {
                style: fields.require("STYLE")?.parse()?,
                id: fields.id()?,
                destination: match fields.require("DESTINATION")? {
                    "TRANSIENT" => DestinationSpec::Transient {
                        signature_type: fields.text("SIGNATURE_TYPE"),
                    },
                    keys => DestinationSpec::Keys(keys.into()),
                },
                params: SessionParams::parse(&fields)?,
            },
            ("SESSION", "ADD") => Request::SessionAdd {
                style: fields.require("STYLE")?.parse()?,
                id: fields.id()?,
                params: SessionParams::parse(&fields)?,
            },
            ("SESSION", "REMOVE") => Request::SessionRemove { id: fields.id()? },
            ("STREAM", "CONNECT") => Request::StreamConnect {
                id: fields.id()?,
                destination: fields.require("DESTINATION")?.to_owned(),
                silent: fields.flag("SILENT"),
                from_port: fields.port("FROM_PORT")?,
                to_port: fields.port("TO_PORT")?,
            },
            ("STREAM", "ACCEPT") => Request::StreamAccept {
                id: fields.id()?,
                silent: fields.flag("SILENT"),
            },
            ("STREAM", "FORWARD") => Request::StreamForward {
                id: fields.id()?,
                host: fields.text("HOST"),
                port: fields
                    .port("PORT")?
                    .ok_or(RequestError::Missing { key: "PORT" })?,
                silent: fields.flag("SILENT"),
                ssl: fields.flag("SSL"),
            },
            ("DATAGRAM", "SEND") => Request::DatagramSend {
                destination: fields.require("DESTINATION")?.to_owned(),
                size: fields.size()?,
                from_port: fields.port("FROM_PORT")?,
                to_port: fields.port("TO_PORT")?,
                options: SessionOptions(fields.others(&SEND_KEYS)),
            },
            ("RAW", "SEND") => Request::RawSend {
                destination: fields.require("DESTINATION")?.to_owned(),
                size: fields.size()?,
                protocol: fields.byte("PROTOCOL")?,
                from_port: fields.port("FROM_PORT")?,
                to_port: fields.port("TO_PORT")?,
                options: SessionOptions(fields.others(&SEND_KEYS)),
            },
            ("NAMING", "LOOKUP") => Request::NamingLookup {
                name: fields.require("NAME")?.to_owned(),
                options: fields.flag("OPTIONS"),
            },
            ("DEST", "GENERATE") => Request::DestGenerate {
                signature_type: fields.text("SIGNATURE_TYPE"),
            },
            ("AUTH", "ENABLE") => Request::Auth(Auth::Enable),
            ("AUTH", "DISABLE") => Request::Auth(Auth::Disable),
            ("AUTH", "ADD") => Request::Auth(Auth::Add {
                user: fields.require("USER")?.to_owned(),
                password: fields.require("PASSWORD")?.into(),
            }),
            ("AUTH", "REMOVE") => Request::Auth(Auth::Remove {
                user: fields.require("USER")?.to_owned(),
            }),
            _ => {
                return Err(RequestError::UnknownSubcommand {
                    command,
                    subcommand,
                });
            }
        })
    }

    /// Writes the request as one line with its newline, without a payload.
    ///
    /// What `version` does not have is left out: ports, protocols, HEADER and SSL before 3.2 (ask
    /// [`Request::minimum_version`] where that matters). SIGNATURE_TYPE is written for 3.0 as well, since each
    /// router reads it there and the default is DSA. Line ends in values become spaces; [`Request::check`]
    /// finds them before.
    pub fn encode(&self, version: Version) -> String {
        let (command, subcommand) = self.words();
        let mut w = LineWriter::new(command);
        if !subcommand.is_empty() {
            w.text(subcommand);
        }
        let ports = version.has_ports();
        match self {
            Request::Hello {
                min,
                max,
                user,
                password,
                extra,
            } => {
                w.number("MIN", *min)
                    .number("MAX", *max)
                    .option("USER", user.as_deref());
                w.option("PASSWORD", password.as_ref().map(Secret::expose))
                    .pairs(extra);
            }
            Request::SessionCreate {
                style,
                id,
                destination,
                params,
            } => {
                w.pair("STYLE", style.as_str()).pair("ID", id);
                match destination {
                    DestinationSpec::Transient { signature_type } => w
                        .pair("DESTINATION", "TRANSIENT")
                        .option("SIGNATURE_TYPE", signature_type.as_deref()),
                    DestinationSpec::Keys(keys) => w.pair("DESTINATION", keys.expose()),
                };
                params.write(&mut w, ports);
            }
            Request::SessionAdd { style, id, params } => {
                w.pair("STYLE", style.as_str()).pair("ID", id);
                params.write(&mut w, ports);
            }
            Request::SessionRemove { id } => {
                w.pair("ID", id);
            }
            Request::StreamConnect {
                id,
                destination,
                silent,
                from_port,
                to_port,
            } => {
                w.pair("ID", id)
                    .pair("DESTINATION", destination)
                    .flag("SILENT", *silent);
                if ports {
                    w.number("FROM_PORT", *from_port)
                        .number("TO_PORT", *to_port);
                }
            }
            Request::StreamAccept { id, silent } => {
                w.pair("ID", id).flag("SILENT", *silent);
            }
            Request::StreamForward {
                id,
                host,
                port,
                silent,
                ssl,
            } => {
                w.pair("ID", id)
                    .number("PORT", Some(port))
                    .option("HOST", host.as_deref());
                w.flag("SILENT", *silent).flag("SSL", *ssl && ports);
            }
            Request::DatagramSend {
                destination,
                size,
                from_port,
                to_port,
                options,
            } => {
                w.pair("DESTINATION", destination)
                    .number("SIZE", Some(size));
                if ports {
                    w.number("FROM_PORT", *from_port)
                        .number("TO_PORT", *to_port);
                }
                w.pairs(&options.0);
            }
            Request::RawSend {
                destination,
                size,
                protocol,
                from_port,
                to_port,
                options,
            } => {
                w.pair("DESTINATION", destination)
                    .number("SIZE", Some(size));
                if ports {
                    w.number("PROTOCOL", *protocol);
                    w.number("FROM_PORT", *from_port)
                        .number("TO_PORT", *to_port);
                }
                w.pairs(&options.0);
            }
            Request::NamingLookup { name, options } => {
                w.pair("NAME", name).flag("OPTIONS", *options);
            }
            Request::DestGenerate { signature_type } => {
                w.option("SIGNATURE_TYPE", signature_type.as_deref());
            }
            Request::Ping(text) | Request::Pong(text) => {
                w.text(text);
            }
            Request::Auth(Auth::Add { user, password }) => {
                w.pair("USER", user).pair("PASSWORD", password.expose());
            }
            Request::Auth(Auth::Remove { user }) => {
                w.pair("USER", user);
            }
            Request::Auth(Auth::Enable | Auth::Disable)
            | Request::Help
            | Request::Quit
            | Request::Stop
            | Request::Exit => {}
        }
        w.finish()
    }

    /// Returns the command words; the second is empty where there is none.
    pub fn words(&self) -> (&'static str, &'static str) {
        match self {
            Request::Hello { .. } => ("HELLO", "VERSION"),
            Request::SessionCreate { .. } => ("SESSION", "CREATE"),
            Request::SessionAdd { .. } => ("SESSION", "ADD"),
            Request::SessionRemove { .. } => ("SESSION", "REMOVE"),
            Request::StreamConnect { .. } => ("STREAM", "CONNECT"),
            Request::StreamAccept { .. } => ("STREAM", "ACCEPT"),
            Request::StreamForward { .. } => ("STREAM", "FORWARD"),
            Request::DatagramSend { .. } => ("DATAGRAM", "SEND"),
            Request::RawSend { .. } => ("RAW", "SEND"),
            Request::NamingLookup { .. } => ("NAMING", "LOOKUP"),
            Request::DestGenerate { .. } => ("DEST", "GENERATE"),
            Request::Ping(_) => ("PING", ""),
            Request::Pong(_) => ("PONG", ""),
            Request::Auth(Auth::Enable) => ("AUTH", "ENABLE"),
            Request::Auth(Auth::Disable) => ("AUTH", "DISABLE"),
            Request::Auth(Auth::Add { .. }) => ("AUTH", "ADD"),
            Request::Auth(Auth::Remove { .. }) => ("AUTH", "REMOVE"),
            Request::Help => ("HELP", ""),
            Request::Quit => ("QUIT", ""),
            Request::Stop => ("STOP", ""),
            Request::Exit => ("EXIT", ""),
        }
    }

    /// Returns the lowest version that has all that the request says.
    pub fn minimum_version(&self) -> Version {
        let ports = |any: bool| if any { Version::V3_2 } else { Version::V3_0 };
        match self {
            Request::SessionCreate {
                style: Style::Primary | Style::Master,
                ..
            }
            | Request::SessionAdd { .. }
            | Request::SessionRemove { .. } => Version::V3_3,
            Request::SessionCreate { params, .. } => ports(params.has_ports()),
            Request::StreamConnect {
                from_port, to_port, ..
            }
            | Request::DatagramSend {
                from_port, to_port, ..
            } => ports(from_port.or(*to_port).is_some()),
            Request::RawSend {
                protocol,
                from_port,
                to_port,
                ..
            } => {
                let any = protocol.is_some() || from_port.or(*to_port).is_some();
                ports(any).max(Version::V3_1)
            }
            Request::StreamForward { ssl, .. } => ports(*ssl),
            Request::DestGenerate {
                signature_type: Some(_),
            } => Version::V3_1,
            Request::Ping(_)
            | Request::Pong(_)
            | Request::Auth(_)
            | Request::Help
            | Request::Quit
            | Request::Stop
            | Request::Exit => Version::V3_2,
            _ => Version::V3_0,
        }
    }

    /// Tells whether the request can be written so that it reads back the same.
    ///
    /// # Errors
    ///
    /// The first thing in it that there is no way to write.
    pub fn check(&self) -> Result<(), EncodeError> {
        let value = |key: &str, value: &str| match value.contains(['\n', '\r', '\0']) {
            true => Err(EncodeError::LineEnd {
                key: key.to_owned(),
            }),
            false => Ok(()),
        };
        let option = |key: &str, text: &Option<String>| match text {
            Some(text) => value(key, text),
            None => Ok(()),
        };
        let check_id = |id: &str| {
            value("ID", id)?;
            if id_is_good(id) {
                Ok(())
            } else {
                Err(EncodeError::BadId)
            }
        };
        let pairs = |pairs: &[(String, String)], own: &[&str]| {
            for (i, (key, text)) in pairs.iter().enumerate() {
                let bad = |c| is_space(c) || matches!(c, '\n' | '\r' | '\0' | '=' | '"');
                let again = pairs.iter().take(i).any(|(k, _)| k == key);
                if key.is_empty() || key.contains(bad) || again || own.contains(&&**key) {
                    return Err(EncodeError::BadKey { key: key.clone() });
                }
                value(key, text)?;
            }
            Ok(())
        };
        match self {
            Request::Hello {
                user,
                password,
                extra,
                ..
            } => {
                option("USER", user)?;
                value("PASSWORD", password.as_ref().map_or("", Secret::expose))?;
                pairs(extra, &["MIN", "MAX", "USER", "PASSWORD"])
            }
            Request::SessionCreate {
                id,
                destination,
                params,
                ..
            } => {
                check_id(id)?;
                option("HOST", &params.host)?;
                match destination {
                    DestinationSpec::Transient { signature_type } => {
                        option("SIGNATURE_TYPE", signature_type)?;
                    }
                    DestinationSpec::Keys(keys) => value("DESTINATION", keys.expose())?,
                }
                pairs(&params.options.0, &SESSION_KEYS)
            }
            Request::SessionAdd { id, params, .. } => {
                check_id(id)?;
                option("HOST", &params.host)?;
                pairs(&params.options.0, &SESSION_KEYS)
            }
            Request::SessionRemove { id } | Request::StreamAccept { id, .. } => check_id(id),
            Request::StreamConnect {
                id, destination, ..
            } => {
                check_id(id)?;
                value("DESTINATION", destination)
            }
            Request::StreamForward { id, host, .. } => {
                check_id(id)?;
                option("HOST", host)
            }
            Request::DatagramSend {
                destination,
                options,
                ..
            }
            | Request::RawSend {
                destination,
                options,
                ..
            } => {
                value("DESTINATION", destination)?;
                pairs(&options.0, &SEND_KEYS)
            }
            Request::NamingLookup { name, .. } => value("NAME", name),
            Request::DestGenerate { signature_type } => option("SIGNATURE_TYPE", signature_type),
            Request::Ping(text) | Request::Pong(text) => value("PING", text),
            Request::Auth(Auth::Add { user, password }) => {
                value("USER", user)?;
                value("PASSWORD", password.expose())
            }
            Request::Auth(Auth::Remove { user }) => value("USER", user),
            Request::Auth(Auth::Enable | Auth::Disable)
            | Request::Help
            | Request::Quit
            | Request::Stop
            | Request::Exit => Ok(()),
        }
    }
}

/// The keys of SESSION CREATE and ADD that are not options.
const SESSION_KEYS: [&str; 12] = [
    "STYLE",
    "ID",
    "DESTINATION",
    "SIGNATURE_TYPE",
    "PORT",
    "HOST",
    "FROM_PORT",
    "TO_PORT",
    "PROTOCOL",
    "LISTEN_PORT",
    "LISTEN_PROTOCOL",
    "HEADER",
];

/// The keys of DATAGRAM SEND and RAW SEND that are not options.
const SEND_KEYS: [&str; 5] = ["DESTINATION", "SIZE", "PROTOCOL", "FROM_PORT", "TO_PORT"];

fn id_is_good(id: &str) -> bool {
    !id.is_empty() && !id.contains(char::is_whitespace)
}

/// Reads typed values out of a line.
struct Fields<'a>(&'a Line);

impl<'a> Fields<'a> {
    fn require(&self, key: &'static str) -> Result<&'a str, RequestError> {
        let value = self.0.get(key).filter(|value| !value.is_empty());
        value.ok_or(RequestError::Missing { key })
    }

    fn id(&self) -> Result<String, RequestError> {
        let id = self.require("ID")?;
        if id_is_good(id) {
            Ok(id.to_owned())
        } else {
            Err(RequestError::BadId)
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0
            .get(key)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    fn flag(&self, key: &str) -> bool {
        match self.0.get(key) {
            Some(value) => value.eq_ignore_ascii_case("true"),
            None => self.0.has_word(key),
        }
    }

    fn number(&self, key: &'static str, max: usize) -> Result<Option<usize>, RequestError> {
        let Some(value) = self.0.get(key).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        let number = value.parse().ok().filter(|n| digits && *n <= max);
        number.map(Some).ok_or(RequestError::BadNumber { key, max })
    }

    fn port(&self, key: &'static str) -> Result<Option<u16>, RequestError> {
        let number = self.number(key, usize::from(u16::MAX))?;
        Ok(number.and_then(|n| u16::try_from(n).ok()))
    }

    fn byte(&self, key: &'static str) -> Result<Option<u8>, RequestError> {
        let number = self.number(key, usize::from(u8::MAX))?;
        Ok(number.and_then(|n| u8::try_from(n).ok()))
    }

    fn size(&self) -> Result<usize, RequestError> {
        self.number("SIZE", PAYLOAD_LIMIT)?
            .ok_or(RequestError::Missing { key: "SIZE" })
    }

    fn version(&self, key: &'static str) -> Result<Option<Version>, RequestError> {
        let text = self.0.get(key).filter(|value| !value.is_empty());
        let version = text.map(|text| text.parse().map_err(|_| RequestError::BadVersion { key }));
        version.transpose()
    }

    fn others(&self, known: &[&str]) -> Vec<(String, String)> {
        self.0
            .pairs
            .iter()
            .filter(|(key, _)| !known.contains(&&**key))
            .cloned()
            .collect()
    }
}
