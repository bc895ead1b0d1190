use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use ramson::PrivateKeys;
use ramson::keys::{self, KeyFormat};

use crate::output::{KeyInfo, OfflineInfo};
use crate::{Event, Output};

/// `ramson keys`
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key file; one that is there already is never overwritten
    New(New),
    /// Show what is public of a key file: address, Destination, types, offline block
    Show(Show),
    /// Write the keys of a file to a new file in another form
    Convert(Convert),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ramson keys new me.keys")]
pub(crate) struct New {
    /// The file to make, readable by you alone
    file: PathBuf,
    /// Its form
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ramson keys show me.keys --json | jq -r .address")]
pub(crate) struct Show {
    /// The key file, raw or base64
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  ramson keys convert me.keys me.sam --format base64")]
pub(crate) struct Convert {
    /// The key file to read, raw or base64
    from: PathBuf,
    /// The file to make
    to: PathBuf,
    /// Its form
    #[arg(long, value_enum)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// As i2pd and Java I2P keep key files
    Raw,
    /// As SAM passes keys, one line
    Base64,
}

impl From<Format> for KeyFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Raw => Self::Raw,
            Format::Base64 => Self::Base64,
        }
    }
}

impl Keys {
    pub(crate) fn run(self, output: &Output) -> Result<()> {
        match self {
            Self::New(new) => {
                let made = PrivateKeys::generate();
                keys::create(&new.file, &made, new.format.into())?;
                show(&new.file, &made, output)
            }
            Self::Show(Show { file }) => {
                let read = keys::read(&file)?;
                show(&file, &read, output)
            }
            Self::Convert(convert) => {
                let read = keys::read(&convert.from)?;
                keys::create(&convert.to, &read, convert.format.into())?;
                show(&convert.to, &read, output)
            }
        }
    }
}

fn show(file: &Path, keys: &PrivateKeys, output: &Output) -> Result<()> {
    let info = describe(file, keys, SystemTime::now());
    let warnings = info.warnings.clone();
    output.result(&Event::Keys(Box::new(info)))?;
    if !output.is_json() {
        for text in warnings {
            output.note(&Event::Note { text });
        }
    }
    Ok(())
}

/// What may be shown of the keys: nothing private.
fn describe(file: &Path, keys: &PrivateKeys, now: SystemTime) -> KeyInfo {
    let destination = keys.destination();
    let signing = destination.signing_key_type();
    let encryption = keys.encryption_key_type();
    let mut warnings = Vec::new();
    if is_exposed(file) {
        warnings.push("others than you can read this file: chmod 600 it".to_owned());
    }
    if let Err(error) = keys.check() {
        warnings.push(format!("these keys cannot be used: {error}"));
    }
    let offline = keys.offline().map(|offline| {
        let expires_unix = offline.expires().as_millis() / 1000;
        let expired = SystemTime::UNIX_EPOCH + Duration::from_secs(expires_unix) <= now;
        if expired {
            warnings.push(
                "the offline signature has expired: make a new one where the long-term key is"
                    .to_owned(),
            );
        }
        OfflineInfo {
            expires: utc(expires_unix),
            expires_unix,
            expired,
            transient_type: offline.transient_key_type().to_string(),
            transient_type_code: offline.transient_key_type().code(),
        }
    });
    KeyInfo {
        file: file.display().to_string(),
        address: destination.b32(),
        destination: destination.to_base64(),
        signature_type: signing.to_string(),
        signature_type_code: signing.code(),
        encryption_type: encryption.to_string(),
        encryption_type_code: encryption.code(),
        offline,
        warnings,
    }
}

#[cfg(unix)]
fn is_exposed(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_file: &Path) -> bool {
    false
}

/// A time as `2026-11-23 16:00:00 UTC` (the civil calendar from days, as everyone computes it).
fn utc(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        for (unix, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_827_696, "2000-02-29 12:34:56 UTC"),
            (4_294_967_295, "2106-02-07 06:28:15 UTC"),
        ] {
            assert_eq!(utc(unix), text);
        }
    }

    #[test]
    fn the_offline_block_is_shown_with_its_expiry() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("offline.keys");
        let mut bytes = PrivateKeys::generate().to_bytes().to_vec();
        let len = bytes.len();
        bytes[len - 32..].fill(0);
        bytes.extend_from_slice(&1_700_000_000_u32.to_be_bytes());
        bytes.extend_from_slice(&7_u16.to_be_bytes());
        bytes.extend_from_slice(&[9; 32 + 64 + 32]);
        std::fs::write(&file, bytes).unwrap();
        let read = keys::read(&file).unwrap();
        for (now, expired) in [(1_699_999_999, false), (1_700_000_001, true)] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            let info = describe(&file, &read, now);
            let warned = info.warnings.iter().any(|it| it.contains("has expired"));
            assert_eq!(warned, expired);
            let text = info.to_string();
            let offline = info.offline.unwrap();
            assert_eq!((offline.expired, offline.transient_type_code), (expired, 7));
            assert_eq!(offline.expires, "2023-11-14 22:13:20 UTC");
            assert!(
                text.contains("offline      EdDSA_SHA512_Ed25519 (7), "),
                "{text}"
            );
        }
    }
}
