use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use ramson::Session;

use crate::args::{Arguments, Command};
use crate::interrupt::Interrupt;
use crate::{Failure, Interrupted, Output};

/// How long the session may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Runs the program: reads the command line, does what it says, tells how it went.
pub fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(&line) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error, line.iter().any(|word| word == "--json")),
    };
    let output = Output::new(arguments.global.json, arguments.global.quiet);
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has had enough: nothing failed.
        Err(error) if is_closed_output(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::of(&error);
            output.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() || !json {
        let _ = error.print();
    } else {
        let text = error.to_string();
        let failure = Failure {
            kind: "usage",
            text: text.trim().to_owned(),
            detail: text.trim().to_owned(),
            code: 2,
        };
        let _ = writeln!(io::stderr(), "{}", failure.to_json());
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn is_closed_output(error: &anyhow::Error) -> bool {
    error.is::<crate::output::OutputClosed>()
}

/// What every command that goes online is given.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) output: Output,
    /// The session to close at the end.
    session: Arc<Mutex<Option<Session>>>,
}

impl Shell {
    /// Leaves the session to be closed when the command ends, by whatever cause.
    pub(crate) fn keep(&self, session: &Session) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
    }

    /// The same, for a command whose standard output is data.
    pub(crate) fn beside_data(&self) -> Self {
        Self {
            output: self.output.clone().beside_data(),
            session: Arc::clone(&self.session),
        }
    }

    fn take(&self) -> Option<Session> {
        self.session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<()> {
    #[cfg(feature = "router")]
    let arguments = match arguments {
        Arguments {
            command: Command::Router(command),
            global,
        } => return run_router(command, &global, output),
        other => other,
    };
    trace(arguments.global.verbose);
    let shell = Shell {
        output: output.clone(),
        session: Arc::default(),
    };
    // One thread: the work is waiting, and hashing and files have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(interruptible(arguments.command, &shell));
    // A read of standard input cannot be ended; do not wait for it.
    runtime.shutdown_background();
    result
}

/// A router has signals, logs and threads of its own.
#[cfg(feature = "router")]
fn run_router(
    command: crate::commands::router::Router,
    global: &crate::args::Global,
    output: &Output,
) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(command.run(global, output))
}

async fn interruptible(command: Command, shell: &Shell) -> Result<()> {
    let mut interrupt = Interrupt::new().context("cannot catch Ctrl-C")?;
    let result = tokio::select! {
        result = Box::pin(dispatch(command, shell)) => result,
        () = interrupt.next() => Err(Interrupted.into()),
    };
    // The command and with it all its streams are dropped now.
    if let Some(session) = shell.take() {
        tokio::select! {
            _ = session.close(GOODBYE) => {}
            () = interrupt.next() => {}
            () = tokio::time::sleep(GOODBYE * 2) => {}
        }
    }
    result
}

async fn dispatch(command: Command, shell: &Shell) -> Result<()> {
    match command {
        Command::Keys(command) => command.run(&shell.output),
        Command::Completions(command) => command.run(&shell.output),
        Command::Lookup(command) => command.run(shell).await,
        Command::Connect(command) => command.run(shell).await,
        Command::Listen(command) => command.run(shell).await,
        Command::Expose(command) => command.run(shell).await,
        Command::Forward(command) => command.run(shell).await,
        Command::Serve(command) => command.run(shell).await,
        Command::Send(command) => command.run(shell).await,
        Command::Receive(command) => command.run(shell).await,
        #[cfg(feature = "router")]
        Command::Router(_) => Ok(()),
    }
}

fn trace(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => return,
        1 => "ramson=debug,ramson_sam=debug,ramson_cli=debug",
        _ => "ramson=trace,ramson_sam=trace,ramson_cli=trace",
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(io::stderr)
        .try_init();
}
