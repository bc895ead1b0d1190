//! How far transfers are: a bar on a terminal, objects with `--json`, now and then a line else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::output::{human_bytes, human_time};
use crate::transfer::{FileName, Notice};
use crate::{Event, Output};

/// How much of the past makes the rate.
const WINDOW: Duration = Duration::from_secs(15);
/// How often objects are written.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// How often lines are written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows transfers that run at once as one.
pub(crate) struct Transfers {
    output: Output,
    state: Mutex<State>,
    /// Files are sent, not received.
    sending: bool,
}

struct State {
    meter: Meter,
    /// Bytes done and to be done of each connection.
    connections: BTreeMap<u64, Connection>,
    bar: Option<ProgressBar>,
    told: Instant,
}

#[derive(Default)]
struct Connection {
    /// Of files that are done.
    done: u64,
    total: u64,
    current: Option<(FileName, u64)>,
}

impl Transfers {
    pub(crate) fn new(output: &Output, sending: bool) -> Self {
        Self {
            output: output.clone(),
            state: Mutex::new(State {
                meter: Meter::default(),
                connections: BTreeMap::new(),
                bar: None,
                told: Instant::now(),
            }),
            sending,
        }
    }

    /// A connection's transfer began, again or anew; `done` of its bytes were there before.
    pub(crate) fn begin(&self, connection: u64, done: u64, total: u64) {
        let mut state = self.lock();
        let entry = Connection {
            done,
            total,
            current: None,
        };
        state.connections.insert(connection, entry);
        state.meter = Meter::default();
        if state.bar.is_none() && self.output.is_live() {
            state.bar = Some(self.output.show_bar(bar()));
        }
        drop(state);
        self.show(connection, None);
    }

    /// A connection is over.
    pub(crate) fn end(&self, connection: u64) {
        let mut state = self.lock();
        state.connections.remove(&connection);
        if state.connections.is_empty() {
            state.bar = None;
            drop(state);
            self.output.clear_bar();
        }
    }

    /// Takes and tells what happened.
    pub(crate) fn tell(&self, connection: u64, notice: Notice) {
        match notice {
            Notice::Began { bytes, .. } => self.begin(connection, 0, bytes),
            Notice::Started { file, offset } => {
                let mut state = self.lock();
                if let Some(entry) = state.connections.get_mut(&connection) {
                    entry.current = Some((file, offset));
                }
                // What was there before says nothing about the rate.
                if offset > 0 {
                    state.meter = Meter::default();
                }
                drop(state);
                self.show(connection, None);
            }
            Notice::Progress { file, done, size } => {
                if let Some(entry) = self.lock().connections.get_mut(&connection) {
                    entry.current = Some((file.clone(), done));
                }
                self.show(connection, Some((file, done, size)));
            }
            Notice::Done(info) => {
                if let Some(entry) = self.lock().connections.get_mut(&connection) {
                    entry.done += info.bytes;
                    entry.forget(&info.file);
                }
                let event = if self.sending {
                    Event::Sent(info)
                } else {
                    Event::Received(info)
                };
                // A reader that is gone does not end a transfer.
                let _ = self.output.result(&event);
                self.show(connection, None);
            }
            Notice::Refused { file, reason } => {
                if let Some(entry) = self.lock().connections.get_mut(&connection) {
                    entry.forget(&file);
                }
                self.output.note(&Event::Refused {
                    file,
                    reason: reason.word(),
                    text: reason.text().to_owned(),
                });
            }
        }
    }

    fn show(&self, connection: u64, file: Option<(FileName, u64, u64)>) {
        let mut state = self.lock();
        let done: u64 = state.connections.values().map(Connection::now).sum();
        let total: u64 = state.connections.values().map(|entry| entry.total).sum();
        let now = Instant::now();
        state.meter.add(now, done);
        let rate = state.meter.rate();
        if let Some(bar) = &state.bar {
            bar.set_length(total);
            bar.set_position(done.min(total));
            let left = left(rate, total.saturating_sub(done));
            let left = left.map_or_else(String::new, |left| format!(", {} left", human_time(left)));
            let current = state
                .connections
                .get(&connection)
                .and_then(|it| it.current.as_ref());
            bar.set_message(match current {
                Some((name, _)) => format!("{}/s{left}  {name}", human_bytes(rate)),
                None if done < total => "waiting for the other side".to_owned(),
                None => {
                    // All is told by the lines of the files.
                    state.bar = None;
                    drop(state);
                    self.output.clear_bar();
                    return;
                }
            });
            return;
        }
        let Some((file, done, size)) = file else {
            return;
        };
        let every = if self.output.is_json() {
            JSON_EVERY
        } else {
            LINE_EVERY
        };
        if now.duration_since(state.told) < every {
            return;
        }
        state.told = now;
        drop(state);
        self.output.note(&Event::Progress {
            file: file.to_string(),
            done,
            total: size,
            rate_bytes_per_s: rate,
            left_seconds: left(rate, size.saturating_sub(done)),
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn now(&self) -> u64 {
        self.done + self.current.as_ref().map_or(0, |(_, done)| *done)
    }

    fn forget(&mut self, file: &str) {
        if self
            .current
            .as_ref()
            .is_some_and(|(name, _)| name.as_str() == file)
        {
            self.current = None;
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let done = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let total = state.len().unwrap_or(0);
        let _ = write!(
            out,
            "{} of {}",
            human_bytes(state.pos()),
            human_bytes(total)
        );
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {percent:>3} %  {done}  {msg}") {
        bar.set_style(style.with_key("done", done).progress_chars("=> "));
    }
    bar
}

fn left(rate: u64, bytes: u64) -> Option<u64> {
    // No estimate without a rate, nor one of weeks.
    (rate > 0)
        .then(|| bytes.div_ceil(rate))
        .filter(|seconds| *seconds < 1_000_000)
}

/// The rate over the last seconds.
#[derive(Default)]
struct Meter {
    samples: VecDeque<(Instant, u64)>,
}

impl Meter {
    fn add(&mut self, now: Instant, done: u64) {
        // A few a second are enough.
        if let Some((last, _)) = self.samples.back()
            && self.samples.len() > 1
            && now.duration_since(*last) < Duration::from_millis(100)
        {
            self.samples.pop_back();
        }
        self.samples.push_back((now, done));
        while let Some((first, _)) = self.samples.front()
            && now.duration_since(*first) > WINDOW
            && self.samples.len() > 2
        {
            self.samples.pop_front();
        }
    }

    /// Bytes per second.
    fn rate(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back())
        else {
            return 0;
        };
        let micros = to.duration_since(*from).as_micros();
        let bytes = u128::from(after.saturating_sub(*before));
        let rate = bytes.saturating_mul(1_000_000).checked_div(micros);
        rate.and_then(|rate| rate.try_into().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let start = Instant::now();
        let mut meter = Meter::default();
        for second in 0..60_u64 {
            let done = if second < 30 {
                second
            } else {
                30 + (second - 30) * 5
            };
            meter.add(start + Duration::from_secs(second), done * 1000);
        }
        assert_eq!(meter.rate(), 5000);
        assert!(meter.samples.len() <= 17);
        assert_eq!(
            (left(0, 5), left(1000, 2500), left(10, 0)),
            (None, Some(3), Some(0))
        );
    }
}
