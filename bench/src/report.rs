//! The figures as tables, with the goals beside them.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::handshakes::HandshakeFigure;
use crate::memory::MemoryFigure;
use crate::pipe::PipeFigure;
use crate::start::StartFigure;
use crate::streams::{HopKind, StreamFigure};

/// A hop takes at most so many times the CPU time of the bare pipe.
const PIPE_TIMES: f64 = 1.6;
/// And at most so much of i2pd's.
const I2PD_PART: f64 = 0.4;
/// What 10,000 tunnels of others may take, in bytes.
const TUNNELS_BYTES: f64 = 15e6;
/// What an idle router may take, in bytes.
const IDLE_BYTES: f64 = 10e6;
/// Until a router listens and answers a look-up, with 5,000 RouterInfos, in milliseconds.
const START_MS: f64 = 50.0;
/// The bytes of a frame beside those of the tunnel messages in it.
const LINK_PER_TUNNEL: f64 = 1040.0 / 1028.0;

/// A figure of one router.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lone<T> {
    /// Which.
    router: HopKind,
    /// What was measured.
    #[serde(flatten)]
    figure: T,
}

impl<T> Lone<T> {
    pub(crate) fn new(router: HopKind, figure: T) -> Self {
        Self { router, figure }
    }
}

/// A goal and what was measured.
#[derive(Clone, Debug, Serialize)]
struct Goal {
    /// What it is about.
    name: &'static str,
    /// The most it may be.
    goal: f64,
    /// What it was.
    measured: f64,
    /// In which unit.
    unit: &'static str,
    /// Whether it is met.
    met: bool,
}

/// All figures of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    date: String,
    cores: usize,
    processor: String,
    command: String,
    quick: bool,
    goals: Vec<Goal>,
    pub(crate) streams: Vec<StreamFigure>,
    pub(crate) pipe: Vec<PipeFigure>,
    pub(crate) handshakes: Vec<Lone<HandshakeFigure>>,
    pub(crate) memory: Vec<Lone<MemoryFigure>>,
    pub(crate) starts: Vec<Lone<StartFigure>>,
    failed: Vec<String>,
}

impl Report {
    pub(crate) fn new(quick: bool) -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Self {
            date: date(SystemTime::now()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor().unwrap_or_else(|| "unknown".to_owned()),
            command: format!("cargo xtask bench {}", words.join(" ")),
            quick,
            goals: Vec::new(),
            streams: Vec::new(),
            pipe: Vec::new(),
            handshakes: Vec::new(),
            memory: Vec::new(),
            starts: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Notes that there is no figure of somebody else's router.
    ///
    /// # Errors
    /// When it is ours.
    pub(crate) fn failed(
        &mut self,
        router: HopKind,
        what: &str,
        error: &anyhow::Error,
    ) -> Result<()> {
        if router == HopKind::Ramson {
            bail!("{what} of {router}: {error:#}");
        }
        eprintln!("bench: {what} of {router}: {error:#}");
        self.failed.push(format!("{what} of {router}"));
        Ok(())
    }

    /// Sets the goals beside the figures there are.
    pub(crate) fn compare(&mut self) {
        let mut goals = Vec::new();
        let mut goal = |name, goal, measured: Option<f64>, unit| {
            if let Some(measured) = measured {
                goals.push(Goal {
                    name,
                    goal,
                    measured,
                    unit,
                    met: measured <= goal,
                });
            }
        };
        let hops = |kind| self.streams.iter().find(|it| it.hops == kind);
        let ours = hops(HopKind::Ramson);
        let pipe = self.pipe.iter().find(|it| it.matched);
        let of_pipe = || {
            let (ours, pipe) = (ours?, pipe?);
            let tunnel_bytes = ours.link_bytes_per_byte? / LINK_PER_TUNNEL;
            Some(ours.cpu_s_per_gb_hop / (tunnel_bytes * pipe.cpu_s_per_gb))
        };
        let of_i2pd = || Some(ours?.cpu_s_per_gb_hop / hops(HopKind::I2pd)?.cpu_s_per_gb_hop);
        let name = "CPU for byte and hop, of the bare pipe's";
        goal(name, PIPE_TIMES, of_pipe(), "times");
        let name = "CPU for byte and hop, of i2pd's median";
        goal(name, I2PD_PART, of_i2pd(), "times");
        let memory = self.memory.iter().find(|it| it.router == HopKind::Ramson);
        let memory = memory.map(|it| it.figure);
        let tunnels = memory.map(|it| it.per_tunnel * 10_000.0 / 1e6);
        let name = "10,000 transit tunnels, above idle";
        goal(name, TUNNELS_BYTES / 1e6, tunnels, "MB");
        let idle = memory.map(|it| it.idle as f64 / 1e6);
        goal("idle", IDLE_BYTES / 1e6, idle, "MB");
        let start = self
            .starts
            .iter()
            .find(|it| it.router == HopKind::Ramson && it.figure.routers > 0);
        let listening = start.map(|it| it.figure.listening_ms);
        let name = "start to listening, 5,000 RouterInfos";
        goal(name, START_MS, listening, "ms");
        let answering = start.and_then(|it| it.figure.answering_ms);
        let name = "start to an answered look-up, 5,000 RouterInfos";
        goal(name, START_MS, answering, "ms");
        self.goals = goals;
    }

    /// The tables, each with its heading, whether there are rows, and its rows.
    fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        let mut table = |title, head: &[&'static str], rows: Vec<Vec<String>>| {
            if !rows.is_empty() {
                tables.push(Table {
                    title,
                    head: head.to_vec(),
                    rows,
                });
            }
        };
        let rows = self.goals.iter().map(|it| {
            let met = if it.met { "yes" } else { "no" };
            vec![
                it.name.to_owned(),
                format!("at most {} {}", it.goal, it.unit),
                format!("{:.2} {}", it.measured, it.unit),
                met.to_owned(),
            ]
        });
        table(
            "Goals",
            &["what", "goal", "measured", "met"],
            rows.collect(),
        );
        let rows = self.streams.iter().map(|it| {
            let each = it.rounds.iter().copied();
            let low = each.clone().fold(f64::INFINITY, f64::min);
            vec![
                it.hops.to_string(),
                format!("{:.2}", it.cpu_s_per_gb_hop),
                format!("{low:.2} to {:.2}", each.fold(0.0, f64::max)),
                format!("{:.3}", it.idle_cpu),
                format!("{:.2}", it.mb_per_s),
                format!("{:.1}", it.quiet_ms.p50),
                format!("{:.1}", it.quiet_ms.p99),
                format!("{:.1}", it.loaded_ms.p50),
                format!("{:.1}", it.loaded_ms.p99),
                optional(it.write_bytes, 0),
                optional(it.link_bytes_per_byte, 2),
            ]
        });
        table(
            "Streams through hops",
            &[
                "hops",
                "CPU s per 10^9 bytes and hop",
                "rounds",
                "idle CPU, all hops",
                "MB/s each way",
                "RTT p50 ms",
                "p99",
                "loaded p50 ms",
                "p99",
                "bytes a write",
                "link bytes per byte",
            ],
            rows.collect(),
        );
        let rows = self.pipe.iter().map(|it| {
            vec![
                it.messages_per_frame.to_string(),
                format!("{:.2}", it.cpu_s_per_gb),
                format!("{:.0}", it.mb_per_s),
                if it.matched { "yes" } else { "" }.to_owned(),
            ]
        });
        table(
            "The bare pipe",
            &[
                "messages a frame",
                "CPU s per 10^9 bytes",
                "MB/s",
                "as our hops write",
            ],
            rows.collect(),
        );
        let rows = self.handshakes.iter().map(|it| {
            vec![
                it.router.to_string(),
                it.figure.done.to_string(),
                it.figure.failed.to_string(),
                format!("{:.0}", it.figure.per_s),
                format!("{:.2}", it.figure.cpu_ms),
                format!("{:.0}", 1000.0 / it.figure.cpu_ms.max(0.001)),
            ]
        });
        table(
            "Handshakes answered",
            &[
                "router",
                "done",
                "failed",
                "per s, dialers beside it",
                "CPU ms each",
                "per s of one core",
            ],
            rows.collect(),
        );
        let rows = self.memory.iter().map(|it| {
            let figure = &it.figure;
            vec![
                it.router.to_string(),
                format!("{:.1}", figure.idle as f64 / 1e6),
                format!("{:.1}", figure.idle_anonymous as f64 / 1e6),
                figure.links.to_string(),
                format!("{:.1}", figure.per_link / 1e3),
                format!("{} of {}", figure.tunnels, figure.tunnels_asked),
                format!("{:.1}", figure.for_tunnels as f64 / 1e6),
                format!("{:.2}", figure.per_tunnel / 1e3),
                format!("{:.2}", figure.build_cpu_ms),
            ]
        });
        table(
            "Memory",
            &[
                "router",
                "idle MB",
                "of it anonymous",
                "links",
                "kB a link",
                "transit tunnels",
                "MB above idle and links",
                "kB a tunnel",
                "CPU ms a request",
            ],
            rows.collect(),
        );
        let rows = self.starts.iter().map(|it| {
            vec![
                it.router.to_string(),
                it.figure.routers.to_string(),
                format!("{:.1}", it.figure.listening_ms),
                optional(it.figure.answering_ms, 1),
                format!("{:.1}", it.figure.resident as f64 / 1e6),
            ]
        });
        table(
            "Start",
            &[
                "router",
                "RouterInfos",
                "ms to listening",
                "ms to an answered look-up",
                "MB then",
            ],
            rows.collect(),
        );
        tables
    }

    /// All of it as `docs/benchmarks.md`.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("# Benchmarks of the router\n\n");
        let _ = writeln!(
            text,
            "Written by `{}` on {}, on {} cores of {}.{}\n\n{ABOUT}",
            self.command,
            self.date,
            self.cores,
            self.processor,
            if self.quick { QUICK } else { "" },
        );
        for table in self.tables() {
            let _ = writeln!(text, "\n## {}\n", table.title);
            let _ = writeln!(text, "| {} |", table.head.join(" | "));
            let _ = writeln!(text, "|{}", "---|".repeat(table.head.len()));
            for row in &table.rows {
                let _ = writeln!(text, "| {} |", row.join(" | "));
            }
        }
        if !self.streams.is_empty() {
            text += "\n";
            for figure in &self.streams {
                let _ = writeln!(text, "- hops of {}: {}", figure.hops, figure.version);
            }
        }
        if !self.failed.is_empty() {
            let _ = writeln!(text, "\nNot to be had: {}.", self.failed.join(", "));
        }
        text
    }
}

const QUICK: &str = " This was a quick run, which shows that it works and not how well.";

/// What the figures mean, for the file.
const ABOUT: &str = "\
All routers ran in the same run on the same machine, with little logging and NTCP2 alone; rounds of \
different routers alternate, and a figure is the median of its rounds.

- **Streams**: two i2pd routers are the ends, which carry nothing for others. Each has one outbound \
  and one inbound tunnel of two hops, and all hops are of one kind. A stream sends both ways at once. \
  Its bytes, of both directions together, pass four hops each; CPU seconds are those of the four hop \
  processes, without what they take idle, for 10^9 of these bytes and hop. Headers, fragments, \
  padding and acknowledgements cost time and are not counted as bytes: the last column tells how many \
  bytes our hops received over their links for each byte of the streams.
- **Round trips** are those of 100 bytes there and back, over a stream without other traffic, and \
  over one beside another that transfers all it can.
- **The bare pipe** reads NTCP2 frames of tunnel messages from a socket, opens them, puts one layer \
  on, seals and writes them; CPU seconds are for 10^9 bytes of tunnel messages. It is compared with \
  our hops at the size of frame that they wrote, and after their bytes were counted as tunnel \
  messages.
- **Handshakes** are those that a router answers; every one comes from a router that it sees for the \
  first time.
- **Memory** is what is resident. Transit tunnels are participants', asked for by twenty neighbours.
- **Start**: ours has checked the signatures of its RouterInfos in an earlier start.";

/// A table of text.
struct Table {
    title: &'static str,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, {} cores of {}",
            self.date, self.cores, self.processor
        )?;
        for table in self.tables() {
            writeln!(f, "\n{}", table.title)?;
            let head: Vec<String> = table.head.iter().map(|it| (*it).to_owned()).collect();
            let all = std::iter::once(&head).chain(&table.rows);
            let width = |column: usize| {
                let cells = all.clone().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            };
            let widths: Vec<usize> = (0..head.len()).map(width).collect();
            for row in all.clone() {
                for (cell, width) in row.iter().zip(&widths) {
                    write!(f, "{cell:<width$}  ")?;
                }
                writeln!(f)?;
            }
        }
        if !self.failed.is_empty() {
            writeln!(f, "\nnot to be had: {}", self.failed.join(", "))?;
        }
        Ok(())
    }
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The date in UTC, `2026-01-31`, by the Gregorian calendar's cycle of 400 years.
fn date(time: SystemTime) -> String {
    let days = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        / 86_400;
    // Years that begin in March have their leap day last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01");
        assert_eq!(at(951_782_400), "2000-02-29");
        assert_eq!(at(1_735_689_599), "2024-12-31");
        assert_eq!(at(1_767_225_600), "2026-01-01");
    }

    fn figures() -> Report {
        let mut report = Report::new(true);
        report.pipe.push(PipeFigure {
            messages_per_frame: 4,
            matched: true,
            cpu_s_per_gb: 1.0,
            mb_per_s: 500.0,
        });
        for (hops, cpu) in [(HopKind::Ramson, 3.2), (HopKind::I2pd, 10.0)] {
            report.streams.push(StreamFigure {
                hops,
                version: "1".to_owned(),
                rounds: vec![cpu],
                cpu_s_per_gb_hop: cpu,
                idle_cpu: 0.0,
                mb_per_s: 1.0,
                quiet_ms: Default::default(),
                loaded_ms: Default::default(),
                write_bytes: None,
                link_bytes_per_byte: Some(2.0 * LINK_PER_TUNNEL),
            });
        }
        let start = StartFigure {
            routers: 5000,
            listening_ms: 51.0,
            answering_ms: None,
            resident: 1,
        };
        report.starts.push(Lone::new(HopKind::Ramson, start));
        report
    }

    #[test]
    fn goals_stand_beside_what_was_measured_of_them() {
        let mut report = figures();
        report.compare();
        let met: Vec<_> = report.goals.iter().map(|it| (it.unit, it.met)).collect();
        // 3.2 CPU seconds are 1.6 times the pipe's, because every byte is carried as two.
        assert_eq!(met, [("times", true), ("times", true), ("ms", false)]);
        let measured: Vec<_> = report.goals.iter().map(|it| it.measured).collect();
        assert!((measured[0] - 1.6).abs() < 1e-9 && (measured[1] - 0.32).abs() < 1e-9);
        assert!(
            report
                .markdown()
                .contains("at most 50 ms | 51.00 ms | no |")
        );
    }

    #[test]
    fn what_fails_of_ours_is_an_error() {
        let mut report = Report::new(false);
        let error = anyhow::anyhow!("no");
        assert!(report.failed(HopKind::Ramson, "memory", &error).is_err());
        report.failed(HopKind::Emissary, "memory", &error).unwrap();
        assert!(report.markdown().contains("memory of emissary"));
    }
}
