//! A network namespace for routers that refuse to work on 127.0.0.1, and ways into it.
//!
//! A thread moves into a new namespace and stays there; programs started and sockets made by that
//! thread belong to the namespace, whichever thread uses them later. Nothing connects the namespace
//! with the rest of the world but forwards: sockets on 127.0.0.1 outside whose traffic is carried
//! over by threads of this process.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::Worker;

/// How long a connection inside one machine may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A namespace that exists as long as this value and the programs in it.
#[derive(Debug)]
pub(super) struct Namespace {
    worker: Worker,
}

impl Namespace {
    /// Makes a namespace whose loopback interface has `addresses`.
    pub(super) fn create(addresses: &[IpAddr]) -> Result<Self> {
        // A thread cannot make one without unsafe code, but it can move into one of a program.
        // That program waits at its input, which ends with this process at the latest.
        let mut maker = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo made; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run unshare (Debian package util-linux)")?;
        let mut line = String::new();
        let output = maker.stdout.take().context("unshare has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() != "made" {
            let output = maker.wait_with_output()?;
            bail!(
                "no network namespace: {}; this needs root, or `unshare -Ur` before the command",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let worker = Worker::start();
        let link = format!("/proc/{}/ns/net", maker.id());
        let moved = worker.run(move || -> Result<()> {
            let link = std::fs::File::open(link)?;
            Ok(move_into_link_name_space(
                link.as_fd(),
                Some(LinkNameSpaceType::Network),
            )?)
        })?;
        drop(maker.stdin.take());
        maker.wait()?;
        moved.context("cannot move into the new network namespace; this needs root")?;

        let namespace = Self { worker };
        namespace.ip("link set lo up".to_owned())?;
        for address in addresses {
            namespace.ip(format!("address add {address}/32 dev lo"))?;
        }
        Ok(namespace)
    }

    /// The thread to start programs from.
    pub(super) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Carries TCP connections and UDP datagrams from `outside` to `inside`, until dropped.
    pub(super) fn forward(self: &Arc<Self>, ways: Ways) -> Result<Forward> {
        let Ways { sam, sam_udp } = ways;
        let end = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind(sam.outside)
            .with_context(|| format!("cannot listen on {}", sam.outside))?;
        let datagrams = UdpSocket::bind(sam_udp.outside)
            .with_context(|| format!("cannot listen on {}", sam_udp.outside))?;
        let inner = self.worker.run(move || -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(sam_udp.inside)?;
            Ok(socket)
        })??;
        let (namespace, ended) = (Arc::clone(self), Arc::clone(&end));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = namespace.carry(stream, sam.inside) {
                    eprintln!("net: no way to {}: {error:#}", sam.inside);
                }
            }
        });
        let ended = Arc::clone(&end);
        std::thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok(length) = datagrams.recv(&mut bytes) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // Loss is what datagrams are about: the router may be down at the moment.
                inner.send(bytes.get(..length).unwrap_or_default()).ok();
            }
        });
        Ok(Forward { ways, end })
    }

    /// Connects inside; a refused connection closes the one from outside.
    fn carry(&self, outside: TcpStream, to: SocketAddr) -> Result<()> {
        let connect = move || TcpStream::connect_timeout(&to, CONNECT_WITHIN);
        let Ok(inside) = self.worker.run(connect)? else {
            return Ok(());
        };
        for (mut from, mut to) in [
            (outside.try_clone()?, inside.try_clone()?),
            (inside, outside),
        ] {
            to.set_nodelay(true)?;
            std::thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Write).ok();
            });
        }
        Ok(())
    }

    fn ip(&self, arguments: String) -> Result<()> {
        let output = self
            .worker
            .run(move || Command::new("ip").args(arguments.split(' ')).output())?
            .context("cannot run ip (Debian package iproute2)")?;
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(anyhow!(
            "cannot set up the network namespace: {}",
            error.trim()
        ))
    }
}

/// Where a forward leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) sam: Way,
    pub(super) sam_udp: Way,
}

/// One socket outside and the address inside it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) outside: SocketAddr,
    pub(super) inside: SocketAddr,
}

/// Open ways into a namespace; dropping it closes them.
#[derive(Debug)]
pub(super) struct Forward {
    ways: Ways,
    end: Arc<AtomicBool>,
}

impl Drop for Forward {
    fn drop(&mut self) {
        // The threads wait for traffic, so they are told by some.
        self.end.store(true, Ordering::Relaxed);
        TcpStream::connect(self.ways.sam.outside).ok();
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            socket.send_to(&[], self.ways.sam_udp.outside).ok();
        }
    }
}
