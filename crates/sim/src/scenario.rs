//! What happens to a network, what has to hold all the time, and what has to be reached in the end.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ramson_crypto::Random;
use thiserror::Error;

use crate::node::{NodeId, NodeSettings};
use crate::world::{World, WorldSettings};

mod checks;

mod churn;

mod floods;

mod partition;

mod report;
pub use report::{Figure, Report};

mod skew;

mod stalls;

mod surveys;

use self::checks::{Checks, Expected};
use self::surveys::Surveys;

/// Routers that all others know when they begin, at least.
const SEEDS: usize = 3;
/// And one for so many: nobody has links with all of a large network.
const ROUTERS_FOR_SEED: usize = 100;
/// The others begin within this time, for each thousand begun.
const STARTS: Duration = Duration::from_secs(5);
/// How long a network has to come up, or to recover, before it is measured.
const SETTLE: Duration = Duration::from_secs(60);
/// How long look-ups are asked for that are measured.
const MEASURE: Duration = Duration::from_secs(20);
/// And how long after the last is waited.
const LAST: Duration = Duration::from_secs(4);
/// How often a script is asked what to do.
const TICK: Duration = Duration::from_millis(100);

/// The scenarios there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Routers that know three others become a network.
    Join,
    /// Routers leave, in any way, and come back.
    Churn,
    /// Links deliver nothing for a fifth of the time.
    Stalls,
    /// The network falls into two that do not reach each other, and becomes one again.
    Partition,
    /// The clocks of some routers are wrong.
    Skew,
    /// Hostile routers flood others.
    Floods,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Join,
        Self::Churn,
        Self::Stalls,
        Self::Partition,
        Self::Skew,
        Self::Floods,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Churn => "churn",
            Self::Stalls => "stalls",
            Self::Partition => "partition",
            Self::Skew => "skew",
            Self::Floods => "floods",
        }
    }

    fn script(self) -> Box<dyn Script> {
        match self {
            Self::Join => Box::new(Join),
            Self::Churn => Box::new(churn::Churn::default()),
            Self::Stalls => Box::new(stalls::StalledLinks),
            Self::Partition => Box::new(partition::Partition::default()),
            Self::Skew => Box::new(skew::Skew),
            Self::Floods => Box::new(floods::Floods::default()),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no scenario of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there is no such scenario")]
pub struct UnknownScenario;

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        let found = Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name);
        found.ok_or(UnknownScenario)
    }
}

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What happens.
    pub scenario: Scenario,
    /// All that happens follows from it.
    pub seed: u64,
    /// How many routers there are.
    pub routers: usize,
    /// For how many seconds more than it needs the network is kept running before it is measured.
    pub extra_seconds: u64,
}

impl Options {
    /// A hundred routers, seed 1.
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            seed: 1,
            routers: 100,
            extra_seconds: 0,
        }
    }

    /// The command that runs this.
    pub fn command(&self) -> String {
        let Self {
            scenario,
            seed,
            routers,
            extra_seconds,
        } = self;
        let mut command = format!("cargo xtask sim {scenario} --seed {seed} --routers {routers}");
        if *extra_seconds > 0 {
            command.push_str(&format!(" --seconds {extra_seconds}"));
        }
        command
    }
}

/// What a scenario does to the network.
trait Script {
    /// Changes what the network is made of.
    fn world(&mut self, _settings: &mut WorldSettings) {}

    /// Changes what a router is like.
    fn router(&mut self, _number: usize, _settings: &mut NodeSettings, _random: &mut Random) {}

    /// From when on nothing happens any more that disturbs.
    fn healed_at(&self) -> Duration {
        Duration::ZERO
    }

    /// Does what is due; called ten times a second.
    fn tick(&mut self, _network: &mut Network, _random: &mut Random) {}

    /// Whether all routers keep to the rules.
    fn is_honest(&self) -> bool {
        true
    }

    /// Whether nothing happens to the network.
    fn is_calm(&self) -> bool {
        false
    }

    /// Whether the clocks of all routers are right.
    fn has_good_clocks(&self) -> bool {
        true
    }
}

/// Nothing happens but that routers begin.
#[derive(Debug)]
struct Join;

impl Script for Join {
    fn is_calm(&self) -> bool {
        true
    }
}

/// A world and what a scenario knows about it.
#[derive(Debug)]
struct Network {
    world: World,
    seeds: Vec<NodeId>,
    routers: Vec<NodeId>,
}

impl Network {
    /// Starts a router that knows the seeds; a seed knows the other seeds.
    fn start(&mut self, router: NodeId) {
        let seeds = self.seeds.clone();
        self.world.start(router, &seeds);
    }
}

/// Runs a scenario from its beginning to its end.
pub fn run(options: &Options) -> Report {
    let mut script = options.scenario.script();
    let mut settings = WorldSettings::new(options.seed);
    script.world(&mut settings);
    let capacity = settings.pipes.capacity;
    let mut world = World::new(settings);
    // Apart from the world's, so that what a script draws changes nothing else.
    let mut seed = [0x5c; 32];
    if let Some(start) = seed.first_chunk_mut() {
        *start = options.seed.to_le_bytes();
    }
    let mut random = Random::from_seed(seed);
    let seeds = SEEDS.max(options.routers / ROUTERS_FOR_SEED);
    let routers: Vec<NodeId> = (0..options.routers)
        .map(|number| {
            let mut settings = usual(number, seeds, &mut random);
            script.router(number, &mut settings, &mut random);
            world.add(settings)
        })
        .collect();
    let seeds: Vec<NodeId> = routers.iter().copied().take(seeds).collect();
    let mut network = Network {
        world,
        seeds,
        routers,
    };
    for seed in network.seeds.clone() {
        network.start(seed);
    }
    for seed in &network.seeds {
        network.world.introduce(*seed, &network.seeds);
    }
    let mut starts = start_times(
        network.routers.get(network.seeds.len()..).unwrap_or(&[]),
        &mut random,
    );

    let expected = Expected {
        honest: script.is_honest(),
        good_clocks: script.has_good_clocks(),
        calm: script.is_calm(),
    };
    let mut checks = Checks::new(expected, capacity);
    let mut surveys = Surveys::new(random.fork("look-ups"));
    let measure_from = script.healed_at() + SETTLE + Duration::from_secs(options.extra_seconds);
    let until = measure_from + MEASURE + LAST;
    let mut figures = Vec::new();
    while network.world.now() < until && checks.failures().is_empty() {
        let now = network.world.now();
        while let Some((at, router)) = starts.last().copied()
            && at <= now
        {
            starts.pop();
            network.start(router);
        }
        script.tick(&mut network, &mut random);
        if figures.is_empty() && now >= measure_from {
            figures.push(surveys::tunnels(&network));
            surveys.measure(&network, now, MEASURE);
        }
        surveys.tick(&mut network, now);
        network.world.run_for(TICK);
        checks.tick(&network);
    }
    figures.extend(surveys.finish());
    Report::new(options, &network, figures, checks.into_failures())
}

/// A router as most are: every eighth is a floodfill, and one in seven of the others cannot be
/// reached.
fn usual(number: usize, seeds: usize, random: &mut Random) -> NodeSettings {
    let mut settings = NodeSettings {
        uplink_bytes_per_s: random.range(250_000..8_000_000),
        ..NodeSettings::default()
    };
    let drawn = random.below(7);
    settings.config.floodfill = number < seeds || number.is_multiple_of(8);
    settings.reachable = settings.config.floodfill || drawn > 0;
    if settings.config.floodfill {
        settings.config.max_routers = 5_000;
        settings.uplink_bytes_per_s = settings.uplink_bytes_per_s.max(1_000_000);
    }
    settings
}

/// When each of these routers begins, the first last.
fn start_times(routers: &[NodeId], random: &mut Random) -> Vec<(Duration, NodeId)> {
    let thousands = routers.len().div_ceil(1000) as u64;
    let span = u64::try_from(STARTS.as_micros()).unwrap_or(u64::MAX) * thousands;
    let mut starts: Vec<(Duration, NodeId)> = routers
        .iter()
        .map(|router| (Duration::from_micros(random.below(span)), *router))
        .collect();
    starts.sort_unstable();
    starts.reverse();
    starts
}
