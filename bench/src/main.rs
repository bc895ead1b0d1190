//! The measurements behind `cargo xtask bench`: our router beside i2pd and emissary, in one run.

mod fake;
mod handshakes;
mod memory;
mod pipe;
mod report;
mod sam;
mod start;
mod streams;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use xtask::net::{LoneKind, LoneRouter};
use xtask::peers::Peer;

use crate::fake::Target;
use crate::report::{Lone, Report};
use crate::streams::{HopKind, StreamPlan};

/// Our router beside i2pd and emissary.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// CPU time of hops, round trips, handshakes, memory and start, with the goals beside them.
    Router(Router),
}

#[derive(clap::Args)]
struct Router {
    /// Little of everything: shows that it works, not how well.
    #[arg(long)]
    quick: bool,
    /// Print the figures as one JSON object, without the table.
    #[arg(long)]
    json: bool,
    /// Write `docs/benchmarks.md` anew.
    #[arg(long)]
    write: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only these routers.
    #[arg(long, value_enum, value_delimiter = ',')]
    routers: Vec<HopKind>,
    /// How often streams are measured; seven, two with --quick.
    #[arg(long)]
    rounds: Option<usize>,
    /// 10^6 bytes each way in a round; forty, three with --quick.
    #[arg(long)]
    megabytes: Option<usize>,
    /// Tunnels of others for the measurement of memory; 10,000, 1,000 with --quick.
    #[arg(long)]
    tunnels: Option<usize>,
    /// Requests for tunnels in a second.
    #[arg(long, default_value_t = 400)]
    tunnels_per_s: usize,
    /// Links for the measurement of memory; 200, 40 with --quick.
    #[arg(long)]
    links: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Streams through hops, beside the bare pipe.
    Streams,
    /// Handshakes.
    Handshakes,
    /// Memory.
    Memory,
    /// Start.
    Start,
}

fn main() -> ExitCode {
    let What::Router(router) = Arguments::parse().what;
    match router.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Router {
    fn run(self) -> Result<()> {
        let mut report = Report::new(self.quick);
        let pick = |full, quick| if self.quick { quick } else { full };
        let part = |part| self.only.is_empty() || self.only.contains(&part);
        let kinds = match self.routers.is_empty() {
            true => HopKind::value_variants(),
            false => &self.routers,
        };
        if part(Part::Start) {
            for kind in kinds {
                let lone = lone(*kind);
                for routers in [0, 5000] {
                    eprintln!("bench: starts of {kind} with {routers} RouterInfos");
                    // What another router does not do well is a figure, not an error.
                    match start::measure(lone, routers, pick(9, 3)) {
                        Ok(figure) => report.starts.push(Lone::new(*kind, figure)),
                        Err(error) => report.failed(*kind, "start", &error)?,
                    }
                }
            }
        }
        if part(Part::Memory) {
            let (links, tunnels) = (
                self.links.unwrap_or(pick(200, 40)),
                self.tunnels.unwrap_or(pick(10_000, 1_000)),
            );
            for kind in kinds {
                eprintln!("bench: memory of {kind}");
                let measured = on_lone(*kind, |target, pid| {
                    memory::measure(target, pid, links, tunnels, self.tunnels_per_s)
                });
                match measured {
                    Ok(figure) => report.memory.push(Lone::new(*kind, figure)),
                    Err(error) => report.failed(*kind, "memory", &error)?,
                }
            }
        }
        if part(Part::Handshakes) {
            for kind in kinds {
                eprintln!("bench: handshakes with {kind}");
                let measured = on_lone(*kind, |target, pid| {
                    handshakes::measure(target, pid, pick(2000, 200))
                });
                match measured {
                    Ok(figure) => report.handshakes.push(Lone::new(*kind, figure)),
                    Err(error) => report.failed(*kind, "handshakes", &error)?,
                }
            }
        }
        if part(Part::Streams) {
            let plan = StreamPlan {
                rounds: self.rounds.unwrap_or(pick(7, 2)),
                bytes: self.megabytes.unwrap_or(pick(40, 3)) * 1_000_000,
                small: pick(700, 40),
                idle: Duration::from_secs(if self.quick { 10 } else { 60 }),
                pipe_bytes: pick(2_000_000_000, 200_000_000),
            };
            let measured = streams::measure(kinds, plan)?;
            (report.streams, report.pipe) = (measured.streams, measured.pipe);
            for (kind, error) in &measured.failed {
                report.failed(*kind, "streams", error)?;
            }
        }
        report.compare();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        if self.write {
            let file = xtask::workspace::root().join("docs/benchmarks.md");
            std::fs::write(&file, report.markdown())
                .with_context(|| format!("cannot write {}", file.display()))?;
            eprintln!("bench: wrote docs/benchmarks.md");
        }
        Ok(())
    }
}

fn lone(kind: HopKind) -> LoneKind {
    match kind {
        HopKind::Ramson => LoneKind::Ramson,
        HopKind::I2pd => LoneKind::Other(Peer::Current),
        HopKind::Emissary => LoneKind::Other(Peer::Emissary),
    }
}

/// Measures a router that runs by itself.
fn on_lone<T>(kind: HopKind, measure: impl FnOnce(&Target, u32) -> Result<T>) -> Result<T> {
    let router = LoneRouter::start(lone(kind))?;
    fake::listens(router.transport(), Duration::from_secs(30))?;
    let target = Target::read(
        router.transport(),
        &router.router_info(),
        router.network_id(),
    )?;
    measure(&target, router.pid()?)
        .with_context(|| format!("see the log in {}", router.folder().display()))
}

/// The value in the middle, or the mean of the two there.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let high = *values.get(middle)?;
    match values.len() % 2 {
        1 => Some(high),
        _ => Some((high + *values.get(middle.checked_sub(1)?)?) / 2.0),
    }
}

/// The smallest value that so large a part of all does not exceed.
fn percentile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut hundred, 0.5), Some(50.0));
        assert_eq!(percentile(&mut hundred, 0.99), Some(99.0));
        assert_eq!(percentile(&mut [1.0], 0.99), Some(1.0));
        assert_eq!(percentile(&mut [], 0.99), None);
    }
}
