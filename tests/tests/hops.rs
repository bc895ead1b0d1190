//! Streams between i2pd routers whose only possible hops and floodfills are ours.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ramson::{EncryptionKeyType, I2p, Session, Tunnels};
use ramson_tests::{exchange, number, on_router, over, pattern, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::net::{Network, NetworkSpec, RamsonSpec};
use xtask::peers::Peer;

/// Bytes each way; `RAMSON_MEGABYTES` sets another amount.
fn bulk() -> usize {
    std::env::var("RAMSON_MEGABYTES")
        .ok()
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or(20)
        * 1_000_000
}

fn ends(ramson: usize) -> NetworkSpec {
    let mut spec = NetworkSpec::new(Peer::Current, 2);
    spec.ends = true;
    spec.ramson = RamsonSpec {
        routers: ramson,
        floodfills: 3,
        release: !cfg!(debug_assertions),
    };
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn i2pd_streams_pass_through_our_routers_alone() -> Result<()> {
    over(&ends(6), async |network| {
        let (a, b) = (on_router(network, 0).await?, on_router(network, 1).await?);
        for hops in [2, 3] {
            let open = |i2p: &I2p| i2p.session().tunnels(Tunnels::hops(hops)).open();
            let (server, client) = tokio::try_join!(open(&a), open(&b))
                .with_context(|| format!("sessions of {hops} hops"))?;
            both_ways(&server, &client, hops, bulk()).await?;
        }
        println!("all roles: {:?}", carried(network).await?);
        Ok(())
    })
    .await
}

/// Sessions that know nothing newer than ElGamal have i2pd build with records of 528 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn tunnels_with_long_records_pass_through_our_routers_alone() -> Result<()> {
    over(&ends(6), async |network| {
        let (a, b) = (on_router(network, 0).await?, on_router(network, 1).await?);
        let open = |i2p: &I2p| {
            i2p.session()
                .tunnels(Tunnels::hops(2))
                .encryption(&[EncryptionKeyType::ElGamal])
                .open()
        };
        let before = sum(network, "transit_long_records").await?;
        let (server, client) =
            tokio::try_join!(open(&a), open(&b)).context("sessions with ElGamal alone")?;
        // i2pd encrypts most of the messages with ElGamal anew, which takes its time.
        both_ways(&server, &client, 2, bulk().min(2_000_000)).await?;
        let long = sum(network, "transit_long_records").await? - before;
        ensure!(long > 0, "no request had long records");
        println!(
            "{long} requests with long records; all roles: {:?}",
            carried(network).await?
        );
        Ok(())
    })
    .await
}

/// Messages carried as gateway, participant and endpoint, which are some each.
async fn carried(network: &Network) -> Result<[u64; 3]> {
    let mut carried = [0; 3];
    for (carried, role) in carried
        .iter_mut()
        .zip(["gateway", "participant", "endpoint"])
    {
        let tunnels = sum(network, &format!("transit_as_{role}")).await?;
        *carried = sum(network, &format!("carried_as_{role}")).await?;
        ensure!(tunnels > 0 && *carried > 0, "nothing was carried as {role}");
    }
    Ok(carried)
}

/// Adds a number up over all our routers.
async fn sum(network: &Network, field: &str) -> Result<u64> {
    // The numbers are made anew each second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut sum = 0;
    for router in network.ramson_routers() {
        sum += number(&router.status()?, field);
    }
    Ok(sum)
}

async fn both_ways(server: &Session, client: &Session, hops: u8, bytes: usize) -> Result<()> {
    let listener = server.listen().await?;
    let serving = tokio::spawn(async move {
        let mut stream = listener.accept().await?;
        let hash = exchange(&mut stream, &pattern(1, bytes), bytes).await?;
        ensure!(
            hash == ramson_crypto::sha256(&pattern(2, bytes)),
            "the server's hash differs"
        );
        stream.write_all(&[1]).await?;
        let _ = stream.read(&mut [0]).await;
        Ok::<_, anyhow::Error>(())
    });
    let started = Instant::now();
    let client = async {
        let mut stream = client.connect(server.address()).await?;
        let hash = exchange(&mut stream, &pattern(2, bytes), bytes).await?;
        ensure!(
            hash == ramson_crypto::sha256(&pattern(1, bytes)),
            "the client's hash differs"
        );
        // The peer has everything once it says so.
        stream
            .read_exact(&mut [0])
            .await
            .context("no confirmation")?;
        drop(stream);
        serving.await?
    };
    within(Duration::from_secs(600), "the transfer", client).await?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{hops} hops: {} MB each way in {seconds:.1} s, {:.2} MB/s each way",
        bytes / 1_000_000,
        bytes as f64 / 1e6 / seconds
    );
    Ok(())
}
