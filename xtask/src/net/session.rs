//! A SAM session with a Destination of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::sam::SamSocket;

/// A session for streams; it ends when this is dropped.
#[derive(Debug)]
pub struct SamSession {
    sam: SocketAddr,
    id: String,
    destination: String,
    private: String,
    /// The session lives as long as this socket.
    _control: SamSocket,
}

impl SamSession {
    /// Opens a session with three tunnels of `hops` hops in each direction and a new Destination,
    /// and waits until they stand.
    ///
    /// # Errors
    /// When the bridge refuses, or has no tunnels by the deadline.
    pub fn open(sam: SocketAddr, hops: usize, deadline: Instant) -> Result<Self> {
        let mut control = SamSocket::connect(sam)?;
        let (destination, private) = control.generate()?;
        Self::create(sam, control, (destination, private), hops, deadline)
    }

    /// Opens a session anew, with the same Destination, after the router has lost it.
    ///
    /// # Errors
    /// As [`SamSession::open`].
    pub fn reopen(&self, hops: usize, deadline: Instant) -> Result<Self> {
        let control = SamSocket::connect(self.sam)?;
        let keys = (self.destination.clone(), self.private.clone());
        Self::create(self.sam, control, keys, hops, deadline)
    }

    fn create(
        sam: SocketAddr,
        mut control: SamSocket,
        (destination, private): (String, String),
        hops: usize,
        deadline: Instant,
    ) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("xtask-{}-{count}", std::process::id());
        let left = deadline.saturating_duration_since(Instant::now());
        control.set_timeout(left.max(Duration::from_secs(1)))?;
        control
            .request(&format!(
                "SESSION CREATE STYLE=STREAM ID={id} DESTINATION={private} SIGNATURE_TYPE=7 \
                 i2cp.leaseSetEncType=4,0 inbound.length={hops} outbound.length={hops} \
                 inbound.quantity=3 outbound.quantity=3"
            ))
            .with_context(|| format!("session on the router at {sam}"))?;
        Ok(Self {
            sam,
            id,
            destination,
            private,
            _control: control,
        })
    }

    /// The Destination, in I2P's base 64.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Opens a stream to a Destination; i2pd says so before the other side has answered.
    ///
    /// # Errors
    /// When the bridge refuses, or does not answer within `timeout`.
    pub fn connect(&self, destination: &str, timeout: Duration) -> Result<SamSocket> {
        let id = &self.id;
        self.stream(
            &format!("CONNECT ID={id} DESTINATION={destination}"),
            timeout,
        )
    }

    /// Asks for the next stream from others. Its first line is the Destination that called.
    ///
    /// # Errors
    /// When the bridge refuses, or does not answer within `timeout`.
    pub fn accept(&self, timeout: Duration) -> Result<SamSocket> {
        self.stream(&format!("ACCEPT ID={}", self.id), timeout)
    }

    fn stream(&self, command: &str, timeout: Duration) -> Result<SamSocket> {
        let mut socket = SamSocket::connect(self.sam)?;
        socket.set_timeout(timeout)?;
        socket.request(&format!("STREAM {command}"))?;
        Ok(socket)
    }
}
