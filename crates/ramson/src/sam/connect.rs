use std::sync::Arc;
use std::time::Duration;

use ramson_sam::aio;
use ramson_sam::{Event as SamEvent, Request, ResultCode};
use ramson_wire::{Address, Instant, Target};

use super::accept::is_unknown_session;
use super::{Core, Generation};
use crate::stream::Info;
use crate::{Capability, ConnectOptions, Error, Stream};

/// The wait before an unreachable peer is tried again, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Opens a stream on `core`'s session.
pub(crate) async fn connect(
    core: &Arc<Core>,
    target: Target,
    options: ConnectOptions,
) -> Result<Stream, Error> {
    if target.port != 0 || options.from_port != 0 {
        core.demand(Capability::StreamPorts)?;
    }
    let address = core.router.resolve(target.address);
    if address.hash() == Some(core.destination.hash()) {
        return Err(Error::PeerUnreachable {
            peer: address.to_string(),
            code: ResultCode::CantReachPeer,
            message: Some("this is the session's own Destination".to_owned()),
        });
    }
    let deadline = aio::now() + options.deadline;
    let mut pause = FIRST_PAUSE;
    let mut attempts = 0;
    let mut last: Option<Error> = None;
    loop {
        let generation = match core.ready(deadline, options.deadline).await {
            Err(Error::TimedOut {
                waiting_for, after, ..
            }) => {
                return Err(Error::TimedOut {
                    waiting_for,
                    after,
                    last: last.map(Box::new),
                });
            }
            ready => ready?,
        };
        attempts += 1;
        let attempt = attempt(core, &generation, &address, target.port, &options);
        let error = match aio::timeout_at(deadline, attempt).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => {
                return Err(Error::TimedOut {
                    waiting_for: "the peer to answer",
                    after: options.deadline,
                    last: last.map(Box::new),
                });
            }
        };
        let out_of_attempts = options.attempts.is_some_and(|most| attempts >= most);
        if !error.is_passing() || out_of_attempts || core.is_closed() {
            return Err(error);
        }
        if aio::now() + pause >= deadline {
            return Err(error);
        }
        last = Some(error);
        aio::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(
    core: &Arc<Core>,
    generation: &Arc<Generation>,
    address: &Address,
    port: u16,
    options: &ConnectOptions,
) -> Result<Stream, Error> {
    let router = &core.router;
    let traits = router.known_traits();
    let mut connection = match router.open().await {
        Ok(connection) => connection,
        Err(error) => {
            generation.suspect();
            return Err(error);
        }
    };
    let request = Request::StreamConnect {
        id: generation.stream_id.clone(),
        destination: address.to_string(),
        silent: false,
        from_port: traits
            .stream_ports
            .then_some(options.from_port)
            .filter(|port| *port != 0),
        to_port: Some(port).filter(|port| *port != 0),
    };
    generation.mark_used();
    let asked = aio::now();
    match connection.request(&request, options.deadline).await {
        Ok(SamEvent::Connected) => {}
        Ok(_) => {
            return Err(router.failed(aio::Error::Nonsense {
                what: "STREAM CONNECT",
            }));
        }
        Err(error) => {
            if is_unknown_session(&error) {
                generation.forgotten().await;
                return Err(Error::RouterLost);
            }
            return Err(refused(core, generation, address, asked, options.deadline, error).await);
        }
    }
    let (tcp, head) = connection.into_stream();
    let info = Info {
        peer: address.clone(),
        local_port: traits.stream_ports.then_some(options.from_port),
        peer_port: traits.stream_ports.then_some(port),
        confirmed: traits.connect_confirms,
        answer_within: options.answer_within,
        idle_timeout: options.idle_timeout,
        generation: Arc::clone(generation),
        _guard: core.guard(None),
    };
    Ok(Stream::new(tcp, head, info))
}

/// What a failed STREAM CONNECT means.
async fn refused(
    core: &Core,
    generation: &Generation,
    address: &Address,
    asked: Instant,
    given: Duration,
    error: aio::Error,
) -> Error {
    let peer = address.to_string();
    match error {
        error if error.is_timeout() => Error::TimedOut {
            waiting_for: "the peer to answer",
            after: given,
            last: None,
        },
        aio::Error::Refused { code, message, .. } => match (&code, address) {
            (ResultCode::KeyNotFound | ResultCode::InvalidKey, Address::Name(_)) => {
                Error::NameNotFound { name: peer }
            }
            (ResultCode::ConnectionRefused, _) => Error::PeerRefused { peer },
            (ResultCode::Timeout, _) => Error::TimedOut {
                waiting_for: "the peer to answer",
                after: aio::now().saturating_since(asked),
                last: None,
            },
            _ => Error::PeerUnreachable {
                peer,
                code,
                message,
            },
        },
        // The router closed the connection: was it this stream, or is it the router?
        error @ (aio::Error::Failed(_) | aio::Error::Io { .. }) => {
            if generation.is_live().await {
                Error::PeerUnreachable {
                    peer,
                    code: ResultCode::Closed,
                    message: Some("the router closed the connection without an answer".to_owned()),
                }
            } else {
                tracing::debug!(%error, "the router went away during STREAM CONNECT");
                Error::RouterLost
            }
        }
        error => core.router.failed(error),
    }
}
