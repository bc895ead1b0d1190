//! One line a step, for people or for programs.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

/// Runs steps and prints what becomes of them.
pub(crate) struct Report {
    json: bool,
    /// The logs to look into when a step fails.
    pub(crate) logs: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Line<'a> {
    step: &'a str,
    ok: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<&'a [PathBuf]>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            logs: Vec::new(),
        }
    }

    /// Runs one step, which returns what to say of it and what it made.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        run: impl FnOnce() -> Result<(String, T)>,
    ) -> Result<T> {
        let began = Instant::now();
        let outcome = run();
        let seconds = (began.elapsed().as_secs_f64() * 100.0).round() / 100.0;
        match outcome {
            Ok((detail, made)) => {
                self.print(&Line {
                    step: name,
                    ok: true,
                    seconds,
                    detail: Some(&detail),
                    error: None,
                    logs: None,
                })?;
                Ok(made)
            }
            Err(error) => {
                let text = format!("{error:#}");
                self.print(&Line {
                    step: name,
                    ok: false,
                    seconds,
                    detail: None,
                    error: Some(&text),
                    logs: Some(&self.logs),
                })?;
                Err(error)
            }
        }
    }

    fn print(&self, line: &Line<'_>) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(line)?);
            return Ok(());
        }
        let mark = if line.ok { "ok" } else { "FAILED" };
        let text = line.detail.or(line.error).unwrap_or_default();
        println!(
            "{:<10} {mark:<6} {:>7.2} s  {text}",
            line.step, line.seconds
        );
        for log in line.logs.into_iter().flatten() {
            println!("{:<10} log: {}", "", log.display());
        }
        Ok(())
    }
}
