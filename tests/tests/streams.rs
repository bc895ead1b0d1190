//! Streams between two real routers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ramson::{DestinationHash, Session, Stream};
use ramson_tests::{exchange, on_router, over_network, pattern, peer, quick_session, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

const STREAMS: u64 = 200;
const EACH: usize = 64 * 1024;
const BULK: usize = 50_000_000;
/// How often a stream that the own router ended unsent is connected again.
const MOST_AGAIN: u32 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_streams_at_once_and_one_large_lose_nothing() -> Result<()> {
    over_network(peer()?, 6, async |network| {
        let server = quick_session(&on_router(network, 0).await?).await?;
        let client = quick_session(&on_router(network, 1).await?).await?;
        let listener = server.listen().await?;
        let address = server.address();

        let started = Instant::now();
        let serving = tokio::spawn(async move {
            let mut streams = JoinSet::new();
            for _ in 0..STREAMS {
                let stream = listener.accept().await?;
                streams.spawn(serve_one(stream));
            }
            while let Some(served) = streams.join_next().await {
                served??;
            }
            Ok::<_, anyhow::Error>(listener)
        });
        let mut clients = JoinSet::new();
        for number in 0..STREAMS {
            let client = client.clone();
            clients.spawn(async move {
                let (mut stream, again) = begin(&client, address, number).await?;
                let hash = exchange(&mut stream, &pattern(number, EACH), EACH).await?;
                ensure!(
                    hash == ramson_crypto::sha256(&pattern(number + 1000, EACH)),
                    "bytes differ"
                );
                // The peer has everything once it says so.
                stream
                    .read_exact(&mut [0])
                    .await
                    .context("no confirmation")?;
                Ok::<_, anyhow::Error>(again)
            });
        }
        let all = async {
            let mut again = 0;
            while let Some(done) = clients.join_next().await {
                again += done??;
            }
            Ok((serving.await??, again))
        };
        let (listener, again) = within(Duration::from_secs(180), "200 streams", all).await?;
        println!(
            "200 streams of 64 KB both ways: {:.1} s, {again} connected again",
            started.elapsed().as_secs_f64()
        );

        let started = Instant::now();
        let serving = tokio::spawn(async move {
            let mut stream = listener.accept().await?;
            let mut incoming = vec![0; BULK];
            stream.read_exact(&mut incoming).await?;
            stream.write_all(&ramson_crypto::sha256(&incoming)).await?;
            // Held until the peer has read it.
            let _ = stream.read(&mut [0]).await;
            Ok::<_, anyhow::Error>(())
        });
        let bulk = async {
            let bytes = pattern(7, BULK);
            let mut stream = client.connect(address).await?;
            stream.write_all(&bytes).await?;
            let mut hash = [0; 32];
            stream.read_exact(&mut hash).await?;
            ensure!(hash == ramson_crypto::sha256(&bytes), "the hashes differ");
            drop(stream);
            serving.await?
        };
        within(Duration::from_secs(300), "50 MB", bulk).await?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "50 MB in one stream: {seconds:.1} s, {:.2} MB/s",
            50.0 / seconds
        );
        Ok(())
    })
    .await
}

/// Connects, says which stream this is, and waits until the peer has begun to answer.
///
/// i2pd says connected before its peer answers, and ends a stream before its first packet has left
/// when the session's other streams to the same peer fill the 512 packets that they share. The
/// peer never hears of such a stream, so it is connected again; how often is returned.
async fn begin(session: &Session, peer: DestinationHash, number: u64) -> Result<(Stream, u32)> {
    let mut again = 0;
    loop {
        let mut stream = session.connect(peer).await?;
        let begun = async {
            stream
                .write_all(&number.to_be_bytes())
                .await
                .context("writing the number")?;
            stream.confirmed().await.context("no answer")
        };
        match begun.await {
            Ok(()) => return Ok((stream, again)),
            Err(error) if again == MOST_AGAIN => return Err(error),
            Err(_) => again += 1,
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn serve_one(mut stream: Stream) -> Result<()> {
    let mut number = [0; 8];
    stream.read_exact(&mut number).await?;
    let number = u64::from_be_bytes(number);
    let hash = exchange(&mut stream, &pattern(number + 1000, EACH), EACH).await?;
    ensure!(
        hash == ramson_crypto::sha256(&pattern(number, EACH)),
        "bytes differ"
    );
    stream.write_all(&[1]).await?;
    let _ = stream.read(&mut [0]).await;
    Ok(())
}
