//! The files of a router and of the command line, and what comes over their sockets.

use ramson::router::fuzzing;

const KEY: [u8; 32] = [7; 32];

/// What is read of a `routers.db` is the same once it was written again; of `router.keys`, bytes.
pub fn file_router(data: &[u8]) {
    let (infos, foreign, _) = fuzzing::known_routers(data, &KEY);
    assert!(foreign <= infos.len());
    let again = fuzzing::write_known_routers(&infos, &KEY);
    assert_eq!(fuzzing::known_routers(&again, &KEY), (infos, 0, 0));
    if let Some(keys) = fuzzing::router_keys(data) {
        assert_eq!(keys.as_slice(), data);
    }
}

/// A seed of any kind ends, whatever is in it.
pub fn file_seed(data: &[u8]) {
    let _ = fuzzing::seed(data);
}

/// A hosts file, a configuration and an answer of the control socket are read or refused; numbers
/// that were read are the same once they were written again.
pub fn file_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err((line, _)) = fuzzing::hosts(text) {
        assert!(line > 0 && line <= text.lines().count());
    }
    let _ = ramson_cli::fuzzing::router_config(text);
    if let Some(numbers) = ramson_cli::fuzzing::router_numbers(text) {
        assert_eq!(ramson_cli::fuzzing::router_numbers(&numbers), Some(numbers));
    }
}

/// The body of a transfer's frame, whose type is the first byte, encodes to the same bytes.
pub fn transfer_frame(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    if let Some(frame) = ramson_cli::fuzzing::transfer_frame(*kind, body) {
        let (header, again) = frame.split_at(5);
        assert_eq!(header.first(), Some(kind));
        // A reason that is not known is told as one that is.
        if !matches!(kind, 0x84 | 0x87) {
            assert_eq!(again, body);
        }
    }
}
