//! The binary as scripts see it: output, errors and exit codes, as far as no router is needed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::string_slice)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn ramson(line: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ramson"))
        .args(line)
        .current_dir(folder)
        .env_remove("RAMSON_ROUTER")
        .output()
        .unwrap()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(bytes)))
}

#[test]
fn keys_are_made_shown_and_converted() {
    let temp = tempfile::tempdir().unwrap();
    let made = json(&ramson(&["keys", "new", "a.keys", "--json"], temp.path()).stdout);
    assert_eq!(made["event"], "keys");
    assert_eq!(made["signature_type_code"], 7);
    assert!(made["address"].as_str().unwrap().ends_with(".b32.i2p"));

    let convert = ["keys", "convert", "a.keys", "b.keys", "--format", "base64"];
    assert_eq!(ramson(&convert, temp.path()).status.code(), Some(0));
    let shown = json(&ramson(&["--json", "keys", "show", "b.keys"], temp.path()).stdout);
    assert_eq!(shown["destination"], made["destination"]);
    let text = std::fs::read_to_string(temp.path().join("b.keys")).unwrap();
    // Nothing private is shown, in either form.
    let private = &text.trim()[524..];
    for line in [["keys", "show", "a.keys"], ["keys", "show", "b.keys"]] {
        let output = ramson(&line, temp.path());
        let shown = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&shown).contains(&private[..40]));
    }

    for (line, code, kind) in [
        (vec!["keys", "new", "a.keys", "--json"], 7, "exists"),
        (vec!["keys", "show", "none.keys", "--json"], 5, "bad_key"),
    ] {
        let output = ramson(&line, temp.path());
        assert_eq!(output.status.code(), Some(code), "{line:?}");
        assert_eq!(json(&output.stderr)["error"]["kind"], kind);
        assert!(output.stdout.is_empty());
    }
    let before = std::fs::read(temp.path().join("a.keys")).unwrap();
    ramson(
        &["keys", "convert", "b.keys", "a.keys", "--format", "base64"],
        temp.path(),
    );
    assert_eq!(std::fs::read(temp.path().join("a.keys")).unwrap(), before);
}

#[test]
fn keys_of_all_types_are_shown() {
    let temp = tempfile::tempdir().unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../wire/testdata/i2pd-2.45.1-dest-generate.txt");
    let mut seen = Vec::new();
    for line in std::fs::read_to_string(vectors).unwrap().lines() {
        let mut fields = line.split(' ');
        let (Some(code), Some(public), Some(private)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let Ok(code) = code.parse::<u16>() else {
            continue;
        };
        let file = format!("{code}.keys");
        std::fs::write(temp.path().join(&file), private).unwrap();
        let shown = json(&ramson(&["keys", "show", &file, "--json"], temp.path()).stdout);
        assert_eq!(shown["signature_type_code"], code);
        assert_eq!(
            shown["destination"].as_str().unwrap().trim_end_matches('='),
            public.trim_end_matches('=')
        );
        // Files made by others are readable by others.
        #[cfg(unix)]
        assert!(shown["warnings"][0].as_str().unwrap().contains("chmod 600"));
        seen.push(code);
    }
    assert_eq!(seen, [0, 1, 2, 3, 7, 11]);
}

#[test]
fn the_exit_code_tells_what_failed() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("junk.keys"), "junk").unwrap();
    let nobody = "sam:127.0.0.1:1";
    for (line, code, kind) in [
        (vec!["lookup", "--json"], 2, "usage"),
        (vec!["lookup", "x.i2p", "--json"], 2, "configuration"),
        (
            vec!["lookup", "x.i2p", "--router", "nonsense", "--json"],
            2,
            "usage",
        ),
        (
            vec!["lookup", "x.i2p", "--router", nobody, "--json"],
            3,
            "router_unreachable",
        ),
        (vec!["connect", "http://x.i2p/", "--json"], 2, "usage"),
        (
            vec!["connect", "x.i2p", "--hops", "9", "--json"],
            2,
            "usage",
        ),
        (
            vec![
                "receive",
                "in",
                "--max-senders",
                "18446744073709551615",
                "--json",
            ],
            2,
            "usage",
        ),
        (
            vec![
                "serve",
                ".",
                "--max-streams",
                "18446744073709551615",
                "--json",
            ],
            2,
            "usage",
        ),
        (
            vec![
                "forward",
                "8080",
                "x.i2p",
                "--max-streams",
                "65537",
                "--json",
            ],
            2,
            "usage",
        ),
        (vec!["keys", "show", "junk.keys", "--json"], 5, "bad_key"),
        (
            vec![
                "forward",
                "0.0.0.0:0",
                "x.i2p",
                "--router",
                nobody,
                "--json",
            ],
            2,
            "usage",
        ),
        (vec!["expose", "x.i2p:80", "--json"], 2, "usage"),
        (
            vec!["send", "none", "x.i2p", "--router", nobody, "--json"],
            1,
            "file",
        ),
    ] {
        let output = ramson(&line, temp.path());
        assert_eq!(output.status.code(), Some(code), "{line:?}");
        let last = String::from_utf8(output.stderr).unwrap();
        let error = json(last.lines().last().unwrap().as_bytes());
        assert_eq!(error["error"]["kind"], kind, "{line:?}");
    }
}

#[test]
fn completions_and_help_are_there() {
    let temp = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = ramson(&["completions", shell], temp.path());
        assert!(
            output.status.success() && output.stdout.len() > 1000,
            "{shell}"
        );
    }
    let help = String::from_utf8(ramson(&["send", "--help"], temp.path()).stdout).unwrap();
    assert!(help.contains("Example:") && help.contains("--give-up-after"));
    let help = String::from_utf8(ramson(&["--help"], temp.path()).stdout).unwrap();
    assert!(help.contains("Exit codes:") && help.contains("First: run an I2P router"));
}
