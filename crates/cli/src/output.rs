use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use crate::Failure;

/// Whoever read standard output is gone.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// What a command tells, as an object with `--json` and as a line for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it, and docs/cli.md does at length.
pub enum Event {
    /// On the way online.
    Status {
        stage: &'static str,
        percent: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        waiting_for: Option<&'static str>,
        seconds: f64,
    },
    /// Online.
    Ready { address: String, seconds: f64 },
    /// The session was lost or is back, or an option was not honoured.
    Session { what: &'static str, text: String },
    /// Local port of a forward.
    Listening { local: String, target: String },
    /// Web address of a site.
    Serving { url: String, folder: String },
    /// A stream began.
    Connected {
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<u64>,
        peer: String,
    },
    /// A stream ended.
    Closed {
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<u64>,
        peer: String,
        sent: u64,
        received: u64,
        seconds: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A request to a site.
    Request {
        method: String,
        path: String,
        status: u16,
    },
    /// What a name stands for.
    Destination {
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        address: String,
        destination: String,
    },
    /// Keys in a file.
    Keys(Box<KeyInfo>),
    /// How far a transfer is.
    Progress {
        file: String,
        done: u64,
        total: u64,
        rate_bytes_per_s: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        left_seconds: Option<u64>,
    },
    /// A file is at the receiver, whole and checked.
    Sent(FileInfo),
    /// A file is here, whole and checked.
    Received(FileInfo),
    /// A file was not taken.
    Refused {
        file: String,
        reason: &'static str,
        text: String,
    },
    /// The connection of a transfer is lost and will be made again.
    Retrying { after_seconds: f64, error: String },
    /// A transfer is over.
    Finished {
        files: u64,
        bytes: u64,
        seconds: f64,
        refused: u64,
    },
    /// A router began.
    Router {
        version: &'static str,
        network_id: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        listen: Option<String>,
        published: bool,
        routers: usize,
    },
    /// How a running router is.
    #[cfg(feature = "router")]
    RouterStatus(Box<crate::router::RouterNumbers>),
    /// A router waits for its end.
    Draining {
        transit_tunnels: usize,
        at_most_seconds: u64,
    },
    /// Something to know.
    Note { text: String },
}

/// A file of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Its path within the transfer.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Of those, how many were there from before.
    pub resumed_at: u64,
    /// It was there already, the same.
    pub already_there: bool,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// What may be shown of private keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct KeyInfo {
    pub file: String,
    pub address: String,
    pub destination: String,
    pub signature_type: String,
    pub signature_type_code: u16,
    pub encryption_type: String,
    pub encryption_type_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The block of an offline signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct OfflineInfo {
    pub expires: String,
    pub expires_unix: u64,
    pub expired: bool,
    pub transient_type: String,
    pub transient_type_code: u16,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status {
                waiting_for,
                seconds,
                stage,
                ..
            } => match waiting_for {
                Some(what) => write!(f, "waiting for {what} ({seconds:.0} s)"),
                None => f.write_str(stage),
            },
            Self::Ready { address, seconds } => {
                write!(f, "online after {seconds:.1} s as {address}")
            }
            Self::Session { text, .. } | Self::Note { text } => f.write_str(text),
            Self::Router {
                version,
                network_id,
                listen,
                published,
                routers,
            } => {
                write!(f, "router {version} of network {network_id}, ")?;
                match listen {
                    Some(listen) => write!(f, "listening on {listen}")?,
                    None => f.write_str("listening nowhere")?,
                }
                let published = if *published { "" } else { " (not published)" };
                write!(f, "{published}, {routers} RouterInfos to begin with")
            }
            #[cfg(feature = "router")]
            Self::RouterStatus(numbers) => numbers.fmt(f),
            Self::Draining {
                transit_tunnels,
                at_most_seconds,
            } => write!(
                f,
                "{transit_tunnels} transit tunnels left, at most {at_most_seconds} s; a second \
                 signal ends it at once"
            ),
            Self::Listening { local, target } => write!(f, "{local} leads to {target}"),
            Self::Serving { url, folder } => write!(f, "{folder} is at {url}"),
            Self::Connected { stream, peer } => match stream {
                Some(stream) => write!(f, "stream {stream}: connected with {peer}"),
                None => write!(f, "connected with {peer}"),
            },
            Self::Closed {
                stream,
                sent,
                received,
                seconds,
                error,
                ..
            } => {
                if let Some(stream) = stream {
                    write!(f, "stream {stream}: ")?;
                }
                write!(
                    f,
                    "closed after {seconds:.1} s, {} sent, {} received",
                    human_bytes(*sent),
                    human_bytes(*received)
                )?;
                match error {
                    Some(error) => write!(f, ": {error}"),
                    None => Ok(()),
                }
            }
            Self::Request {
                method,
                path,
                status,
            } => write!(f, "{status} {method} {path}"),
            Self::Destination {
                address,
                destination,
                ..
            } => write!(f, "{destination}\n{address}"),
            Self::Keys(info) => info.fmt(f),
            Self::Progress {
                file,
                done,
                total,
                rate_bytes_per_s,
                left_seconds,
            } => {
                let percent = done.saturating_mul(100).checked_div(*total).unwrap_or(100);
                write!(
                    f,
                    "{file}: {percent} %, {} of {}, {}/s",
                    human_bytes(*done),
                    human_bytes(*total),
                    human_bytes(*rate_bytes_per_s)
                )?;
                match left_seconds {
                    Some(seconds) => write!(f, ", {} left", human_time(*seconds)),
                    None => Ok(()),
                }
            }
            Self::Sent(info) => write!(f, "sent {info}"),
            Self::Received(info) => write!(f, "received {info}"),
            Self::Refused { file, text, .. } => write!(f, "{file}: {text}"),
            Self::Retrying {
                after_seconds,
                error,
            } => write!(f, "{error}; trying again in {after_seconds:.0} s"),
            Self::Finished {
                files,
                bytes,
                seconds,
                refused,
            } => {
                write!(
                    f,
                    "{}, {} in {seconds:.1} s",
                    count_of(*files, "file"),
                    human_bytes(*bytes)
                )?;
                match refused {
                    0 => Ok(()),
                    refused => write!(f, ", {refused} refused"),
                }
            }
        }
    }
}

impl fmt::Display for FileInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.file, human_bytes(self.bytes))?;
        if self.already_there {
            f.write_str(", was there already")?;
        } else if self.resumed_at > 0 {
            write!(f, ", resumed at {}", human_bytes(self.resumed_at))?;
        }
        write!(f, ", sha256 {})", self.sha256)
    }
}

impl fmt::Display for KeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "file         {}", self.file)?;
        writeln!(f, "address      {}", self.address)?;
        writeln!(
            f,
            "signature    {} ({})",
            self.signature_type, self.signature_type_code
        )?;
        writeln!(
            f,
            "encryption   {} ({})",
            self.encryption_type, self.encryption_type_code
        )?;
        if let Some(offline) = &self.offline {
            writeln!(
                f,
                "offline      {} ({}), {} {}",
                offline.transient_type,
                offline.transient_type_code,
                if offline.expired {
                    "expired"
                } else {
                    "good until"
                },
                offline.expires
            )?;
        }
        write!(f, "destination  {}", self.destination)
    }
}

/// How many there are of something: "1 file", "2 files".
pub(crate) fn count_of(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A number of bytes for people.
pub(crate) fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A time for people.
pub(crate) fn human_time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Where results, remarks and errors go.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    /// Standard output carries somebody's data: objects go to standard error.
    data: bool,
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Output {
    /// Writes as asked for by `--json` and `--quiet`.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            data: false,
            bar: Arc::default(),
        }
    }

    /// The same, for a command whose standard output is data.
    pub(crate) fn beside_data(mut self) -> Self {
        self.data = true;
        self
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a line that changes can be shown.
    pub(crate) fn is_live(&self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    /// Writes a result.
    pub(crate) fn result(&self, event: &Event) -> anyhow::Result<()> {
        self.text(&if self.json {
            to_json(event)
        } else {
            event.to_string()
        })
    }

    /// Writes a line to standard output, or beside it if that carries data.
    pub(crate) fn text(&self, line: &str) -> anyhow::Result<()> {
        if self.data {
            self.remark(line);
            return Ok(());
        }
        let written = self.around_bar(|| {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
            other => Ok(other?),
        }
    }

    /// Writes a remark: an object among the results with `--json`, a line on standard error else.
    pub(crate) fn note(&self, event: &Event) {
        if self.json {
            let _ = self.text(&to_json(event));
        } else if !self.quiet {
            self.remark(&format!("ramson: {event}"));
        }
    }

    /// Writes why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.clear_bar();
        self.remark(&if self.json {
            failure.to_json()
        } else {
            failure.to_text()
        });
    }

    fn remark(&self, line: &str) {
        self.around_bar(|| {
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    /// Shows a bar on standard error, above which other lines are written; hidden where that is
    /// no terminal.
    pub(crate) fn show_bar(&self, bar: ProgressBar) -> ProgressBar {
        bar.set_draw_target(if self.is_live() {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        });
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        bar
    }

    /// Takes the bar away.
    pub(crate) fn clear_bar(&self) {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn around_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

fn to_json(event: &Event) -> String {
    serde_json::to_string(event).expect("an event has string keys only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_objects_name_their_event() {
        let ready = Event::Ready {
            address: "a.b32.i2p".to_owned(),
            seconds: 4.2,
        };
        assert_eq!(
            to_json(&ready),
            r#"{"event":"ready","address":"a.b32.i2p","seconds":4.2}"#
        );
        let sent = Event::Sent(FileInfo {
            file: "f".to_owned(),
            bytes: 3,
            resumed_at: 0,
            already_there: false,
            sha256: "00".to_owned(),
        });
        assert_eq!(
            to_json(&sent),
            r#"{"event":"sent","file":"f","bytes":3,"resumed_at":0,"already_there":false,"sha256":"00"}"#
        );
        let closed = Event::Closed {
            stream: None,
            peer: "p".to_owned(),
            sent: 1,
            received: 2,
            seconds: 0.5,
            error: None,
        };
        assert_eq!(
            to_json(&closed),
            r#"{"event":"closed","peer":"p","sent":1,"received":2,"seconds":0.5}"#
        );
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_time(3725), "1 h 02 min");
    }
}
