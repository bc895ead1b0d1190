use std::sync::Arc;

use ramson_sam::{
    PeerLine, RawHeader, Reply, Request, SendHeader, Style, Version, encode_forwarded,
};

use super::state::Shared;

/// No UDP datagram is larger.
const UDP_MAX: usize = 65_536;

/// One datagram between sessions.
struct Sent<'a> {
    id: &'a str,
    to: &'a str,
    from_port: Option<u16>,
    to_port: Option<u16>,
    protocol: Option<u8>,
    payload: &'a [u8],
}

/// Takes datagrams from the UDP port for as long as it runs.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut packet = vec![0; UDP_MAX];
    loop {
        // Errors are those of earlier packets that nobody took.
        let Ok((count, _)) = shared.udp.recv_from(&mut packet).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if *shared.silent.borrow() {
            continue;
        }
        let bytes = packet.get(..count).unwrap_or_default();
        if let Ok((header, payload)) = SendHeader::parse(bytes) {
            let sent = Sent {
                id: &header.id,
                to: &header.destination,
                from_port: header.from_port,
                to_port: header.to_port,
                protocol: header.protocol,
                payload,
            };
            let _ = deliver(&shared, &sent).await;
        }
    }
}

/// DATAGRAM SEND and RAW SEND.
pub(super) async fn send_by_control(
    shared: &Shared,
    sessions: &[String],
    request: &Request,
    payload: &[u8],
) {
    let Some(id) = sessions.last() else { return };
    let (to, from_port, to_port, protocol) = match request {
        Request::DatagramSend {
            destination,
            from_port,
            to_port,
            ..
        } => (destination, from_port, to_port, None),
        Request::RawSend {
            destination,
            from_port,
            to_port,
            protocol,
            ..
        } => (destination, from_port, to_port, *protocol),
        _ => return,
    };
    let sent = Sent {
        id,
        to,
        from_port: *from_port,
        to_port: *to_port,
        protocol,
        payload,
    };
    let _ = deliver(shared, &sent).await;
}

/// Hands a datagram to the session it is for; `None` where it is lost, as datagrams are.
async fn deliver(shared: &Shared, sent: &Sent<'_>) -> Option<()> {
    let personality = shared.config.personality;
    let hash = shared.resolve(sent.to).ok()?.hash();
    let (to, mail, packet) = {
        let state = shared.state();
        let from = state.sessions.get(sent.id)?;
        let heard = |style: Style| match (from.style, style) {
            (Style::Stream | Style::Primary | Style::Master, _) => false,
            (_, Style::Stream | Style::Primary | Style::Master) => false,
            (Style::Raw, Style::Raw) => true,
            (Style::Raw, _) | (_, Style::Raw) => false,
            (one, other) => one == other || personality.is_i2pd(),
        };
        let target = state
            .sessions
            .values()
            .find(|entry| entry.destination.hash() == hash && heard(entry.style))
            .filter(|entry| !entry.deaf)?;
        let ports = personality.has_ports();
        let from_port = sent.from_port.unwrap_or(from.from_port);
        let to_port = sent.to_port.unwrap_or(from.to_port);
        let protocol = sent.protocol.unwrap_or(from.protocol);
        let sender = if from.style == Style::Datagram3 {
            ramson_wire::base64::encode(from.destination.hash().as_bytes())
        } else {
            from.destination.to_base64()
        };
        let version = match personality {
            super::Personality::Emissary => Version::V3_3,
            _ if ports => target.version,
            _ => Version::V3_0,
        };
        let size = sent.payload.len();
        let mut packet = Vec::with_capacity(size + 600);
        let (from_port, to_port) = (Some(from_port), Some(to_port));
        match (target.datagrams_to, from.style) {
            (Some(_), Style::Raw) if target.header => {
                let protocol = Some(protocol);
                let header = RawHeader {
                    from_port,
                    to_port,
                    protocol,
                };
                header.encode(sent.payload, &mut packet);
            }
            (Some(_), Style::Raw) => packet.extend_from_slice(sent.payload),
            (Some(_), _) => {
                let sender = PeerLine {
                    destination: sender,
                    from_port,
                    to_port,
                };
                encode_forwarded(&sender, version, sent.payload, &mut packet);
            }
            (None, style) => {
                let reply = if style == Style::Raw {
                    Reply::RawReceived {
                        size,
                        protocol: Some(protocol),
                        from_port,
                        to_port,
                    }
                } else {
                    Reply::DatagramReceived {
                        destination: sender,
                        size,
                        from_port,
                        to_port,
                    }
                };
                packet.extend_from_slice(reply.encode(version).as_bytes());
                packet.extend_from_slice(sent.payload);
            }
        }
        (target.datagrams_to, target.mail.clone(), packet)
    };
    match to {
        Some(address) => {
            shared.udp.send_to(&packet, address).await.ok()?;
        }
        None => mail.try_send(packet).ok()?,
    }
    Some(())
}
