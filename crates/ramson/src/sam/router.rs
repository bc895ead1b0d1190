use std::time::Duration;

use ramson_sam::aio::{self, Endpoint, Router, Traits};
use ramson_sam::{Event, Reply, Request, ResultCode};
use ramson_wire::{Address, Destination};
use tokio::sync::watch;

use crate::status::{Stage, Status};
use crate::{Capabilities, Error, Hosts};

/// How long a router may take to answer a HELLO, and each other quick question.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
/// How long a look-up in the network may take.
const LOOKUP: Duration = Duration::from_secs(60);
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// A router reached over SAM, shared by all sessions on it.
#[derive(Debug)]
pub(crate) struct SamRouter {
    pub(super) sam: Router,
    hosts: Hosts,
    pub(super) check_every: Duration,
    pub(crate) status: watch::Sender<Status>,
}

impl SamRouter {
    pub(crate) fn new(endpoint: Endpoint, hosts: Hosts, check_every: Option<Duration>) -> Self {
        Self {
            sam: Router::new(endpoint),
            hosts,
            check_every: check_every.unwrap_or(CHECK_EVERY),
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
        match self.sam.traits(aio::now() + ANSWER).await {
            Ok(traits) => {
                self.report(Stage::Ready, None);
                Ok(traits)
            }
            Err(source) => Err(self.failed(source)),
        }
    }

    pub(super) async fn open(&self) -> Result<aio::Connection, Error> {
        self.sam
            .open(aio::now() + ANSWER)
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
        let destination = match connection.request(&request, LOOKUP).await {
            Ok(Event::Reply(Reply::Naming {
                value: Some(value), ..
            })) => Destination::from_base64(&value).ok(),
            Ok(_) => None,
            Err(aio::Error::Refused {
                code: ResultCode::KeyNotFound | ResultCode::InvalidKey | ResultCode::Other(_),
                ..
            }) => return Err(Error::NameNotFound { name }),
            Err(aio::Error::TimedOut { .. }) => {
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
