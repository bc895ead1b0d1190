//! A whole router inside the program: the parts of [`ramson_router`] as tasks on threads of their
//! own, with sockets and a data folder.

mod clock;
mod destination;

mod error;
pub use error::RouterError;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

mod known;

mod link;

mod net;

mod part;

mod report;
pub use report::RouterReport;

mod seed;

mod storage;

#[cfg(test)]
mod testing;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_router::Router;
use ramson_sam::aio;
use ramson_wire::{Instant, UnixTime};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use self::clock::Clock;
use self::report::{RelayReport, Traffic};
use self::seed::Seed;
use self::storage::DataFolder;

pub use self::destination::{LocalDatagrams, LocalDestination, LocalListener, LocalStream};
pub use ramson_router::{
    ConnectError, DatagramKind, DestinationEvent, DestinationKeys, DestinationKeysError,
    DropReason, HandshakeCounters, HandshakeFailure, OutgoingDatagram, PoolSettings,
    ReceivedDatagram, RelayCounters, RouterConfig, RouterHandle, RouterStatus, TransitLimits,
    TunnelSettings,
};

/// How often it is looked at whether the RouterInfo has changed.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often the known RouterInfos are stored.
const STORE: Duration = Duration::from_secs(5 * 60);
/// How soon, if there are more by a twentieth: a router that is killed should lose no more.
const STORE_GROWN: Duration = Duration::from_secs(10);

/// How a router is run.
#[derive(Debug, Clone)]
pub struct RouterSettings {
    /// What kind of router it is. A published port of 0 is the one that is listened on.
    pub config: RouterConfig,
    /// Its folder, made if it is not there: keys, RouterInfo, known RouterInfos.
    pub data: PathBuf,
    /// Where connections are taken; if not said, any address with the published port, and without
    /// that nowhere.
    pub listen: Option<SocketAddr>,
    /// RouterInfos to begin with: a folder, as i2pd or anybody lays it out, a zip file, or the
    /// `routers.db` of another router.
    pub seed: Option<PathBuf>,
    /// Threads of its own: one for an application's router.
    pub threads: usize,
}

/// A router that runs. Dropping it ends it without a word to anybody; [`Self::stop`] is the
/// polite way.
#[derive(Debug)]
pub struct RunningRouter {
    handle: RouterHandle,
    runtime: tokio::runtime::Handle,
    clock: Clock,
    local: Option<SocketAddr>,
    started: Instant,
    reports: Vec<RelayReport>,
    traffic: Arc<Traffic>,
    _threads: Threads,
    services: Vec<AbortHandle>,
    /// Nothing can be sent any more when all links have ended and this is gone, too.
    alive: Option<net::Alive>,
    links: mpsc::Receiver<()>,
    stored: watch::Receiver<u64>,
    seeded: usize,
}

/// What all tasks of a router have in common.
#[derive(Debug, Clone)]
struct Shared {
    clock: Clock,
    traffic: Arc<Traffic>,
}

impl RunningRouter {
    /// Starts a router: when this returns, it listens.
    ///
    /// # Errors
    ///
    /// See [`RouterError`].
    pub fn start(settings: RouterSettings) -> Result<Self, RouterError> {
        let RouterSettings {
            mut config,
            data,
            listen,
            seed,
            threads,
        } = settings;
        let folder = Arc::new(DataFolder::open(&data)?);
        let (own_threads, runtime) = Threads::start(threads)?;
        let _inside = runtime.enter();
        let listener = match listen.or_else(|| config.published.map(any_address)) {
            Some(address) => Some(bind(address)?),
            None => None,
        };
        let local = listener.as_ref().and_then(|it| it.local_addr().ok());
        if let (Some(published), Some(local)) = (&mut config.published, local)
            && published.port() == 0
        {
            published.set_port(local.port());
        }
        let published = config.published.map(|address| address.ip());
        let source = net::source(published, local.map(|address| address.ip()));
        let keys = folder.keys.clone();
        let now = Clock::default().now();
        let router = Router::new(config, keys, threads, now, Random::from_os())?;
        let Router {
            mut core,
            relays,
            requests,
            handle,
        } = router;
        folder.write_info(&handle.router_info());
        let shared = Shared {
            clock: Clock::new(handle.clock()),
            traffic: Arc::default(),
        };

        let (alive, links) = mpsc::channel(1);
        runtime.spawn(part::drive(shared.clock.clone(), move |now, waker| {
            (core.step(now), core.register(waker))
        }));
        let mut reports = Vec::new();
        for mut relay in relays {
            let report = RelayReport::default();
            reports.push(report.clone());
            let step = move |now, waker: &Waker| {
                let next = relay.step(now);
                report.set(relay.counters());
                (next, relay.register(waker))
            };
            runtime.spawn(part::drive(shared.clock.clone(), step));
        }
        let mut services = Vec::new();
        let (tell_stored, stored) = watch::channel(0);
        runtime.spawn(net::serve(
            requests,
            source,
            shared.clone(),
            Arc::clone(&folder),
            tell_stored,
            alive.downgrade(),
        ));
        if let Some(listener) = listener {
            let accept = net::accept(listener, handle.clone(), shared.clone(), alive.clone());
            services.push(runtime.spawn(accept).abort_handle());
        }
        // Last: others may come while this is read, and the router takes what is read already.
        let mut seeded = 0;
        let known = folder.read_known(|infos| {
            seeded += infos.len();
            handle.seed(infos);
        });
        if known.damaged > 0 {
            tracing::warn!(
                kept = seeded,
                places = known.damaged,
                "the file of known RouterInfos is damaged: some were lost"
            );
        }
        if let Some(path) = seed {
            let seed = Seed::read(&path)?;
            tracing::debug!(skipped = seed.skipped, "read the seed");
            seeded += seed.infos.len();
            handle.seed(seed.infos);
        }
        let keep = keep_house(folder, handle.clone());
        services.push(runtime.spawn(keep).abort_handle());
        Ok(Self {
            handle,
            runtime: runtime.clone(),
            clock: shared.clock.clone(),
            local,
            started: now.instant,
            reports,
            traffic: shared.traffic,
            _threads: own_threads,
            services,
            alive: Some(alive),
            links,
            stored,
            seeded,
        })
    }

    /// What is done with it while it runs.
    pub fn handle(&self) -> &RouterHandle {
        &self.handle
    }

    /// Where connections are taken.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// How many RouterInfos it began with.
    pub fn seeded(&self) -> usize {
        self.seeded
    }

    /// A snapshot of all its parts.
    pub fn report(&self) -> RouterReport {
        let [received_bytes, sent_bytes] = self.traffic.totals();
        RouterReport {
            status: self.handle.status(),
            relays: self.reports.iter().map(RelayReport::get).collect(),
            received_bytes,
            sent_bytes,
            uptime: aio::now().saturating_since(self.started),
            clock_offset_ms: self.handle.clock().offset_ms(),
        }
    }

    /// Ends it: nobody is let in any more, peers are told, and files are written. Waits for that at
    /// most `patience`.
    pub async fn stop(mut self, patience: Duration) {
        for service in self.services.drain(..) {
            service.abort();
        }
        self.alive.take();
        self.handle.stop();
        self.stored.mark_unchanged();
        self.handle.store_known_routers();
        let end = aio::now() + patience;
        let _ = aio::timeout_at(end, self.links.recv()).await;
        let _ = aio::timeout_at(end, self.stored.changed()).await;
    }
}

/// The router's own runtime.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn start(count: usize) -> Result<(Self, Handle), RouterError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count.max(1))
            .thread_name("ramson-router")
            .enable_all()
            .build()
            .map_err(RouterError::Threads)?;
        let handle = runtime.handle().clone();
        Ok((Self(Some(runtime)), handle))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Also from within another runtime, which must not block.
            runtime.shutdown_background();
        }
    }
}

/// Writes what changed.
async fn keep_house(folder: Arc<DataFolder>, handle: RouterHandle) {
    let mut written: UnixTime = handle.router_info().published();
    let mut stored = aio::now();
    let mut stored_count = 0;
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        let count = handle.status().routers;
        let grown = count > stored_count + stored_count / 20;
        let age = aio::now().saturating_since(stored);
        if age >= STORE || grown && age >= STORE_GROWN {
            stored = aio::now();
            stored_count = count;
            handle.store_known_routers();
        }
        let info = handle.router_info();
        if info.published() == written {
            continue;
        }
        written = info.published();
        let folder = Arc::clone(&folder);
        let _ = tokio::task::spawn_blocking(move || folder.write_info(&info)).await;
    }
}

fn any_address(published: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match published {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, published.port())
}

/// Has to be called inside the runtime.
fn bind(address: SocketAddr) -> Result<TcpListener, RouterError> {
    let listen = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    listen().map_err(|source| RouterError::Listen { address, source })
}
