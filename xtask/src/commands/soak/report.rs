//! What came of the runs, and what is to be thought of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::flow::Pause;
use super::traffic::{Stream, Traffic};

/// How many of a hundred builds of our own routers have to succeed.
const BUILDS_SUCCEED: f64 = 95.0;

/// One network.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    /// What the network is made of: `mixed` or `i2pd`.
    pub(super) network: String,
    pub(super) version: String,
    pub(super) folder: PathBuf,
    pub(super) seconds: f64,
    /// Pauses over two seconds, of all directions of all streams.
    pub(super) pauses: u64,
    pub(super) longest_pause_s: f64,
    pub(super) bytes: u64,
    /// Connections beyond the first of each stream, and attempts that led to nothing.
    pub(super) reconnects: u64,
    pub(super) attempts_failed: u64,
    /// Pieces that were not what was sent.
    pub(super) garbled: u64,
    /// Routers that ended by themselves, and how: such a run is not compared.
    pub(super) crashed: Vec<String>,
    /// Our own that did, which ends the run.
    pub(super) own_crashed: Vec<String>,
    /// How long the machine let this process wait at most.
    pub(super) machine_stall_s: f64,
    pub(super) directions: Vec<Direction>,
    /// What `ramson router status` says of each of our routers at the end.
    pub(super) ramson: Vec<Value>,
    /// And what it said when the measurement began: routers that start before others fail to
    /// build tunnels through these.
    pub(super) ramson_at_first: Vec<Value>,
}

/// One direction of one stream.
#[derive(Debug, Serialize)]
pub(super) struct Direction {
    stream: String,
    to_server: bool,
    bytes: u64,
    pauses: u64,
    longest_pause_s: f64,
    list: Vec<Pause>,
}

impl Run {
    pub(super) fn new(network: &str, version: &str, folder: &Path) -> Self {
        Self {
            network: network.to_owned(),
            version: version.to_owned(),
            folder: folder.to_path_buf(),
            seconds: 0.0,
            pauses: 0,
            longest_pause_s: 0.0,
            bytes: 0,
            reconnects: 0,
            attempts_failed: 0,
            garbled: 0,
            crashed: Vec::new(),
            own_crashed: Vec::new(),
            machine_stall_s: 0.0,
            directions: Vec::new(),
            ramson: Vec::new(),
            ramson_at_first: Vec::new(),
        }
    }

    /// Counts everything together anew. A pause that lasts counts for its length so far.
    pub(super) fn count(&mut self, traffic: &Traffic, first: &[u64], began: Instant) {
        let now = Instant::now();
        self.seconds = now.duration_since(began).as_secs_f64();
        self.garbled = traffic.garbled.load(Ordering::Relaxed);
        (self.reconnects, self.attempts_failed) = (0, 0);
        self.directions.clear();
        let mut longest = Duration::ZERO;
        for (stream, first) in traffic.streams.iter().zip(first) {
            self.reconnects += super::connections(stream).saturating_sub(*first);
            self.attempts_failed += stream.attempts_failed.load(Ordering::Relaxed);
            for to_server in [true, false] {
                longest = longest.max(self.count_flow(stream, to_server, now));
            }
        }
        self.longest_pause_s = longest.as_secs_f64();
        self.pauses = self.directions.iter().map(|it| it.pauses).sum();
        self.bytes = self.directions.iter().map(|it| it.bytes).sum();
    }

    fn count_flow(&mut self, stream: &Stream, to_server: bool, now: Instant) -> Duration {
        let flow = stream.flow(to_server);
        let longest = flow.longest.max(flow.waits(now));
        self.directions.push(Direction {
            stream: stream.name.clone(),
            to_server,
            bytes: flow.bytes,
            pauses: flow.pauses,
            longest_pause_s: longest.as_secs_f64(),
            list: flow.list.clone(),
        });
        longest
    }

    /// In a line.
    pub(super) fn summary(&self) -> String {
        let crashed = match self.crashed.len() {
            0 => String::new(),
            count => format!(", {count} ROUTERS CRASHED"),
        };
        let builds = match self.build_success() {
            Some(percent) => format!(", {percent:.1} % of our builds succeed"),
            None => String::new(),
        };
        format!(
            "{:.0} s, {:.1} MB, {} pauses over 2 s, the longest {:.1} s; {} re-connects, \
             {} attempts failed{builds}; the machine stood for {:.2} s at most{crashed}",
            self.seconds,
            self.bytes as f64 / 1e6,
            self.pauses,
            self.longest_pause_s,
            self.reconnects,
            self.attempts_failed,
            self.machine_stall_s
        )
    }

    /// How many of a hundred builds of all our routers succeeded while it was measured.
    fn build_success(&self) -> Option<f64> {
        let sum = |key: &str| {
            let of = |all: &[Value]| all.iter().map(|it| field(it, key)).sum::<u64>();
            of(&self.ramson).saturating_sub(of(&self.ramson_at_first))
        };
        let (built, failed) = (sum("builds"), sum("builds_failed"));
        let all = built + failed;
        (all > 0).then(|| built as f64 * 100.0 / all as f64)
    }
}

/// A number of a router's status.
fn field(status: &Value, key: &str) -> u64 {
    status.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// All runs.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) passed: bool,
    /// Why not.
    pub(super) reasons: Vec<String>,
    runs: Vec<Run>,
}

impl Report {
    /// Judges the runs: each by itself, and if there are two kinds, one against the other, without
    /// those in which a router crashed.
    pub(super) fn new(runs: Vec<Run>, compare: bool) -> Self {
        let mut reasons = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            let number = number + 1;
            for how in &run.own_crashed {
                reasons.push(format!("run {number}: {how}"));
            }
            if run.garbled > 0 {
                reasons.push(format!("run {number}: {} pieces were garbled", run.garbled));
            }
            if let Some(percent) = run.build_success().filter(|it| *it < BUILDS_SUCCEED) {
                reasons.push(format!(
                    "run {number}: {percent:.1} % of our builds succeed, not {BUILDS_SUCCEED} %"
                ));
            }
        }
        if compare {
            let of = |network: &str| {
                let counted: Vec<&Run> = runs
                    .iter()
                    .filter(|run| run.network == network && run.crashed.is_empty())
                    .collect();
                let pauses: u64 = counted.iter().map(|run| run.pauses).sum();
                let longest = counted.iter().map(|run| run.longest_pause_s);
                let longest = longest.fold(0.0, f64::max);
                let mean = pauses as f64 / counted.len().max(1) as f64;
                (!counted.is_empty()).then_some((mean, longest))
            };
            match (of("mixed"), of("i2pd")) {
                (Some((ours, our_longest)), Some((theirs, their_longest))) => {
                    if ours > theirs {
                        reasons.push(format!(
                            "{ours:.1} pauses a run in mixed networks, {theirs:.1} in those of i2pd"
                        ));
                    }
                    if our_longest > their_longest {
                        reasons.push(format!(
                            "the longest pause in mixed networks took {our_longest:.1} s, in those \
                             of i2pd {their_longest:.1} s"
                        ));
                    }
                }
                _ => reasons
                    .push("no run of one kind without a crash: nothing to compare".to_owned()),
            }
        }
        Self {
            passed: reasons.is_empty(),
            reasons,
            runs,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, run) in self.runs.iter().enumerate() {
            writeln!(f, "run {} {:<5} {}", number + 1, run.network, run.summary())?;
            for direction in run.directions.iter().filter(|it| it.pauses > 0) {
                let way = if direction.to_server { "there" } else { "back" };
                writeln!(
                    f,
                    "      {:<12} {way:<5} {:>3} pauses, the longest {:.1} s",
                    direction.stream, direction.pauses, direction.longest_pause_s
                )?;
            }
            for how in &run.crashed {
                writeln!(f, "      {how}; not compared")?;
            }
            for (index, status) in run.ramson.iter().enumerate() {
                let number = |key: &str| field(status, key);
                write!(
                    f,
                    "      ramson {index}: {} tunnels built, {} failed; {} links; {} transit tunnels, \
                     {} MB; {} look-ups answered; dropped:",
                    number("builds"),
                    number("builds_failed"),
                    number("links"),
                    number("transit_tunnels"),
                    number("transit_bytes") / 1_000_000,
                    number("lookups_found") + number("lookups_not_found"),
                )?;
                let drops = status.get("drops").and_then(Value::as_object);
                for (reason, count) in drops.into_iter().flatten() {
                    write!(f, " {count} {reason}")?;
                }
                writeln!(f)?;
            }
        }
        match self.passed {
            true => writeln!(f, "passed"),
            false => writeln!(f, "FAILED: {}", self.reasons.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(network: &str, pauses: u64, longest_pause_s: f64) -> Run {
        let mut run = Run::new(network, "", Path::new(""));
        (run.pauses, run.longest_pause_s) = (pauses, longest_pause_s);
        run
    }

    #[test]
    fn a_mixed_network_may_pause_as_much_as_the_other() {
        let runs = || vec![run("mixed", 3, 5.0), run("i2pd", 3, 5.0)];
        assert!(Report::new(runs(), true).passed);
        let mut more = runs();
        more.extend([run("mixed", 4, 1.0), run("i2pd", 3, 1.0)]);
        assert_eq!(Report::new(more, true).reasons.len(), 1);
        let mut longer = runs();
        longer.push(run("mixed", 0, 5.1));
        assert_eq!(Report::new(longer, true).reasons.len(), 1);
    }

    #[test]
    fn runs_with_a_crash_are_not_compared() {
        let mut crashed = run("i2pd", 9, 60.0);
        crashed
            .crashed
            .push("router 1 ended by signal 11".to_owned());
        let report = Report::new(vec![run("mixed", 3, 5.0), crashed], true);
        assert!(report.reasons.concat().contains("nothing to compare"));
    }

    #[test]
    fn our_routers_stay_up_their_builds_succeed_and_bytes_are_right() {
        let mut builds = run("mixed", 0, 0.0);
        builds.ramson = vec![
            json!({"builds": 19, "builds_failed": 0}),
            json!({"builds": 19, "builds_failed": 2}),
        ];
        assert!(Report::new(vec![builds], false).passed);
        let mut builds = run("mixed", 0, 0.0);
        builds.ramson = vec![json!({"builds": 94, "builds_failed": 6})];
        assert!(!Report::new(vec![builds], false).passed);
        let mut late = run("mixed", 0, 0.0);
        late.ramson_at_first = vec![json!({"builds": 4, "builds_failed": 6})];
        late.ramson = vec![json!({"builds": 24, "builds_failed": 7})];
        assert!(Report::new(vec![late], false).passed);
        let mut crashed = run("mixed", 0, 0.0);
        crashed
            .own_crashed
            .push("ramson router 1 ended by exit code 101".to_owned());
        assert!(!Report::new(vec![crashed], false).passed);
        let mut garbled = run("mixed", 0, 0.0);
        garbled.garbled = 1;
        assert!(!Report::new(vec![garbled], false).passed);
    }
}
