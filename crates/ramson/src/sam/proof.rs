use std::sync::Arc;
use std::time::Duration;

use ramson_sam::aio;
use ramson_sam::{DestinationSpec, Request, Secret, SessionOptions, SessionParams, Style};
use ramson_wire::{Destination, PrivateKeys};
use tokio::io::AsyncWriteExt;

use super::SamRouter;
use super::accept::Accepting;
use super::supervisor::{CREATE_TIMEOUT, fresh_id};
use crate::Tunnels;
use crate::options;

const PAUSE: Duration = Duration::from_secs(1);

/// How the check of a session ended.
pub(super) enum Proof {
    /// A stream arrived.
    Reachable,
    /// The router said connected, or not, and nothing arrived.
    Unreachable,
    /// No throw-away session was to be had.
    Unavailable(aio::Error),
}

/// Checks that a session can be reached: opens a throw-away session on the same router and a
/// stream from it, which must arrive.
///
/// The router's own OK does not say so: i2pd gives it to a session whose Destination is about to
/// be cleaned up with an earlier one of the same key.
pub(super) async fn prove(
    router: &SamRouter,
    accepting: &Arc<Accepting>,
    destination: &Destination,
) -> Proof {
    let keys = PrivateKeys::generate();
    let mut expectation = accepting.expect(keys.destination().hash());
    let traits = router.known_traits();
    let timing = router.timing;
    let hops = if traits.zero_hops { 0 } else { 1 };
    let tunnels = Tunnels::hops(hops).quantity(1);
    let asked = options::SessionOptions {
        inbound: tunnels,
        outbound: tunnels,
        ..options::SessionOptions::default()
    };
    let id = fresh_id();
    let create = Request::SessionCreate {
        style: Style::Stream,
        id: id.clone(),
        destination: DestinationSpec::Keys(Secret::new(keys.to_base64().to_string())),
        params: SessionParams {
            options: SessionOptions(asked.to_pairs("4")),
            ..SessionParams::default()
        },
    };
    // Lives until the proof is over, and ends the throw-away session then.
    let mut control = match router.sam.open(aio::now() + timing.arrival).await {
        Ok(control) => control,
        Err(error) => return Proof::Unavailable(error),
    };
    if let Err(error) = control.request(&create, CREATE_TIMEOUT).await {
        return Proof::Unavailable(error);
    }
    let deadline = aio::now() + timing.proof;
    while aio::now() < deadline {
        let attempt = async {
            let mut connection = router.sam.open(aio::now() + timing.arrival).await?;
            let request = Request::StreamConnect {
                id: id.clone(),
                destination: destination.to_base64(),
                silent: false,
                from_port: None,
                to_port: None,
            };
            connection.request(&request, timing.proof).await?;
            let (mut tcp, _) = connection.into_stream();
            tcp.write_all(b"\n")
                .await
                .map_err(|source| aio::Error::Io { source })?;
            Ok::<_, aio::Error>(tcp)
        };
        // The stream stays open while its arrival is awaited.
        let stream = aio::timeout_at(deadline, attempt).await;
        if let Ok(Err(error)) = &stream {
            tracing::debug!(%error, "a stream to ourselves failed");
            aio::sleep(PAUSE).await;
            continue;
        }
        let waited = aio::timeout_at(aio::now() + timing.arrival, &mut expectation.arrived).await;
        if let Ok(Ok(())) = waited {
            return Proof::Reachable;
        }
    }
    Proof::Unreachable
}
