//! Speaks NTCP2 with a router on this machine and prints what it says, block by block.
//!
//! ```text
//! ntcp2_probe --network 77 --dial 127.0.0.1:23456 --router-info …/router.info
//! ntcp2_probe --network 77 --listen 23460 --router-info-out probe.info
//! ```
//!
//! With both it first dials, so that the router learns of it, and then waits to be dialled.
//!
//! The router it pretends to be is made anew at each start. Only loopback addresses are dialled and
//! listened on.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a program for people, with sockets and clocks"
)]

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock, SystemTime};

use bytes::BytesMut;
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{Random, SigningKey};
use ramson_proto::ntcp2::{
    AcceptConfig, Admission, AdmissionLimits, Connection, DialConfig, Event, LinkConfig,
    LocalRouter,
};
use ramson_proto::{Now, Sensitive};
use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{
    Instant, Mapping, Ntcp2Address, RouterIdentity, RouterInfo, RouterInfoBuilder, UnixTime,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line says.
#[derive(Default)]
struct Arguments {
    network: u8,
    dial: Option<SocketAddr>,
    router_info: Option<PathBuf>,
    listen: Option<u16>,
    router_info_out: Option<PathBuf>,
    seconds: u64,
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut read = Self {
            network: 2,
            seconds: 20,
            ..Self::default()
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().ok_or("each option has a value")?;
            match word.as_str() {
                "--network" => read.network = value.parse()?,
                "--dial" => read.dial = Some(value.parse()?),
                "--router-info" => read.router_info = Some(value.into()),
                "--listen" => read.listen = Some(value.parse()?),
                "--router-info-out" => read.router_info_out = Some(value.into()),
                "--seconds" => read.seconds = value.parse()?,
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        Ok(read)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::read()?;
    let mut random = Random::from_os();
    let port = arguments.listen.unwrap_or(9);
    let local = Arc::new(router(arguments.network, port, &mut random)?);
    println!("we are {}", local.router_info.hash());
    if let Some(file) = &arguments.router_info_out {
        std::fs::write(file, local.router_info.as_bytes())?;
    }
    if let (Some(address), Some(file)) = (&arguments.dial, &arguments.router_info) {
        let seconds = match arguments.listen {
            Some(_) => 1,
            None => arguments.seconds,
        };
        dial(*address, file, &local, random.fork("dialled"), seconds)?;
    } else if arguments.listen.is_none() {
        return Err("say --dial ADDRESS --router-info FILE, or --listen PORT, or both".into());
    }
    if let Some(port) = arguments.listen {
        accept(port, &local, random.fork("accepted"), arguments.seconds)?;
    }
    Ok(())
}

fn dial(
    address: SocketAddr,
    file: &Path,
    local: &Arc<LocalRouter>,
    random: Random,
    seconds: u64,
) -> Result<()> {
    if !address.ip().is_loopback() {
        return Err("only loopback addresses are dialled".into());
    }
    let peer = RouterInfo::from_bytes(&std::fs::read(file)?)?.verify()?;
    println!("peer {} of {}", peer.hash(), peer.published().as_secs());
    let (static_key, iv) = peer
        .ntcp2_addresses()
        .find_map(|ntcp2| Some((ntcp2.static_key, ntcp2.iv?)))
        .ok_or("the router publishes no NTCP2 address")?;
    let stream = TcpStream::connect(address)?;
    let config = DialConfig {
        local: Arc::clone(local),
        peer,
        static_key,
        iv,
        link: LinkConfig::default(),
    };
    let clock = Watch::start();
    drive(
        stream,
        Connection::dial(config, clock.now(), random),
        clock,
        seconds,
    )
}

fn accept(port: u16, local: &Arc<LocalRouter>, random: Random, seconds: u64) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("listening on port {port}");
    let (stream, source) = listener.accept()?;
    let config = AcceptConfig {
        local: Arc::clone(local),
        source: Sensitive(source.ip()),
        any_source: false,
        banned: Arc::default(),
        greet: true,
        link: LinkConfig::default(),
    };
    let clock = Watch::start();
    drive(
        stream,
        Connection::accept(config, clock.now(), random),
        clock,
        seconds,
    )
}

/// Makes a router that publishes itself at a loopback port.
fn router(network: u8, port: u16, random: &mut Random) -> Result<LocalRouter> {
    let signing = SigningKey::from_seed(&random.bytes());
    let encryption = PrivateKey::generate(random);
    let static_key = PrivateKey::generate(random);
    let iv = random.bytes();
    let address = Ntcp2Address {
        host: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        port: Some(port),
        static_key: static_key.public(),
        iv: Some(iv),
        caps_ipv4: false,
        caps_ipv6: false,
    };
    let options = [
        ("caps", "XRf".to_owned()),
        ("netId", network.to_string()),
        ("router.version", "0.9.66".to_owned()),
    ];
    let info = RouterInfoBuilder {
        identity: RouterIdentity::new(&encryption.public(), &signing.public(), &random.bytes()),
        published: Watch::start().now().unix,
        addresses: vec![address.to_address()],
        options: Mapping::from_pairs(options)?,
    };
    Ok(LocalRouter {
        router_info: info.sign(&signing)?,
        static_key,
        iv,
        network_id: network,
    })
}

/// The clocks.
#[derive(Clone, Copy)]
struct Watch(Clock);

impl Watch {
    fn start() -> Self {
        Self(Clock::now())
    }

    fn now(self) -> Now {
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            instant: Instant::ZERO + self.0.elapsed(),
            unix: UnixTime::default() + since_1970,
        }
    }
}

/// Carries a link over a socket until it ends or its time is up.
fn drive(mut stream: TcpStream, mut link: Connection, watch: Watch, seconds: u64) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut admission = Admission::new(AdmissionLimits::default());
    let mut input = BytesMut::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut closing = false;
    loop {
        let now = watch.now();
        while let Some(event) = link.poll_event() {
            println!(
                "{:8.3} {}",
                now.instant.as_micros() as f64 / 1e6,
                describe(&event)
            );
            if let Event::EphemeralKey { encrypted } = event {
                let fresh = admission.check_key(&encrypted, now.instant).is_ok();
                link.admit(fresh, now);
            }
        }
        let mut out = BytesMut::new();
        while link.poll_transmit(now, &mut out) {
            println!(
                "{:8.3} wrote {} bytes",
                now.instant.as_micros() as f64 / 1e6,
                out.len()
            );
            stream.write_all(&out)?;
            out.clear();
        }
        if link.is_closed() {
            println!("{:?}", link.stats());
            return Ok(());
        }
        match stream.read(&mut buffer) {
            Ok(0) => link.handle_end(watch.now()),
            Ok(len) => {
                input.extend_from_slice(buffer.get(..len).unwrap_or_default());
                link.handle_input(&mut input, watch.now());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => {
                println!("socket: {error}");
                link.handle_end(watch.now());
            }
        }
        let now = watch.now();
        if link.poll_timeout().is_some_and(|at| at <= now.instant) {
            link.handle_timeout(now);
        }
        if now.instant >= Instant::ZERO + Duration::from_secs(seconds) && !closing {
            closing = true;
            link.close(TerminationReason::Normal);
        }
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::EphemeralKey { .. } => "message 1 is authentic".to_owned(),
        Event::Established { peer, skew_ms, rtt } => {
            format!(
                "established with {}, skew {skew_ms} ms, rtt {rtt:?}",
                peer.hash()
            )
        }
        Event::Message(message) => format!(
            "I2NP {:?} id {:08x} expires {} body {} bytes",
            message.kind,
            message.id,
            message.expiration_s,
            message.body.len()
        ),
        Event::RouterInfo { info, flood } => {
            format!(
                "RouterInfo of {}, {} bytes, flood {flood}",
                info.hash(),
                info.as_bytes().len()
            )
        }
        Event::Closed { why } => format!("closed: {why}"),
    }
}
