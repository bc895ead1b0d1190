//! Our routers are killed under load, and each is itself again at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ramson::Tunnels;
use ramson_tests::{Chat, count_of, number, on_router, over, router_hash};
use serde_json::Value;
use xtask::net::{Network, NetworkSpec, RamsonAccess, RamsonSpec};
use xtask::peers::Peer;

/// What is waited for comes within this, also on a crowded machine.
const LONG: Duration = Duration::from_secs(180);
const ROUTERS: usize = 6;
const LOOK: Duration = Duration::from_millis(100);
/// What a router is to need for its first tunnel on a machine of its own.
const FIRST_TUNNEL_MS: u64 = 5000;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_router_is_itself_again_at_once() -> Result<()> {
    let mut spec = NetworkSpec::new(Peer::Current, 2);
    spec.ends = true;
    spec.ramson = RamsonSpec {
        routers: ROUTERS,
        floodfills: 3,
        release: !cfg!(debug_assertions),
    };
    over(&spec, async |network| {
        let (a, b) = (on_router(network, 0).await?, on_router(network, 1).await?);
        let open = |i2p: &ramson::I2p| i2p.session().tunnels(Tunnels::hops(1).quantity(4)).open();
        let (one, other) = tokio::try_join!(open(&a), open(&b))?;
        let chats = [
            Chat::start(one.clone(), other.clone()).await?,
            Chat::start(other, one).await?,
        ];
        forget_seeds(network).await?;
        let kills = count_of("RAMSON_KILLS", 5);
        let mut first_tunnels = Vec::new();
        for round in 0..kills {
            // i2pd gets lost when all its tunnels die within minutes: a floodfill and one that is
            // none are killed in turns.
            let index = if round % 2 == 0 { 0 } else { ROUTERS - 1 };
            let first = kill(network, index, &chats)
                .await
                .with_context(|| format!("kill {round}, of router {index}"))?;
            println!("kill {round}: router {index} had a tunnel after {first} ms");
            first_tunnels.push(first);
        }
        first_tunnels.sort_unstable();
        let slow = first_tunnels.iter().filter(|it| **it > FIRST_TUNNEL_MS);
        println!(
            "{kills} kills; first tunnel after {} ms in the middle, {} ms at most, {} of them later \
             than {FIRST_TUNNEL_MS} ms; {} and {} echoes",
            first_tunnels
                .get(first_tunnels.len() / 2)
                .copied()
                .unwrap_or(0),
            first_tunnels.last().copied().unwrap_or(0),
            slow.count(),
            chats[0].echoes(),
            chats[1].echoes()
        );
        Ok(())
    })
    .await
}

/// Waits until each router has stored what it knows, and takes the seeds away: what is known after
/// a kill comes from the router's own disk.
async fn forget_seeds(network: &Network) -> Result<()> {
    for router in network.ramson_routers() {
        let stored = router.data.join("routers.db");
        until(|| Ok(stored.exists().then_some(()))).await?;
        std::fs::remove_dir_all(&router.seed)?;
        std::fs::create_dir(&router.seed)?;
    }
    Ok(())
}

/// Kills a router and starts it again; returns after how many milliseconds it had a tunnel.
async fn kill(network: &Network, index: usize, chats: &[Chat]) -> Result<u64> {
    let router = network.ramson_routers().nth(index).context("no router")?;
    let hash = router_hash(&router.data)?;
    let known = number(&router.status()?, "routers");
    ensure!(known > 0, "the router knows nobody");
    let echoes: Vec<_> = chats.iter().map(Chat::echoes).collect();
    let starts = starts(router)?.len();
    network.restart_ramson(index)?;
    let back = until(|| Ok(self::starts(router)?.get(starts).copied())).await?;
    ensure!(
        back * 100 >= known * 95,
        "of {known} RouterInfos {back} are back"
    );
    // Once it says so, its RouterInfo is written.
    ensure!(
        router_hash(&router.data)? == hash,
        "the router is another now"
    );
    let first = until(|| {
        let status = router.status().ok();
        Ok(status.and_then(|it| it.get("first_tunnel_ms").and_then(Value::as_u64)))
    })
    .await
    .context("no tunnel")?;
    // i2pd takes minutes to give up a tunnel through the router that was killed: one of the two will
    // have others.
    until(|| {
        let goes_on = chats
            .iter()
            .zip(&echoes)
            .any(|(chat, echoes)| chat.echoes() > *echoes);
        Ok(goes_on.then_some(()))
    })
    .await
    .context("nothing comes through any more")?;
    Ok(first)
}

/// With how many RouterInfos the router began each time, as it says itself when it starts.
fn starts(router: &RamsonAccess) -> Result<Vec<u64>> {
    let log = std::fs::read_to_string(&router.log)?;
    let counts = log.lines().filter_map(|line| {
        line.strip_suffix(" RouterInfos to begin with")?
            .rsplit(' ')
            .next()
    });
    Ok(counts.filter_map(|count| count.parse().ok()).collect())
}

async fn until<T>(mut wanted: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = wanted()? {
            return Ok(found);
        }
        ensure!(began.elapsed() < LONG, "not within {} s", LONG.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}
