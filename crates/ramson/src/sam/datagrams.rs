use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ramson_sam::aio::{self, Dialect, Traits};
use ramson_sam::{RawHeader, SendHeader, SessionOptions, Version, parse_forwarded};
use ramson_wire::{Address, Destination, DestinationHash, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::SamRouter;
use crate::{Datagram, DatagramKind, Error};

pub(crate) type Incoming = Datagram;

/// No UDP datagram is larger.
const UDP_MAX: usize = 65_536;
/// Addresses whose Destination is remembered.
const RESOLVED: usize = 1024;
/// A name may be given to another Destination.
const RESOLVED_FOR: Duration = Duration::from_secs(600);
/// The wait after the socket failed, so that a lasting failure is no busy loop.
const PAUSE: Duration = Duration::from_millis(50);

/// The UDP side of one datagram kind of a session; lives longer than its SAM sessions.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) kind: DatagramKind,
    udp: Arc<UdpSocket>,
    /// Where the router forwards to.
    pub(super) local: SocketAddr,
    /// The ID of the SAM session of the moment.
    pub(super) id: watch::Sender<Option<String>>,
    sockets: Mutex<BTreeMap<u16, mpsc::Sender<Incoming>>>,
    resolved: Mutex<BTreeMap<String, (Destination, Instant)>>,
    dropped: AtomicU64,
    /// Forwarded raw datagrams begin with a line of ports and protocol.
    headers: bool,
    receiver: Mutex<Option<AbortHandle>>,
}

impl Hub {
    /// Binds a UDP socket that takes packets from the router's UDP port alone.
    pub(super) async fn open(router: &SamRouter, kind: DatagramKind) -> Result<Arc<Self>, Error> {
        // The address that answers over TCP, where the router's name has several.
        let connection = router.open().await?;
        let io = |source| router.failed(aio::Error::Io { source });
        let host = connection.tcp().peer_addr().map_err(io)?.ip();
        let remote = SocketAddr::new(host, router.sam.endpoint().udp_port());
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let io_error = |source| Error::Io {
            what: "no UDP socket for datagrams",
            source,
        };
        let udp = UdpSocket::bind(SocketAddr::new(any, 0))
            .await
            .map_err(io_error)?;
        udp.connect(remote).await.map_err(io_error)?;
        let local = udp.local_addr().map_err(io_error)?;
        let hub = Arc::new(Self {
            kind,
            udp: Arc::new(udp),
            local,
            id: watch::Sender::new(None),
            sockets: Mutex::default(),
            resolved: Mutex::default(),
            dropped: AtomicU64::new(0),
            headers: kind == DatagramKind::Raw && router.known_traits().datagram_ports,
            receiver: Mutex::default(),
        });
        let task = tokio::spawn(receive(Arc::clone(&hub.udp), Arc::downgrade(&hub)));
        *hub.receiver.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        Ok(hub)
    }

    pub(crate) fn add(&self, port: u16, queue: usize) -> Result<mpsc::Receiver<Incoming>, Error> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if sockets.contains_key(&port) {
            return Err(Error::PortInUse { port });
        }
        let (send, receive) = mpsc::channel(queue);
        sockets.insert(port, send);
        Ok(receive)
    }

    pub(crate) fn remove(&self, port: u16) {
        self.sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&port);
    }

    /// Whether it has neither a SAM session nor a socket.
    pub(super) fn is_unused(&self) -> bool {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.is_empty() && self.id.borrow().is_none()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn max_payload(&self, router: &SamRouter) -> usize {
        // Measured and read: i2pd reads 32,768 bytes from its UDP port, header line included;
        // Java allows 31 KiB repliable and 32 KiB raw; emissary delivers about 4 kB.
        let repliable = self.kind != DatagramKind::Raw;
        match (router.known_traits().dialect, repliable) {
            (Dialect::Emissary, _) => 4_000,
            (Dialect::Java, true) => 31 * 1024,
            (Dialect::Java, false) => 32 * 1024,
            (_, true) => 31_000,
            (_, false) => 32_000,
        }
    }

    /// Whether raw datagrams are to come with a line of ports and protocol.
    pub(super) fn wants_header(&self, traits: &Traits) -> bool {
        self.kind == DatagramKind::Raw && traits.datagram_ports
    }

    pub(crate) fn min_payload(&self, router: &SamRouter) -> usize {
        let i2pd = matches!(
            router.known_traits().dialect,
            Dialect::I2pd | Dialect::I2pdOld
        );
        if i2pd && self.kind == DatagramKind::Raw {
            3
        } else {
            1
        }
    }

    /// The full Destination behind `address`, which i2pd wants in each datagram.
    pub(crate) async fn resolve(
        &self,
        router: &SamRouter,
        address: Address,
    ) -> Result<Destination, Error> {
        let key = match &address {
            Address::Destination(destination) => return Ok(destination.clone()),
            address => address.to_string(),
        };
        let resolved = || self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((destination, at)) = resolved().get(&key)
            && aio::now().saturating_since(*at) < RESOLVED_FOR
        {
            return Ok(destination.clone());
        }
        let destination = router.lookup(address).await?;
        let mut resolved = resolved();
        if resolved.len() >= RESOLVED {
            resolved.pop_first();
        }
        resolved.insert(key, (destination.clone(), aio::now()));
        Ok(destination)
    }

    pub(crate) async fn send(
        &self,
        router: &SamRouter,
        payload: &[u8],
        to: &Destination,
        from_port: u16,
        to_port: u16,
    ) -> Result<(), Error> {
        let traits = router.known_traits();
        let id = self.id.borrow().clone().ok_or(Error::RouterLost)?;
        let port = |port: u16| Some(port).filter(|port| traits.datagram_ports && *port != 0);
        let header = SendHeader {
            version: if traits.datagram_ports {
                traits.version
            } else {
                Version::V3_0
            },
            id,
            destination: to.to_base64(),
            from_port: port(from_port),
            to_port: port(to_port),
            protocol: None,
            options: SessionOptions::default(),
        };
        let mut packet = Vec::with_capacity(payload.len() + 700);
        header
            .encode(payload, &mut packet)
            .map_err(|_| Error::DatagramTooLarge {
                size: payload.len(),
                limit: 0,
            })?;
        loop {
            match self.udp.send(&packet).await {
                Ok(_) => return Ok(()),
                // The answer to an earlier packet: the router was away. This one was not sent.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    if self.id.borrow().is_none() {
                        return Err(Error::RouterLost);
                    }
                    aio::sleep(PAUSE).await;
                }
                Err(source) => {
                    return Err(Error::Io {
                        what: "a datagram was not sent",
                        source,
                    });
                }
            }
        }
    }

    /// Hands one forwarded packet to the socket of its port.
    fn deliver(&self, packet: &[u8]) {
        let delivered = self
            .parse(packet)
            .and_then(|datagram| {
                let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
                let port = datagram.to_port.unwrap_or(0);
                let socket = sockets.get(&port).or_else(|| sockets.get(&0))?;
                socket.try_send(datagram).ok()
            })
            .is_some();
        if !delivered {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn parse(&self, packet: &[u8]) -> Option<Incoming> {
        if self.kind == DatagramKind::Raw {
            let (header, payload) = match RawHeader::parse(packet) {
                Ok(parsed) if self.headers => parsed,
                _ if self.headers => return None,
                _ => (RawHeader::default(), packet),
            };
            return Some(Datagram {
                from: None,
                from_port: header.from_port,
                to_port: header.to_port,
                protocol: header.protocol,
                payload: payload.to_vec(),
            });
        }
        let (sender, payload) = parse_forwarded(packet).ok()?;
        Some(Datagram {
            from: Some(sender_address(&sender.destination)?),
            from_port: sender.from_port,
            to_port: sender.to_port,
            protocol: None,
            payload: payload.to_vec(),
        })
    }
}

/// The sender of a repliable datagram: a Destination, or with kind 3 a hash in base 64 or b32.
fn sender_address(text: &str) -> Option<Address> {
    if let Ok(destination) = Destination::from_base64(text) {
        return Some(Address::Destination(destination));
    }
    if let Ok(hash) = text.parse::<DestinationHash>() {
        return Some(Address::Hash(hash));
    }
    let bytes = ramson_wire::base64::decode(text).ok()?;
    Some(Address::Hash(DestinationHash(bytes.try_into().ok()?)))
}

impl Drop for Hub {
    fn drop(&mut self) {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = receiver.take() {
            task.abort();
        }
    }
}

async fn receive(udp: Arc<UdpSocket>, hub: Weak<Hub>) {
    let mut packet = vec![0; UDP_MAX];
    loop {
        match udp.recv(&mut packet).await {
            Ok(count) => {
                let Some(hub) = hub.upgrade() else { return };
                hub.deliver(packet.get(..count).unwrap_or_default());
            }
            // The router is away for now; the session heals.
            Err(_) => aio::sleep(PAUSE).await,
        }
    }
}
