//! A SOCKS5 proxy within the program, for HTTP clients that take no connector.
//!
//! ```no_run
//! # async fn run(session: ramson::Session) -> Result<(), Box<dyn std::error::Error>> {
//! use ramson::plug::socks5::Socks5;
//!
//! let i2p = Socks5::start(&session).await?;
//! # #[cfg(feature = "reqwest")]
//! let client = reqwest::Client::builder().proxy(i2p.proxy()).build()?;
//! # Ok(()) }
//! ```
//!
//! It listens on 127.0.0.1 (RFC 1928), takes only clients with its random user name and password
//! (RFC 1929), and connects to hosts on I2P only: other names and IP addresses are refused with
//! "not allowed by ruleset", so that nothing leaves by another way.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ramson_sam::aio;
use ramson_wire::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use zeroize::Zeroizing;

use super::port_on;
use crate::{Error, ErrorKind, Session};

/// Connections at once; more are closed when they come.
const MAX_CLIENTS: usize = 256;
/// The time from a client's connection to the end of its request.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The wait after the system gave no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Random bytes in the user name and in the password.
const SECRET: usize = 16;

/// A SOCKS5 proxy on loopback that leads to I2P through a session; ends when it is dropped or the
/// session is closed.
///
/// The port of a request is used where the router has ports on streams
/// ([`Capability::StreamPorts`](crate::Capability::StreamPorts)) and left aside elsewhere, as on
/// i2pd.
pub struct Socks5 {
    address: SocketAddr,
    login: Arc<Login>,
    serving: AbortHandle,
}

impl fmt::Debug for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socks5")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Socks5 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Socks5 {
    /// Starts the proxy on a free port, with new credentials.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the system gives no port or no random bytes.
    pub async fn start(session: &Session) -> Result<Self, Error> {
        let failed = |source| Error::Io {
            what: "the SOCKS5 proxy cannot listen",
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let login = Arc::new(Login::random().map_err(failed)?);
        let serving = tokio::spawn(serve(listener, session.clone(), Arc::clone(&login)));
        Ok(Self {
            address,
            login,
            serving: serving.abort_handle(),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `socks5h://USER:PASSWORD@127.0.0.1:PORT`. Whoever has it can use the session.
    pub fn proxy_url(&self) -> String {
        let Login { user, password } = &*self.login;
        format!(
            "socks5h://{}:{}@{}",
            user.as_str(),
            password.as_str(),
            self.address
        )
    }

    /// The proxy for a client of reqwest, for all its requests.
    #[cfg(feature = "reqwest")]
    pub fn proxy(&self) -> reqwest::Proxy {
        reqwest::Proxy::all(self.proxy_url()).expect("the URL of a proxy is well-formed")
    }
}

/// What clients have to say, in hexadecimal.
struct Login {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Login {
    fn random() -> io::Result<Self> {
        let word = || {
            let mut bytes = Zeroizing::new([0; SECRET]);
            getrandom::fill(&mut *bytes).map_err(io::Error::from)?;
            let mut text = Zeroizing::new(String::with_capacity(2 * SECRET));
            for byte in *bytes {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
            io::Result::Ok(text)
        };
        Ok(Self {
            user: word()?,
            password: word()?,
        })
    }

    /// Compares both whatever the first says.
    fn is(&self, user: &[u8], password: &[u8]) -> bool {
        same(self.user.as_bytes(), user) & same(self.password.as_bytes(), password)
    }
}

/// Whether two secrets are equal, in a time that tells their lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a
        .iter()
        .zip(b)
        .fold(0, |bits, (a, b)| black_box(bits | (a ^ b)));
    (a.len() == b.len()) & (differing == 0)
}

async fn serve(listener: TcpListener, session: Session, login: Arc<Login>) {
    let mut clients = JoinSet::new();
    let closed = session.closed();
    tokio::pin!(closed);
    loop {
        tokio::select! {
            () = &mut closed => return,
            Some(_) = clients.join_next() => {}
            incoming = listener.accept() => match incoming {
                Ok((client, _)) if clients.len() < MAX_CLIENTS => {
                    let (session, login) = (session.clone(), Arc::clone(&login));
                    clients.spawn(async move {
                        // Kilobytes of a handshake that lasts a moment.
                        if let Err(error) = Box::pin(attend(client, &session, &login)).await {
                            tracing::trace!(%error, "a SOCKS5 client's connection ended");
                        }
                    });
                }
                Ok(_) => tracing::debug!("too many SOCKS5 clients"),
                Err(_) => aio::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Serves one client to its end.
async fn attend(mut client: TcpStream, session: &Session, login: &Login) -> io::Result<()> {
    client.set_nodelay(true)?;
    let shaken = aio::timeout_at(aio::now() + HANDSHAKE, handshake(&mut client, login)).await;
    let outcome = match shaken {
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        Ok(Err(Refusal::Silent(error))) => return Err(error),
        Ok(Err(Refusal::Reply(reply))) => Err(reply),
        Ok(Ok((address, port))) => {
            let connecting = session.connect((address, port_on(session, port)));
            let stream = gone_or(&client, connecting).await?;
            stream.map_err(|error| Reply::of(&error))
        }
    };
    match outcome {
        Ok(mut stream) => {
            Reply::Succeeded.send(&mut client).await?;
            tokio::io::copy_bidirectional(&mut client, &mut stream).await?;
        }
        Err(reply) => {
            reply.send(&mut client).await?;
            // Closing with bytes unread would take the reply back.
            client.shutdown().await?;
            let (mut rest, mut nowhere) = (client.take(65_536), tokio::io::sink());
            let rest = tokio::io::copy(&mut rest, &mut nowhere);
            let _ = aio::timeout_at(aio::now() + Duration::from_secs(1), rest).await;
        }
    }
    Ok(())
}

/// Runs `connecting` unless the client goes away meanwhile.
async fn gone_or<T>(client: &TcpStream, connecting: impl Future<Output = T>) -> io::Result<T> {
    let gone = async {
        match client.peek(&mut [0]).await {
            Ok(0) => io::ErrorKind::ConnectionAborted.into(),
            Ok(_) => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        done = connecting => Ok(done),
        error = gone => Err(error),
    }
}

/// The replies to a request (RFC 1928, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Succeeded = 0,
    GeneralFailure = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    TimedOut = 6,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

impl Reply {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::BadAddress => Self::NotAllowed,
            ErrorKind::NotFound | ErrorKind::PeerUnreachable => Self::HostUnreachable,
            ErrorKind::PeerRefused => Self::ConnectionRefused,
            ErrorKind::TimedOut | ErrorKind::PeerSilent => Self::TimedOut,
            _ => Self::GeneralFailure,
        }
    }

    /// Sends `[5][reply][0][1][address: 4 bytes][port: u16 BE]`; the bound address is none.
    async fn send(self, client: &mut TcpStream) -> io::Result<()> {
        client
            .write_all(&[5, self as u8, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
    }
}

/// Why a client is not served.
enum Refusal {
    /// Close without a word: it broke off, or speaks another protocol.
    Silent(io::Error),
    Reply(Reply),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Silent(error)
    }
}

/// Reads what the client wants: greeting, login, request.
async fn handshake(client: &mut TcpStream, login: &Login) -> Result<(Address, u16), Refusal> {
    let nonsense = || Refusal::Silent(io::ErrorKind::InvalidData.into());
    // [5][count: u8][methods]; 2 is user name and password.
    if client.read_u8().await? != 5 {
        return Err(nonsense());
    }
    let methods = counted(client).await?;
    if !methods.contains(&2) {
        client.write_all(&[5, 0xff]).await?;
        return Err(Refusal::Silent(io::ErrorKind::PermissionDenied.into()));
    }
    client.write_all(&[5, 2]).await?;

    // RFC 1929: [1][length: u8][user][length: u8][password]
    if client.read_u8().await? != 1 {
        return Err(nonsense());
    }
    let user = Zeroizing::new(counted(client).await?);
    let password = Zeroizing::new(counted(client).await?);
    if !login.is(&user, &password) {
        client.write_all(&[1, 1]).await?;
        return Err(Refusal::Silent(io::ErrorKind::PermissionDenied.into()));
    }
    client.write_all(&[1, 0]).await?;

    // [5][command][0][address type][address][port: u16 BE]; 1 is CONNECT, 3 is a name.
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let [version, command, _, kind] = head;
    if version != 5 {
        return Err(nonsense());
    }
    let name = match kind {
        1 => Err(client.read_exact(&mut [0; 4]).await?),
        4 => Err(client.read_exact(&mut [0; 16]).await?),
        3 => Ok(counted(client).await?),
        _ => return Err(Refusal::Reply(Reply::AddressTypeNotSupported)),
    };
    let port = client.read_u16().await?;
    if command != 1 {
        return Err(Refusal::Reply(Reply::CommandNotSupported));
    }
    let address = name.ok().and_then(|name| address(&name));
    let address = address.ok_or(Refusal::Reply(Reply::NotAllowed))?;
    Ok((address, port))
}

fn address(name: &[u8]) -> Option<Address> {
    str::from_utf8(name).ok()?.parse().ok()
}

/// Reads `[length: u8][bytes]`.
async fn counted(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
