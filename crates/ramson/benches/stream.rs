//! Throughput and CPU time of a [`ramson::Stream`] beside a plain `TcpStream` on which the same SAM
//! lines were said by hand, through the same scripted bridge.
//!
//! `cargo bench -p ramson --bench stream [-- --gb 2 --runs 9]` prints a table and a line of JSON.
//! Bridge and peer run in a process of their own, so that the CPU time is that of this side alone.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::io::{BufRead, BufReader as StdBufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ramson::testing::{Personality, ScriptedBridge};
use ramson::{Endpoint, I2p, Session};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
    BufReader as AsyncBufReader,
};
use tokio::net::TcpStream;

/// Tells the copy of this program that it is the bridge.
const BRIDGE: &str = "RAMSON_BENCH_BRIDGE";
const BUFFER: usize = 64 * 1024;
const GB: f64 = 1e9;
/// What one of the two carries before it is the other's turn.
const SLICE: u64 = 50_000_000;

fn main() {
    if std::env::var_os(BRIDGE).is_some() {
        return serve();
    }
    let number = |name: &str, default: f64| {
        let mut args = std::env::args().skip_while(|arg| arg != name);
        args.nth(1)
            .map_or(default, |value| value.parse().expect("a number"))
    };
    let bytes = (number("--gb", 2.0) * GB) as u64;
    let runs = number("--runs", 9.0) as usize;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(bytes, runs));
}

/// The bridge, and a session on it that sends or takes as many bytes as it is asked to.
fn serve() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bridge = ScriptedBridge::builder()
            .personality(Personality::Java)
            .start()
            .await
            .unwrap();
        let i2p = bridge.i2p().await.unwrap();
        let session = i2p.session().open().await.unwrap();
        let listener = session.listen().await.unwrap();
        println!(
            "port={} {}",
            bridge.endpoint().port(),
            session.destination().to_base64()
        );
        let parent = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let answer = async {
            loop {
                let mut stream = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let upload = stream.read_u8().await.unwrap() == b'u';
                    let bytes = stream.read_u64().await.unwrap();
                    if upload {
                        take(&mut stream, bytes).await;
                        stream.write_u8(b'!').await.unwrap();
                    } else {
                        give(&mut stream, bytes).await;
                        let _ = stream.read_u8().await;
                    }
                });
            }
        };
        tokio::select! {
            _ = parent => {}
            () = answer => {}
        }
    });
}

async fn take(from: &mut (impl AsyncRead + Unpin), bytes: u64) {
    let mut buffer = vec![0; BUFFER];
    let mut left = bytes;
    while left > 0 {
        let most = left.min(BUFFER as u64) as usize;
        let count = from.read(&mut buffer[..most]).await.unwrap() as u64;
        assert!(count > 0, "the stream ended");
        left -= count;
    }
}

async fn give(to: &mut (impl AsyncWrite + Unpin), bytes: u64) {
    let buffer = vec![7; BUFFER];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(BUFFER as u64) as usize;
        to.write_all(&buffer[..count]).await.unwrap();
        left -= count as u64;
    }
}

struct BridgeProcess {
    child: Child,
    endpoint: Endpoint,
    peer: String,
}

impl BridgeProcess {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(BRIDGE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = StdBufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let (port, peer) = line
            .trim()
            .trim_start_matches("port=")
            .split_once(' ')
            .unwrap();
        Self {
            endpoint: Endpoint::new("127.0.0.1", port.parse().unwrap()),
            peer: peer.to_owned(),
            child,
        }
    }
}

impl Drop for BridgeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A SAM connection by hand, past its HELLO.
async fn hello(endpoint: &Endpoint) -> TcpStream {
    let mut tcp = TcpStream::connect((endpoint.host(), endpoint.port()))
        .await
        .unwrap();
    tcp.set_nodelay(true).unwrap();
    say(&mut tcp, "HELLO VERSION MIN=3.0 MAX=3.3").await;
    tcp
}

async fn say(tcp: &mut TcpStream, line: &str) {
    tcp.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The peer says nothing before it is asked, so that nothing is lost with the buffer.
    AsyncBufReader::new(tcp)
        .read_line(&mut answer)
        .await
        .unwrap();
    assert!(answer.contains("RESULT=OK"), "{answer}");
}

/// What one transfer took.
#[derive(Clone, Copy, Default)]
struct Cost {
    bytes: u64,
    time: Duration,
    cpu: Duration,
}

impl Cost {
    fn megabytes_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.time.as_secs_f64()
    }

    fn cpu_s_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.bytes as f64 / GB)
    }
}

/// User and system time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A stream on which a transfer goes on, slice by slice.
struct Transfer<S> {
    stream: S,
    upload: bool,
    cost: Cost,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transfer<S> {
    async fn begin(mut stream: S, upload: bool, bytes: u64) -> Self {
        let direction = if upload { b'u' } else { b'd' };
        stream.write_u8(direction).await.unwrap();
        stream.write_u64(bytes).await.unwrap();
        Self {
            stream,
            upload,
            cost: Cost::default(),
        }
    }

    async fn slice(&mut self, bytes: u64) {
        let (started, cpu_before) = (Instant::now(), cpu());
        if self.upload {
            give(&mut self.stream, bytes).await;
        } else {
            take(&mut self.stream, bytes).await;
        }
        self.cost.bytes += bytes;
        self.cost.time += started.elapsed();
        self.cost.cpu += cpu() - cpu_before;
    }

    async fn end(mut self) -> Cost {
        if self.upload {
            let (started, cpu_before) = (Instant::now(), cpu());
            self.stream.read_u8().await.unwrap();
            self.cost.time += started.elapsed();
            self.cost.cpu += cpu() - cpu_before;
        }
        self.cost
    }
}

/// A plain connection and one of ours, each of which carries `bytes` in slices, in turn: what else
/// the machine does meanwhile falls on both.
async fn run(
    session: &Session,
    endpoint: &Endpoint,
    peer: &str,
    upload: bool,
    bytes: u64,
) -> [Cost; 2] {
    let mut tcp = hello(endpoint).await;
    let connect = format!("STREAM CONNECT ID=plain DESTINATION={peer}");
    say(&mut tcp, &connect).await;
    let stream = session.connect(peer).await.unwrap();
    let mut plain = Transfer::begin(tcp, upload, bytes).await;
    let mut ours = Transfer::begin(stream, upload, bytes).await;
    let mut left = bytes;
    let mut plain_first = true;
    while left > 0 {
        let slice = left.min(SLICE);
        if plain_first {
            plain.slice(slice).await;
            ours.slice(slice).await;
        } else {
            ours.slice(slice).await;
            plain.slice(slice).await;
        }
        plain_first = !plain_first;
        left -= slice;
    }
    [plain.end().await, ours.end().await]
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn measure(bytes: u64, runs: usize) {
    let bridge = BridgeProcess::start();
    let endpoint = &bridge.endpoint;
    let i2p = I2p::builder()
        .sam_endpoint(endpoint.clone())
        .start()
        .await
        .unwrap();
    let session = i2p.session().open().await.unwrap();
    let mut control = hello(endpoint).await;
    let create = "SESSION CREATE STYLE=STREAM ID=plain DESTINATION=TRANSIENT SIGNATURE_TYPE=7";
    say(&mut control, create).await;
    println!(
        "{:.1} GB a run, median of {runs} runs in alternating slices of {} MB, {BUFFER} byte buffers",
        bytes as f64 / GB,
        SLICE / 1_000_000
    );
    println!("direction  stream        MB/s  CPU s/GB");
    let mut json = Vec::new();
    for upload in [true, false] {
        let direction = if upload { "send" } else { "receive" };
        // Once before, so that both find a warm machine.
        run(&session, endpoint, &bridge.peer, upload, bytes / 4).await;
        let (mut plain, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let [tcp, ramson] = run(&session, endpoint, &bridge.peer, upload, bytes).await;
            plain.push(tcp);
            ours.push(ramson);
        }
        let speed = [&plain, &ours].map(|costs| median(costs, Cost::megabytes_per_s));
        let cpu = [&plain, &ours].map(|costs| median(costs, Cost::cpu_s_per_gb));
        for (index, name) in ["TcpStream", "ramson"].into_iter().enumerate() {
            println!(
                "{direction:9}  {name:9}  {:8.0}  {:8.3}",
                speed[index], cpu[index]
            );
        }
        let ratio = [speed[1] / speed[0], cpu[1] / cpu[0]];
        println!(
            "{direction:9}  ratio      {:8.3}  {:8.3}",
            ratio[0], ratio[1]
        );
        json.push(format!(
            "\"{direction}\":{{\"tcp_mb_per_s\":{:.1},\"ramson_mb_per_s\":{:.1},\
             \"tcp_cpu_s_per_gb\":{:.4},\"ramson_cpu_s_per_gb\":{:.4},\
             \"speed_ratio\":{:.4},\"cpu_ratio\":{:.4}}}",
            speed[0], speed[1], cpu[0], cpu[1], ratio[0], ratio[1]
        ));
    }
    println!(
        "{{\"bench\":\"stream\",\"runs\":{runs},{}}}",
        json.join(",")
    );
}
