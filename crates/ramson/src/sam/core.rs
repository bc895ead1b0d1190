use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ramson_sam::aio;
use ramson_wire::{Destination, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::accept::Accepting;
use super::supervisor::{Command, Supervisor};
use super::{Generation, Hub, SamRouter};
use crate::keys::ClaimedKeys;
use crate::options::SessionOptions;
use crate::status::{Stage, Status};
use crate::{Capabilities, Capability, DatagramKind, Error, Event};

/// Events kept for a reader that is busy.
const EVENTS: usize = 64;

/// What the handles of a session share with its supervisor.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) router: Arc<SamRouter>,
    pub(crate) destination: Destination,
    pub(crate) keys: Arc<ClaimedKeys>,
    pub(crate) options: SessionOptions,
    pub(crate) status: Arc<watch::Sender<Status>>,
    pub(crate) events: broadcast::Sender<Event>,
    /// What happened before anybody could ask for events.
    first_events: Mutex<Option<broadcast::Receiver<Event>>>,
    pub(crate) accepting: Arc<Accepting>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) current: watch::Receiver<Current>,
    pub(super) hubs: Arc<Mutex<BTreeMap<DatagramKind, Arc<Hub>>>>,
    open: Arc<watch::Sender<OpenStreams>>,
    /// Set when no more streams are taken.
    draining: watch::Sender<bool>,
    /// Set when the session is to end.
    closing: Arc<watch::Sender<bool>>,
}

/// Where the session stands, for those who want to use it.
#[derive(Clone, Debug)]
pub(crate) enum Current {
    /// Being brought up.
    Pending,
    Ready(Arc<Generation>),
    /// Over. Holds the failure until somebody took it.
    Over(Arc<Mutex<Option<Error>>>),
}

#[derive(Clone, Copy, Debug, Default)]
struct OpenStreams {
    count: usize,
    /// When the last one ended.
    ended: Option<Instant>,
}

/// Counts one open stream.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    open: Arc<watch::Sender<OpenStreams>>,
    /// The stream keeps its session alive.
    _core: Arc<Core>,
    _slot: Option<super::accept::Slot>,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.open.send_modify(|open| {
            open.count = open.count.saturating_sub(1);
            open.ended = Some(aio::now());
        });
    }
}

impl Core {
    /// Starts a session; returns while it is being brought up.
    pub(crate) async fn start(
        router: Arc<SamRouter>,
        keys: ClaimedKeys,
        options: SessionOptions,
    ) -> Result<Arc<Self>, Error> {
        let (commands, inbox) = mpsc::channel(64);
        let (current_tx, current) = watch::channel(Current::Pending);
        let (events, first_events) = broadcast::channel(EVENTS);
        let status = Arc::new(watch::Sender::new(Status::first()));
        let closing = Arc::new(watch::Sender::new(false));
        let hubs = Arc::new(Mutex::new(BTreeMap::new()));
        let keys = Arc::new(keys);
        let core = Arc::new_cyclic(|core| Self {
            destination: keys.keys.destination().clone(),
            accepting: Arc::new(Accepting::new(core.clone(), events.clone())),
            router,
            keys,
            options,
            status,
            events,
            first_events: Mutex::new(Some(first_events)),
            commands,
            current,
            hubs,
            open: Arc::new(watch::Sender::new(OpenStreams::default())),
            draining: watch::Sender::new(false),
            closing,
        });
        core.notice_unhonoured();
        for &kind in &core.options.kinds {
            core.hub(kind).await?;
        }
        let supervisor = Supervisor::new(&core, inbox, current_tx, core.closing.subscribe());
        tokio::spawn(supervisor.run());
        Ok(core)
    }

    /// Tells what the options ask for and this router does not do.
    fn notice_unhonoured(&self) {
        let capabilities = self.capabilities();
        if self.keys.exposed {
            tracing::warn!("the key file can be read by others than its owner; make it 0600");
            self.tell(Event::KeyFileExposed);
        }
        let zero_hops = self.options.inbound.length == 0 || self.options.outbound.length == 0;
        let login = self.router.sam.endpoint().login().is_some();
        for (asked, capability) in [
            (zero_hops, Capability::ZeroHops),
            (login, Capability::Login),
        ] {
            if asked && !capabilities.has(capability) {
                self.tell(Event::NotHonoured { capability });
            }
        }
    }

    /// Follows the events: the first to ask from the start of the session on, others from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        let mut first = self
            .first_events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.take().unwrap_or_else(|| self.events.subscribe())
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.router.known_capabilities()
    }

    /// An error unless the router can do this.
    pub(crate) fn demand(&self, capability: Capability) -> Result<(), Error> {
        let capabilities = self.capabilities();
        if capabilities.has(capability) {
            Ok(())
        } else {
            Err(Error::Unsupported {
                capability,
                router: capabilities.router(),
            })
        }
    }

    /// Waits until the session can be used; `given` is the time that `deadline` leaves in all.
    pub(crate) async fn ready(
        &self,
        deadline: Instant,
        given: Duration,
    ) -> Result<Arc<Generation>, Error> {
        let mut current = self.current.clone();
        let usable = current.wait_for(|current| match current {
            Current::Pending => false,
            Current::Ready(generation) => generation.lost_cause().is_none(),
            Current::Over(_) => true,
        });
        match aio::timeout_at(deadline, usable).await {
            Ok(Ok(current)) => match &*current {
                Current::Ready(generation) => Ok(Arc::clone(generation)),
                _ => {
                    drop(current);
                    Err(self.ended())
                }
            },
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => {
                let status = self.status.borrow();
                Err(Error::TimedOut {
                    waiting_for: status.waiting_for.unwrap_or("the session"),
                    after: given,
                    last: None,
                })
            }
        }
    }

    /// Why the session is over. The first to ask gets the failure itself.
    pub(crate) fn ended(&self) -> Error {
        if let Current::Over(failure) = &*self.current.borrow()
            && let Some(error) = failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        {
            return error;
        }
        Error::Closed {
            what: "the session",
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closing.borrow() || matches!(*self.current.borrow(), Current::Over(_))
    }

    pub(crate) async fn renew(&self) -> Result<(), Error> {
        // It is being made anew already.
        let asked = match &*self.current.borrow() {
            Current::Pending => return Ok(()),
            Current::Ready(generation) => Arc::downgrade(generation),
            Current::Over(_) => std::sync::Weak::new(),
        };
        let (reply, answer) = oneshot::channel();
        let closed = |_| Error::Closed {
            what: "the session",
        };
        self.commands
            .send(Command::Renew(asked, reply))
            .await
            .map_err(|_| closed(()))?;
        answer.await.map_err(|_| closed(()))
    }

    /// The hub of a datagram kind, made if needed. The supervisor opens its SAM session.
    pub(crate) async fn hub(&self, kind: DatagramKind) -> Result<Arc<Hub>, Error> {
        let lock = || self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = lock().get(&kind) {
            return Ok(Arc::clone(hub));
        }
        self.demand(Capability::Datagrams(kind))?;
        self.demand(Capability::StreamsAndDatagrams)?;
        if let Some(open) = self.clashing_kind(kind) {
            return Err(Error::KindsClash { open });
        }
        let made = Hub::open(&self.router, kind).await?;
        let mut hubs = lock();
        if let Some(hub) = hubs.get(&kind) {
            return Ok(Arc::clone(hub));
        }
        // Another kind may have come while the socket was opened.
        if let Some(open) = self.clashing_kind_of(&hubs, kind) {
            return Err(Error::KindsClash { open });
        }
        hubs.insert(kind, Arc::clone(&made));
        Ok(made)
    }

    /// Drops the hub of a kind that nobody uses and the router does not hold.
    pub(crate) fn forget_hub(&self, kind: DatagramKind) {
        if self.options.kinds.contains(&kind) {
            return;
        }
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if hubs.get(&kind).is_some_and(|hub| hub.is_unused()) {
            hubs.remove(&kind);
        }
    }

    /// Has the supervisor open the SAM session of a datagram kind, and waits for it.
    pub(crate) async fn open_hub(&self, kind: DatagramKind, given: Duration) -> Result<(), Error> {
        let deadline = aio::now() + given;
        let (reply, answer) = oneshot::channel();
        let opened = async {
            let closed = Error::Closed {
                what: "the session",
            };
            if self
                .commands
                .send(Command::OpenHub(kind, reply))
                .await
                .is_err()
            {
                return Err(closed);
            }
            answer.await.unwrap_or(Err(closed))
        };
        let waiting_for = "the router to open a datagram session";
        aio::timeout_at(deadline, opened)
            .await
            .unwrap_or(Err(Error::TimedOut {
                waiting_for,
                after: given,
                last: None,
            }))
    }

    /// The open kind that keeps the router from sending `kind` on this Destination.
    fn clashing_kind(&self, kind: DatagramKind) -> Option<DatagramKind> {
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        self.clashing_kind_of(&hubs, kind)
    }

    fn clashing_kind_of(
        &self,
        hubs: &BTreeMap<DatagramKind, Arc<Hub>>,
        kind: DatagramKind,
    ) -> Option<DatagramKind> {
        let traits = self.router.known_traits();
        if traits.one_datagram_kind {
            return hubs.keys().next().copied();
        }
        if !traits.one_repliable_kind || kind == DatagramKind::Raw {
            return None;
        }
        let repliable = hubs
            .keys()
            .find(|open| **open != DatagramKind::Raw)
            .copied();
        // Raw alone has fixed the kind to the first one.
        let raw_only = hubs.contains_key(&DatagramKind::Raw) && kind != DatagramKind::Datagram1;
        repliable.or(raw_only.then_some(DatagramKind::Datagram1))
    }

    pub(super) fn guard(self: &Arc<Self>, slot: Option<super::accept::Slot>) -> StreamGuard {
        self.open.send_modify(|open| open.count += 1);
        StreamGuard {
            open: Arc::clone(&self.open),
            _core: Arc::clone(self),
            _slot: slot,
        }
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.open.borrow().count
    }

    pub(crate) async fn close(&self, deadline: Duration) -> bool {
        self.draining.send_replace(true);
        self.accepting.close();
        let deadline = aio::now() + deadline;
        let mut open = self.open.subscribe();
        let drained = aio::timeout_at(deadline, open.wait_for(|open| open.count == 0)).await;
        let drained = drained.is_ok();
        // Routers drop what they still have to send when the Destination goes.
        if let Some(ended) = self.open.borrow().ended.filter(|_| drained) {
            aio::sleep_until(deadline.min(ended + self.router.timing.linger)).await;
        }
        self.closing.send_replace(true);
        self.closed().await;
        drained
    }

    /// Waits until closing began.
    pub(crate) async fn draining(&self) {
        let mut draining = self.draining.subscribe();
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => {}
            () = self.closed() => {}
        }
    }

    pub(crate) async fn closed(&self) {
        let mut current = self.current.clone();
        // An error means that the supervisor is gone, which is as good.
        let _ = current
            .wait_for(|current| matches!(current, Current::Over(_)))
            .await;
    }
}

pub(super) fn set_stage(status: &watch::Sender<Status>, stage: Stage, error: Option<String>) {
    status.send_modify(|status| {
        let error = error.or_else(|| status.last_error.take());
        *status = Status::at(stage, status.restored, error);
    });
}

impl Drop for Core {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}
