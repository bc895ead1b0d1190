//! i2pd sessions that publish to, and find each other with, no other floodfills than ours.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ramson::{Destination, DestinationHash, I2p, Listener, Session, Tunnels};
use ramson_tests::{exchange, on_router, over, pattern, within};
use tokio::task::block_in_place;
use xtask::net::{Network, NetworkSpec, RamsonSpec};
use xtask::peers::Peer;

/// One of them is published to and passes it on to three.
const FLOODFILLS: usize = 4;
const LIMIT: Duration = Duration::from_secs(300);
const BYTES: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_set_outlives_the_restart_of_floodfills_that_held_it() -> Result<()> {
    let mut spec = NetworkSpec::new(Peer::Current, 3);
    spec.ends = true;
    spec.ramson = RamsonSpec {
        routers: FLOODFILLS + 2,
        floodfills: FLOODFILLS,
        release: !cfg!(debug_assertions),
    };
    over(&spec, async |network| {
        let (a, b) = (on_router(network, 0).await?, on_router(network, 1).await?);
        let (server, client) = tokio::try_join!(session(&a), session(&b))?;
        let serving = tokio::spawn(serve(server.listen().await?));
        reached(&client, server.address(), "the first stream").await?;

        // Both LeaseSets are everywhere.
        held_by_all(network, 2).await?;
        let encrypted = sum(network, "lookups_encrypted")?;
        let found = sum(network, "lookups_found")?;
        println!("{encrypted} encrypted look-ups answered, {found} of all with what was asked for");
        ensure!(encrypted > 0, "no encrypted look-up was answered");
        ensure!(found > 0, "nothing was found");

        // Whose LeaseSet it is stands still and cannot publish it again.
        block_in_place(|| network.suspend(0))?;
        for index in 0..FLOODFILLS - 1 {
            block_in_place(|| network.restart_ramson(index))?;
        }
        for index in 0..FLOODFILLS - 1 {
            let held = number(network, index, "lease_sets")?;
            ensure!(held < 2, "floodfill {index} still has {held} LeaseSets");
        }
        let third = on_router(network, 2).await?;
        let destination = looked_up(&third, server.address()).await?;
        ensure!(
            destination.hash() == server.address(),
            "another Destination"
        );

        block_in_place(|| network.resume(0))?;
        let caller = session(&third).await?;
        reached(&caller, server.address(), "a stream after the restarts").await?;
        serving.abort();
        Ok(())
    })
    .await
}

async fn session(i2p: &I2p) -> Result<Session> {
    let session = i2p.session().tunnels(Tunnels::hops(2)).open().await;
    session.context("no session")
}

/// Exchanges bytes with whoever calls.
async fn serve(listener: Listener) -> Result<()> {
    loop {
        let mut stream = listener.accept().await?;
        tokio::spawn(async move { exchange(&mut stream, &pattern(1, BYTES), BYTES).await });
    }
}

/// Opens streams until one carries the right bytes.
async fn reached(session: &Session, to: DestinationHash, what: &str) -> Result<()> {
    within(LIMIT, what, async {
        loop {
            let attempt = async {
                let mut stream = session.connect(to).await?;
                exchange(&mut stream, &pattern(2, BYTES), BYTES).await
            };
            match tokio::time::timeout(Duration::from_secs(60), attempt).await {
                Ok(Ok(hash)) => {
                    let expected = ramson_crypto::sha256(&pattern(1, BYTES));
                    ensure!(hash == expected, "other bytes");
                    return Ok(());
                }
                Ok(Err(error)) => println!("  not yet: {error:#}"),
                Err(_) => println!("  not yet: a stream that carries nothing"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await
}

/// Asks a router for a Destination by its hash until it finds the LeaseSet.
async fn looked_up(i2p: &I2p, hash: DestinationHash) -> Result<Destination> {
    within(LIMIT, "the look-up", async {
        loop {
            match i2p.lookup(hash).await {
                Ok(destination) => return Ok(destination),
                Err(error) => println!("  not yet: {error}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
}

async fn held_by_all(network: &Network, count: u64) -> Result<()> {
    within(LIMIT, "flooding", async {
        loop {
            let held: Vec<u64> = (0..FLOODFILLS)
                .map(|index| number(network, index, "lease_sets"))
                .collect::<Result<_>>()?;
            if held.iter().all(|held| *held >= count) {
                return Ok(());
            }
            println!("  LeaseSets of each floodfill: {held:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
}

fn sum(network: &Network, field: &str) -> Result<u64> {
    (0..FLOODFILLS)
        .map(|index| number(network, index, field))
        .sum()
}

/// A field of what `ramson router status --json` says.
fn number(network: &Network, index: usize, field: &str) -> Result<u64> {
    let status = block_in_place(|| network.ramson_status(index))?;
    let value = status.get(field).and_then(|value| value.as_u64());
    value.with_context(|| format!("no {field} in {status}"))
}
