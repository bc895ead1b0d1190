use thiserror::Error;

use crate::{
    line::{Line, LineError, LineWriter, is_space, split_where},
    reply::{PeerLine, ReplyError, number, port, rest_of_line},
    request::SessionOptions,
    version::Version,
};

/// The longest header line of a datagram on the UDP port, in bytes; Java I2P reads as much.
pub const HEADER_LIMIT: usize = 2048;

/// The header of a datagram that a client sends to the bridge's UDP port.
///
/// `3.x ID DESTINATION [KEY=VALUE]*\n` and the payload (samv3, Sending Repliable or Raw Datagrams).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendHeader {
    /// The version; before 3.2 bridges want 3.0.
    pub version: Version,
    /// The session.
    pub id: String,
    /// The target: base 64 of a Destination; Java I2P takes names and b32 as well.
    pub destination: String,
    /// The I2CP port it comes from.
    pub from_port: Option<u16>,
    /// The I2CP port it goes to.
    pub to_port: Option<u16>,
    /// The I2CP protocol, for raw sessions.
    pub protocol: Option<u8>,
    /// `SEND_TAGS`, `TAG_THRESHOLD`, `EXPIRES`, `SEND_LEASESET` and whatever else was said.
    pub options: SessionOptions,
}

impl SendHeader {
    /// Appends the header line and `payload` to `out`.
    ///
    /// Ports and protocol are left out before 3.2, when the version word is `3.0`.
    ///
    /// # Errors
    ///
    /// [`DatagramError::BadWord`] for an ID or target that is no single word, [`DatagramError::TooLong`] for
    /// a line beyond [`HEADER_LIMIT`]. `out` is unchanged then.
    pub fn encode(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), DatagramError> {
        let bad = |word: &str| word.is_empty() || word.contains(char::is_whitespace);
        if bad(&self.id) || bad(&self.destination) {
            return Err(DatagramError::BadWord);
        }
        let ports = self.version.has_ports();
        let version = if ports { self.version } else { Version::V3_0 };
        let mut w = LineWriter::new(&version.to_string());
        w.text(&self.id).text(&self.destination);
        if ports {
            w.number("FROM_PORT", self.from_port)
                .number("TO_PORT", self.to_port);
            w.number("PROTOCOL", self.protocol);
        }
        let line = w.pairs(&self.options.0).finish();
        if line.len() > HEADER_LIMIT {
            return Err(DatagramError::TooLong {
                limit: HEADER_LIMIT,
            });
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(payload);
        Ok(())
    }

    /// Takes a datagram apart into header and payload.
    ///
    /// Words behind the target that have no `=` are passed over: yosemite sends bare numbers.
    ///
    /// # Errors
    ///
    /// Each [`DatagramError`].
    pub fn parse(datagram: &[u8]) -> Result<(SendHeader, &[u8]), DatagramError> {
        let (text, payload) = header(datagram)?;
        let mut rest = text.trim_start_matches(is_space);
        let mut word = || {
            let (word, tail) = split_where(rest, is_space);
            rest = tail.trim_start_matches(is_space);
            if word.is_empty() {
                Err(DatagramError::BadWord)
            } else {
                Ok(word)
            }
        };
        let version: Version = word()?.parse().map_err(|_| DatagramError::BadVersion)?;
        if version.major != 3 {
            return Err(DatagramError::BadVersion);
        }
        let (id, destination) = (word()?.to_owned(), word()?.to_owned());
        let line = match Line::parse_request(rest) {
            Err(LineError::Empty) => Line::default(),
            line => line?,
        };
        let known = ["FROM_PORT", "TO_PORT", "PROTOCOL"];
        let header = SendHeader {
            version,
            id,
            destination,
            from_port: port(&line, "FROM_PORT")?,
            to_port: port(&line, "TO_PORT")?,
            protocol: protocol(&line)?,
            options: line
                .pairs
                .iter()
                .filter(|(key, _)| !known.contains(&&**key))
                .cloned()
                .collect(),
        };
        Ok((header, payload))
    }
}

/// The header of a raw datagram that a bridge forwards to a client with HEADER=true:
/// `FROM_PORT=n TO_PORT=n PROTOCOL=n\n` (Java I2P begins with PROTOCOL).
///
/// Without HEADER a forwarded raw datagram is its payload alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawHeader {
    /// The I2CP port it came from.
    pub from_port: Option<u16>,
    /// The I2CP port it came to.
    pub to_port: Option<u16>,
    /// The I2CP protocol.
    pub protocol: Option<u8>,
}

impl RawHeader {
    /// Appends the header line and `payload` to `out`.
    ///
    /// Values that are not known are written as 0.
    pub fn encode(&self, payload: &[u8], out: &mut Vec<u8>) {
        let line = LineWriter::new(&format!("FROM_PORT={}", self.from_port.unwrap_or(0)))
            .number("TO_PORT", Some(self.to_port.unwrap_or(0)))
            .number("PROTOCOL", Some(self.protocol.unwrap_or(0)))
            .finish();
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(payload);
    }

    /// Takes a datagram apart into header and payload.
    ///
    /// # Errors
    ///
    /// Each [`DatagramError`] but those of version and words.
    pub fn parse(datagram: &[u8]) -> Result<(RawHeader, &[u8]), DatagramError> {
        let (text, payload) = header(datagram)?;
        let line = rest_of_line(text)?;
        let header = RawHeader {
            from_port: port(&line, "FROM_PORT")?,
            to_port: port(&line, "TO_PORT")?,
            protocol: protocol(&line)?,
        };
        if header == RawHeader::default() {
            return Err(DatagramError::NoHeader);
        }
        Ok((header, payload))
    }
}

/// Appends a repliable datagram as a bridge forwards it to a client, `DESTINATION[ FROM_PORT=n TO_PORT=n]\n`
/// and the payload, to `out`.
///
/// The ports are there from 3.2 on, by the version of the session's connection: i2p.socket takes the bare
/// form only and yosemite the other.
pub fn encode_forwarded(sender: &PeerLine, version: Version, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(sender.encode(version).as_bytes());
    out.extend_from_slice(payload);
}

/// Takes a forwarded repliable datagram apart into sender and payload.
///
/// # Errors
///
/// Each [`DatagramError`] but those of version and words.
pub fn parse_forwarded(datagram: &[u8]) -> Result<(PeerLine, &[u8]), DatagramError> {
    let (text, payload) = header(datagram)?;
    Ok((PeerLine::parse(text)?, payload))
}

/// Why bytes are no datagram with a header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// There is no newline, or the raw header has nothing in it.
    #[error("datagram without a header line")]
    NoHeader,
    /// A header line beyond the limit.
    #[error("header line of more than {limit} bytes")]
    TooLong {
        /// The most bytes it may have.
        limit: usize,
    },
    /// The first word is not `3.x`.
    #[error("datagram does not start with a version")]
    BadVersion,
    /// No ID or target, or one with white space.
    #[error("ID or target is missing or has white space")]
    BadWord,
    /// A header line that cannot be taken apart.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A value in it that is missing or wrong.
    #[error(transparent)]
    Value(#[from] ReplyError),
}

/// Splits behind the first newline.
fn header(datagram: &[u8]) -> Result<(&str, &[u8]), DatagramError> {
    let limited = datagram.get(..HEADER_LIMIT).unwrap_or(datagram);
    let Some(end) = limited.iter().position(|b| *b == b'\n') else {
        return Err(match datagram.len() > HEADER_LIMIT {
            true => DatagramError::TooLong {
                limit: HEADER_LIMIT,
            },
            false => DatagramError::NoHeader,
        });
    };
    let (line, payload) = datagram.split_at(end);
    let line = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    if line.contains('\0') {
        return Err(LineError::Nul.into());
    }
    Ok((
        line.strip_suffix('\r').unwrap_or(line),
        payload.get(1..).unwrap_or_default(),
    ))
}

fn protocol(line: &Line) -> Result<Option<u8>, ReplyError> {
    let number = number(line, "PROTOCOL", usize::from(u8::MAX))?;
    Ok(number.and_then(|n| u8::try_from(n).ok()))
}
