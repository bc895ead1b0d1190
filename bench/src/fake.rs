//! Routers that exist only for a measurement: identities, addresses and links, driven by hand.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock, SystemTime};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{Random, SigningKey};
use ramson_proto::Now;
use ramson_proto::ntcp2::{
    Connection, DialConfig, Event, LinkConfig, LinkMessage, LocalRouter, Priority,
};
use ramson_proto::tunnel::noise::Receiver;
use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{
    I2npMessage, Instant, Mapping, Ntcp2Address, RouterAddress, RouterHash, RouterIdentity,
    RouterInfo, RouterInfoBuilder, UnixTime, Verified,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

/// How long a router may take to answer a handshake on a crowded machine.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(20);

/// How long a router may take to write its RouterInfo.
const FILE_WITHIN: Duration = Duration::from_secs(10);

/// The clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(Clock);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(Clock::now())
    }

    pub(crate) fn now(self) -> Now {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            instant: Instant::ZERO + self.0.elapsed(),
            unix: UnixTime::default() + since_1970.unwrap_or_default(),
        }
    }
}

/// A made up router: what it publishes and the keys behind that.
#[derive(Debug)]
pub(crate) struct FakeRouter {
    pub(crate) local: Arc<LocalRouter>,
    pub(crate) receiver: Receiver,
    pub(crate) address: Ipv4Addr,
}

impl FakeRouter {
    /// Makes router `index` of a network. Each has an address of its own in 127.0.0.0/8: routers
    /// take few links from one address, and check that it is the published one.
    pub(crate) fn new(network: u8, index: usize, random: &mut Random) -> Result<Self> {
        let [.., high, low] = index.to_be_bytes();
        // Above the addresses that networks of real routers have.
        let address = Ipv4Addr::new(127, network, high.wrapping_add(2), low);
        let signing = SigningKey::from_seed(&random.bytes());
        let encryption = PrivateKey::generate(random);
        let static_key = PrivateKey::generate(random);
        let iv = random.bytes();
        let ntcp2 = Ntcp2Address {
            host: Some(IpAddr::V4(address)),
            port: Some(9),
            static_key: static_key.public(),
            iv: Some(iv),
            caps_ipv4: false,
            caps_ipv6: false,
        };
        let options = [
            ("caps", "LR".to_owned()),
            ("netId", network.to_string()),
            ("router.version", "0.9.66".to_owned()),
        ];
        let info = RouterInfoBuilder {
            identity: RouterIdentity::new(&encryption.public(), &signing.public(), &random.bytes()),
            published: Watch::start().now().unix,
            addresses: vec![ntcp2.to_address(), ssu2(address, random)?],
            options: Mapping::from_pairs(options)?,
        };
        Ok(Self {
            local: Arc::new(LocalRouter {
                router_info: info.sign(&signing)?,
                static_key,
                iv,
                network_id: network,
            }),
            receiver: Receiver::new(encryption),
            address,
        })
    }

    pub(crate) fn hash(&self) -> RouterHash {
        self.local.router_info.hash()
    }
}

/// What most routers publish beside NTCP2, so that RouterInfos are as long as real ones.
fn ssu2(address: Ipv4Addr, random: &mut Random) -> Result<RouterAddress> {
    let key = |random: &mut Random| {
        let bytes: [u8; 32] = random.bytes();
        ramson_wire::base64::encode(&bytes)
    };
    let options = [
        ("caps", "BC".to_owned()),
        ("host", address.to_string()),
        ("i", key(random)),
        ("port", "9".to_owned()),
        ("s", key(random)),
        ("v", "2".to_owned()),
    ];
    Ok(RouterAddress::new(
        8,
        "SSU2",
        Mapping::from_pairs(options)?,
    )?)
}

/// A real router to dial.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) info: Verified<RouterInfo>,
    pub(crate) network: u8,
}

impl Target {
    /// Reads the file in which a router keeps its RouterInfo.
    pub(crate) fn read(address: SocketAddr, file: &Path, network: u8) -> Result<Self> {
        if !address.ip().is_loopback() {
            bail!("only loopback addresses are dialled");
        }
        let deadline = Clock::now() + FILE_WITHIN;
        // Some listen before they write it.
        let bytes = loop {
            match std::fs::read(file) {
                Ok(bytes) if !bytes.is_empty() => break bytes,
                Ok(_) | Err(_) if Clock::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(_) => bail!("{} is empty", file.display()),
                Err(error) => return Err(error).with_context(|| format!("no {}", file.display())),
            }
        };
        Ok(Self {
            address,
            info: RouterInfo::from_bytes(&bytes)?.verify()?,
            network,
        })
    }

    pub(crate) fn hash(&self) -> RouterHash {
        self.info.hash()
    }
}

/// A link of a made up router with a real one, without a thread of its own.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Socket,
    connection: Connection,
    input: BytesMut,
    output: BytesMut,
    watch: Watch,
    pub(crate) events: Vec<Event>,
}

impl Link {
    /// Connects from the made up router's address and does the handshake.
    pub(crate) fn dial(from: &FakeRouter, to: &Target, random: Random) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((from.address, 0)).into())?;
        socket.connect(&to.address.into())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let ntcp2 = to.info.ntcp2_addresses();
        let (static_key, iv) = ntcp2
            .filter_map(|it| Some((it.static_key, it.iv?)))
            .next()
            .context("the router publishes no NTCP2 address")?;
        let watch = Watch::start();
        let config = DialConfig {
            local: Arc::clone(&from.local),
            peer: to.info.clone(),
            static_key,
            iv,
            link: LinkConfig::default(),
        };
        let mut link = Self {
            socket,
            connection: Connection::dial(config, watch.now(), random),
            input: BytesMut::new(),
            output: BytesMut::new(),
            watch,
            events: Vec::new(),
        };
        let found = link.wait_for(HANDSHAKE_WITHIN, |event| {
            matches!(event, Event::Established { .. })
        });
        if !found? {
            bail!("no handshake within {} s", HANDSHAKE_WITHIN.as_secs());
        }
        Ok(link)
    }

    /// Drives the link until an event of this kind has come, with all events before it, and says
    /// whether it has.
    pub(crate) fn wait_for(
        &mut self,
        timeout: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<bool> {
        let deadline = Clock::now() + timeout;
        let mut seen = 0;
        loop {
            self.pump()?;
            if self.events.iter().skip(seen).any(&wanted) {
                return Ok(true);
            }
            seen = self.events.len();
            let left = deadline.saturating_duration_since(Clock::now());
            if left.is_zero() {
                return Ok(false);
            }
            wait(std::slice::from_ref(self), left.min(self.until_timeout()))?;
        }
    }

    /// Reads, handles and writes what there is, without waiting.
    pub(crate) fn pump(&mut self) -> Result<()> {
        let mut ended = false;
        let mut buffer = [0; 16 * 1024];
        loop {
            match std::io::Read::read(&mut &self.socket, &mut buffer) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(count) => {
                    let read = buffer.get(..count).unwrap_or_default();
                    self.input.extend_from_slice(read);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    ended = true;
                    break;
                }
            }
        }
        let now = self.watch.now();
        self.connection.handle_input(&mut self.input, now);
        if ended {
            self.connection.handle_end(now);
        }
        if self
            .connection
            .poll_timeout()
            .is_some_and(|at| at <= now.instant)
        {
            self.connection.handle_timeout(now);
        }
        while let Some(event) = self.connection.poll_event() {
            if let Event::Closed { why } = &event {
                bail!("the link ended: {why}");
            }
            self.events.push(event);
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        loop {
            if self.output.is_empty() {
                let now = self.watch.now();
                if !self.connection.poll_transmit(now, &mut self.output) {
                    return Ok(());
                }
            }
            match std::io::Write::write(&mut &self.socket, &self.output) {
                Ok(count) => drop(self.output.split_to(count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("the link cannot be written to"),
            }
        }
    }

    fn until_timeout(&self) -> Duration {
        let now = self.watch.now().instant;
        let at = self.connection.poll_timeout();
        at.map_or(Duration::MAX, |at| at.saturating_since(now))
    }

    /// Queues a message; [`Self::pump`] sends it.
    pub(crate) fn send(&mut self, message: &I2npMessage) -> Result<()> {
        let expires = message.expires().as_secs();
        let message = LinkMessage {
            kind: message.kind(),
            id: message.id(),
            expiration_s: u32::try_from(expires).unwrap_or(u32::MAX),
            body: BytesMut::from(&message.body()[..]),
        };
        Ok(self.connection.send(message, Priority::Control)?)
    }

    /// Says goodbye and hangs up.
    pub(crate) fn close(mut self) {
        self.connection.close(TerminationReason::Normal);
        // Whatever comes of it, the link is over.
        let _ = self.flush();
    }
}

/// Waits until some of the links have something to read, at most `timeout`, and says which.
pub(crate) fn wait(links: &[Link], timeout: Duration) -> Result<BTreeSet<usize>> {
    let mut sockets: Vec<_> = links
        .iter()
        .map(|link| PollFd::new(&link.socket, PollFlags::IN))
        .collect();
    let timeout = timeout.min(Duration::from_millis(200));
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: timeout.as_nanos().try_into().unwrap_or(200_000_000),
    };
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error).context("cannot wait for links"),
    }
    let ready = sockets.iter().enumerate();
    let ready = ready.filter(|(_, socket)| !socket.revents().is_empty());
    Ok(ready.map(|(index, _)| index).collect())
}

/// Connects as soon as somebody listens, trying every millisecond until `timeout`.
pub(crate) fn listens(address: SocketAddr, timeout: Duration) -> Result<()> {
    let deadline = Clock::now() + timeout;
    while let Err(error) = TcpStream::connect(address) {
        if Clock::now() >= deadline {
            return Err(error).context("nobody listens");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
