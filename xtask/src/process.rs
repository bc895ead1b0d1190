//! Programs that never outlive the process that started them.
//!
//! Each is started through `setpriv --pdeathsig KILL`, so the kernel ends it when its parent dies,
//! however the parent dies. That signal belongs to the parent *thread*: all programs are therefore
//! started by one thread that lives as long as this process, or by a [`Worker`] of the caller's.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

/// How long a process may take to stand still after SIGSTOP.
const HALT_WITHIN: Duration = Duration::from_secs(10);

/// A running (or ended) program of ours; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Mutex<Child>,
    pid: u32,
    /// Names this very process even after it has ended, which a number would not.
    handle: OwnedFd,
}

impl Process {
    /// Starts `command` (program, then arguments), appending what it prints to `output`.
    ///
    /// # Errors
    /// When a program is missing or the system refuses another process.
    pub fn spawn(command: &[OsString], output: &Path) -> Result<Self> {
        static SPAWNER: OnceLock<Worker> = OnceLock::new();
        Self::spawn_from(SPAWNER.get_or_init(Worker::start), command, output)
    }

    /// Starts `command` from the thread of `worker`, in whose network namespace it then is. The
    /// end of that thread ends the program.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn spawn_from(worker: &Worker, command: &[OsString], output: &Path) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(output)
            .with_context(|| format!("cannot open {}", output.display()))?;
        let errors = log.try_clone().context("cannot share the log file")?;
        let mut command = mortal(command);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = worker
            .run(move || command.spawn())?
            .context("cannot start setpriv (Debian package util-linux)")?;
        let pid = child.id();
        let handle = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| anyhow!("process id {pid} out of range"))
            .and_then(|pid| {
                pidfd_open(pid, PidfdFlags::empty()).context("pidfd_open (needs Linux 5.3)")
            });
        match handle {
            Ok(handle) => Ok(Self {
                child: Mutex::new(child),
                pid,
                handle,
            }),
            Err(error) => {
                let mut child = child;
                child.kill().ok();
                child.wait().ok();
                Err(error)
            }
        }
    }

    /// The process id; it stays reserved until the exit status has been collected.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The descriptor that becomes readable when the process ends.
    pub fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// Whether the process has not ended yet.
    pub fn is_running(&self) -> bool {
        !matches!(ended(&[&self.handle], Duration::ZERO), Ok(Some(_)))
    }

    /// Sends a signal; one sent to an ended process is ignored.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(anyhow!(error).context(format!("cannot signal pid {}", self.pid))),
        }
    }

    /// Halts the process and returns once all its threads stand still: the signal alone stops each
    /// of them at some later moment, and on a crowded machine some answer until then.
    ///
    /// # Errors
    /// When the system refuses, or the process has ended or does not stop.
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("process id {} out of range", self.pid))?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let deadline = Instant::now() + HALT_WITHIN;
        while waitid(WaitId::Pid(pid), options)
            .with_context(|| format!("cannot wait for pid {} to stop", self.pid))?
            .is_none()
        {
            if Instant::now() >= deadline {
                bail!(
                    "pid {} runs on {} s after SIGSTOP",
                    self.pid,
                    HALT_WITHIN.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Waits at most `timeout` for the end and returns the exit status if it came.
    pub fn wait(&self, timeout: Duration) -> Option<ExitStatus> {
        match ended(&[&self.handle], timeout) {
            Ok(Some(_)) => self.lock().wait().ok(),
            _ => None,
        }
    }

    /// Ends the process: SIGTERM, `grace` to obey, then SIGKILL.
    pub fn end(&self, grace: Duration) {
        if !grace.is_zero() {
            self.signal(Signal::TERM).ok();
            self.signal(Signal::CONT).ok();
            if self.wait(grace).is_some() {
                return;
            }
        }
        self.signal(Signal::KILL).ok();
        self.lock().wait().ok();
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Wraps `command` so that the kernel kills it together with this process.
///
/// The shell in between closes the gap before the signal is armed: a program whose parent has
/// changed by then does not start.
fn mortal(command: &[OsString]) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped
        .args(["--pdeathsig", "KILL", "--", "sh", "-c"])
        .arg(r#"[ "$PPID" = "$1" ] || exit 125; shift; exec "$@""#)
        .arg("sh")
        .arg(std::process::id().to_string())
        .args(command)
        // What they print is read from files.
        .env("NO_COLOR", "1");
    wrapped
}

/// Waits until one of the processes behind `handles` has ended and returns its index.
///
/// # Errors
/// When the system refuses to wait.
pub fn ended(handles: &[&OwnedFd], timeout: Duration) -> Result<Option<usize>> {
    let deadline = Instant::now() + timeout;
    let mut fds: Vec<_> = handles
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::IN))
        .collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(fds.iter().position(|fd| !fd.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => bail!("cannot wait for a process: {error}"),
        }
    }
}

/// Says in words how a process ended.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

/// A thread that runs what it is given, one after the other, until its `Worker` is dropped.
#[derive(Debug)]
pub struct Worker {
    jobs: Mutex<Sender<Job>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Worker {
    /// Starts the thread.
    pub fn start() -> Self {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || queue.into_iter().for_each(|job| job()));
        Self {
            jobs: Mutex::new(jobs),
        }
    }

    /// Runs `job` on the thread and returns what it returned.
    ///
    /// # Errors
    /// When this or an earlier job panicked.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (reply, answer) = channel();
        let job = Box::new(move || {
            reply.send(job()).ok();
        });
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(job)
            .ok();
        answer.recv().context("a worker thread has ended")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Process {
        Process::spawn(&["sleep".into(), "60".into()], Path::new("/dev/null")).unwrap()
    }

    #[test]
    fn stands_still_once_suspended_each_time() {
        let process = sleeper();
        for _ in 0..2 {
            process.suspend().unwrap();
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
            let (_, state) = stat.rsplit_once(") ").unwrap();
            assert!(state.starts_with('T'), "{stat}");
            process.signal(Signal::CONT).unwrap();
        }
        process.end(Duration::ZERO);
        assert!(process.suspend().is_err(), "an ended process cannot halt");
    }

    #[test]
    fn a_thread_that_ends_leaves_its_program_running() {
        let process = std::thread::spawn(sleeper).join().unwrap();
        assert!(process.wait(Duration::from_millis(200)).is_none());
        assert!(process.is_running());
        process.end(Duration::from_secs(5));
        assert!(!process.is_running());
    }

    #[test]
    fn a_stopped_program_still_ends() {
        let process = sleeper();
        process.signal(Signal::STOP).unwrap();
        process.end(Duration::from_secs(5));
        assert!(!process.is_running());
    }
}
