//! `cargo xtask licences`: what the dependencies allow and which of them come twice.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xtask::workspace;

/// Permissive licences.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // Of data: the root certificates.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Fails when a dependency is not under a permissive licence or comes from elsewhere than the
/// registry; names those that come in two versions. Advisories need a database that is not to be
/// had offline.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
        ])
        .current_dir(workspace::root())
        .output()
        .context("cargo metadata does not start")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        if metadata.workspace_members.contains(&package.id) {
            continue;
        }
        versions
            .entry(&package.name)
            .or_default()
            .push(&package.version);
        let licence = package.license.as_deref().unwrap_or("none stated");
        if !is_allowed(licence) {
            wrong.push(format!("{} {}: {licence}", package.name, package.version));
        }
        if !package
            .source
            .as_deref()
            .is_some_and(|source| source.starts_with("registry+"))
        {
            wrong.push(format!(
                "{} {}: not from the registry",
                package.name, package.version
            ));
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        eprintln!(
            "licences: {name} comes in {} versions: {}",
            versions.len(),
            versions.join(", ")
        );
    }
    if !wrong.is_empty() {
        bail!(
            "these dependencies cannot be used:\n  {}",
            wrong.join("\n  ")
        );
    }
    eprintln!("licences: {} dependencies, all permissive", versions.len());
    Ok(())
}

/// Whether an SPDX expression leaves a choice of allowed licences: each part of an AND has one
/// allowed member of its OR.
fn is_allowed(expression: &str) -> bool {
    let flat = expression.replace('/', " OR ");
    if let Some(inner) = strip_parentheses(&flat) {
        return is_allowed(inner);
    }
    if let Some(parts) = split_top(&flat, " AND ") {
        return parts.into_iter().all(is_allowed);
    }
    if let Some(parts) = split_top(&flat, " OR ") {
        return parts.into_iter().any(is_allowed);
    }
    ALLOWED.contains(&flat.trim())
}

fn strip_parentheses(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0_i32;
    for character in inner.chars() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        if depth < 0 {
            return None;
        }
    }
    Some(inner)
}

/// Splits at `separator` outside of parentheses; `None` when it is not there.
fn split_top<'a>(text: &'a str, separator: &str) -> Option<Vec<&'a str>> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (at, character) in text.char_indices() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        if depth == 0 && at >= from && text[at..].starts_with(separator) {
            parts.push(&text[from..at]);
            from = at + separator.len();
        }
    }
    if parts.is_empty() {
        return None;
    }
    parts.push(&text[from..]);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_licence_expressions() {
        for allowed in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND (GPL-2.0)",
            "none stated",
        ] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }
}
