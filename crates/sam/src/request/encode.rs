use thiserror::Error;

use super::{Auth, DestinationSpec, Request, SEND_KEYS, SESSION_KEYS, SessionParams, id_is_good};
use crate::{
    line::{LineWriter, is_space},
    secret::Secret,
    version::Version,
};

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

impl SessionParams {
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
}
