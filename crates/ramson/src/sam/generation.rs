use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ramson_sam::aio;
use tokio::sync::{mpsc, watch};

use super::SamRouter;
use super::control::{Control, ControlCommand};
use crate::status::LostCause;

/// A router whose program ends closes its sockets one after the other: a stream's end comes first,
/// as seen 0.1 ms before that of the control connection; more where the machine is busy.
const DYING: Duration = Duration::from_millis(30);
/// By then the ends of all of its sockets were read here, too.
pub(super) const SETTLED: Duration = Duration::from_millis(100);

/// A session as the router knows it, from its creation until it is lost.
///
/// Streams keep the one they were opened on, to learn what their end means.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The ID for STREAM commands.
    pub(super) stream_id: String,
    router: Arc<SamRouter>,
    lost: watch::Sender<Option<LostCause>>,
    /// Somebody saw signs that the session is dead; the supervisor looks.
    suspected: tokio::sync::Notify,
    controls: Mutex<Vec<mpsc::Sender<ControlCommand>>>,
    /// A stream was opened or taken.
    used: AtomicBool,
    /// The same as `lost`, for those who look with every write.
    over: AtomicBool,
}

impl Generation {
    pub(super) fn new(stream_id: String, router: Arc<SamRouter>) -> Arc<Self> {
        Arc::new(Self {
            stream_id,
            router,
            lost: watch::Sender::new(None),
            suspected: tokio::sync::Notify::new(),
            controls: Mutex::new(Vec::new()),
            used: AtomicBool::new(false),
            over: AtomicBool::new(false),
        })
    }

    /// How long the router may take to answer a quick question.
    pub(super) fn answer_within(&self) -> Duration {
        self.router.timing.answer
    }

    pub(super) fn add_control(&self, control: &Control) {
        let mut controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        controls.push(control.commands());
    }

    /// Declares it lost; the first cause stays.
    pub(super) fn lose(&self, cause: LostCause) {
        self.over.store(true, Ordering::Release);
        self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            lost.get_or_insert(cause);
            first
        });
        self.controls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub(crate) fn lost_cause(&self) -> Option<LostCause> {
        *self.lost.borrow()
    }

    /// Waits until it is lost.
    pub(crate) async fn lost(&self) -> LostCause {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await {
            Ok(cause) => cause.unwrap_or(LostCause::ControlConnection),
            Err(_) => LostCause::ControlConnection,
        }
    }

    /// The router does not know it: either it is dying, which shows in a moment, or it forgot.
    pub(super) async fn forgotten(&self) {
        let _ = aio::timeout_at(aio::now() + SETTLED, self.lost()).await;
        self.lose(LostCause::Forgotten);
    }

    /// Whether it is lost; cheap.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) fn mark_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn suspect(&self) {
        self.suspected.notify_one();
    }

    pub(super) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// Whether the session still stood when this was asked: the router answers a HELLO that was
    /// sent a moment later, and then none of its control connections is closed.
    pub(crate) async fn is_live(&self) -> bool {
        let look = async {
            aio::sleep(DYING).await;
            self.router.sam.is_alive().await
        };
        let alive = tokio::select! {
            biased;
            _ = self.lost() => return false,
            alive = look => alive,
        };
        if !alive {
            self.suspect();
            return false;
        }
        let controls = self
            .controls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for control in controls {
            if ControlCommand::ask_closed(&control).await {
                self.suspect();
                return false;
            }
        }
        self.lost_cause().is_none()
    }
}
