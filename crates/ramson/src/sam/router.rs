use std::time::Duration;

use ramson_sam::aio::{self, Endpoint, Router, Traits};
use ramson_sam::{Event, Reply, Request};
use ramson_wire::{Address, Destination};
use tokio::sync::watch;

use crate::status::{Stage, Status};
use crate::{Capabilities, Error, Hosts};

const CHECK_EVERY: Duration = Duration::from_secs(30);

/// The waits for a router and before it is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "public in testing")
)]
#[non_exhaustive]
pub struct Timing {
    /// How long a router may take to answer a HELLO, and each other quick question: 20 s.
    pub answer: Duration,
    /// How long it may take when asked whether it still lives: 10 s.
    pub alive: Duration,
    /// How long a look-up in the network may take: 60 s.
    pub lookup: Duration,
    /// How long keys rest before they are used again: as the router needs it.
    pub key_rest: Option<Duration>,
    /// A session that is ready quicker than this, with keys that were used before, shares the
    /// Destination of one that still lives: 1 s.
    pub too_quick: Duration,
    /// How long streams of a throw-away session are tried: 60 s.
    pub proof: Duration,
    /// One of them counts as lost after this: 8 s.
    pub arrival: Duration,
    /// The longest wait between attempts to come back: 30 s.
    pub longest_backoff: Duration,
    /// How long a closing session that just had streams stays, for the router to send the last of
    /// what it was given: 3 s.
    pub linger: Duration,
}

impl Default for Timing {
    /// What suits routers.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            answer: seconds(20),
            alive: seconds(10),
            lookup: seconds(60),
            key_rest: None,
            too_quick: seconds(1),
            proof: seconds(60),
            arrival: seconds(8),
            longest_backoff: seconds(30),
            linger: seconds(3),
        }
    }
}

#[cfg(feature = "testing")]
impl Timing {
    /// What suits bridges on the same machine in tests.
    pub fn quick() -> Self {
        let millis = Duration::from_millis;
        Self {
            answer: millis(2000),
            alive: millis(1000),
            lookup: millis(2000),
            key_rest: Some(millis(200)),
            too_quick: Duration::ZERO,
            proof: millis(3000),
            arrival: millis(500),
            longest_backoff: millis(500),
            linger: millis(50),
        }
    }
}

/// A router reached over SAM, shared by all sessions on it.
#[derive(Debug)]
pub(crate) struct SamRouter {
    pub(super) sam: Router,
    hosts: Hosts,
    pub(super) check_every: Duration,
    pub(super) timing: Timing,
    pub(crate) status: watch::Sender<Status>,
}

impl SamRouter {
    pub(crate) fn new(
        endpoint: Endpoint,
        hosts: Hosts,
        check_every: Option<Duration>,
        timing: Timing,
    ) -> Self {
        Self {
            sam: Router::new(endpoint).alive_within(timing.alive),
            hosts,
            check_every: check_every.unwrap_or(CHECK_EVERY),
            timing,
            status: watch::Sender::new(Status::first()),
        }
    }

    pub(crate) async fn capabilities(&self) -> Result<Capabilities, Error> {
        Ok(Capabilities::of(self.traits().await?))
    }

    /// What was found out at the start; the weakest before that.
    pub(crate) fn known_capabilities(&self) -> Capabilities {
        Capabilities::of(self.known_traits())
    }

    pub(super) fn known_traits(&self) -> Traits {
        self.sam
            .known_traits()
            .unwrap_or_else(|| Traits::of(aio::Dialect::Unknown, ramson_sam::Version::V3_0))
    }

    pub(super) async fn traits(&self) -> Result<Traits, Error> {
        match self.sam.traits(aio::now() + self.timing.answer).await {
            Ok(traits) => {
                self.report(Stage::Ready, None);
                Ok(traits)
            }
            Err(source) => Err(self.failed(source)),
        }
    }

    pub(super) async fn open(&self) -> Result<aio::Connection, Error> {
        self.sam
            .open(aio::now() + self.timing.answer)
            .await
            .map_err(|source| self.failed(source))
    }

    /// Wraps what went wrong with the router, and tells those who watch it.
    pub(super) fn failed(&self, source: aio::Error) -> Error {
        let refusal = source.is_refusal();
        let error = Error::router(self.sam.endpoint(), source);
        if !refusal {
            self.report(Stage::Connecting, Some(error.to_string()));
        }
        error
    }

    pub(super) fn report(&self, stage: Stage, error: Option<String>) {
        self.status.send_if_modified(|status| {
            if status.stage == stage {
                return false;
            }
            let back = stage == Stage::Ready && status.last_error.is_some();
            *status = Status::at(stage, status.restored + u32::from(back), error);
            true
        });
    }

    /// What `address` is to be called towards the router: names of our own hosts are replaced.
    pub(super) fn resolve(&self, address: Address) -> Address {
        match &address {
            Address::Name(name) => match self.hosts.get(name) {
                Some(destination) => Address::Destination(destination.clone()),
                None => address,
            },
            _ => address,
        }
    }

    pub(crate) async fn lookup(&self, address: Address) -> Result<Destination, Error> {
        let address = match self.resolve(address) {
            Address::Destination(destination) => return Ok(destination),
            address => address,
        };
        let started = aio::now();
        let mut connection = self.open().await?;
        let name = address.to_string();
        let request = Request::NamingLookup {
            name: name.clone(),
            options: false,
        };
        let destination = match connection.request(&request, self.timing.lookup).await {
            Ok(Event::Reply(Reply::Naming {
                value: Some(value), ..
            })) => Destination::from_base64(&value).ok(),
            Ok(_) => None,
            Err(aio::Error::Refused { code, message, .. }) => {
                return Err(match address {
                    Address::Name(_) => Error::NameNotFound { name },
                    // Its LeaseSet was not found.
                    _ => Error::PeerUnreachable {
                        peer: name,
                        code,
                        message,
                    },
                });
            }
            Err(error) if error.is_timeout() => {
                return Err(Error::TimedOut {
                    waiting_for: "the router to look a name up",
                    after: aio::now().saturating_since(started),
                    last: None,
                });
            }
            Err(source) => return Err(self.failed(source)),
        };
        let destination = destination.ok_or_else(|| {
            self.failed(aio::Error::Nonsense {
                what: "NAMING LOOKUP",
            })
        })?;
        // A router that answers with somebody else's Destination is caught where it can be.
        match address.hash() {
            Some(hash) if hash != destination.hash() => Err(self.failed(aio::Error::Nonsense {
                what: "NAMING LOOKUP",
            })),
            _ => Ok(destination),
        }
    }
}
