//! What two applications on two routers do with each other.

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::extract::ConnectInfo;
use axum::{Router, routing::get};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use ramson::plug::axum::{Peer, serve};
use ramson::plug::hyper::I2pConnector;
use ramson::{DatagramKind, DatagramSocket, I2p, Session, Tunnels};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::net::RouterAccess;

const BULK: usize = 20_000_000;

/// A step on its way, which says in the end what came of it.
pub(crate) type Step<'a> = Pin<Box<dyn Future<Output = Result<(String, ())>> + 'a>>;

/// The sessions of both applications, once open.
#[derive(Default)]
pub(crate) struct Ends {
    sessions: Option<(Session, Session)>,
}

impl Ends {
    fn sessions(&self) -> Result<&(Session, Session)> {
        self.sessions.as_ref().context("no sessions")
    }

    /// A new Destination on each of the two routers, with tunnels of one hop.
    pub(crate) async fn open(
        &mut self,
        here: &RouterAccess,
        there: &RouterAccess,
    ) -> Result<(String, ())> {
        let open = async |router: &RouterAccess| {
            let i2p = I2p::builder()
                .sam(router.sam.to_string())
                .sam_udp_port(router.sam_udp.port())
                .start()
                .await?;
            // Opened later, datagrams would end the streams' way on i2pd.
            let kinds = [DatagramKind::Datagram1];
            let session = i2p.session().tunnels(Tunnels::hops(1));
            session.datagram_kinds(&kinds).open().await
        };
        let (client, server) = tokio::try_join!(open(here), open(there))?;
        let text = format!("{} and {}", client.address(), server.address());
        self.sessions = Some((client, server));
        Ok((text, ()))
    }

    /// A page by axum, fetched by hyper.
    pub(crate) async fn page(&self) -> Result<(String, ())> {
        let (client, server) = self.sessions()?;
        let hello = async |ConnectInfo(visitor): ConnectInfo<Peer>| format!("Hello, {visitor}!");
        let site = Router::new().route("/", get(hello));
        let serving = tokio::spawn(serve(server.listen().await?, site));
        let http: Client<_, String> =
            Client::builder(TokioExecutor::new()).build(I2pConnector::new(client));
        let url = format!("http://{}/", server.address());
        let answer = http.get(url.parse()?).await?;
        let status = answer.status();
        let page = answer.into_body().collect().await?.to_bytes();
        let expected = format!("Hello, {}!", client.address());
        ensure!(status == 200 && page == expected, "{status}: {page:?}");
        // The next step listens itself.
        serving.abort();
        let _ = serving.await;
        Ok((format!("{status}, {} bytes: {expected}", page.len()), ()))
    }

    pub(crate) async fn ping_pong(&self) -> Result<(String, ())> {
        let (client, server) = self.sessions()?;
        let listener = server.listen().await?;
        let answer = async {
            let mut stream = listener.accept().await?;
            let mut ping = [0; 4];
            stream.read_exact(&mut ping).await?;
            ensure!(&ping == b"PING", "the server got {}", ping.escape_ascii());
            let peer = stream.peer_destination().context("no peer")?.hash();
            ensure!(peer == client.address(), "the server saw another peer");
            stream.write_all(b"PONG").await?;
            // Held until the client has read it.
            let _ = stream.read(&mut [0]).await;
            Ok(())
        };
        let ask = async {
            let mut stream = client.connect(server.address()).await?;
            let sent = Instant::now();
            stream.write_all(b"PING").await?;
            let mut pong = [0; 4];
            stream.read_exact(&mut pong).await?;
            ensure!(&pong == b"PONG", "the client got {}", pong.escape_ascii());
            Ok::<_, anyhow::Error>(sent.elapsed())
        };
        let ((), elapsed) = tokio::try_join!(answer, ask)?;
        Ok((format!("PING, PONG after {} ms", elapsed.as_millis()), ()))
    }

    pub(crate) async fn datagram(&self) -> Result<(String, ())> {
        let (client, server) = self.sessions()?;
        let (here, there) = tokio::try_join!(client.datagrams().open(), server.datagrams().open())?;
        let payload = [7; 1000];
        let ask = async {
            // Datagrams may get lost.
            for sent in 1..=60 {
                here.send_to(&payload, server.address()).await?;
                let next = tokio::time::timeout(Duration::from_secs(2), here.recv_from());
                if let Ok(datagram) = next.await {
                    ensure!(datagram?.payload == payload, "the echo differs");
                    return Ok(sent);
                }
            }
            bail!("no echo of 60 datagrams")
        };
        let sent = tokio::select! {
            failed = echo(&there) => failed?,
            sent = ask => sent?,
        };
        Ok((format!("1000 bytes echoed, {sent} sent"), ()))
    }

    /// 20 MB, whose hash comes back.
    pub(crate) async fn bulk(&self) -> Result<(String, ())> {
        let (client, server) = self.sessions()?;
        let listener = server.listen().await?;
        let receive = async {
            let mut stream = listener.accept().await?;
            let mut bytes = vec![0; BULK];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&ramson_crypto::sha256(&bytes)).await?;
            let _ = stream.read(&mut [0]).await;
            Ok(())
        };
        let send = async {
            let mut bytes = vec![0; BULK];
            // Bytes that no router can make smaller: each block is the hash of its number.
            for (number, block) in bytes.chunks_mut(32).enumerate() {
                block.copy_from_slice(&ramson_crypto::sha256(&number.to_be_bytes())[..block.len()]);
            }
            let hash = ramson_crypto::sha256(&bytes);
            let mut stream = client.connect(server.address()).await?;
            let began = Instant::now();
            stream.write_all(&bytes).await?;
            let mut received = [0; 32];
            stream.read_exact(&mut received).await?;
            ensure!(received == hash, "the hashes differ");
            Ok::<_, anyhow::Error>((hash, began.elapsed()))
        };
        let ((), (hash, elapsed)) = tokio::try_join!(receive, send)?;
        let rate = BULK as f64 / 1e6 / elapsed.as_secs_f64();
        let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((format!("20 MB, {rate:.1} MB/s, SHA-256 {hash}…"), ()))
    }

    /// Both sessions are given back.
    pub(crate) async fn close(&self) -> Result<(String, ())> {
        let (client, server) = self.sessions()?;
        let deadline = Duration::from_secs(10);
        let (one, other) = tokio::join!(client.close(deadline), server.close(deadline));
        ensure!(one && other, "streams were still open");
        Ok(("both sessions, no stream left".to_owned(), ()))
    }
}

/// Sends each datagram back; ends by an error only.
async fn echo(socket: &DatagramSocket) -> Result<u32> {
    loop {
        let datagram = socket.recv_from().await?;
        let from = datagram.from.context("no sender")?;
        socket.send_to(&datagram.payload, from).await?;
    }
}
