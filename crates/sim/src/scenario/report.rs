use std::fmt;
use std::time::Duration;

use super::{Network, Options};
use crate::trace::TraceHash;
use crate::world::WorldStats;

/// So many of what is not as it should be are described.
const DESCRIBED: usize = 8;

/// One thing that is to be reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// How many of them are as they should be.
    pub good: usize,
    /// How many there are.
    pub of: usize,
    /// Some of those that are not, in words.
    pub others: Vec<String>,
}

impl Figure {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            good: 0,
            of: 0,
            others: Vec::new(),
        }
    }

    /// Counts one more; `what` describes it if it is not as it should be.
    pub(super) fn count(&mut self, good: bool, what: impl FnOnce() -> String) {
        self.of += 1;
        self.good += usize::from(good);
        if !good && self.others.len() < DESCRIBED {
            self.others.push(what());
        }
    }

    /// Ninety-nine of a hundred have to be as they should be, and a network of less than a hundred
    /// may have one that is not.
    pub fn is_reached(&self) -> bool {
        self.of > 0 && self.of - self.good.min(self.of) <= (self.of / 100).max(1)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.good as f64 * 100.0 / self.of.max(1) as f64;
        let Self { name, good, of, .. } = self;
        write!(f, "{name}: {good} of {of}, {percent:.1} %")
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was run.
    pub options: Options,
    /// The hash over all events; equal for equal options.
    pub trace: TraceHash,
    /// How many events are in it.
    pub events: u64,
    /// How long it took in virtual time.
    pub time: Duration,
    /// What was to be reached.
    pub figures: Vec<Figure>,
    /// What did not hold or was not reached; empty if all is well.
    pub failures: Vec<String>,
    /// Counts of the world.
    pub stats: WorldStats,
    /// Sums over all routers.
    pub sums: Vec<(String, u64)>,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        network: &Network,
        figures: Vec<Figure>,
        mut failures: Vec<String>,
    ) -> Self {
        for figure in figures.iter().filter(|figure| !figure.is_reached()) {
            failures.push(format!("not reached: {figure}"));
            failures.extend(figure.others.iter().cloned());
        }
        if figures.is_empty() && failures.is_empty() {
            failures.push("nothing was measured".into());
        }
        Self {
            options: *options,
            trace: network.world.trace(),
            events: network.world.events(),
            time: network.world.now(),
            figures,
            failures,
            stats: network.world.stats(),
            sums: sums(network),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options {
            scenario,
            seed,
            routers,
            ..
        } = self.options;
        writeln!(f, "{scenario}: {routers} routers, seed {seed}")?;
        for figure in &self.figures {
            writeln!(f, "  {figure}")?;
        }
        let stats = &self.stats;
        writeln!(
            f,
            "  {} s, {} events: {} steps of cores, {} of relays, {} of links",
            self.time.as_secs(),
            self.events,
            stats.core_steps,
            stats.relay_steps,
            stats.link_steps
        )?;
        writeln!(
            f,
            "  {} connections of {} dials, {} refused, {} open ends; {} KiB; {} ms waited for cores",
            stats.connections,
            stats.dials,
            stats.refused,
            stats.links,
            stats.bytes / 1024,
            stats.waited_us / 1000
        )?;
        let [keys, agreements, signed, verified] = stats.public_key;
        writeln!(
            f,
            "  {keys} key pairs, {agreements} agreements, {signed} signatures, {verified} checked"
        )?;
        let hostile = &stats.hostile;
        if hostile.dials > 0 {
            writeln!(
                f,
                "  hostile: {} links of {} dials, {} messages, {} requests answered, {} of them wrongly",
                hostile.links, hostile.dials, hostile.sent, hostile.answers, hostile.wrong_answers
            )?;
        }
        let sums: Vec<String> = self
            .sums
            .iter()
            .map(|(name, sum)| format!("{name} {sum}"))
            .collect();
        writeln!(f, "  sums: {}", sums.join(", "))?;
        writeln!(f, "  trace {}", self.trace)?;
        for failure in &self.failures {
            writeln!(f, "  FAILED: {failure}")?;
        }
        Ok(())
    }
}

/// What the routers that run have counted, together.
fn sums(network: &Network) -> Vec<(String, u64)> {
    let mut sums: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    let mut add = |name: &str, count: u64| *sums.entry(name.into()).or_default() += count;
    for router in &network.routers {
        let Some(status) = network.world.status(*router) else {
            continue;
        };
        let [built, failed] = status.builds;
        add("builds", built);
        add("builds failed", failed);
        add("dials", status.dials);
        add("dials failed", status.dials_failed);
        add("links", status.links as u64);
        add("routers known", status.routers as u64);
        add("transit", status.transit_tunnels as u64);
        add("transit refused", status.transit_refused);
        for (reason, count) in status.drops {
            add(&format!("{reason:?}"), count);
        }
        let relay = network.world.relay_counters(*router);
        add("relay participant", relay.participant);
        add("relay unknown", relay.dropped_unknown);
        add("relay wrong router", relay.dropped_wrong_router);
        add("relay malformed", relay.dropped_malformed);
        add("relay duplicate", relay.dropped_duplicate);
        add("relay full", relay.dropped_full);
        add("relay rate", relay.dropped_rate);
        add("relay expired", relay.dropped_expired);
    }
    sums.into_iter().filter(|(_, count)| *count > 0).collect()
}
