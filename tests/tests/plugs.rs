//! Web sites and their clients by other libraries, between two real routers.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::extract::ConnectInfo;
use axum::{Router, routing::get};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use ramson::plug::axum::{Peer, serve};
use ramson::plug::hyper::{ConnectError, I2pConnector};
use ramson::plug::socks5::Socks5;
use ramson::{ErrorKind, Session};
use ramson_tests::{on_router, over_network, quick_session, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use xtask::net::Network;
use xtask::peers::Peer as PeerKind;

const LIMIT: Duration = Duration::from_secs(120);

type HttpClient = Client<I2pConnector, String>;

fn http(session: &Session) -> HttpClient {
    Client::builder(TokioExecutor::new()).build(I2pConnector::new(session))
}

async fn fetch(client: &HttpClient, url: &str) -> Result<String> {
    let answer = client.get(url.parse()?).await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

/// A site that greets, and one page of which takes two seconds and tells when it was asked.
fn site(asked: mpsc::UnboundedSender<()>) -> Router {
    let slow = async move || {
        let _ = asked.send(());
        tokio::time::sleep(Duration::from_secs(2)).await;
        "late"
    };
    let hello = async |ConnectInfo(visitor): ConnectInfo<Peer>| visitor.to_string();
    Router::new()
        .route("/", get(hello))
        .route("/slow", get(slow))
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_are_served_fetched_and_ended_well() -> Result<()> {
    over_network(PeerKind::Current, 6, async |network| {
        let client = quick_session(&on_router(network, 1).await?).await?;
        by_hyper_and_reqwest(network, &client).await?;
        the_proxy_lets_nobody_else_through(&client).await?;
        ends_by_serve(network, &client).await?;
        ends_by_axum(network, &client).await
    })
    .await
}

async fn by_hyper_and_reqwest(network: &Network, client: &Session) -> Result<()> {
    let server = quick_session(&on_router(network, 0).await?).await?;
    let (asked, _) = mpsc::unbounded_channel();
    let serving = tokio::spawn(serve(server.listen().await?, site(asked)));
    let url = format!("http://{}/", server.address());
    let visitor = client.address().to_string();

    let hyper = http(client);
    within(LIMIT, "pages by hyper", async {
        for _ in 0..3 {
            ensure!(fetch(&hyper, &url).await? == visitor);
        }
        // A port is no hindrance where the router has none.
        let with_port = format!("http://{}:8080/", server.address());
        ensure!(fetch(&hyper, &with_port).await? == visitor);
        Ok(())
    })
    .await?;
    for (url, refused) in [
        ("http://example.com/", "not on I2P"),
        ("http://127.0.0.1:80/", "not on I2P"),
        ("https://example.i2p/", "only http"),
    ] {
        let error = hyper.get(url.parse()?).await.err().context("no error")?;
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<ConnectError>());
        let text = cause.context("another error")?.to_string();
        ensure!(text.contains(refused), "{url}: {text}");
    }

    let proxy = Socks5::start(client).await?;
    let reqwest = reqwest::Client::builder().proxy(proxy.proxy()).build()?;
    within(LIMIT, "pages by reqwest", async {
        for _ in 0..3 {
            ensure!(reqwest.get(&url).send().await?.text().await? == visitor);
        }
        Ok(())
    })
    .await?;
    for url in [
        "http://example.com/",
        "https://example.com/",
        "http://127.0.0.1:80/",
    ] {
        let error = reqwest.get(url).send().await.err().context("no error")?;
        ensure!(
            chain(&error).contains("not allowed"),
            "{url}: {}",
            chain(&error)
        );
    }
    // Nobody has this name.
    let error = reqwest
        .get("http://nobody.i2p/")
        .send()
        .await
        .err()
        .context("no error")?;
    ensure!(chain(&error).contains("unreachable"), "{}", chain(&error));

    // The proxy ends when it is dropped.
    let address = proxy.local_addr();
    let url = proxy.proxy_url();
    let user = url.split(['/', ':']).nth(3).context("no user")?;
    ensure!(user.len() == 32 && !format!("{proxy:?}").contains(user));
    drop(proxy);
    within(LIMIT, "the end of the proxy", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await?;
    ensure!(reqwest.get("http://nobody.i2p/").send().await.is_err());
    drop((hyper, reqwest));
    server.close(Duration::from_secs(10)).await;
    within(LIMIT, "the end of the site", async { Ok(serving.await?) }).await
}

async fn the_proxy_lets_nobody_else_through(client: &Session) -> Result<()> {
    let proxy = Socks5::start(client).await?;
    let connect = || TcpStream::connect(proxy.local_addr());
    // What is said, and the answer before the end.
    for (said, answer) in [
        (&b"GET http://example.i2p/ HTTP/1.1\r\n\r\n"[..], &b""[..]),
        (b"\x05\x01\x00", b"\x05\xff"),
        (b"\x05\x01\x02\x01\x04user\x04pass", b"\x05\x02\x01\x01"),
        (b"\x05\xff", b""),
        (&[0xff; 2000], b""),
    ] {
        within(Duration::from_secs(20), "a stranger's end", async {
            let mut stranger = connect().await?;
            stranger.write_all(said).await?;
            let mut told = Vec::new();
            // What it did not read may reset the connection.
            let _ = stranger.read_to_end(&mut told).await;
            ensure!(told == answer, "{said:?}: {told:?}");
            Ok(())
        })
        .await?;
    }
    // No more than its limit at once, and it serves again afterwards.
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(connect().await?);
    }
    let mut last = idle.pop().context("none")?;
    within(Duration::from_secs(5), "one too many", async {
        ensure!(last.read(&mut [0]).await.unwrap_or(0) == 0);
        Ok(())
    })
    .await?;
    drop(idle);
    within(LIMIT, "service afterwards", async {
        loop {
            let mut next = connect().await?;
            let _ = next.write_all(b"\x05\x01\x02").await;
            let mut answer = [0; 2];
            if next.read_exact(&mut answer).await.is_ok() {
                ensure!(answer == *b"\x05\x02");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// A page that is being answered while the session closes, and a connection that is idle.
async fn ending(
    server: &Session,
    client: &Session,
    serving: JoinHandle<()>,
    mut asked: mpsc::UnboundedReceiver<()>,
) -> Result<(bool, Duration)> {
    let base = format!("http://{}", server.address());
    let (idle, busy) = (http(client), http(client));
    within(
        LIMIT,
        "an idle connection",
        fetch(&idle, &format!("{base}/")),
    )
    .await?;
    let page = tokio::spawn(async move { fetch(&busy, &format!("{base}/slow")).await });
    within(LIMIT, "the slow page", async {
        asked.recv().await.context("no request")
    })
    .await?;
    let began = Instant::now();
    let drained = server.close(Duration::from_secs(8)).await;
    let took = began.elapsed();
    within(Duration::from_secs(10), "the end of the server", async {
        Ok(serving.await?)
    })
    .await?;
    ensure!(within(LIMIT, "the page", async { page.await? }).await? == "late");
    ensure!(
        server
            .listen()
            .await
            .is_err_and(|error| error.kind() == ErrorKind::Closed)
    );
    Ok((drained, took))
}

// Each server has a router of its own: an i2pd 2.59 on which a session had just ended was once seen
// to crash (SIGSEGV in its SAM thread) while the next one was made.
async fn ends_by_serve(network: &Network, client: &Session) -> Result<()> {
    let server = quick_session(&on_router(network, 2).await?).await?;
    let (asked, requests) = mpsc::unbounded_channel();
    let serving = tokio::spawn(serve(server.listen().await?, site(asked)));
    let (drained, took) = ending(&server, client, serving, requests).await?;
    ensure!(drained, "streams were left");
    ensure!(
        took < Duration::from_secs(7),
        "idle connections held it up: {took:?}"
    );
    Ok(())
}

async fn ends_by_axum(network: &Network, client: &Session) -> Result<()> {
    let server = quick_session(&on_router(network, 3).await?).await?;
    let (asked, requests) = mpsc::unbounded_channel();
    let listener = server.listen().await?;
    let session = server.clone();
    let site = site(asked).into_make_service_with_connect_info::<Peer>();
    let serving = tokio::spawn(async move {
        let closed = async move { session.closed().await };
        let _ = axum::serve(listener, site)
            .with_graceful_shutdown(closed)
            .await;
    });
    // The idle connection keeps it to the deadline, and no longer.
    let (_, took) = ending(&server, client, serving, requests).await?;
    ensure!(took < Duration::from_secs(10), "{took:?}");
    Ok(())
}

/// An error with its causes.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
