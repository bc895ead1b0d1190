//! Streams that were opened and dropped leave no task, socket or memory behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{pair, run, until};
use ramson::testing::ScriptedBridge;
use ramson::{Endpoint, I2p, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Tells the copy of this program that it is the bridge.
const BRIDGE: &str = "RAMSON_TEST_BRIDGE";
/// Streams open at once.
const AT_ONCE: usize = 50;
/// What the allocator may keep in other places than before: measured up to 0.4 MB between runs.
/// One leaked kilobyte for each stream would be 9 MB.
const SLACK_KB: u64 = 2048;

/// A bridge in a process of its own, so that its sockets and memory are not counted.
struct BridgeProcess {
    child: Child,
    endpoint: Endpoint,
}

impl BridgeProcess {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_bridge_of_the_others", "--nocapture"])
            .env(BRIDGE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .map(Result::unwrap)
            .find_map(|line| line.split_once("port=")?.1.parse().ok())
            .unwrap();
        let endpoint = Endpoint::new("127.0.0.1", port);
        Self { child, endpoint }
    }
}

impl Drop for BridgeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test, but the bridge process.
#[test]
fn the_bridge_of_the_others() {
    if std::env::var_os(BRIDGE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bridge = runtime.block_on(ScriptedBridge::start()).unwrap();
    println!("\nport={}", bridge.endpoint().port());
    // Until the other process ends.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[derive(Clone, Copy, Debug)]
struct Use {
    tasks: usize,
    descriptors: usize,
    resident_kb: u64,
}

impl Use {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            resident_kb: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }
}

/// Opens, uses and drops `count` streams.
async fn streams(from: &Session, to: &Session, count: usize) {
    let listener = to.listen().await.unwrap();
    let mut echoes = JoinSet::new();
    let mut connects = JoinSet::new();
    let mut started = 0;
    while started < count || !connects.is_empty() {
        while started < count && connects.len() < AT_ONCE {
            started += 1;
            let (from, target) = (from.clone(), to.destination().clone());
            connects.spawn(async move {
                let mut stream = from.connect(target).await.unwrap();
                stream.write_u8(7).await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), 7);
                // Half of them see the end, half are dropped before.
                if started % 2 == 0 {
                    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                }
            });
        }
        tokio::select! {
            stream = listener.accept() => {
                let mut stream = stream.unwrap();
                echoes.spawn(async move {
                    let byte = stream.read_u8().await.unwrap();
                    stream.write_u8(byte).await.unwrap();
                });
            }
            Some(outcome) = connects.join_next() => outcome.unwrap(),
            Some(outcome) = echoes.join_next() => outcome.unwrap(),
        }
    }
    while let Some(outcome) = echoes.join_next().await {
        outcome.unwrap();
    }
}

#[test]
fn ten_thousand_streams_leave_nothing_behind() {
    run(async {
        let bridge = BridgeProcess::start();
        let endpoint = bridge.endpoint.clone();
        let i2p = I2p::builder().sam_endpoint(endpoint).start().await.unwrap();
        let (one, other) = pair(&i2p).await;
        let quiet = Use::now();
        streams(&one, &other, 1_000).await;
        until("all streams are over", || Use::now().tasks <= quiet.tasks).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let after_1_000 = Use::now();
        streams(&one, &other, 9_000).await;
        until("all streams are over", || Use::now().tasks <= quiet.tasks).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let after_10_000 = Use::now();
        println!("{quiet:?}\n{after_1_000:?}\n{after_10_000:?}");
        assert_eq!(one.open_streams() + other.open_streams(), 0);
        assert_eq!(after_10_000.tasks, after_1_000.tasks);
        assert_eq!(after_10_000.descriptors, after_1_000.descriptors);
        assert!(after_10_000.descriptors <= quiet.descriptors);
        assert!(
            after_10_000.resident_kb <= after_1_000.resident_kb + SLACK_KB,
            "{after_1_000:?} {after_10_000:?}"
        );
    });
}
