//! Key files, good and bad, and who may use them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::{assert_text, on as on_router, run, until};
use ramson::testing::{Personality, Verb};
use ramson::{Error, ErrorKind, Event, I2p, PrivateKeys, keys};

async fn open_error(i2p: &I2p, path: &Path) -> Error {
    i2p.session()
        .key_file(path)
        .open()
        .await
        .expect_err("it opened")
}

fn write(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .unwrap();
}

#[test]
fn files_that_hold_no_keys() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hidden-name.keys");
        let good = PrivateKeys::generate();
        let bytes = good.to_bytes().to_vec();
        let mut unknown = bytes.clone();
        // The key certificate: type, length, signing type, encryption type.
        unknown[387..389].copy_from_slice(&[0x12, 0x34]);
        let mut long = bytes.clone();
        long.extend_from_slice(&[0; 1000]);
        let mut mixed = bytes.clone();
        let end = mixed.len();
        mixed[end - 5] ^= 1;
        for (what, bytes, part) in [
            ("empty", Vec::new(), "empty"),
            ("cut", bytes[..500].to_vec(), "cut"),
            ("cut at one", bytes[..bytes.len() - 1].to_vec(), "cut"),
            (
                "public",
                good.destination().as_bytes().to_vec(),
                "without its private",
            ),
            ("long", long, "1000 bytes follow"),
            ("huge", vec![b'A'; 1 << 20], ""),
            ("zeros", vec![0; 663], ""),
            ("unknown type", unknown, "unknown type 4660"),
            ("mixed", mixed, "does not belong"),
            ("text", b"these are no keys at all".to_vec(), ""),
            ("cut text", good.to_base64().as_bytes()[..600].to_vec(), ""),
        ] {
            write(&path, &bytes);
            let error = open_error(&i2p, &path).await;
            assert_eq!(error.kind(), ErrorKind::BadKey, "{what}: {error}");
            let parts = ["these keys cannot be used", part, "backup"];
            assert_text(&error, &parts, &["hidden-name"]);
            assert!(error.detail().contains("hidden-name"), "{}", error.detail());
            // The file stays as it was, and nobody holds it.
            assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
        }
        assert!(bridge.seen_of(Verb::SessionCreate).is_empty());
        write(&path, &bytes);
        let session = i2p.session().key_file(&path).open().await.unwrap();
        assert_eq!(session.destination(), good.destination());
    });
}

#[test]
fn files_that_cannot_be_read_or_made() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let not_a_folder = folder.path().join("file");
        write(&not_a_folder, b"x");
        for path in [
            folder.path().to_owned(),
            folder.path().join("missing-folder/hidden.keys"),
            not_a_folder.join("hidden.keys"),
        ] {
            let error = open_error(&i2p, &path).await;
            assert_eq!(error.kind(), ErrorKind::BadKey, "{error}");
            let folder = folder.path().to_str().unwrap();
            let parts = ["the key file cannot be used", "permissions"];
            assert_text(&error, &parts, &["hidden", "missing-folder", folder]);
        }
    });
}

#[test]
fn a_file_that_its_owner_may_not_read() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hidden.keys");
        write(&path, &PrivateKeys::generate().to_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        if File::open(&path).is_ok() {
            // The superuser reads every file, but no folder.
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }
        let error = open_error(&i2p, &path).await;
        assert_eq!(error.kind(), ErrorKind::BadKey, "{error}");
        assert_text(&error, &["permissions"], &["hidden"]);
    });
}

#[test]
fn an_exposed_file_is_told() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.keys");
        write(&path, &PrivateKeys::generate().to_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let session = i2p.session().key_file(&path).open().await.unwrap();
        let mut events = session.events();
        assert_eq!(events.try_next(), Some(Event::KeyFileExposed));
        assert!(matches!(events.try_next(), Some(Event::Ready { .. })));
        assert_eq!(events.try_next(), None);
        // Only what happens from now on for those who come later.
        assert_eq!(session.events().try_next(), None);
    });
}

#[test]
fn a_new_file_is_private_and_gives_the_same_destination_again() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.keys");
        let session = i2p.session().key_file(&path).open().await.unwrap();
        let address = session.address();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            keys::read(&path).unwrap().destination(),
            session.destination()
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        session.close(Duration::ZERO).await;
        until("the router forgets it", || bridge.sessions() == 0).await;
        let session = i2p.session().key_file(&path).open().await.unwrap();
        assert_eq!(session.address(), address);
    });
}

#[test]
fn the_same_file_twice_in_a_process() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hidden.keys");
        let session = i2p.session().key_file(&path).open().await.unwrap();
        let error = open_error(&i2p, &path).await;
        assert_eq!(error.kind(), ErrorKind::KeyInUse);
        assert_text(
            &error,
            &["in use", "close it, or use other keys"],
            &["hidden"],
        );
        // A copy of the file holds the same keys.
        let copy = folder.path().join("copy.keys");
        fs::copy(&path, &copy).unwrap();
        assert_eq!(open_error(&i2p, &copy).await.kind(), ErrorKind::KeyInUse);
        drop(session);
        until("the router forgets it", || bridge.sessions() == 0).await;
        i2p.session().key_file(&path).open().await.unwrap();
    });
}

#[test]
fn the_same_keys_twice_in_memory() {
    run(async {
        let (bridge, i2p) = on_router(Personality::I2pd59).await;
        let keys = PrivateKeys::generate();
        let session = i2p.session().keys(keys.clone()).open().await.unwrap();
        let error = i2p.session().keys(keys.clone()).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyInUse);
        assert_text(&error, &["in use"], &[]);
        drop(session);
        until("the router forgets it", || bridge.sessions() == 0).await;
        i2p.session().keys(keys).open().await.unwrap();
    });
}

#[test]
fn a_file_that_another_program_has_locked() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hidden.keys");
        write(&path, &PrivateKeys::generate().to_bytes());
        // A second opening of the file is to the lock what another process is.
        let other = OpenOptions::new().read(true).open(&path).unwrap();
        other.try_lock().unwrap();
        let error = open_error(&i2p, &path).await;
        assert_eq!(error.kind(), ErrorKind::KeyInUse);
        assert_text(&error, &["in use"], &["hidden"]);
        drop(other);
        i2p.session().key_file(&path).open().await.unwrap();
    });
}

#[test]
fn a_failed_open_lets_the_keys_go() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.keys");
        bridge.add(
            ramson::testing::on(Verb::SessionCreate)
                .nth(1)
                .reply("SESSION STATUS RESULT=I2P_ERROR"),
        );
        let error = open_error(&i2p, &path).await;
        assert_eq!(error.kind(), ErrorKind::SessionRefused);
        i2p.session().key_file(&path).open().await.unwrap();
    });
}
