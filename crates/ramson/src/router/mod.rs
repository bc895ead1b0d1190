//! A whole router inside the program: the parts of [`ramson_router`] as tasks on threads of their
//! own, with sockets and a data folder.

mod clock;

mod error;
pub use error::RouterError;

mod link;

mod net;

mod part;

mod seed;

mod storage;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_router::Router;
use ramson_wire::UnixTime;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::clock::Clock;
use self::seed::Seed;
use self::storage::DataFolder;

pub use ramson_router::{
    DropReason, RouterConfig, RouterHandle, RouterStatus, TransitLimits, TunnelSettings,
};

/// How often it is looked at whether something is to be written.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

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
    /// A folder with RouterInfos to begin with.
    pub seed: Option<PathBuf>,
    /// Threads of its own: one for an application's router.
    pub threads: usize,
}

/// A router that runs. Dropping it ends it without a word to anybody; [`Self::stop`] is the
/// polite way.
#[derive(Debug)]
pub struct RunningRouter {
    handle: RouterHandle,
    local: Option<SocketAddr>,
    runtime: Option<Runtime>,
    services: Vec<AbortHandle>,
    links: mpsc::Receiver<()>,
    seeded: usize,
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
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("ramson-router")
            .enable_all()
            .build()
            .map_err(RouterError::Threads)?;
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
        folder.write_info(&handle.router_info())?;
        let clock = Clock::new(handle.clock());

        let (alive, links) = mpsc::channel(1);
        runtime.spawn(part::drive(clock.clone(), move |now, waker| {
            (core.step(now), core.register(waker))
        }));
        for mut relay in relays {
            runtime.spawn(part::drive(clock.clone(), move |now, waker| {
                (relay.step(now), relay.register(waker))
            }));
        }
        let mut services = Vec::new();
        let serve = net::serve(requests, source, clock.clone(), alive.clone());
        services.push(runtime.spawn(serve).abort_handle());
        if let Some(listener) = listener {
            let accept = net::accept(listener, handle.clone(), clock, alive);
            services.push(runtime.spawn(accept).abort_handle());
        }
        let keep = keep_house(folder, handle.clone());
        services.push(runtime.spawn(keep).abort_handle());

        // Last: others may come while this is read.
        let mut seeded = 0;
        if let Some(path) = seed {
            let seed = Seed::read(&path)?;
            tracing::debug!(skipped = seed.skipped, "read the seed");
            seeded = seed.infos.len();
            handle.seed(seed.infos);
        }
        Ok(Self {
            handle,
            local,
            runtime: Some(runtime),
            services,
            links,
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

    /// Ends it: nobody is let in any more, peers are told, and files are written. Waits for that at
    /// most `patience`.
    pub async fn stop(mut self, patience: Duration) {
        for service in self.services.drain(..) {
            service.abort();
        }
        self.handle.stop();
        let _ = ramson_sam::aio::timeout_at(
            ramson_sam::aio::now() + patience,
            // All links have ended when nobody is left to send.
            self.links.recv(),
        )
        .await;
    }
}

impl Drop for RunningRouter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Also from within another runtime, which must not block.
            runtime.shutdown_background();
        }
    }
}

/// Writes what changed.
async fn keep_house(folder: Arc<DataFolder>, handle: RouterHandle) {
    let mut written: UnixTime = handle.router_info().published();
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        let info = handle.router_info();
        if info.published() == written {
            continue;
        }
        written = info.published();
        let folder = Arc::clone(&folder);
        let write = move || folder.write_info(&info);
        match tokio::task::spawn_blocking(write).await {
            Ok(Err(error)) => tracing::error!(%error, "the RouterInfo was not written"),
            Ok(Ok(())) | Err(_) => {}
        }
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
