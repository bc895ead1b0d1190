use std::net::IpAddr;
use std::time::Duration;

use ramson_wire::ntcp2::HandshakePayload;
use ramson_wire::{DecodeError, RouterInfo, UnixTime, Verified};

use crate::Sensitive;
use crate::ntcp2::{AcceptConfig, HandshakeError};

/// The age at which a RouterInfo is too old for a handshake, as i2pd has it.
const MAX_AGE: Duration = Duration::from_secs(90 * 60);

/// How far in the future a RouterInfo may be dated.
const MAX_FUTURE: Duration = Duration::from_secs(2 * 60);

/// Checks what Alice says of herself in message 3 (NTCP2, SessionConfirmed, notes).
///
/// The order decides which failure is answered: first that she is who she says, then whether we
/// talk to her at all. `skew` is the failure of the clocks, if they failed.
pub(super) fn check_confirmed(
    payload: &[u8],
    static_key: &[u8; 32],
    skew: Option<HandshakeError>,
    config: &AcceptConfig,
    now: UnixTime,
) -> Result<Verified<RouterInfo>, HandshakeError> {
    let payload = HandshakePayload::parse(payload).map_err(|error| match error {
        DecodeError::Empty | DecodeError::BlockOrder { .. } => HandshakeError::WrongBlocks,
        error => HandshakeError::Malformed(error),
    })?;
    let info = RouterInfo::from_bytes(payload.router_info)
        .map_err(|_| HandshakeError::RouterInfoMalformed)?;
    let info = info
        .verify()
        .map_err(|_| HandshakeError::RouterInfoSignature)?;
    let theirs = info.net_id();
    if theirs != Some(config.local.network_id) {
        return Err(HandshakeError::RouterInfoNetwork { theirs });
    }
    if let Some(error) = skew {
        return Err(error);
    }
    let published = info.published();
    if now.saturating_since(published) > MAX_AGE {
        return Err(HandshakeError::RouterInfoTooOld { published });
    }
    if published.saturating_since(now) > MAX_FUTURE {
        return Err(HandshakeError::RouterInfoFromFuture { published });
    }
    check_addresses(&info, static_key, config)?;
    if config.banned.contains(&info.hash()) {
        return Err(HandshakeError::Banned);
    }
    Ok(info)
}

/// Checks that an NTCP2 address has the static key, and that hosts published for the connection's
/// family are where the connection comes from.
fn check_addresses(
    info: &RouterInfo,
    static_key: &[u8; 32],
    config: &AcceptConfig,
) -> Result<(), HandshakeError> {
    let addresses = || info.ntcp2_addresses();
    if !addresses().any(|address| address.static_key == *static_key) {
        return Err(HandshakeError::StaticKey);
    }
    if config.any_source {
        return Ok(());
    }
    let source = config.source.0.to_canonical();
    let mut hosts = addresses()
        .filter_map(|address| address.host)
        .filter(|host| host.is_ipv4() == source.is_ipv4())
        .peekable();
    if hosts.peek().is_none() || hosts.any(|host| is_same(host, source)) {
        return Ok(());
    }
    Err(HandshakeError::Host {
        came_from: Sensitive(source),
    })
}

/// Compares IPv4 addresses whole and IPv6 addresses by their /64: hosts choose freely in it.
fn is_same(published: IpAddr, source: IpAddr) -> bool {
    match (published, source) {
        (IpAddr::V6(published), IpAddr::V6(source)) => {
            published.to_bits() >> 64 == source.to_bits() >> 64
        }
        _ => published == source,
    }
}
