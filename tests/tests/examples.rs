//! Each example as a program of its own, on two real routers.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ramson_tests::{over_network, within};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use xtask::peers::Peer;
use xtask::workspace;

const BUILD: Duration = Duration::from_secs(900);
const LIMIT: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn every_example_does_what_it_says() -> Result<()> {
    let programs = build().await?;
    over_network(Peer::Current, 6, async |network| {
        let folder = tempfile::tempdir()?;
        let run = |name: &str, router: usize, arguments: &[&str]| -> Result<Command> {
            let mut command = Command::new(programs.join(name));
            command
                .args(arguments)
                .env(
                    "RAMSON_ROUTER",
                    format!("sam:{}", network.router(router)?.sam),
                )
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .kill_on_drop(true);
            Ok(command)
        };

        let made = output(run("create_destination", 0, &["new.keys"])?).await?;
        let keys = ramson::keys::read(folder.path().join("new.keys"))?;
        ensure!(made.trim() == keys.destination().b32(), "{made}");

        let mut site = Server::start(run("axum_site", 0, &[])?)?;
        let mut ping_pong = Server::start(run("ping_pong_server", 1, &[])?)?;
        let mut datagrams = Server::start(run("datagram_server", 2, &[])?)?;
        let page = site.line().await?;
        let ping_pong_address = ping_pong.line().await?;
        let datagram_address = datagrams.line().await?;

        // The clients have routers of their own, and come up side by side.
        let (pong, echo, got, by_hyper, by_reqwest) = tokio::try_join!(
            output(run("ping_pong_client", 5, &[&ping_pong_address])?),
            echoed(|| run("datagram_client", 4, &[&datagram_address])),
            output(run("get", 3, &[&page])?),
            output(run("hyper_get", 4, &[&page])?),
            output(run("reqwest_get", 5, &[&page])?),
        )?;
        ensure!(pong == "PONG\n", "{pong}");
        let seen = ping_pong.line().await?;
        ensure!(
            seen.starts_with("PING from ") && seen.ends_with(".b32.i2p"),
            "{seen}"
        );
        ensure!(echo == "hello\n", "{echo}");
        ensure!(datagrams.line().await? == "5 bytes");
        for greeting in [got, by_hyper, by_reqwest] {
            ensure!(
                greeting.starts_with("Hello, ") && greeting.ends_with(".b32.i2p!\n"),
                "{greeting}"
            );
        }

        // The ping-pong server keeps its address.
        drop(ping_pong);
        let keys = ramson::keys::read(folder.path().join("server.keys"))?;
        ensure!(keys.destination().b32() == ping_pong_address);

        // Ctrl-C ends the site well.
        site.interrupt().await
    })
    .await
}

/// Builds all examples with the cargo that built this test; the folder they are in.
async fn build() -> Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(workspace::root())
        .args(["build", "--package", "ramson-examples", "--examples"])
        .kill_on_drop(true);
    within(BUILD, "building the examples", async {
        ensure!(command.status().await?.success(), "cargo failed");
        Ok(())
    })
    .await?;
    // Beside this test, which is in `deps`.
    let this = std::env::current_exe()?;
    let profile = this.parent().and_then(Path::parent);
    Ok(profile.context("where is this test?")?.join("examples"))
}

/// What the datagram client prints. i2pd may hold on to a path on which everything gets lost: a
/// new session takes another, so it has three runs.
async fn echoed(run: impl Fn() -> Result<Command>) -> Result<String> {
    for attempt in 1..=2 {
        match output(run()?).await {
            Ok(printed) => return Ok(printed),
            Err(error) => println!("attempt {attempt} of the datagram client: {error:#}"),
        }
    }
    output(run()?).await
}

/// What a program prints, which must end well.
async fn output(mut command: Command) -> Result<String> {
    let what = format!("{:?}", command.as_std().get_program());
    within(LIMIT, &what, async {
        let output = command.output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {errors}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    })
    .await
}

/// A program that runs until it is ended.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let lines = BufReader::new(output).lines();
        Ok(Self { child, lines })
    }

    /// The next line it prints.
    async fn line(&mut self) -> Result<String> {
        within(LIMIT, "a server's line", async {
            self.lines.next_line().await?.context("the server ended")
        })
        .await
    }

    /// Presses Ctrl-C and waits for the end.
    async fn interrupt(mut self) -> Result<()> {
        let id = self.child.id().context("it ended before")?;
        let killed = Command::new("sh")
            .args(["-c", &format!("kill -INT {id}")])
            .status();
        ensure!(killed.await?.success(), "no signal");
        within(Duration::from_secs(30), "the end after Ctrl-C", async {
            let status = self.child.wait().await?;
            ensure!(status.success(), "{status}");
            Ok(())
        })
        .await
    }
}
