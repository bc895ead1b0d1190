use super::{
    Auth, DestinationSpec, Request, RequestError, SEND_KEYS, SESSION_KEYS, SessionOptions,
    SessionParams, id_is_good,
};
use crate::{
    line::{Line, LineError, PAYLOAD_LIMIT},
    secret::Secret,
    version::Version,
};

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
