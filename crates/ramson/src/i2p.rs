use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ramson_sam::aio::Endpoint;
use ramson_wire::Destination;

use crate::sam::{SamRouter, Timing};
use crate::session::{IntoTarget, SessionBuilder};
use crate::{Capabilities, Error, Hosts, StatusWatch};

/// The environment variable that [`I2p::start`] follows.
const ROUTER_VARIABLE: &str = "RAMSON_ROUTER";

/// The way onto I2P: one router, from which sessions are opened.
///
/// A handle: clones are the same.
#[derive(Clone)]
pub struct I2p {
    router: Arc<SamRouter>,
}

impl fmt::Debug for I2p {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("I2p")
            .field("router", &self.capabilities().router())
            .finish()
    }
}

impl I2p {
    /// Uses the router that the environment variable `RAMSON_ROUTER` names, as `sam:HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`Error::NoRouter`] when the variable is not set, [`Error::BadRouterVariable`] when it
    /// names no router, [`Error::Router`] when no SAM bridge answers there.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Names the router and what goes with it.
    pub fn builder() -> I2pBuilder {
        I2pBuilder::default()
    }

    /// Prepares a session: a Destination that is online.
    pub fn session(&self) -> SessionBuilder {
        SessionBuilder::new(self.clone())
    }

    /// The Destination behind a host name or address: from the hosts given at the start, else from
    /// the router. Names are looked up in the router's address book, `….b32.i2p` addresses in the
    /// network.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`], [`Error::NameNotFound`], [`Error::Router`], [`Error::TimedOut`].
    pub async fn lookup(&self, name: impl IntoTarget) -> Result<Destination, Error> {
        self.router.lookup(name.into_target()?.address).await
    }

    /// What the router at hand can do.
    pub fn capabilities(&self) -> Capabilities {
        self.router.known_capabilities()
    }

    /// Whether the router answers, as far as the sessions noticed.
    pub fn status(&self) -> StatusWatch {
        StatusWatch::new(self.router.status.subscribe())
    }

    pub(crate) fn router(&self) -> &Arc<SamRouter> {
        &self.router
    }
}

/// Starts an [`I2p`].
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until start()"]
pub struct I2pBuilder {
    router: Option<RouterChoice>,
    udp_port: Option<u16>,
    login: Option<(String, String)>,
    hosts: Hosts,
    hosts_files: Vec<PathBuf>,
    check_every: Option<Duration>,
    timing: Timing,
}

#[derive(Debug)]
enum RouterChoice {
    /// A text that names a SAM bridge, read at the start.
    Sam(String),
    Endpoint(Endpoint),
}

impl I2pBuilder {
    /// Uses the SAM bridge at `HOST:PORT`; the port is 7656 when missing.
    pub fn sam(mut self, address: impl Into<String>) -> Self {
        self.router = Some(RouterChoice::Sam(address.into()));
        self
    }

    /// Uses the SAM bridge at this endpoint.
    pub fn sam_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.router = Some(RouterChoice::Endpoint(endpoint));
        self
    }

    /// The UDP port of the SAM bridge, for datagrams; the TCP port minus one unless told otherwise.
    pub fn sam_udp_port(mut self, port: u16) -> Self {
        self.udp_port = Some(port);
        self
    }

    /// Logs in to the SAM bridge.
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((user.into(), password.into()));
        self
    }

    /// Reads host names from a file in the form of `hosts.txt`; they go before the router's.
    pub fn hosts_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.hosts_files.push(path.into());
        self
    }

    /// Host names that go before the router's.
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// How often a silent router is asked whether it still lives; every 30 seconds unless told
    /// otherwise.
    pub fn check_every(mut self, period: Duration) -> Self {
        self.check_every = Some(period.max(Duration::from_millis(100)));
        self
    }

    /// Replaces the waits for the router, which are too long for tests.
    #[cfg(feature = "testing")]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Finds the router and what it can do.
    ///
    /// # Errors
    ///
    /// As [`I2p::start`], and the hosts file's.
    pub async fn start(self) -> Result<I2p, Error> {
        let mut endpoint = match self.router {
            Some(RouterChoice::Endpoint(endpoint)) => endpoint,
            Some(RouterChoice::Sam(text)) => parse_endpoint(&text)?,
            None => from_environment()?,
        };
        if let Some(port) = self.udp_port {
            endpoint = endpoint.with_udp_port(port);
        }
        if let Some((user, password)) = self.login {
            endpoint = endpoint.with_login(user, password);
        }
        let mut hosts = Hosts::default();
        for path in self.hosts_files {
            hosts.extend(Hosts::read(path)?);
        }
        hosts.extend(self.hosts);
        let router = SamRouter::new(endpoint, hosts, self.check_every, self.timing);
        router.capabilities().await?;
        Ok(I2p {
            router: Arc::new(router),
        })
    }
}

fn parse_endpoint(text: &str) -> Result<Endpoint, Error> {
    Endpoint::from_str(text).map_err(|source| Error::BadEndpoint { source })
}

fn from_environment() -> Result<Endpoint, Error> {
    let value = match std::env::var(ROUTER_VARIABLE) {
        Ok(value) if !value.is_empty() => value,
        Err(std::env::VarError::NotUnicode(value)) => {
            return Err(Error::BadRouterVariable {
                value: value.to_string_lossy().into_owned(),
            });
        }
        _ => return Err(Error::NoRouter),
    };
    match value.strip_prefix("sam:") {
        Some(address) => parse_endpoint(address),
        None => Err(Error::BadRouterVariable { value }),
    }
}
