use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::frame::{self, Frame, VERSION};
use super::*;

/// A pipe that breaks after so many bytes were written to it.
struct Breaking {
    io: Option<DuplexStream>,
    left: usize,
}

impl AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Some(io) => Pin::new(io).poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            self.io = None;
        }
        let left = self.left;
        let Some(io) = &mut self.io else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let written = Pin::new(io).poll_write(cx, &bytes[..bytes.len().min(left)]);
        if let Poll::Ready(Ok(count)) = written {
            self.left -= count;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const PACE: Pace = Pace {
    stall: Duration::from_secs(20),
    chunk: 1000,
};

fn ignore(_: Notice) {}

fn limits() -> Limits {
    Limits {
        stall: PACE.stall,
        ..Limits::default()
    }
}

/// One connection, which breaks after so many bytes of the sender's.
async fn connect(
    plan: &mut Plan,
    inbox: &Inbox,
    left: usize,
    watch: Watch<'_>,
) -> (Result<(), Error>, Result<u64, Error>) {
    let (near, far) = duplex(300);
    let near = Breaking {
        io: Some(near),
        left,
    };
    tokio::join!(plan.send(near, PACE, watch), inbox.receive(far, &ignore))
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn digest_of(bytes: &[u8]) -> super::Digest {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// What is in a folder, with all below it.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let below = super::tests::names(&entry.path());
            names.extend(below.into_iter().map(|below| format!("{name}/{below}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("in")).unwrap();
        Self { temp }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.temp.path().join("out").join(name)
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.temp.path().join("in").join(name)
    }

    /// Where the part of this file is.
    fn part(&self, name: &str, bytes: &[u8]) -> PathBuf {
        part::part_path(&self.inside(name), bytes.len() as u64, &digest_of(bytes))
    }

    fn inbox(&self, limits: Limits) -> Inbox {
        Inbox::new(self.inside(""), limits)
    }

    fn plan(&self, names: &[&str]) -> Plan {
        let paths: Vec<_> = names.iter().map(|name| self.out(name)).collect();
        Plan::collect(&paths, false).unwrap()
    }
}

#[tokio::test]
async fn folders_empty_files_and_large_ones_arrive() {
    let place = Place::new();
    write(&place.out("d/empty"), b"");
    write(&place.out("d/e/small"), b"small");
    write(&place.out("d/.hidden"), b"hidden");
    write(&place.out("large"), &pattern(300_000));
    for i in 0..100 {
        write(&place.out(&format!("d/many/{i}")), &pattern(i));
    }
    let mut plan = place.plan(&["d", "large"]);
    assert_eq!((plan.items().len(), plan.skipped()), (103, 1));
    let seen = Mutex::new(Vec::new());
    let watch = |notice| seen.lock().unwrap().push(notice);
    let (sent, received) = connect(&mut plan, &place.inbox(limits()), usize::MAX, &watch).await;
    sent.unwrap();
    assert_eq!((received.unwrap(), plan.open()), (103, 0));
    for name in ["d/empty", "d/e/small", "large", "d/many/0", "d/many/99"] {
        assert_eq!(
            std::fs::read(place.inside(name)).unwrap(),
            std::fs::read(place.out(name)).unwrap()
        );
    }
    assert_eq!(names(&place.inside("")).len(), 103);
    let done = |notice: &Notice| matches!(notice, Notice::Done(info) if !info.already_there);
    assert_eq!(
        seen.lock().unwrap().iter().filter(|it| done(it)).count(),
        103
    );

    // Once more: everything is there already.
    let mut plan = place.plan(&["d", "large"]);
    connect(&mut plan, &place.inbox(limits()), usize::MAX, &ignore)
        .await
        .0
        .unwrap();
    assert_eq!(names(&place.inside("")).len(), 103);
}

#[tokio::test]
async fn an_interruption_anywhere_is_resumed_from() {
    let bytes = pattern(9_500);
    // What the sender writes in all: so many bytes, so many places to break at.
    for left in (0..10_000).step_by(97).chain([1005 * 3 + 98, 9_700]) {
        let place = Place::new();
        write(&place.out("f"), &bytes);
        let inbox = place.inbox(limits());
        let mut plan = place.plan(&["f"]);
        let (sent, received) = connect(&mut plan, &inbox, left, &ignore).await;
        if let Err(error) = sent {
            assert!(error.is_passing(), "{left}: {error}");
            assert!(received.is_err() || place.inside("f").exists());
            let part = std::fs::read(place.part("f", &bytes)).unwrap_or_default();
            assert!(bytes.starts_with(&part), "{left}");
            assert!(!place.inside("f").exists() || part.is_empty());
            // Nearly all that was written is there.
            assert!(
                part.len() + 1500 > left.min(9_500) || place.inside("f").exists(),
                "{left}"
            );
            let resumed = Mutex::new(None);
            let watch = |notice| {
                if let Notice::Done(info) = notice {
                    *resumed.lock().unwrap() = Some(info);
                }
            };
            connect(&mut plan, &inbox, usize::MAX, &watch)
                .await
                .0
                .unwrap();
            if let Some(info) = resumed.into_inner().unwrap() {
                assert!(info.already_there || info.resumed_at == part.len() as u64);
            }
        }
        assert_eq!(std::fs::read(place.inside("f")).unwrap(), bytes, "{left}");
        assert_eq!(names(&place.inside("")), ["f"], "{left}");
    }
}

#[tokio::test]
async fn interruptions_again_and_again_still_end_in_the_file() {
    let bytes = pattern(50_000);
    let place = Place::new();
    write(&place.out("f"), &bytes);
    write(&place.out("g"), &bytes);
    let inbox = place.inbox(limits());
    let mut plan = place.plan(&["f", "g"]);
    let mut connections = 0;
    while connect(&mut plan, &inbox, 4_000, &ignore).await.0.is_err() {
        connections += 1;
        assert!(connections < 60);
    }
    assert!(connections > 20);
    assert_eq!(names(&place.inside("")), ["f", "g"]);
    assert_eq!(std::fs::read(place.inside("g")).unwrap(), bytes);
}

#[tokio::test]
async fn a_file_that_changed_starts_anew() {
    let place = Place::new();
    write(&place.out("f"), &pattern(9_000));
    let inbox = place.inbox(limits());
    connect(&mut place.plan(&["f"]), &inbox, 5_000, &ignore)
        .await
        .0
        .unwrap_err();
    assert!(
        std::fs::metadata(place.part("f", &pattern(9_000)))
            .unwrap()
            .len()
            > 3_000
    );
    let changed: Vec<u8> = pattern(8_000).into_iter().map(|byte| !byte).collect();
    write(&place.out("f"), &changed);
    connect(&mut place.plan(&["f"]), &inbox, usize::MAX, &ignore)
        .await
        .0
        .unwrap();
    assert_eq!(std::fs::read(place.inside("f")).unwrap(), changed);
    // The part of what is no more stays, since nobody can say that it is of no use.
    std::fs::remove_file(place.part("f", &pattern(9_000))).unwrap();
    assert_eq!(names(&place.inside("")), ["f"]);

    // The part is longer than the file.
    write(&place.part("g", b"short"), &pattern(9_000));
    write(&place.out("g"), b"short");
    connect(&mut place.plan(&["g"]), &inbox, usize::MAX, &ignore)
        .await
        .0
        .unwrap();
    assert_eq!(std::fs::read(place.inside("g")).unwrap(), b"short");
}

#[tokio::test]
async fn nothing_is_overwritten_unless_asked_for() {
    let place = Place::new();
    write(&place.out("f"), b"new");
    write(&place.out("g"), b"other");
    write(&place.inside("f"), b"old");
    let mut plan = place.plan(&["f", "g"]);
    let (sent, received) = connect(&mut plan, &place.inbox(limits()), usize::MAX, &ignore).await;
    sent.unwrap();
    assert_eq!(received.unwrap(), 1);
    assert_eq!(plan.items()[0].outcome(), Outcome::Refused(Reason::Exists));
    assert_eq!(plan.items()[1].outcome(), Outcome::Done);
    assert_eq!(std::fs::read(place.inside("f")).unwrap(), b"old");

    let overwrite = Limits {
        overwrite: true,
        ..limits()
    };
    connect(
        &mut place.plan(&["f"]),
        &place.inbox(overwrite),
        usize::MAX,
        &ignore,
    )
    .await
    .0
    .unwrap();
    assert_eq!(std::fs::read(place.inside("f")).unwrap(), b"new");
}

#[cfg(unix)]
#[tokio::test]
async fn links_in_the_folder_are_not_followed_out_of_it() {
    let place = Place::new();
    let outside = place.temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, place.inside("d")).unwrap();
    std::os::unix::fs::symlink(outside.join("x"), place.part("g", b"bytes")).unwrap();
    std::os::unix::fs::symlink(outside.join("y"), place.inside("h")).unwrap();
    for name in ["d/f", "g", "h"] {
        write(&place.out(name), b"bytes");
    }
    let mut plan = place.plan(&["d", "g", "h"]);
    connect(&mut plan, &place.inbox(limits()), usize::MAX, &ignore)
        .await
        .0
        .unwrap();
    for item in plan.items() {
        assert_eq!(
            item.outcome(),
            Outcome::Refused(Reason::Exists),
            "{}",
            item.name()
        );
    }
    assert!(names(&outside).is_empty());
}

#[tokio::test]
async fn limits_hold() {
    let place = Place::new();
    write(&place.out("a"), &pattern(600));
    write(&place.out("b"), &pattern(600));
    for (limits, reason) in [
        (
            Limits {
                max_bytes: 1000,
                ..limits()
            },
            Reason::TooLarge,
        ),
        (
            Limits {
                max_files: 1,
                ..limits()
            },
            Reason::TooMany,
        ),
    ] {
        let mut plan = place.plan(&["a", "b"]);
        let (sent, _) = connect(&mut plan, &place.inbox(limits), usize::MAX, &ignore).await;
        assert!(matches!(sent, Err(Error::Refused { reason: r }) if r == reason));
    }
    let mut plan = place.plan(&["a"]);
    let (near, far) = duplex(300);
    let inbox = place.inbox(limits());
    let (sent, _) = tokio::join!(
        plan.send(near, PACE, &ignore),
        inbox.turn_away(far, Reason::NotAllowed)
    );
    assert!(matches!(
        sent,
        Err(Error::Refused {
            reason: Reason::NotAllowed
        })
    ));
}

/// Says these things to a receiver and returns what it says at last.
async fn say(inbox: &Inbox, frames: Vec<Frame>) -> (Vec<Frame>, Result<u64, Error>) {
    let (mut near, far) = duplex(1 << 20);
    let talk = async {
        for frame in &frames {
            if frame::write(&mut near, frame).await.is_err() {
                break;
            }
        }
        let (mut reader, writer) = tokio::io::split(near);
        let mut heard = Vec::new();
        // The other side sees the end only when both halves are gone.
        drop(writer);
        while let Ok(Ok(frame)) =
            tokio::time::timeout(Duration::from_millis(300), frame::read(&mut reader)).await
        {
            heard.push(frame);
        }
        heard
    };
    tokio::join!(talk, inbox.receive(far, &ignore))
}

fn hello() -> Frame {
    Frame::Hello {
        version: VERSION,
        files: 1,
        bytes: 10,
    }
}

fn offer(id: u32, name: &str, size: u64) -> Frame {
    Frame::Offer {
        id,
        size,
        digest: [7; 32],
        name: name.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn a_hostile_sender_gets_typed_errors_and_leaves_nothing() {
    let place = Place::new();
    let inbox = place.inbox(limits());
    let start = |id, offset| Frame::Start { id, offset };
    let data = |len| Frame::Data(vec![1; len]);
    let cases: Vec<Vec<Frame>> = vec![
        vec![hello(), data(1)],
        vec![hello(), start(0, 0)],
        vec![hello(), Frame::End { id: 0 }],
        vec![hello(), Frame::Abort { id: 0 }],
        vec![hello(), hello()],
        vec![hello(), offer(1, "a", 1)],
        vec![hello(), offer(0, "a", 1), start(0, 1)],
        vec![hello(), offer(0, "a", 1), start(1, 0)],
        vec![hello(), offer(0, "a", 1), Frame::End { id: 0 }],
        vec![hello(), offer(0, "a", 1), start(0, 0), data(2)],
        vec![hello(), offer(0, "a", 2), start(0, 0), Frame::End { id: 0 }],
        vec![hello(), offer(0, "a", 2), start(0, 0), start(0, 0)],
        vec![hello(), offer(0, "a", 2), Frame::Bye],
        vec![hello(), Frame::Done { id: 0 }],
        (0..20)
            .map(|i| match i {
                0 => hello(),
                i => offer(i - 1, &format!("n{i}"), 1),
            })
            .collect(),
    ];
    for frames in cases {
        let shown = format!("{frames:?}");
        let (_, result) = say(&inbox, frames).await;
        assert!(
            matches!(result, Err(Error::Protocol { .. })),
            "{result:?} {shown}"
        );
        assert!(names(&place.inside("")).is_empty(), "{shown}");
    }
    let (_, result) = say(&inbox, vec![Frame::Bye]).await;
    assert!(matches!(result, Err(Error::NotOurs { .. })));
    let old = Frame::Hello {
        version: 9,
        files: 0,
        bytes: 0,
    };
    let (heard, _) = say(&inbox, vec![old]).await;
    assert_eq!(
        heard,
        [Frame::RefuseAll {
            reason: Reason::Version
        }]
    );

    for name in ["../x", "/x", ".ssh/x", "a\0b", "", ".x.part"] {
        let (heard, _) = say(&inbox, vec![hello(), offer(0, name, 1), Frame::Bye]).await;
        let refused = Frame::RefuseFile {
            id: 0,
            reason: Reason::BadName,
        };
        assert!(heard.contains(&refused), "{name:?} {heard:?}");
    }
    // Whole, but not what was offered.
    let lie = vec![
        hello(),
        offer(0, "a", 1),
        start(0, 0),
        data(1),
        Frame::End { id: 0 },
    ];
    assert!(say(&inbox, lie).await.0.contains(&Frame::Damaged { id: 0 }));
    assert!(names(&place.inside("")).is_empty());
}

#[tokio::test]
async fn a_hostile_receiver_gets_typed_errors() {
    let place = Place::new();
    write(&place.out("f"), &pattern(5_000));
    let welcome = Frame::Welcome { version: VERSION };
    let resume = |offset| Frame::Resume {
        id: 0,
        offset,
        prefix: [0; 32],
    };
    for answers in [
        vec![Frame::Done { id: 0 }],
        vec![Frame::Welcome { version: 7 }],
        vec![welcome.clone(), Frame::Done { id: 0 }],
        vec![welcome.clone(), Frame::Have { id: 1 }],
        vec![welcome.clone(), resume(6_000)],
        vec![welcome.clone(), resume(0), resume(0)],
        vec![welcome.clone(), hello()],
        vec![
            welcome.clone(),
            resume(0),
            Frame::Done { id: 0 },
            Frame::Done { id: 0 },
        ],
    ] {
        let (near, mut far) = duplex(1 << 20);
        for frame in &answers {
            frame::write(&mut far, frame).await.unwrap();
        }
        let mut plan = place.plan(&["f"]);
        let talk = plan.send(
            near,
            Pace {
                stall: Duration::from_millis(200),
                ..PACE
            },
            &ignore,
        );
        let result = talk.await;
        match result {
            // It lied about a file that it confirmed: nothing can be known.
            Ok(()) => assert_eq!(answers.len(), 4),
            Err(error) => assert!(
                matches!(
                    error,
                    Error::Protocol { .. } | Error::NotOurs { .. } | Error::Refused { .. }
                ),
                "{error:?} {answers:?}"
            ),
        }
    }
    // One that says nothing.
    let (near, _far) = duplex(100);
    let pace = Pace {
        stall: Duration::from_millis(50),
        ..PACE
    };
    let error = place
        .plan(&["f"])
        .send(near, pace, &ignore)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }) && error.is_passing());
}

#[tokio::test]
async fn a_new_connection_takes_the_file_over_from_one_that_hangs() {
    let place = Place::new();
    let bytes = pattern(9_000);
    write(&place.out("f"), &bytes);
    let inbox = place.inbox(limits());
    let mut plan = place.plan(&["f"]);
    plan.hash().await.unwrap();
    let digest = digest_of(&bytes);
    let (mut near, far) = duplex(1 << 20);
    let hanging = tokio::spawn({
        let inbox = inbox.clone();
        async move { inbox.receive(far, &ignore).await }
    });
    let offer = Frame::Offer {
        id: 0,
        size: 9_000,
        digest,
        name: b"f".to_vec(),
    };
    for frame in [
        hello(),
        offer,
        Frame::Start { id: 0, offset: 0 },
        Frame::Data(bytes[..4_000].to_vec()),
    ] {
        frame::write(&mut near, &frame).await.unwrap();
    }
    while std::fs::metadata(place.part("f", &bytes)).map_or(0, |it| it.len()) < 4_000 {
        tokio::task::yield_now().await;
    }
    // Another file of that name has to wait.
    let (heard, _) = say(&inbox, vec![hello(), self::offer(0, "f", 9)]).await;
    assert!(heard.contains(&Frame::RefuseFile {
        id: 0,
        reason: Reason::Busy
    }));

    let resumed = Mutex::new(0);
    let watch = |notice| {
        if let Notice::Done(info) = notice {
            *resumed.lock().unwrap() = info.resumed_at;
        }
    };
    connect(&mut plan, &inbox, usize::MAX, &watch)
        .await
        .0
        .unwrap();
    assert!(matches!(hanging.await.unwrap(), Err(Error::Superseded)));
    assert_eq!(
        (resumed.into_inner().unwrap(), names(&place.inside(""))),
        (4_000, vec!["f".to_owned()])
    );
}

#[tokio::test]
async fn several_senders_at_once() {
    let place = Place::new();
    let inbox = place.inbox(limits());
    let mut senders = tokio::task::JoinSet::new();
    for i in 0..6 {
        write(&place.out(&format!("f{i}")), &pattern(20_000 + i));
        let mut plan = place.plan(&[&format!("f{i}")]);
        let inbox = inbox.clone();
        senders.spawn(async move { connect(&mut plan, &inbox, usize::MAX, &ignore).await.0 });
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap().unwrap();
    }
    assert_eq!(names(&place.inside("")).len(), 6);
}

#[test]
fn what_strangers_have_hashed_is_bounded_and_ends_with_them() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .unwrap();
    let place = Place::new();
    write(&place.out("small"), b"small");
    // Hashing it takes longer than any test.
    let large = std::fs::File::create(place.inside("large")).unwrap();
    large.set_len(1 << 40).unwrap();
    let soon = Duration::from_secs(10);
    let talk = async {
        let inbox = place.inbox(Limits {
            stall: Duration::from_secs(3),
            ..limits()
        });
        let mut strangers = Vec::new();
        for i in 0..10 {
            let (mut near, far) = duplex(1 << 16);
            let inbox = inbox.clone();
            let task = tokio::spawn(async move { inbox.receive(far, &ignore).await });
            let offer = Frame::Offer {
                id: 0,
                size: 1 << 40,
                // Always the same: each connection takes over from the one before.
                digest: [7; 32],
                name: b"large".to_vec(),
            };
            frame::write(&mut near, &hello()).await.unwrap();
            frame::read(&mut near).await.unwrap();
            if i < 9 {
                frame::write(&mut near, &offer).await.unwrap();
            }
            strangers.push((near, task));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // There is a thread for others.
        tokio::time::timeout(soon, tokio::task::spawn_blocking(|| ()))
            .await
            .unwrap()
            .unwrap();
        let mut plan = place.plan(&["small"]);
        let sending = connect(&mut plan, &inbox, usize::MAX, &ignore);
        tokio::time::timeout(soon, sending)
            .await
            .unwrap()
            .0
            .unwrap();
        for (near, task) in strangers {
            drop(near);
            tokio::time::timeout(soon, task)
                .await
                .unwrap()
                .unwrap()
                .unwrap_err();
        }
        // Nothing is hashed any more: whoever wants to hash can.
        let offer = vec![hello(), offer(0, "small", 5)];
        let (heard, _) = tokio::time::timeout(soon, say(&inbox, offer))
            .await
            .unwrap();
        assert!(heard.contains(&Frame::RefuseFile {
            id: 0,
            reason: Reason::Exists
        }));
    };
    runtime.block_on(talk);
    runtime.shutdown_timeout(Duration::ZERO);
}

#[tokio::test]
async fn parts_of_others_are_not_touched() {
    let place = Place::new();
    let inbox = place.inbox(limits());
    let bytes = pattern(9_000);
    write(&place.out("f"), &bytes);
    connect(&mut place.plan(&["f"]), &inbox, 5_000, &ignore)
        .await
        .0
        .unwrap_err();
    let before = names(&place.inside(""));
    let part = place.inside(&before[0]);
    let had = std::fs::read(&part).unwrap();
    assert!(before.len() == 1 && had.len() > 3_000);

    let start = |offset| Frame::Start { id: 0, offset };
    let abort = Frame::Abort { id: 0 };
    let true_offer = |size| Frame::Offer {
        id: 0,
        size,
        digest: digest_of(&bytes),
        name: b"f".to_vec(),
    };
    for frames in [
        vec![hello(), offer(0, "f", 0)],
        vec![hello(), offer(0, "f", 0), start(0)],
        vec![hello(), offer(0, "f", 9_000), abort.clone()],
        vec![hello(), offer(0, "f", 9_000), start(0), abort.clone()],
        vec![
            hello(),
            offer(0, "f", 1),
            start(0),
            Frame::Data(vec![1]),
            abort.clone(),
        ],
        // Even by one who knows the digest.
        vec![hello(), true_offer(0), start(0), abort.clone()],
        vec![hello(), true_offer(9_000), abort.clone()],
        vec![hello(), true_offer(9_000), start(0)],
        vec![
            hello(),
            true_offer(9_000),
            start(had.len() as u64),
            Frame::Data(vec![1; 100]),
            abort,
        ],
        vec![
            hello(),
            true_offer(9_000),
            start(had.len() as u64),
            Frame::Data(vec![1; 9_000 - had.len()]),
            Frame::End { id: 0 },
        ],
    ] {
        let shown = format!("{frames:?}");
        let _ = say(&inbox, frames).await;
        assert!(std::fs::read(&part).is_ok_and(|is| is == had), "{shown}");
        assert_eq!(names(&place.inside("")), before, "{shown}");
    }
    connect(&mut place.plan(&["f"]), &inbox, usize::MAX, &ignore)
        .await
        .0
        .unwrap();
    assert_eq!(names(&place.inside("")), ["f"]);
}

#[tokio::test]
async fn long_names_have_parts_of_their_own() {
    let place = Place::new();
    let inbox = place.inbox(limits());
    let longs = [
        "x".repeat(240),
        format!("{}y", "x".repeat(239)),
        "ü".repeat(120),
    ];
    for name in &longs {
        write(&place.out(name), &pattern(9_000));
        let mut plan = place.plan(&[name]);
        let left = 5_000;
        connect(&mut plan, &inbox, left, &ignore)
            .await
            .0
            .unwrap_err();
    }
    assert_eq!(names(&place.inside("")).len(), 3);
    for name in &longs {
        connect(&mut place.plan(&[name]), &inbox, usize::MAX, &ignore)
            .await
            .0
            .unwrap();
    }
    assert!(longs.iter().all(|name| place.inside(name).exists()));
    assert_eq!(names(&place.inside("")).len(), 3);
}

#[tokio::test]
async fn folders_without_files_do_not_stay() {
    let place = Place::new();
    let inbox = place.inbox(limits());
    let entries = || std::fs::read_dir(place.inside("")).unwrap().count();
    let deep = |id: u32| format!("{id}{}/f", "/a".repeat(30));
    let mut frames = vec![hello()];
    for id in 0..100 {
        frames.push(offer(id, &deep(id), 2));
        if id % 2 == 1 {
            frames.extend([Frame::Start { id, offset: 0 }, Frame::Data(vec![1])]);
        }
        frames.push(Frame::Abort { id });
    }
    frames.push(Frame::Bye);
    let (heard, result) = say(&inbox, frames).await;
    assert!(heard.contains(&Frame::Goodbye), "{result:?}");
    assert_eq!(entries(), 0);
    // Damaged, and never sent.
    let end = Frame::End { id: 0 };
    let start = Frame::Start { id: 0, offset: 0 };
    let frames = vec![
        hello(),
        offer(0, &deep(0), 1),
        start,
        Frame::Data(vec![1]),
        end,
    ];
    let _ = say(&inbox, frames).await;
    let _ = say(&inbox, vec![hello(), offer(0, &deep(0), 1)]).await;
    assert_eq!(entries(), 0);
}

/// Says these frames, then WORKING until nobody listens.
async fn keep_working(mut io: DuplexStream, frames: Vec<Frame>) {
    for frame in &frames {
        frame::write(&mut io, frame).await.unwrap();
    }
    while frame::write(&mut io, &Frame::Working).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_only_works_is_let_go() {
    let place = Place::new();
    let stall = Duration::from_millis(100);
    let inbox = place.inbox(Limits { stall, ..limits() });
    let soon = Duration::from_secs(10);
    for (frames, due) in [
        (vec![hello()], false),
        (vec![hello(), offer(0, "a", 1)], true),
        (
            vec![hello(), offer(0, "a", 1), Frame::Start { id: 0, offset: 0 }],
            false,
        ),
    ] {
        let (near, far) = duplex(1 << 16);
        let talk = tokio::spawn(keep_working(near, frames));
        let receiving = inbox.receive(far, &ignore);
        let error = tokio::time::timeout(soon, receiving).await.unwrap();
        match error.unwrap_err() {
            Error::Stalled { after } => assert!(due && after == stall * 10),
            Error::Protocol { .. } => assert!(!due),
            error => panic!("{error:?}"),
        }
        talk.await.unwrap();
    }
}

#[tokio::test]
async fn a_receiver_that_only_works_is_given_up() {
    let place = Place::new();
    write(&place.out("f"), &pattern(5_000));
    let welcome = Frame::Welcome { version: VERSION };
    let resume = Frame::Resume {
        id: 0,
        offset: 0,
        prefix: digest_of(b""),
    };
    let pace = Pace {
        stall: Duration::from_millis(100),
        ..PACE
    };
    let soon = Duration::from_secs(10);
    for frames in [
        vec![welcome.clone()],
        vec![welcome.clone(), resume],
        // Progress that is always the same is none.
        [
            vec![welcome.clone()],
            vec![Frame::Progress { id: 0, bytes: 1 }; 3],
        ]
        .concat(),
    ] {
        let (near, far) = duplex(1 << 16);
        let talk = tokio::spawn(keep_working(far, frames));
        let mut plan = place.plan(&["f"]);
        let sent = tokio::time::timeout(soon, plan.send(near, pace, &ignore));
        let error = sent.await.unwrap().unwrap_err();
        assert!(
            matches!(error, Error::Stalled { .. } | Error::Protocol { .. }),
            "{error:?}"
        );
        talk.await.unwrap();
    }
    // Before that, when the sender's owner wants to.
    let (near, far) = duplex(1 << 16);
    let talk = tokio::spawn(keep_working(far, vec![welcome]));
    let (began, limit) = (std::time::Instant::now(), Duration::from_millis(300));
    let mut plan = place.plan(&["f"]);
    let sending = plan.send(near, PACE, &ignore);
    let error = while_moving(limit, || began, sending).await.unwrap_err();
    assert!(matches!(error, Error::Stalled { after } if after == limit));
    talk.await.unwrap();
}
