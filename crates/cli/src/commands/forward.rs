//! `expose` and `forward`: TCP services on both ends of I2P.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use ramson::{ConnectOptions, ErrorKind, Session, Stream, Target};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::args::{LimitArgs, SessionArgs, count, seconds};
use crate::commands::connect::peer_name;
use crate::failure::Usage;
use crate::online::round;
use crate::pipe::{Piped, pipe};
use crate::run::Shell;
use crate::{Event, Failure, Output};

/// How long the local service may take to answer.
const SERVICE_WITHIN: Duration = Duration::from_secs(10);

/// `ramson expose`
#[derive(Debug, Args)]
#[command(after_help = "\
The service sees connections from this machine. Whoever knows the address can use it.

Example:
  ramson expose 127.0.0.1:22 --key-file ssh.keys")]
pub(crate) struct Expose {
    /// The TCP service
    #[arg(value_name = "HOST:PORT", value_parser = service)]
    service: String,
    /// The own port; only connections to it are taken, or to any where it is 0
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How long the peer may go on when the service has ended its side, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    linger: Duration,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    session: SessionArgs,
}

/// `ramson forward`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ramson forward 2222 example.i2p    and then    ssh -p 2222 127.0.0.1")]
pub(crate) struct Forward {
    /// Where to listen; 127.0.0.1 if only a port is given, port 0 for any free one
    #[arg(value_name = "[HOST:]PORT", value_parser = listen_address)]
    listen: SocketAddr,
    /// A host name, .b32.i2p address or Destination, with :PORT if the peer wants one
    #[arg(value_name = "NAME[:PORT]")]
    target: Target,
    /// Listen where other machines can connect, too: they use your I2P address then
    #[arg(long)]
    allow_remote: bool,
    /// How long connecting may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    connect_within: Duration,
    /// How long the peer may be silent when the local side has ended, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    linger: Duration,
    /// Streams that may be open at once
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = count)]
    max_streams: usize,
    #[command(flatten)]
    session: SessionArgs,
}

fn service(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, _)) if host.to_ascii_lowercase().ends_with(".i2p") => {
            Err("a name of I2P is no local service: ramson forward reaches those".to_owned())
        }
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
            Ok(text.to_owned())
        }
        _ => Err("write HOST:PORT, like 127.0.0.1:80".to_owned()),
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.replace("localhost:", "127.0.0.1:")
        .parse()
        .map_err(|_| "write a port or IP:PORT, like 8080 or 127.0.0.1:8080".to_owned())
}

impl Expose {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        let output = &shell.output;
        if self.session.key_file.is_none() {
            output.note(&Event::Note {
                text: "no --key-file: the address is new and ends with this run".to_owned(),
            });
        }
        let session = self.session.open(shell).await?;
        let listener = session
            .listen_with(self.limits.options().port(self.port))
            .await?;
        let mut streams = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                stream = listener.accept() => {
                    number += 1;
                    let stream = stream?;
                    let (service, output) = (self.service.clone(), output.clone());
                    streams.spawn(expose_one(number, stream, service, self.linger, output));
                }
                Some(_) = streams.join_next() => {}
            }
        }
    }
}

async fn expose_one(
    number: u64,
    stream: Stream,
    service: String,
    linger: Duration,
    output: Output,
) {
    let since = Instant::now();
    let peer = peer_name(&stream);
    output.note(&Event::Connected {
        stream: Some(number),
        peer: peer.clone(),
    });
    let connected = tokio::time::timeout(SERVICE_WITHIN, TcpStream::connect(&service)).await;
    let piped = match connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(tcp) => pipe_tcp(tcp, stream, linger).await,
        Err(error) => {
            drop(stream);
            let text = format!("the service {service} does not answer: {error}");
            tell_closed(&output, number, peer, since, Piped::default(), Some(text));
            return;
        }
    };
    tell_closed(&output, number, peer, since, piped, None);
}

impl Forward {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        if !self.listen.ip().is_loopback() && !self.allow_remote {
            return Err(Usage(
                "other machines could connect there and use your I2P address: listen on \
                 127.0.0.1, or say --allow-remote"
                    .to_owned(),
            )
            .into());
        }
        let output = &shell.output;
        // First the port: that can fail at once.
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        let session = self.session.open(shell).await?;
        output.result(&Event::Listening {
            local: listener.local_addr()?.to_string(),
            target: self.target.to_string(),
        })?;
        let options = ConnectOptions::new()
            .deadline(self.connect_within)
            .answer_within(None);
        let mut streams = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                accepted = listener.accept(), if streams.len() < self.max_streams.max(1) => {
                    let tcp = match accepted {
                        Ok((tcp, _)) => tcp,
                        Err(error) => {
                            output.note(&Event::Note { text: format!("accept: {error}") });
                            tokio::time::sleep(Duration::from_millis(200)).await;
                            continue;
                        }
                    };
                    number += 1;
                    streams.spawn(Box::pin(forward_one(
                        number,
                        tcp,
                        session.clone(),
                        self.target.clone(),
                        options,
                        self.linger,
                        output.clone(),
                    )));
                }
                Some(_) = streams.join_next() => {}
                () = session.closed() => {
                    // The error that ended it.
                    session.ready(Duration::ZERO).await?;
                    return Ok(());
                }
            }
        }
    }
}

async fn forward_one(
    number: u64,
    tcp: TcpStream,
    session: Session,
    target: Target,
    options: ConnectOptions,
    linger: Duration,
    output: Output,
) {
    let since = Instant::now();
    let mut stream = session.connect_with(&target, options).await;
    // While the session heals, the client may wait with it.
    if matches!(&stream, Err(error) if error.kind() == ErrorKind::RouterLost) {
        stream = session.connect_with(&target, options).await;
    }
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => {
            drop(tcp);
            let text = Failure::of(&error.into()).detail;
            let peer = target.address.to_string();
            tell_closed(&output, number, peer, since, Piped::default(), Some(text));
            return;
        }
    };
    let peer = peer_name(&stream);
    output.note(&Event::Connected {
        stream: Some(number),
        peer: peer.clone(),
    });
    let piped = pipe_tcp(tcp, stream, linger).await;
    tell_closed(&output, number, peer, since, piped, None);
}

async fn pipe_tcp(tcp: TcpStream, stream: Stream, linger: Duration) -> Piped {
    let _ = tcp.set_nodelay(true);
    let (mut read, mut write) = tcp.into_split();
    pipe(&mut read, &mut write, stream, linger).await
}

fn tell_closed(
    output: &Output,
    number: u64,
    peer: String,
    since: Instant,
    piped: Piped,
    text: Option<String>,
) {
    output.note(&Event::Closed {
        stream: Some(number),
        peer,
        sent: piped.sent,
        received: piped.received,
        seconds: round(since.elapsed()),
        error: text.or_else(|| piped.error.map(|error| error.to_string())),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_going_online() {
        assert_eq!(listen_address("8080"), Ok(([127, 0, 0, 1], 8080).into()));
        assert!(listen_address("localhost:1").is_ok());
        assert!(listen_address("example.com:1").is_err());
        assert!(service("127.0.0.1:22").is_ok() && service("[::1]:22").is_ok());
        assert!(service("x.i2p:22").is_err() && service("22").is_err() && service("h:0").is_err());
    }
}
