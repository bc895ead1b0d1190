//! HTTP clients with hyper: a connector for `hyper_util::client::legacy::Client`.
//!
//! ```no_run
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use ramson::plug::hyper::I2pConnector;
//!
//! # type Body = String;
//! # fn run(session: ramson::Session) {
//! let client: Client<_, Body> =
//!     Client::builder(TokioExecutor::new()).build(I2pConnector::new(&session));
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ramson_wire::AddressError;
use tower_service::Service;

use super::port_on;
use crate::{Address, ConnectOptions, Error, Session, Stream};

/// Why an [`I2pConnector`] made no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The scheme is another than `http`, or missing.
    #[error("only http:// is connected to: I2P encrypts by itself")]
    Scheme,
    /// The URI has no host.
    #[error("the URI has no host")]
    NoHost,
    /// The host is not on I2P; nothing else is ever connected to.
    #[error("the host is not on I2P: {0}")]
    NotI2p(AddressError),
    /// No stream to the host.
    #[error(transparent)]
    Stream(#[from] Error),
}

/// Connects the HTTP client of hyper-util to sites on I2P, and to nothing else.
///
/// The host is a name or a `….b32.i2p` address. The port, 80 when the URI has none, is used where
/// the router has ports on streams ([`Capability::StreamPorts`](crate::Capability::StreamPorts)) and
/// left aside elsewhere, as on i2pd: there a Destination has one server.
#[derive(Clone, Debug)]
pub struct I2pConnector {
    session: Session,
    options: ConnectOptions,
    allow_https: bool,
}

impl I2pConnector {
    /// Connects from `session`.
    pub fn new(session: &Session) -> Self {
        Self {
            session: session.clone(),
            options: ConnectOptions::default(),
            allow_https: false,
        }
    }

    /// How connections are made.
    #[must_use]
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Takes `https://` too, whose port is 443 when the URI has none: for a connector around this
    /// one that does TLS.
    #[must_use]
    pub fn allow_https(mut self) -> Self {
        self.allow_https = true;
        self
    }

    /// The address and port of a URI.
    fn target(&self, uri: &Uri) -> Result<(Address, u16), ConnectError> {
        let default = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") if self.allow_https => 443,
            _ => return Err(ConnectError::Scheme),
        };
        let host = uri.host().ok_or(ConnectError::NoHost)?;
        let address = host.parse().map_err(ConnectError::NotI2p)?;
        let port = uri.port_u16().unwrap_or(default);
        Ok((address, port_on(&self.session, port)))
    }
}

impl Service<Uri> for I2pConnector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let target = self.target(&uri);
        let (session, options) = (self.session.clone(), self.options);
        Box::pin(async move { Ok(TokioIo::new(session.connect_with(target?, options).await?)) })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
