//! The configuration file of `ramson router`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ramson::router::{RouterConfig, RouterSettings, TransitLimits, TunnelSettings};
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::place::{self, Place};

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    data: PathBuf,
    #[serde(default = "public_network")]
    network_id: NetworkId,
    #[serde(default)]
    floodfill: Floodfill,
    #[serde(default)]
    allow_local: bool,
    #[serde(default)]
    allow_same_network: bool,
    seed: Option<PathBuf>,
    #[serde(default)]
    log: LogLevel,
    #[serde(default = "bandwidth")]
    bandwidth_kb_per_s: Number<1, 10_000_000>,
    max_links: Option<Number<8, 1_000_000>>,
    threads: Option<Number<1, 1024>>,
    #[serde(default)]
    ntcp2: Ntcp2,
    #[serde(default)]
    transit: Transit,
    #[serde(default)]
    exploratory: Exploratory,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ntcp2 {
    listen: Option<Socket>,
    published: Option<Spanned<Socket>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transit {
    tunnels: Option<Number<0, 1_000_000>>,
    rate_kb_per_s: Option<Number<0, 10_000_000>>,
    share: Option<Number<0, 100>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exploratory {
    hops: Option<Number<0, 7>>,
    quantity: Option<Number<1, 16>>,
}

/// Why a configuration file is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Something in it does not fit.
    #[error("{}{place}: {text}", path.display())]
    Wrong {
        path: PathBuf,
        place: Place,
        text: String,
    },
}

/// Says whether a text is a configuration.
#[cfg(feature = "fuzzing")]
pub(crate) fn check(text: &str) -> Result<(), String> {
    match Config::parse(text) {
        Ok(config) => {
            let _ = (config.transit(), config.network_id(), config.log());
            Ok(())
        }
        Err((place, why)) => Err(format!("{place}: {why}")),
    }
}

impl Config {
    /// Reads the file at `path`; paths in it begin where it is.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut config = Self::parse(&text).map_err(|(place, text)| ConfigError::Wrong {
            path: path.to_owned(),
            place,
            text,
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.data = folder.join(&config.data);
        config.seed = config.seed.map(|seed| folder.join(seed));
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, (Place, String)> {
        let config: Self = toml::from_str(text).map_err(|error| place::explain(text, &error))?;
        if let Some(published) = &config.ntcp2.published {
            let address = published.get_ref().0.ip();
            let wrong = if address.is_unspecified() {
                "other routers need an address they can connect to, not the one for any address"
            } else if address.is_loopback() && !config.allow_local {
                "nobody else reaches a loopback address; a network on this machine alone needs \
                 allow_local = true"
            } else {
                return Ok(config);
            };
            let place = Place::of_value(text, published.span());
            return Err((place, wrong.to_owned()));
        }
        Ok(config)
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn log(&self) -> &'static str {
        self.log.0
    }

    pub(crate) fn network_id(&self) -> u8 {
        self.network_id.0
    }

    /// What transit may have.
    pub(crate) fn transit(&self) -> TransitLimits {
        let Transit {
            tunnels,
            rate_kb_per_s,
            share,
        } = &self.transit;
        let share = share.map_or(80, Number::get);
        let shared = self.bandwidth_kb_per_s.get() * share / 100;
        let rate = rate_kb_per_s.map_or(shared, |rate| rate.get().min(shared));
        TransitLimits {
            tunnels: tunnels.map_or(10_000, Number::to_usize),
            rate_bytes_per_s: rate * 1000,
        }
    }

    /// How the router is run on this machine, where that many links are possible.
    pub(crate) fn settings(&self, possible_links: usize) -> RouterSettings {
        let defaults = RouterConfig::default();
        let config = RouterConfig {
            network_id: self.network_id.0,
            published: self.ntcp2.published.as_ref().map(|it| it.get_ref().0),
            floodfill: self.floodfill.0,
            bandwidth_bytes_per_s: self.bandwidth_kb_per_s.get() * 1000,
            transit: self.transit(),
            exploratory: TunnelSettings {
                hops: self
                    .exploratory
                    .hops
                    .map_or(defaults.exploratory.hops, Number::to_usize),
                quantity: self
                    .exploratory
                    .quantity
                    .map_or(defaults.exploratory.quantity, Number::to_usize),
            },
            allow_local: self.allow_local,
            allow_same_network: self.allow_same_network,
            max_links: self.max_links.map_or(possible_links, Number::to_usize),
            ..defaults
        };
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        RouterSettings {
            config,
            data: self.data.clone(),
            listen: self.ntcp2.listen.map(|it| it.0),
            seed: self.seed.clone(),
            threads: self.threads.map_or(cores, Number::to_usize),
        }
    }
}

fn public_network() -> NetworkId {
    NetworkId(2)
}

fn bandwidth() -> Number<1, 10_000_000> {
    Number(1000)
}

/// A number within bounds.
#[derive(Clone, Copy, Debug)]
struct Number<const LEAST: u64, const MOST: u64>(u64);

impl<const LEAST: u64, const MOST: u64> Number<LEAST, MOST> {
    fn get(self) -> u64 {
        self.0
    }

    fn to_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        u64::try_from(number)
            .ok()
            .filter(|number| (LEAST..=MOST).contains(number))
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("a number from {LEAST} to {MOST} is wanted")))
    }
}

/// The id of a network: 2 is the public one.
#[derive(Clone, Copy, Debug)]
struct NetworkId(u8);

impl<'de> Deserialize<'de> for NetworkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::<1, 255>::deserialize(deserializer)?;
        u8::try_from(number.get())
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// An IP address and a port.
#[derive(Clone, Copy, Debug)]
struct Socket(SocketAddr);

impl<'de> Deserialize<'de> for Socket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wanted =
            "an IP address with a port is wanted, like 192.0.2.1:23456 or [2001:db8::1]:23456";
        text.parse().map(Self).map_err(|_| D::Error::custom(wanted))
    }
}

/// Whether to be a floodfill; there is no rule yet that makes `auto` say yes.
#[derive(Clone, Copy, Debug, Default)]
struct Floodfill(bool);

impl<'de> Deserialize<'de> for Floodfill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Floodfill;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\", true or false")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Floodfill, E> {
                Ok(Floodfill(value))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Floodfill, E> {
                match value {
                    "auto" => Ok(Floodfill(false)),
                    _ => Err(E::invalid_value(Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// From which level on it is told what happens.
#[derive(Clone, Copy, Debug)]
struct LogLevel(&'static str);

impl Default for LogLevel {
    fn default() -> Self {
        Self("info")
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ["off", "error", "warn", "info", "debug", "trace"]
            .into_iter()
            .find(|level| *level == text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("off, error, warn, info, debug or trace is wanted"))
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
