use std::io;

use ramson::ErrorKind;
use serde::Serialize;

use crate::transfer;

/// The user ended the program.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Something on the command line does not fit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Why a command failed, for people and scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// A word for programs.
    pub kind: &'static str,
    /// Cause and next step, without names.
    pub text: String,
    /// The same with peer, host or file.
    pub detail: String,
    /// The exit code.
    #[serde(skip)]
    pub code: u8,
}

impl Failure {
    /// What `error` means.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<Interrupted>() {
            return Self::new("interrupted", 130, error.to_string(), None);
        }
        if error.is::<Usage>() {
            return Self::new("usage", 2, error.to_string(), None);
        }
        for cause in error.chain() {
            #[cfg(feature = "router")]
            if let Some(failure) = Self::of_router(cause) {
                return failure;
            }
            if let Some(cause) = cause.downcast_ref::<transfer::Error>() {
                return Self::of_transfer(cause);
            }
            let library = cause.downcast_ref::<ramson::Error>().or_else(|| {
                cause
                    .downcast_ref::<io::Error>()
                    .and_then(ramson::stream_error)
            });
            if let Some(cause) = library {
                return Self::of_library(cause);
            }
        }
        Self::new("failed", 1, error.to_string(), Some(format!("{error:#}")))
    }

    #[cfg(feature = "router")]
    fn of_router(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        use ramson::router::RouterError;

        use crate::router::ConfigError;
        if let Some(error) = error.downcast_ref::<ConfigError>() {
            return Some(Self::new("configuration", 2, error.to_string(), None));
        }
        #[cfg(unix)]
        if let Some(error) = error.downcast_ref::<crate::router::ControlError>() {
            use crate::router::ControlError;
            let kind = match error {
                ControlError::NotRunning => "not_running",
                ControlError::Io(_) => "io",
                ControlError::Silent | ControlError::Busy => "timed_out",
                ControlError::Answer => "router_incompatible",
            };
            return Some(Self::new(kind, 3, error.to_string(), None));
        }
        let error = error.downcast_ref::<RouterError>()?;
        let (kind, code) = match error {
            RouterError::KeyFile(error) => return Some(Self::of_library(error)),
            RouterError::DamagedKeys { .. } => ("bad_key", 5),
            RouterError::RouterInfo(_) => ("configuration", 2),
            _ => ("io", 1),
        };
        Some(Self::new(
            kind,
            code,
            error.to_string(),
            Some(error.detail()),
        ))
    }

    fn of_library(error: &ramson::Error) -> Self {
        let (kind, code) = kind(error.kind());
        // The file system's "is there already" is not about damaged keys.
        if let ramson::Error::KeyFile { path, source, .. } = error
            && source.kind() == io::ErrorKind::AlreadyExists
        {
            let text = format!(
                "the key file {} is there already and keys are never overwritten: name another \
                 file, or move this one away",
                path.display()
            );
            return Self::new("exists", 7, text, None);
        }
        if matches!(error, ramson::Error::NoRouter) {
            let text = "no I2P router was chosen: say --router sam:HOST:PORT or set \
                        RAMSON_ROUTER to that (i2pd and Java I2P listen on sam:127.0.0.1:7656 once \
                        SAM is switched on); the router sees your private keys, so it is never \
                        guessed";
            return Self::new(kind, code, text.to_owned(), None);
        }
        Self::new(kind, code, error.to_string(), Some(error.detail()))
    }

    fn of_transfer(error: &transfer::Error) -> Self {
        if let transfer::Error::Stream { source } = error
            && let Some(cause) = ramson::stream_error(source)
        {
            return Self::of_library(cause);
        }
        let (kind, code) = error.kind();
        Self::new(kind, code, error.to_string(), Some(error.detail()))
    }

    fn new(kind: &'static str, code: u8, text: String, detail: Option<String>) -> Self {
        Self {
            kind,
            code,
            detail: detail.unwrap_or_else(|| text.clone()),
            text,
        }
    }

    /// The line on standard error with `--json`.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }

    /// The lines for people: the text, and the detail where that says more.
    pub fn to_text(&self) -> String {
        match self.detail.strip_prefix(&self.text) {
            Some("") => format!("ramson: {}", self.text),
            Some(more) => format!("ramson: {}\n ramson:{more}", self.text).replace("\n ", "\n"),
            None => format!("ramson: {}\nramson: {}", self.text, self.detail),
        }
    }
}

/// The word and the exit code of a kind.
fn kind(kind: ErrorKind) -> (&'static str, u8) {
    match kind {
        ErrorKind::Configuration => ("configuration", 2),
        ErrorKind::BadAddress => ("bad_address", 2),
        ErrorKind::RouterUnreachable => ("router_unreachable", 3),
        ErrorKind::RouterIncompatible => ("router_incompatible", 3),
        ErrorKind::LoginRefused => ("login_refused", 3),
        ErrorKind::RouterLost => ("router_lost", 3),
        ErrorKind::SessionRefused => ("session_refused", 3),
        ErrorKind::Unsupported => ("unsupported", 3),
        ErrorKind::NotFound => ("not_found", 4),
        ErrorKind::PeerUnreachable => ("peer_unreachable", 4),
        ErrorKind::PeerRefused => ("peer_refused", 4),
        ErrorKind::PeerSilent => ("peer_silent", 4),
        ErrorKind::KeyInUse => ("key_in_use", 5),
        ErrorKind::BadKey => ("bad_key", 5),
        ErrorKind::TimedOut => ("timed_out", 6),
        ErrorKind::Closed => ("closed", 1),
        ErrorKind::LimitExceeded => ("limit_exceeded", 1),
        ErrorKind::Io => ("io", 1),
        _ => ("failed", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_get_their_codes_and_json() {
        let no_router = Failure::of(&ramson::Error::NoRouter.into());
        assert_eq!((no_router.kind, no_router.code), ("configuration", 2));
        assert!(no_router.text.contains("RAMSON_ROUTER"));

        let name = ramson::Error::NameNotFound {
            name: "x.i2p".to_owned(),
        };
        let wrapped = anyhow::Error::new(io::Error::from(name)).context("somewhere");
        let not_found = Failure::of(&wrapped);
        assert_eq!((not_found.kind, not_found.code), ("not_found", 4));
        assert!(!not_found.text.contains("x.i2p") && not_found.detail.contains("x.i2p"));
        assert!(not_found.to_text().contains("\nramson: (name: x.i2p)"));
        let json: serde_json::Value = serde_json::from_str(&not_found.to_json()).unwrap();
        assert_eq!(json["error"]["kind"], "not_found");
        assert!(json["error"]["detail"].is_string() && json["error"]["text"].is_string());
        assert_eq!(json["error"].as_object().unwrap().len(), 3);

        assert_eq!(Failure::of(&Interrupted.into()).code, 130);
        assert_eq!(Failure::of(&Usage("x".into()).into()).code, 2);
        assert_eq!(Failure::of(&anyhow::anyhow!("x")).code, 1);
        let exists = Failure::of(
            &ramson::Error::KeyFile {
                path: "k".into(),
                source: io::ErrorKind::AlreadyExists.into(),
            }
            .into(),
        );
        assert_eq!((exists.kind, exists.code), ("exists", 7));
    }
}
