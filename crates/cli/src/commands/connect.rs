//! `connect` and `listen`: a stream on standard input and output.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use ramson::{ConnectOptions, ListenOptions, Stream, Target};

use crate::args::{SessionArgs, seconds};
use crate::online::round;
use crate::pipe::pipe;
use crate::run::Shell;
use crate::{Event, Output};

/// `ramson connect`
#[derive(Debug, Args)]
#[command(after_help = "\
Standard input goes to the peer, what the peer sends to standard output; progress and, with
--json, events go to standard error.

A stream of I2P cannot be closed in one direction on today's routers. So after the end of
standard input the peer may still answer; when nothing came from it for --linger seconds, the
stream is shut down.

Example:
  echo hello | ramson connect example.i2p")]
pub(crate) struct Connect {
    /// A host name, .b32.i2p address or Destination, with :PORT if the peer wants one
    #[arg(value_name = "NAME[:PORT]")]
    target: Target,
    /// How long connecting may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    connect_within: Duration,
    /// How long the peer may be silent after the end of standard input, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    linger: Duration,
    #[command(flatten)]
    session: SessionArgs,
}

/// `ramson listen`
#[derive(Debug, Args)]
#[command(after_help = "\
The own address is told on standard error, before the first connection. Standard output is what
the peer sends.

Example:
  ramson listen --key-file me.keys > received.txt")]
pub(crate) struct Listen {
    /// The own port; only connections to it are taken, or to any where it is 0
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Go on with the next peer when one is done; standard input goes to the first
    #[arg(long)]
    keep: bool,
    /// How long the peer may be silent after the end of standard input, in seconds [default: for
    /// ever]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    linger: Option<Duration>,
    #[command(flatten)]
    session: SessionArgs,
}

/// As good as for ever.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Connect {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        let shell = shell.beside_data();
        let session = self.session.open(&shell).await?;
        let options = ConnectOptions::new()
            .deadline(self.connect_within)
            .answer_within(None);
        let stream = session.connect_with(&self.target, options).await?;
        standard(stream, &shell.output, self.linger).await
    }
}

impl Listen {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        let shell = shell.beside_data();
        let session = self.session.open(&shell).await?;
        let options = ListenOptions::new().port(self.port).max_streams(1);
        let listener = session.listen_with(options).await?;
        let linger = self.linger.unwrap_or(NEVER);
        loop {
            let stream = listener.accept().await?;
            let result = standard(stream, &shell.output, linger).await;
            if !self.keep {
                return result;
            }
            if let Err(error) = result {
                shell.output.note(&Event::Note {
                    text: error.to_string(),
                });
            }
        }
    }
}

/// Pipes standard input and output.
async fn standard(stream: Stream, output: &Output, linger: Duration) -> Result<()> {
    let since = Instant::now();
    let peer = peer_name(&stream);
    output.note(&Event::Connected {
        stream: None,
        peer: peer.clone(),
    });
    let mut input = tokio::io::stdin();
    let mut screen = tokio::io::stdout();
    let piped = pipe(&mut input, &mut screen, stream, linger).await;
    output.note(&Event::Closed {
        stream: None,
        peer,
        sent: piped.sent,
        received: piped.received,
        seconds: round(since.elapsed()),
        error: None,
    });
    match piped.error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// The address of the other end.
pub(crate) fn peer_name(stream: &Stream) -> String {
    match stream.peer().hash() {
        Some(hash) => hash.to_string(),
        None => stream.peer().to_string(),
    }
}
