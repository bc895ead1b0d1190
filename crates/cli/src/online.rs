//! From the options to a session that is ready, with a line that tells how far it is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use ramson::{I2p, LostCause, Session, Stage, Tunnels};

use crate::args::{RouterArgs, SessionArgs};
use crate::failure::Usage;
use crate::run::Shell;
use crate::{Event, Output};

impl RouterArgs {
    /// Finds the router.
    pub(crate) async fn start(&self) -> Result<I2p> {
        let mut builder = I2p::builder();
        // An empty variable is one that is not set.
        if let Some(router) = self.router.as_ref().filter(|router| !router.is_empty()) {
            let address = router.strip_prefix("sam:").ok_or_else(|| {
                Usage("the router is not understood: write sam:HOST:PORT".to_owned())
            })?;
            builder = builder.sam(address);
        }
        if let Some(port) = self.sam_udp {
            builder = builder.sam_udp_port(port);
        }
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the password file {}", file.display()))?;
            builder = builder.login(user, text.lines().next().unwrap_or_default());
        }
        if let Some(hosts) = &self.hosts {
            builder = builder.hosts_file(hosts);
        }
        Ok(builder.start().await?)
    }
}

impl SessionArgs {
    /// Opens the session, shows how far it is, and tells when it is ready.
    pub(crate) async fn open(&self, shell: &Shell) -> Result<Session> {
        let output = &shell.output;
        let since = Instant::now();
        let line = StatusLine::start(output);
        let i2p = self.router.start().await?;
        let tunnels = Tunnels::hops(self.hops).quantity(self.quantity);
        let mut builder = i2p.session().tunnels(tunnels).name("ramson");
        if let Some(file) = &self.key_file {
            builder = builder.key_file(file);
        }
        let session = builder.start().await?;
        shell.keep(&session);
        let mut status = session.status();
        let mut events = session.events();
        let follow = async {
            let mut last = None;
            loop {
                let now = status.get();
                if last != Some(now.stage) {
                    last = Some(now.stage);
                    line.tell(output, &status_event(&now, since));
                }
                if status.changed().await.is_none() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            ready = session.ready(self.ready_within) => ready?,
            () = follow => {}
        }
        drop(line);
        output.note(&Event::Ready {
            address: session.address().to_string(),
            seconds: round(since.elapsed()),
        });
        while let Some(event) = events.try_next() {
            tell(output, &event);
        }
        let output = output.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                tell(&output, &event);
            }
        });
        Ok(session)
    }
}

/// Seconds with one digit behind the point.
pub(crate) fn round(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

/// The line that moves while tunnels are built, or plain lines where there is no terminal.
struct StatusLine<'a> {
    output: &'a Output,
    bar: ProgressBar,
}

impl<'a> StatusLine<'a> {
    fn start(output: &'a Output) -> Self {
        let bar = output.show_bar(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message("looking for the router");
        if output.is_live() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { output, bar }
    }

    fn tell(&self, output: &Output, event: &Event) {
        match event {
            Event::Status {
                waiting_for: Some(what),
                percent,
                ..
            } if output.is_live() => {
                self.bar
                    .set_message(format!("{percent:>3} % waiting for {what}"));
            }
            Event::Status {
                waiting_for: None, ..
            } => {}
            _ => output.note(event),
        }
    }
}

impl Drop for StatusLine<'_> {
    fn drop(&mut self) {
        self.output.clear_bar();
    }
}

fn status_event(status: &ramson::Status, since: Instant) -> Event {
    Event::Status {
        stage: match status.stage {
            Stage::Connecting => "connecting",
            Stage::Waiting => "waiting",
            Stage::BuildingTunnels => "building_tunnels",
            Stage::Verifying => "verifying",
            Stage::Ready => "ready",
            Stage::Closed => "closed",
            _ => "other",
        },
        percent: status.percent,
        waiting_for: status.waiting_for,
        seconds: round(since.elapsed()),
    }
}

/// Tells what happened to the session, as far as people care.
fn tell(output: &Output, event: &ramson::Event) {
    use ramson::Event as Happened;
    let (what, text) = match event {
        Happened::Lost { cause } => (
            "lost",
            match cause {
                LostCause::Renewed => "the session is made anew".to_owned(),
                _ => "the session was lost; it comes back by itself".to_owned(),
            },
        ),
        Happened::Retrying { after, error, .. } => (
            "retrying",
            format!("{error}; trying again in {:.0} s", after.as_secs_f64()),
        ),
        Happened::Restored { after } => (
            "restored",
            format!("the session is back after {:.1} s", after.as_secs_f64()),
        ),
        Happened::Unverified { reason } => (
            "unverified",
            format!("whether peers can reach this session was not checked: {reason}"),
        ),
        Happened::NotHonoured { capability } => (
            "not_honoured",
            format!("{capability} is not to be had from this router"),
        ),
        Happened::KeyFileExposed => (
            "key_file_exposed",
            "others than you can read the key file: chmod 600 it".to_owned(),
        ),
        Happened::ConnectionRefused { limit } => (
            "connection_refused",
            format!("a connection was closed because of the limit: {limit}"),
        ),
        _ => return,
    };
    output.note(&Event::Session { what, text });
}
