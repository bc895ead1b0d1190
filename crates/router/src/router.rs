use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::{
    AcceptConfig, Admission, AdmissionLimits, Connection, LinkConfig, Refused,
};
use ramson_proto::streaming::IdentityError;
use ramson_wire::{EncodeError, RouterHash, RouterInfo, Verified};

use crate::clock::RouterClock;
use crate::config::{PoolSettings, RouterConfig, TransitLimits};
use crate::core::{
    Core, CoreMessage, LookupOutcome, OwnRouter, RouterKeys, RouterStatus, ShellRequest,
};
use crate::destination::{
    DestinationEvent, DestinationHandle, DestinationId, DestinationKeys, DestinationPart,
};
use crate::inbox::{Inbox, Sender};
use crate::link::{LinkEnv, LinkPart};
use crate::relay::{RelaySenders, RelayShard};

/// Places for what the router wants of the shell.
const REQUESTS: usize = 1024;
/// Places for what the shell tells `Core`.
const SHELL_SHARE: usize = 256;
/// Places for what one Destination tells `Core`.
const DESTINATION_SHARE: usize = 256;

/// The parts of a router, to be handed to a scheduler.
#[derive(Debug)]
pub struct Router {
    /// The control plane.
    pub core: Core,
    /// The owners of tunnels.
    pub relays: Vec<RelayShard>,
    /// What the router wants of whoever has sockets.
    pub requests: Inbox<ShellRequest>,
    /// For everybody else.
    pub handle: RouterHandle,
}

/// What others do with a running router. Clones are the same.
#[derive(Debug, Clone)]
pub struct RouterHandle {
    us: RouterHash,
    env: LinkEnv,
    core: Sender<CoreMessage>,
    status: Arc<Mutex<RouterStatus>>,
    clock: RouterClock,
    random: Arc<Mutex<Random>>,
    any_source: bool,
    destinations: Arc<AtomicU64>,
}

impl Router {
    /// Makes the parts.
    ///
    /// # Errors
    ///
    /// When the configuration makes no RouterInfo.
    pub fn new(
        config: RouterConfig,
        keys: RouterKeys,
        shards: usize,
        now: Now,
        mut random: Random,
    ) -> Result<Self, EncodeError> {
        let own = OwnRouter::new(keys, &config, now)?;
        let us = own.hash();
        let inbox = Inbox::new(crate::core::INBOX);
        let core = inbox.sender(crate::core::INBOX);
        let shards = shards.max(1);
        let rate = config.transit.rate_bytes_per_s / shards as u64;
        let relays: Vec<RelayShard> = (0..shards)
            .map(|shard| {
                let random = random.fork(&format!("relay {shard}"));
                RelayShard::new(us, core.with_share(crate::core::INBOX), rate, random)
            })
            .collect();
        let env = LinkEnv::new(
            core.clone(),
            RelaySenders::of(&relays),
            Arc::new(Mutex::new(own.local().clone())),
            Arc::new(Mutex::new(Admission::new(admission_limits(
                config.max_links,
            )))),
        );
        let requests = Inbox::new(REQUESTS);
        let status = Arc::default();
        let clock = RouterClock::default();
        let handle = RouterHandle {
            us,
            env: env.clone(),
            core: inbox.sender(SHELL_SHARE),
            status: Arc::clone(&status),
            clock: clock.clone(),
            random: Arc::new(Mutex::new(random.fork("accepted"))),
            any_source: config.allow_same_network,
            destinations: Arc::default(),
        };
        let core = Core::new(
            config,
            own,
            env,
            inbox,
            requests.sender(REQUESTS),
            (status, clock),
            random.fork("core"),
        );
        Ok(Self {
            core,
            relays,
            requests,
            handle,
        })
    }
}

impl RouterHandle {
    /// The router's own hash.
    pub fn hash(&self) -> RouterHash {
        self.us
    }

    /// What turns the machine's time into the router's: every `Now` handed to its parts comes from
    /// it.
    pub fn clock(&self) -> &RouterClock {
        &self.clock
    }

    /// The RouterInfo that is published now.
    pub fn router_info(&self) -> Verified<RouterInfo> {
        self.env.current().router_info.clone()
    }

    /// Makes a link of a connection that came in.
    ///
    /// # Errors
    ///
    /// [`Refused`]: close the socket.
    pub fn accept(&self, from: SocketAddr, now: Now) -> Result<LinkPart, Refused> {
        let place = self.env.admission().open(from.ip())?;
        let config = AcceptConfig {
            local: self.env.current(),
            source: ramson_proto::Sensitive(from.ip()),
            any_source: self.any_source,
            banned: Arc::default(),
            greet: true,
            link: LinkConfig::default(),
        };
        let random = self
            .random
            .lock()
            .unwrap_or_else(|it| it.into_inner())
            .fork("link");
        let connection = Connection::accept(config, now, random);
        let id = self.env.next_id();
        Ok(LinkPart::accepted(place, id, connection, &self.env))
    }

    /// Makes a Destination, with its inbound and outbound tunnels as told; what becomes of it is
    /// posted to `owner`.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] for keys that do not belong together.
    pub fn open_destination(
        &self,
        keys: DestinationKeys,
        pools: [PoolSettings; 2],
        owner: Sender<DestinationEvent>,
        now: Now,
    ) -> Result<(DestinationPart, DestinationHandle), IdentityError> {
        let id = DestinationId(self.destinations.fetch_add(1, Ordering::Relaxed));
        let random = self
            .random
            .lock()
            .unwrap_or_else(|it| it.into_inner())
            .fork("destination");
        let core = self.core.with_share(DESTINATION_SHARE);
        let part = DestinationPart::new(id, keys, pools, core, owner, random, now)?;
        let handle = part.handle();
        Ok((part, handle))
    }

    /// Gives the router RouterInfos to begin with.
    pub fn seed(&self, infos: Vec<Verified<RouterInfo>>) -> bool {
        self.core.post(CoreMessage::Seed(infos)).is_ok()
    }

    /// Has the shell store the RouterInfos that are known ([`ShellRequest::Store`]).
    pub fn store_known_routers(&self) -> bool {
        self.core.post(CoreMessage::Known).is_ok()
    }

    /// Asks the floodfills for a router's RouterInfo, also when one is known; the outcome is posted
    /// to `reply`. Says whether there was room for the question.
    pub fn look_up(&self, router: RouterHash, reply: Sender<LookupOutcome>) -> bool {
        self.core
            .post(CoreMessage::LookUp { router, reply })
            .is_ok()
    }

    /// The last snapshot.
    pub fn status(&self) -> RouterStatus {
        let status = self.status.lock();
        status.unwrap_or_else(|it| it.into_inner()).clone()
    }

    /// Changes how much is carried for others.
    pub fn set_transit_limits(&self, limits: TransitLimits) -> bool {
        self.core.post(CoreMessage::Limits(limits)).is_ok()
    }

    /// Refuses new transit; what there is goes on until its end.
    pub fn drain(&self) -> bool {
        self.core.post(CoreMessage::Drain).is_ok()
    }

    /// Ends the links there are; whatever is sent afterwards makes new ones. For a machine whose
    /// network has changed, where old links would be noticed as dead only by and by.
    pub fn drop_links(&self) -> bool {
        self.core.post(CoreMessage::DropLinks).is_ok()
    }

    /// Ends all links.
    pub fn stop(&self) -> bool {
        self.core.post(CoreMessage::Stop).is_ok()
    }
}

/// Handshakes of others may take half as many sockets as links at most.
fn admission_limits(max_links: usize) -> AdmissionLimits {
    let limits = AdmissionLimits::default();
    AdmissionLimits {
        half_open: limits.half_open.min((max_links / 2).max(4)),
        ..limits
    }
}
