use std::sync::Mutex;
use std::time::Duration;

use ramson_wire::Instant;

use super::{Connection, Endpoint, Error, Traits, dialect, now, timeout_at};
use crate::Version;

/// How long a router may take to say HELLO before it counts as gone.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// One SAM address: opens connections, remembers its dialect, tells whether it lives.
#[derive(Debug)]
pub struct Router {
    endpoint: Endpoint,
    alive_within: Duration,
    traits: Mutex<Option<Traits>>,
    /// Held while the bridge is asked what it is, so that sessions that come at once ask once.
    probing: tokio::sync::Mutex<()>,
    /// Start and outcome of the last look whether the router lives; held while one is under way.
    last_look: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

impl Router {
    /// The router whose SAM bridge is at `endpoint`; nothing is connected yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            alive_within: ALIVE_TIMEOUT,
            traits: Mutex::new(None),
            probing: tokio::sync::Mutex::new(()),
            last_look: tokio::sync::Mutex::new(None),
        }
    }

    /// How long it may take to say HELLO before it counts as gone; 10 seconds unless told otherwise.
    #[must_use]
    pub fn alive_within(mut self, time: Duration) -> Self {
        self.alive_within = time;
        self
    }

    /// Where the bridge is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What is known of the bridge, if it was asked already.
    pub fn known_traits(&self) -> Option<Traits> {
        *self
            .traits
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What the bridge can do, found out once by throw-away sockets.
    ///
    /// # Errors
    ///
    /// When no SAM bridge answers before `deadline`.
    pub async fn traits(&self, deadline: Instant) -> Result<Traits, Error> {
        if let Some(traits) = self.known_traits() {
            return Ok(traits);
        }
        let waiting_for = "the router to say what it is";
        let probing = timeout_at(deadline, self.probing.lock()).await;
        let _probing = probing.map_err(|_| Error::TimedOut { waiting_for })?;
        if let Some(traits) = self.known_traits() {
            return Ok(traits);
        }
        let traits = dialect::probe(&self.endpoint, deadline).await?;
        *self
            .traits
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(traits);
        Ok(traits)
    }

    /// Forgets what was found out: another program may answer after a restart.
    pub fn forget(&self) {
        *self
            .traits
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    /// Opens a connection with the version that was agreed on when the bridge was asked first.
    ///
    /// # Errors
    ///
    /// When the connection or the HELLO fails.
    pub async fn open(&self, deadline: Instant) -> Result<Connection, Error> {
        Connection::open(
            &self.endpoint,
            Some(Version::V3_0),
            Some(Version::V3_3),
            deadline,
        )
        .await
    }

    /// Whether a HELLO on a side connection that starts after this call is answered.
    ///
    /// Callers at the same time share one connection.
    pub async fn is_alive(&self) -> bool {
        let asked = now();
        let mut last_look = self.last_look.lock().await;
        if let Some((started, alive)) = *last_look
            && started >= asked
        {
            return alive;
        }
        let started = now();
        let deadline = started + self.alive_within;
        let alive = matches!(timeout_at(deadline, self.open(deadline)).await, Ok(Ok(_)));
        *last_look = Some((started, alive));
        alive
    }
}
