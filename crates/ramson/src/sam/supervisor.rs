use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ramson_sam::aio::{self, Dialect, Traits};
use ramson_sam::{
    DestinationSpec, Event as SamEvent, Reply, Request, ResultCode, Secret,
    SessionOptions as SamOptions, SessionParams, Style,
};
use ramson_wire::{Destination, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::accept::{self, Accepting};
use super::control::Control;
use super::core::{Current, set_stage};
use super::generation::SETTLED;
use super::proof::{Proof, prove};
use super::{Core, Generation, Hub, SamRouter};
use crate::keys::ClaimedKeys;
use crate::options::SessionOptions;
use crate::status::{LostCause, Stage, Status};
use crate::{DatagramKind, Error, Event};

/// Tunnels can take minutes where peers are few.
pub(super) const CREATE_TIMEOUT: Duration = Duration::from_secs(180);
/// The first wait between attempts to come back, doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// The supervisor looks around at least this often, to notice that the machine slept.
const TICK: Duration = Duration::from_secs(5);
/// A tick that comes this much too late means that the program stood still.
const STOOD_STILL: Duration = Duration::from_secs(10);
/// After this long tunnels are gone and the session is proved anew.
const SLEPT_LONG: Duration = Duration::from_secs(60);
/// Control connections are closed within this time.
const CLOSING: Duration = Duration::from_secs(1);
/// How often a router may call keys in use that a session of ours had a moment ago.
const STILL_IN_USE: u32 = 5;
const STILL_IN_USE_PAUSE: Duration = Duration::from_millis(400);
/// Proofs that failed before an unknown router is believed all the same.
const PROOFS: u32 = 2;

/// What the handles ask of the supervisor.
#[derive(Debug)]
pub(super) enum Command {
    /// Open the SAM session of a datagram kind, if it is not.
    OpenHub(DatagramKind, oneshot::Sender<Result<(), Error>>),
    /// Make this generation anew; one that is over is being made anew already.
    Renew(Weak<Generation>, oneshot::Sender<()>),
}

/// The task that owns a session.
pub(super) struct Supervisor {
    router: Arc<SamRouter>,
    keys: Arc<ClaimedKeys>,
    options: SessionOptions,
    status: Arc<watch::Sender<Status>>,
    events: broadcast::Sender<Event>,
    accepting: Arc<Accepting>,
    hubs: Arc<Mutex<BTreeMap<DatagramKind, Arc<Hub>>>>,
    inbox: mpsc::Receiver<Command>,
    current: watch::Sender<Current>,
    closing: watch::Receiver<bool>,
    /// It was ready before.
    was_ready: bool,
    started: Instant,
    /// Held by each control connection, to know when all are closed.
    alive: (mpsc::Sender<Infallible>, mpsc::Receiver<Infallible>),
    /// Proofs that failed since the session was last ready.
    failed_proofs: u32,
}

/// The connections of one generation. Dropping it ends the session at the router.
struct Group {
    generation: Arc<Generation>,
    controls: Vec<Control>,
    accepts: Vec<AbortHandle>,
    traits: Traits,
}

impl Drop for Group {
    fn drop(&mut self) {
        for task in &self.accepts {
            task.abort();
        }
        // Streams end with it, also those that the router leaves open; a cause that is known stays.
        self.generation.lose(LostCause::ControlConnection);
    }
}

/// A session that was ready and is not any more.
struct Loss {
    at: Instant,
    /// Since when the router can have begun to clean the old session up; unknown while it is
    /// silent.
    cleaned_from: Option<Instant>,
    /// The router's program ended meanwhile, so that it knows nothing of the old session.
    restarted: bool,
}

impl Loss {
    fn now(cause: LostCause) -> Self {
        let at = aio::now();
        let cleaned_from = (cause != LostCause::NoAnswer).then_some(at);
        Self {
            at,
            cleaned_from,
            restarted: false,
        }
    }
}

/// Why a session did not come up.
enum Setback {
    Failed(Error),
    /// It came up and is deaf; its keys must rest.
    Deaf,
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Supervisor {
    pub(super) fn new(
        core: &Core,
        inbox: mpsc::Receiver<Command>,
        current: watch::Sender<Current>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self {
            router: Arc::clone(&core.router),
            keys: Arc::clone(&core.keys),
            options: core.options.clone(),
            status: Arc::clone(&core.status),
            events: core.events.clone(),
            accepting: Arc::clone(&core.accepting),
            hubs: Arc::clone(&core.hubs),
            inbox,
            current,
            closing,
            was_ready: false,
            started: aio::now(),
            alive: mpsc::channel(1),
            failed_proofs: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let mut closing = self.closing.clone();
        let failure = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => None,
            error = self.work() => Some(error),
        };
        self.accepting.close();
        // The router has the end of the session before anybody can use the keys again.
        let (alive, mut closed) = self.alive;
        drop(alive);
        let _ = aio::timeout_at(aio::now() + CLOSING, closed.recv()).await;
        self.keys.release();
        let text = failure.as_ref().map(ToString::to_string);
        set_stage(&self.status, Stage::Closed, text);
        self.current
            .send_replace(Current::Over(Arc::new(Mutex::new(failure))));
    }

    /// Brings the session up and keeps it up, until something happens that no waiting mends.
    async fn work(&mut self) -> Error {
        let mut loss: Option<Loss> = None;
        let mut attempt = 0;
        let mut still_in_use = 0;
        loop {
            let setback = match self.bring_up(&mut loss).await {
                Ok(mut group) => {
                    self.announce(&group, loss.take());
                    attempt = 0;
                    let cause = self.serve(&mut group).await;
                    group.generation.lose(cause);
                    self.current.send_replace(Current::Pending);
                    drop(group);
                    self.silence_hubs();
                    loss = Some(Loss::now(cause));
                    self.stage(Stage::Waiting, None);
                    self.tell(Event::Lost { cause });
                    continue;
                }
                Err(setback) => setback,
            };
            self.silence_hubs();
            let error = match setback {
                Setback::Deaf => {
                    let loss = loss.get_or_insert(Loss::now(LostCause::Unreachable));
                    (loss.cleaned_from, loss.restarted) = (Some(aio::now()), false);
                    continue;
                }
                Setback::Failed(error) => error,
            };
            if self.keys.recent && !self.was_ready && is_duplicate(&error) {
                still_in_use += 1;
                if still_in_use <= STILL_IN_USE {
                    aio::sleep(STILL_IN_USE_PAUSE).await;
                    continue;
                }
            }
            let Some(loss) = loss.as_mut().filter(|_| self.was_ready) else {
                return error;
            };
            if is_final(&error) {
                return error;
            }
            if is_connection_refused(&error) {
                loss.restarted = true;
                self.router.sam.forget();
            }
            attempt += 1;
            let after = backoff(attempt, self.router.timing.longest_backoff);
            let text = error.to_string();
            self.stage(Stage::Waiting, Some(text.clone()));
            self.tell(Event::Retrying {
                attempt,
                after,
                error: text,
            });
            aio::sleep(after).await;
        }
    }

    fn announce(&mut self, group: &Group, loss: Option<Loss>) {
        self.failed_proofs = 0;
        let restored = u32::from(self.was_ready);
        self.status.send_modify(|status| {
            *status = Status::at(Stage::Ready, status.restored + restored, None);
        });
        self.router.report(Stage::Ready, None);
        self.tell(match loss {
            Some(loss) if self.was_ready => Event::Restored {
                after: aio::now().saturating_since(loss.at),
            },
            _ => Event::Ready {
                after: aio::now().saturating_since(self.started),
            },
        });
        self.was_ready = true;
        // Last, so that who was waiting finds the event there.
        self.current
            .send_replace(Current::Ready(Arc::clone(&group.generation)));
    }

    /// Opens the session at the router, with the streams and datagrams that it had.
    async fn bring_up(&mut self, loss: &mut Option<Loss>) -> Result<Group, Setback> {
        self.stage(Stage::Connecting, None);
        let mut connection = self.router.open().await?;
        if let Some(loss) = loss.as_mut().filter(|loss| !loss.restarted) {
            // The router lives and cleans the old session up.
            drop(connection);
            self.rest(loss).await;
            self.stage(Stage::Connecting, None);
            connection = self.router.open().await?;
        }
        let traits = self.router.traits().await?;
        self.stage(Stage::BuildingTunnels, None);
        let id = fresh_id();
        let started = aio::now();
        let style = if traits.subsessions {
            Style::Primary
        } else {
            Style::Stream
        };
        let request = self.create(style, id.clone(), &traits, None);
        match connection.request(&request, CREATE_TIMEOUT).await {
            Ok(reply) => self.check_destination(&reply)?,
            Err(source) => return Err(self.refused(source).into()),
        }
        let quick = aio::now().saturating_since(started) < self.router.timing.too_quick;
        if quick && traits.shared_keys && !self.keys.fresh && loss.is_none() {
            // Our own session of a moment ago still stands, and will take this one along.
            return Err(Setback::Deaf);
        }
        let stream_id = if traits.subsessions {
            format!("{id}-s")
        } else {
            id
        };
        let router = Arc::clone(&self.router);
        let generation = Generation::new(stream_id.clone(), router);
        let control = Control::spawn(connection, Arc::clone(&generation), self.alive.0.clone());
        let mut group = Group {
            generation,
            controls: vec![control],
            accepts: Vec::new(),
            traits,
        };
        if traits.subsessions {
            self.add_subsession(&group, Style::Stream, stream_id, None)
                .await?;
        }
        let hubs: Vec<_> = self.lock_hubs().values().cloned().collect();
        for hub in hubs {
            match self.open_hub(&mut group, &hub).await {
                // Whoever opened the socket is told when the supervisor gets to it.
                Err(Error::SessionRefused { .. }) if !self.options.kinds.contains(&hub.kind) => {
                    tracing::debug!(kind = %hub.kind, "the router refused a datagram kind");
                }
                outcome => outcome?,
            }
        }
        self.start_accepting(&mut group);
        if loss.is_some() {
            self.verify(&group).await?;
        }
        Ok(group)
    }

    /// Waits until the router has forgotten the old session, or went away itself.
    async fn rest(&self, loss: &mut Loss) {
        let Some(traits) = self.router.sam.known_traits() else {
            return;
        };
        // Some more at random, so that the sessions of one router do not come back all at once.
        let rest = self.router.timing.key_rest.unwrap_or(traits.key_rest);
        let jitter = rest.mul_f64(0.3 * random_unit());
        let from = *loss.cleaned_from.get_or_insert_with(aio::now);
        let until = from + rest + jitter;
        let left = until.saturating_since(aio::now());
        if left.is_zero() {
            return;
        }
        self.stage(Stage::Waiting, None);
        self.tell(Event::Resting { time: left });
        aio::sleep_until(until).await;
    }

    /// Checks that streams arrive.
    async fn verify(&mut self, group: &Group) -> Result<(), Setback> {
        self.stage(Stage::Verifying, None);
        let destination = self.keys.keys.destination();
        let proof = tokio::select! {
            biased;
            _ = group.generation.lost() => {
                return Err(Setback::Failed(Error::RouterLost));
            }
            proof = prove(&self.router, &self.accepting, destination) => proof,
        };
        let reason = match proof {
            Proof::Reachable => return Ok(()),
            Proof::Unreachable => {
                self.failed_proofs += 1;
                tracing::debug!(
                    attempt = self.failed_proofs,
                    "the session does not hear streams"
                );
                let known = matches!(group.traits.dialect, Dialect::I2pd | Dialect::I2pdOld);
                if known || self.failed_proofs < PROOFS {
                    return Err(Setback::Deaf);
                }
                "no stream of a throw-away session arrived".to_owned()
            }
            Proof::Unavailable(error) => error.to_string(),
        };
        self.tell(Event::Unverified { reason });
        Ok(())
    }

    /// Keeps the session until it is lost.
    async fn serve(&mut self, group: &mut Group) -> LostCause {
        let generation = Arc::clone(&group.generation);
        let mut last_tick = aio::now();
        let mut last_check = last_tick;
        let period = TICK.min(self.router.check_every);
        let tick = tokio::time::sleep(period);
        tokio::pin!(tick);
        loop {
            tokio::select! {
                biased;
                cause = generation.lost() => return cause,
                () = generation.suspected() => {
                    if !self.still_alive(&generation).await {
                        return generation.lost_cause().unwrap_or(LostCause::NoAnswer);
                    }
                    last_check = aio::now();
                    last_tick = last_check;
                }
                command = self.inbox.recv() => match command {
                    Some(Command::OpenHub(kind, reply)) => {
                        let hub = self.lock_hubs().get(&kind).cloned();
                        let outcome = match hub {
                            Some(hub) if hub.id.borrow().is_some() => Ok(()),
                            Some(hub) => {
                                // A loss ends this, too: it may take minutes.
                                let outcome = tokio::select! {
                                    biased;
                                    cause = generation.lost() => return cause,
                                    outcome = self.add_hub(group, &hub) => outcome,
                                };
                                if outcome.is_ok() {
                                    // Who asked may have gone; the router's session stays.
                                    self.lock_hubs().entry(kind).or_insert(hub);
                                }
                                // That was no standing still.
                                last_tick = aio::now();
                                outcome
                            }
                            None => Err(Error::Closed { what: "the datagram socket" }),
                        };
                        let _ = reply.send(outcome);
                    }
                    Some(Command::Renew(of, reply)) => {
                        let current = of.ptr_eq(&Arc::downgrade(&generation));
                        // Who asked may have given up.
                        if reply.send(()).is_ok() && current {
                            return LostCause::Renewed;
                        }
                    }
                    // The handles are gone; closing is set.
                    None => std::future::pending().await,
                },
                () = &mut tick => {
                    let now = aio::now();
                    let gap = now.saturating_since(last_tick);
                    let stood_still = gap > period + STOOD_STILL;
                    if stood_still {
                        self.tell(Event::Woke { after: gap });
                    }
                    let due = now.saturating_since(last_check) >= self.router.check_every;
                    if stood_still || due {
                        if !self.still_alive(&generation).await {
                            return generation.lost_cause().unwrap_or(LostCause::NoAnswer);
                        }
                        last_check = aio::now();
                    }
                    if gap > SLEPT_LONG && self.verify(group).await.is_err() {
                        return LostCause::Unreachable;
                    }
                    if stood_still {
                        self.stage(Stage::Ready, None);
                    }
                    last_tick = aio::now();
                    tick.as_mut().reset(tokio::time::Instant::now() + period);
                }
            }
        }
    }

    /// Asks the router twice, for once may be a hiccup.
    async fn still_alive(&self, generation: &Generation) -> bool {
        for _ in 0..2 {
            let alive = tokio::select! {
                biased;
                _ = generation.lost() => return false,
                alive = self.router.sam.is_alive() => alive,
            };
            if alive {
                return true;
            }
        }
        // A program that ended shows by its refusals before the end of its sockets was read.
        let _ = aio::timeout_at(aio::now() + SETTLED, generation.lost()).await;
        false
    }

    fn start_accepting(&self, group: &mut Group) {
        for index in 0..group.traits.accepts {
            let task = tokio::spawn(accept::run(
                index == 0,
                Arc::clone(&self.accepting),
                Arc::clone(&self.router),
                Arc::clone(&group.generation),
            ));
            group.accepts.push(task.abort_handle());
        }
    }

    /// Opens the SAM session of a datagram kind on a session that is in use.
    async fn add_hub(&self, group: &mut Group, hub: &Arc<Hub>) -> Result<(), Error> {
        if group.traits.subsessions {
            return self.open_hub(group, hub).await;
        }
        // i2pd starts the Destination's streaming anew for each session on its key: streams that
        // there are would hang, and the ACCEPTs that wait would wait for ever.
        if group.generation.is_used() {
            return Err(Error::DatagramsTooLate);
        }
        for task in group.accepts.drain(..) {
            task.abort();
        }
        let outcome = self.open_hub(group, hub).await;
        self.start_accepting(group);
        outcome
    }

    /// Opens the SAM session of a datagram kind: a subsession, or a session on the same key.
    async fn open_hub(&self, group: &mut Group, hub: &Arc<Hub>) -> Result<(), Error> {
        let id = fresh_id();
        if group.traits.subsessions {
            self.add_subsession(group, hub.kind.style(), id.clone(), Some(hub))
                .await?;
        } else {
            let mut connection = self.router.open().await?;
            let request = self.create(hub.kind.style(), id.clone(), &group.traits, Some(hub));
            // The Destination has its tunnels already.
            match connection
                .request(&request, self.router.timing.answer)
                .await
            {
                Ok(reply) => self.check_destination(&reply)?,
                Err(source) => return Err(self.refused(source)),
            }
            group.controls.push(Control::spawn(
                connection,
                Arc::clone(&group.generation),
                self.alive.0.clone(),
            ));
        }
        hub.id.send_replace(Some(id));
        Ok(())
    }

    async fn add_subsession(
        &self,
        group: &Group,
        style: Style,
        id: String,
        hub: Option<&Hub>,
    ) -> Result<(), Error> {
        let request = Request::SessionAdd {
            style,
            id,
            params: forwarding(hub, &group.traits),
        };
        let Some(control) = group.controls.first() else {
            return Err(Error::RouterLost);
        };
        control
            .request(request)
            .await
            .map_err(|source| self.refused(source))
    }

    fn create(&self, style: Style, id: String, traits: &Traits, hub: Option<&Hub>) -> Request {
        // The 2.45 line of i2pd is unreliable with X25519 alone.
        let encryption = if traits.dialect == Dialect::I2pdOld {
            "4,0"
        } else {
            "4"
        };
        Request::SessionCreate {
            style,
            id,
            destination: DestinationSpec::Keys(Secret::new(self.keys.keys.to_base64().to_string())),
            params: SessionParams {
                options: SamOptions(self.options.to_pairs(encryption)),
                ..forwarding(hub, traits)
            },
        }
    }

    /// A router that brings up another Destination than ours is not to be gone on with.
    fn check_destination(&self, event: &SamEvent) -> Result<(), Error> {
        let SamEvent::Reply(Reply::SessionStatus {
            destination: Some(told),
            ..
        }) = event
        else {
            return Ok(());
        };
        // Private keys begin with their Destination.
        let told = ramson_wire::base64::decode(told.expose()).map(zeroize::Zeroizing::new);
        let same = told.is_ok_and(|told| {
            Destination::parse_prefix(&told)
                .is_ok_and(|(told, _)| told == *self.keys.keys.destination())
        });
        if same {
            Ok(())
        } else {
            let what = "SESSION CREATE";
            Err(self.router.failed(aio::Error::Nonsense { what }))
        }
    }

    fn refused(&self, source: aio::Error) -> Error {
        match source {
            aio::Error::Refused { code, message, .. } => Error::SessionRefused { code, message },
            source => self.router.failed(source),
        }
    }

    fn lock_hubs(&self) -> std::sync::MutexGuard<'_, BTreeMap<DatagramKind, Arc<Hub>>> {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No datagram goes to a SAM session that is over.
    fn silence_hubs(&self) {
        for hub in self.lock_hubs().values() {
            hub.id.send_replace(None);
        }
    }

    fn stage(&self, stage: Stage, error: Option<String>) {
        set_stage(&self.status, stage, error);
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// Where the datagrams of a SAM session go.
fn forwarding(hub: Option<&Hub>, traits: &Traits) -> SessionParams {
    SessionParams {
        host: hub.map(|hub| hub.local.ip().to_string()),
        port: hub.map(|hub| hub.local.port()),
        header: hub.is_some_and(|hub| hub.wants_header(traits)),
        ..SessionParams::default()
    }
}

/// Whether no waiting mends it.
fn is_final(error: &Error) -> bool {
    match error {
        Error::KeyInUse { .. } => true,
        Error::SessionRefused { code, .. } => *code == ResultCode::InvalidKey,
        error => error.kind() == crate::ErrorKind::LoginRefused,
    }
}

/// Whether nothing listens any more: the router's program ended.
fn is_connection_refused(error: &Error) -> bool {
    match error {
        Error::Router {
            source: aio::Error::Connect { source },
            ..
        } => source.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(
        error,
        Error::SessionRefused {
            code: ResultCode::DuplicatedDest,
            ..
        }
    )
}

/// The wait before attempt `attempt` + 1: doubled each time, a random part of it.
fn backoff(attempt: u32, longest: Duration) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    doubled.min(longest).mul_f64(0.5 + 0.5 * random_unit())
}

/// A random number from 0 to 1.
fn random_unit() -> f64 {
    let mut bytes = [0; 4];
    // Without a random source, everybody waits the same time.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// A new session ID: IDs of a router's clients share one space.
pub(super) fn fresh_id() -> String {
    use std::fmt::Write;
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    let mut id = String::from("ramson-");
    for byte in bytes {
        let _ = write!(id, "{byte:02x}");
    }
    id
}
