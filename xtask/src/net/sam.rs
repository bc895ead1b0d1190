//! Just enough of SAM to set a network up and to see that it works.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a SAM bridge may take to answer what needs no tunnels.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A greeted SAM control socket.
#[derive(Debug)]
pub struct SamSocket {
    stream: BufReader<TcpStream>,
}

impl SamSocket {
    /// Connects and exchanges the greeting.
    ///
    /// # Errors
    /// When nothing answers there, or not as a SAM bridge does.
    pub fn connect(sam: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&sam, ANSWER_WITHIN)
            .with_context(|| format!("no SAM bridge at {sam}"))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        let mut socket = Self {
            stream: BufReader::new(stream),
        };
        socket.request("HELLO VERSION MIN=3.1 MAX=3.3")?;
        Ok(socket)
    }

    /// Sets how long later answers and data may take.
    ///
    /// # Errors
    /// When `timeout` is zero.
    pub fn set_timeout(&self, timeout: Duration) -> Result<()> {
        Ok(self.stream.get_ref().set_read_timeout(Some(timeout))?)
    }

    /// Makes a new Ed25519 Destination and returns its public and its private form.
    ///
    /// # Errors
    /// When the bridge refuses.
    pub fn generate(&mut self) -> Result<(String, String)> {
        let reply = self.request("DEST GENERATE SIGNATURE_TYPE=7")?;
        match (field(&reply, "PUB"), field(&reply, "PRIV")) {
            (Some(public), Some(private)) => Ok((public.to_owned(), private.to_owned())),
            _ => bail!("no Destination in the answer to DEST GENERATE"),
        }
    }

    /// Asks the router for the Destination behind a name.
    ///
    /// # Errors
    /// When it knows none.
    pub fn lookup(&mut self, name: &str) -> Result<String> {
        let reply = self.request(&format!("NAMING LOOKUP NAME={name}"))?;
        Ok(field(&reply, "VALUE")
            .context("no VALUE in the answer to NAMING LOOKUP")?
            .to_owned())
    }

    /// Sends one line and returns the answer, which must not report a failure.
    ///
    /// # Errors
    /// When the bridge refuses, closes or does not answer in time.
    pub fn request(&mut self, line: &str) -> Result<String> {
        let words: Vec<_> = line.split(' ').take(2).collect();
        let what = words.join(" ");
        self.write_all(format!("{line}\n").as_bytes())?;
        let reply = self
            .read_line()
            .with_context(|| format!("no answer to {what}"))?;
        match field(&reply, "RESULT") {
            Some("OK") | None => Ok(reply),
            Some(result) => bail!(
                "{what}: {result} {}",
                field(&reply, "MESSAGE").unwrap_or_default()
            ),
        }
    }

    /// Reads one line, without its end.
    ///
    /// # Errors
    /// When the other side closes or is silent for too long.
    pub fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the SAM bridge closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }

    /// What is left once the lines are over: the bytes of the stream this socket has become.
    pub fn into_stream(self) -> BufReader<TcpStream> {
        self.stream
    }

    /// Fills `bytes` from the stream this socket has become.
    ///
    /// # Errors
    /// When the stream ends first or is silent for too long.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        Ok(self.stream.read_exact(bytes)?)
    }

    /// Returns the socket for writing, while this one reads.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn writer(&self) -> Result<TcpStream> {
        Ok(self.stream.get_ref().try_clone()?)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(bytes)?)
    }
}

/// Returns the value of `KEY=value` in an answer; quotes reach up to the next one.
fn field<'a>(reply: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = reply.split_once(&format!(" {key}="))?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(' ').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_found_with_and_without_quotes() {
        let reply = r#"STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE="no way" ID=x"#;
        assert_eq!(field(reply, "RESULT"), Some("CANT_REACH_PEER"));
        assert_eq!(field(reply, "MESSAGE"), Some("no way"));
        assert_eq!(field(reply, "ID"), Some("x"));
        assert_eq!(field(reply, "SULT"), None);
    }
}
