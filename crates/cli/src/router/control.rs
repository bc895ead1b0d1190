//! How other programs of the same user speak with a running router: a Unix socket in its data
//! folder, a line of JSON each way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::RouterNumbers;

/// The socket's name in the data folder.
const NAME: &str = "control.sock";
/// The longest question.
const MAX_QUESTION: u64 = 1024;
/// The longest answer.
const MAX_ANSWER: u64 = 256 * 1024;
/// Programs that ask at once.
const MAX_CLIENTS: usize = 8;
/// How long a question or an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an error of accept nothing is better at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a router cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// None runs.
    #[error("no router runs with this configuration: start it with `ramson router --config FILE`")]
    NotRunning,
    /// The socket is not to be had.
    #[error("the running router cannot be asked: {0}")]
    Io(#[from] io::Error),
    /// It takes too long.
    #[error("the running router does not answer")]
    Silent,
    /// It has too much to do.
    #[error("the running router has too much to do; try again")]
    Busy,
    /// It answered with something else.
    #[error("the running router's answer is not understood; is it another version?")]
    Answer,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum Question {
    Status,
    DropLinks,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Status(Box<RouterNumbers>),
    /// It is done, or will be at once.
    Done,
    /// The question is none.
    Error(String),
}

/// The newest numbers, which the socket's task hands out.
pub(super) type Numbers = Arc<Mutex<RouterNumbers>>;

/// Orders the end of the links there are; says whether that could be ordered.
pub(super) type DropLinks = Arc<dyn Fn() -> bool + Send + Sync>;

/// A socket that answers until it is dropped.
pub(super) struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Listens in the data folder, which belongs to this process: what is left there of one that
    /// was killed is replaced.
    pub(super) fn start(data: &Path, numbers: Numbers, drop_links: DropLinks) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let path = data.join(NAME);
        let aside = data.join(format!(".{NAME}.new"));
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&aside)?;
        // Nobody finds it under its name before only the owner may use it.
        std::fs::set_permissions(&aside, PermissionsExt::from_mode(0o600))?;
        std::fs::rename(&aside, &path)?;
        let task = tokio::spawn(serve(listener, numbers, drop_links));
        Ok(Self { path, task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, numbers: Numbers, drop_links: DropLinks) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((client, _)) => {
                let (numbers, drop_links) = (Arc::clone(&numbers), Arc::clone(&drop_links));
                tokio::spawn(async move {
                    let answer = answer(client, &numbers, &*drop_links);
                    let _ = tokio::time::timeout(PATIENCE, answer).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Answers one question a line, until the client has enough or says what is none.
async fn answer(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    numbers: &Mutex<RouterNumbers>,
    drop_links: &(dyn Fn() -> bool + Send + Sync),
) -> io::Result<()> {
    loop {
        let Some(line) = read_line(&mut client, MAX_QUESTION).await? else {
            return Ok(());
        };
        let (answer, goes_on) = match serde_json::from_str(&line) {
            Ok(Question::Status) => {
                let numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
                (Answer::Status(Box::new(numbers.clone())), true)
            }
            Ok(Question::DropLinks) if drop_links() => (Answer::Done, true),
            Ok(Question::DropLinks) => (Answer::Error("the router is busy".to_owned()), true),
            Err(_) => (
                Answer::Error("the question is not understood".to_owned()),
                false,
            ),
        };
        let mut line = serde_json::to_string(&answer)?;
        line.push('\n');
        client.write_all(line.as_bytes()).await?;
        if !goes_on {
            return Ok(());
        }
    }
}

/// Asks the router with this data folder how it is.
pub(super) async fn ask(data: &Path) -> Result<RouterNumbers, ControlError> {
    match converse(data, &Question::Status).await? {
        Answer::Status(numbers) => Ok(*numbers),
        Answer::Done | Answer::Error(_) => Err(ControlError::Answer),
    }
}

/// Has the router with this data folder end its links.
pub(super) async fn drop_links(data: &Path) -> Result<(), ControlError> {
    match converse(data, &Question::DropLinks).await? {
        Answer::Done => Ok(()),
        Answer::Error(_) => Err(ControlError::Busy),
        Answer::Status(_) => Err(ControlError::Answer),
    }
}

async fn converse(data: &Path, question: &Question) -> Result<Answer, ControlError> {
    let client = match UnixStream::connect(data.join(NAME)).await {
        Ok(client) => client,
        Err(error) => {
            return Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ControlError::NotRunning
                }
                _ => error.into(),
            });
        }
    };
    tokio::time::timeout(PATIENCE, ask_over(client, question))
        .await
        .map_err(|_| ControlError::Silent)?
}

async fn ask_over(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    question: &Question,
) -> Result<Answer, ControlError> {
    let mut question = serde_json::to_string(question).map_err(io::Error::from)?;
    question.push('\n');
    client.write_all(question.as_bytes()).await?;
    let line = read_line(&mut client, MAX_ANSWER).await?;
    serde_json::from_str(&line.unwrap_or_default()).map_err(|_| ControlError::Answer)
}

/// Reads a line of at most `limit` bytes; `None` at the end.
async fn read_line(from: &mut (impl AsyncRead + Unpin), limit: u64) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    // One byte at a time would do as well: nothing is said before it was asked for.
    let mut reader = BufReader::new(from.take(limit));
    reader.read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    String::from_utf8(line)
        .map(Some)
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn numbers() -> RouterNumbers {
        RouterNumbers {
            version: "1.2.3".to_owned(),
            links: 7,
            drops: [("queue_full".to_owned(), 3)].into(),
            ..RouterNumbers::default()
        }
    }

    #[tokio::test]
    async fn a_running_router_answers_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let none = ask(temp.path()).await;
        assert!(matches!(none, Err(ControlError::NotRunning)));
        // A router was killed: its socket is still there.
        drop(std::os::unix::net::UnixListener::bind(temp.path().join(NAME)).unwrap());
        let left = ask(temp.path()).await;
        assert!(matches!(left, Err(ControlError::NotRunning)));

        let ordered = Arc::new(AtomicBool::new(false));
        let order = Arc::clone(&ordered);
        // The first order is taken, further ones are not.
        let drop_links: DropLinks = Arc::new(move || !order.swap(true, Ordering::Relaxed));
        let numbers_now = Arc::new(Mutex::new(numbers()));
        let control = Control::start(temp.path(), numbers_now, drop_links).unwrap();
        let file = std::fs::metadata(temp.path().join(NAME)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(ask(temp.path()).await.unwrap(), numbers());
        assert!(!ordered.load(Ordering::Relaxed));
        super::drop_links(temp.path()).await.unwrap();
        assert!(ordered.load(Ordering::Relaxed));
        let busy = super::drop_links(temp.path()).await;
        assert!(matches!(busy, Err(ControlError::Busy)));
        drop(control);
        assert!(matches!(
            ask(temp.path()).await,
            Err(ControlError::NotRunning)
        ));
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_is_no_question_ends_the_talk() {
        for wrong in [
            "nonsense\n".to_owned(),
            "x".repeat(5000),
            "{\"ask\":\"x\"}\n".to_owned(),
        ] {
            let (mut near, far) = tokio::io::duplex(64 * 1024);
            near.write_all(wrong.as_bytes()).await.unwrap();
            answer(far, &Mutex::new(numbers()), &|| true).await.unwrap();
            let mut said = String::new();
            near.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "{\"error\":\"the question is not understood\"}\n");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_said_to_be_none() {
        for wrong in ["", "{}\n", "{\"status\":7}\n"] {
            let (near, mut far) = tokio::io::duplex(64 * 1024);
            far.write_all(wrong.as_bytes()).await.unwrap();
            far.shutdown().await.unwrap();
            let asked = ask_over(near, &Question::Status).await;
            assert!(matches!(asked, Err(ControlError::Answer)), "{wrong}");
        }
    }
}
