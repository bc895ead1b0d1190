//! `ramson router`: a router of its own.

mod config;
pub(crate) use config::{Config, ConfigError};

#[cfg(feature = "fuzzing")]
pub(crate) use config::check as check_config;

#[cfg(unix)]
mod control;
#[cfg(unix)]
pub(crate) use control::ControlError;

mod limits;

mod log;

mod place;

mod rates;

mod signals;

mod status;
pub use status::RouterNumbers;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use ramson::router::{RouterHandle, RunningRouter};

#[cfg(unix)]
use self::control::Control;
use self::log::Log;
use self::signals::{Signal, Signals};
use crate::{Event, Output};

/// A tunnel's ten minutes, and the grace that hops give it.
const TRANSIT_LIFETIME: Duration = Duration::from_secs(620);
/// How long links and files may take at the end.
const GOODBYE: Duration = Duration::from_secs(3);
/// How often it is looked at what is left.
const LOOK: Duration = Duration::from_millis(500);
/// How often that is told where no line can change.
const TELL: Duration = Duration::from_secs(30);

/// Runs a router until a signal ends it.
pub(crate) async fn run(file: &Path, verbose: u8, output: &Output) -> Result<()> {
    let mut signals = Signals::new()?;
    let config = Config::read(file)?;
    let log = Log::start(config.log(), verbose);
    let settings = config.settings(limits::links());
    let published = settings.config.published.is_some();
    let router = RunningRouter::start(settings)?;
    let fixed = RouterNumbers {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network_id: config.network_id(),
        listen: router.local_addr().map(|address| address.to_string()),
        published,
        ..RouterNumbers::default()
    };
    output.note(&Event::Router {
        version: env!("CARGO_PKG_VERSION"),
        network_id: fixed.network_id,
        listen: fixed.listen.clone(),
        published,
        routers: router.seeded(),
    });
    let numbers = Arc::new(Mutex::new(fixed));
    #[cfg(unix)]
    let links = router.handle().clone();
    #[cfg(unix)]
    let drop_links: control::DropLinks = Arc::new(move || links.drop_links());
    #[cfg(unix)]
    let _control = match Control::start(config.data(), Arc::clone(&numbers), drop_links) {
        Ok(control) => Some(control),
        Err(error) => {
            let text = format!("`ramson router status` will find nobody here: {error}");
            output.note(&Event::Note { text });
            None
        }
    };
    let live = async {
        while let Signal::Reload = signals.next().await {
            reload(file, router.handle(), &log, output);
        }
        tokio::select! {
            () = drain(router.handle(), output) => {}
            () = signals.end() => {}
        }
    };
    tokio::select! {
        () = live => {}
        () = rates::watch(&router, &numbers) => {}
    }
    output.clear_bar();
    tokio::select! {
        () = router.stop(GOODBYE) => {}
        () = signals.end() => {}
    }
    Ok(())
}

/// Asks the running router how it is.
#[cfg(unix)]
pub(crate) async fn status(file: &Path, output: &Output) -> Result<()> {
    let config = Config::read(file)?;
    let numbers = control::ask(config.data()).await?;
    output.result(&Event::RouterStatus(Box::new(numbers)))
}

#[cfg(not(unix))]
pub(crate) async fn status(_file: &Path, _output: &Output) -> Result<()> {
    anyhow::bail!("a running router can be asked on Unix only")
}

/// Has the running router end its links.
#[cfg(unix)]
pub(crate) async fn drop_links(file: &Path, output: &Output) -> Result<()> {
    let config = Config::read(file)?;
    control::drop_links(config.data()).await?;
    let text = "the links end now; those that are needed come back".to_owned();
    output.note(&Event::Note { text });
    Ok(())
}

#[cfg(not(unix))]
pub(crate) async fn drop_links(_file: &Path, _output: &Output) -> Result<()> {
    anyhow::bail!("a running router can be told something on Unix only")
}

/// Takes what can change without a new start.
fn reload(file: &Path, handle: &RouterHandle, log: &Log, output: &Output) {
    let text = match Config::read(file) {
        Ok(config) => {
            log.set(config.log());
            handle.set_transit_limits(config.transit());
            "limits and log level are those of the configuration file now".to_owned()
        }
        Err(error) => format!("nothing was changed: {error}"),
    };
    output.note(&Event::Note { text });
}

/// Waits until nobody relies on us any more.
async fn drain(handle: &RouterHandle, output: &Output) {
    handle.drain();
    let began = Instant::now();
    let bar = output.show_bar(ProgressBar::new_spinner());
    let mut told: Option<Instant> = None;
    loop {
        let status = handle.status();
        if status.draining && status.transit_tunnels == 0 {
            return;
        }
        let left = TRANSIT_LIFETIME.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        let event = Event::Draining {
            transit_tunnels: status.transit_tunnels,
            at_most_seconds: left.as_secs(),
        };
        if output.is_live() {
            bar.set_message(event.to_string());
            bar.tick();
        } else if status.draining && told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            output.note(&event);
        }
        tokio::time::sleep(LOOK).await;
    }
}
