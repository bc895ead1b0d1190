use std::fmt;
use std::str::FromStr;

use crate::Secret;

/// The port a SAM bridge listens on unless told otherwise.
const DEFAULT_PORT: u16 = 7656;

/// User and password of a SAM bridge that asks for them (SAM v3.2, "HELLO VERSION").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password; never printed.
    pub password: Secret,
}

/// Where a SAM bridge listens: TCP for sessions and streams, UDP for outgoing datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    udp_port: Option<u16>,
    login: Option<Login>,
}

/// A text that is no SAM address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing stands before the port.
    #[error("the host is missing: write HOST:PORT, for example 127.0.0.1:7656")]
    NoHost,
    /// The part behind the colon is no port from 1 to 65535.
    #[error(
        "the port is not a number from 1 to 65535: write HOST:PORT, for example 127.0.0.1:7656"
    )]
    BadPort,
}

impl Endpoint {
    /// The bridge at `host` (a name or an IP address) and TCP `port`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            udp_port: None,
            login: None,
        }
    }

    /// Names the UDP port for outgoing datagrams; without it, the TCP port minus one.
    #[must_use]
    pub fn with_udp_port(mut self, port: u16) -> Self {
        self.udp_port = Some(port);
        self
    }

    /// Logs in with user and password.
    #[must_use]
    pub fn with_login(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.login = Some(Login {
            user: user.into(),
            password: password.into(),
        });
        self
    }

    /// The host as it was named.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The UDP port for outgoing datagrams: 7655 beside 7656, the TCP port minus one in general.
    pub fn udp_port(&self) -> u16 {
        self.udp_port.unwrap_or_else(|| self.port.saturating_sub(1))
    }

    /// User and password, if any.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`; the port is 7656 when missing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(EndpointError::NoHost)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(EndpointError::BadPort),
            }
        } else if text.matches(':').count() > 1 {
            (text, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(EndpointError::NoHost);
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return Err(EndpointError::BadPort),
            },
        };
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_host_and_port() {
        for (text, host, port) in [
            ("127.0.0.1:7656", "127.0.0.1", 7656),
            ("router.lan", "router.lan", 7656),
            ("[::1]:70", "::1", 70),
            ("::1", "::1", 7656),
            ("[fe80::1]", "fe80::1", 7656),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{text}");
            assert_eq!(endpoint.to_string().parse::<Endpoint>().unwrap(), endpoint);
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in ["", ":7656", "a b:1", "[::1", "//127.0.0.1:7656"] {
            assert_eq!(
                text.parse::<Endpoint>().unwrap_err(),
                EndpointError::NoHost,
                "{text}"
            );
        }
        for text in ["host:", "host:0", "host:65536", "host:x", "[::1]x"] {
            assert_eq!(
                text.parse::<Endpoint>().unwrap_err(),
                EndpointError::BadPort,
                "{text}"
            );
        }
    }

    #[test]
    fn the_udp_port_is_one_below_unless_named() {
        assert_eq!(Endpoint::new("h", 7656).udp_port(), 7655);
        assert_eq!(Endpoint::new("h", 7656).with_udp_port(9).udp_port(), 9);
    }
}
