//! Our own lints: what neither rustfmt nor clippy looks at.
//!
//! Each lint is a function from a file's text to findings, so that each is tested on text. Files
//! are those git knows or would take.

mod crates;
mod docs;
mod rust;
mod text;

use std::fmt;

use anyhow::{Context, bail};

use crate::command;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The file, from the top of the repository.
    pub(super) path: String,
    /// The line, from 1; 0 is the file as a whole.
    pub(super) line: usize,
    /// What is wrong and what to do.
    pub(super) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// A file of the repository.
pub(super) struct File {
    /// From the top of the repository.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }

    pub(super) fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    /// The lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }
}

/// Runs every lint on every file.
///
/// # Errors
/// When there is a finding; all are printed.
pub(crate) fn run() -> anyhow::Result<()> {
    let files = files()?;
    let mut findings = Vec::new();
    for file in &files {
        text::check(file, &mut findings);
        if file.is(".rs") {
            rust::check(file, &mut findings);
        }
    }
    docs::check(&files, &mut findings);
    crates::check(&files, &mut findings);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy has {} findings", findings.len());
    }
    println!("{} files are tidy", files.len());
    Ok(())
}

/// The text files git knows, and new ones it would take.
fn files() -> anyhow::Result<Vec<File>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listing = command::output(&mut command::command("git", arguments))?;
    let mut files = Vec::new();
    for path in listing.lines() {
        let place = command::root().join(path);
        if !place.is_file() {
            continue;
        }
        let bytes = std::fs::read(&place).with_context(|| format!("cannot read {path}"))?;
        // What is no text (a fuzz corpus) has no lines to look at.
        if let Ok(text) = String::from_utf8(bytes) {
            let path = path.to_owned();
            files.push(File { path, text });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_has_files_and_findings_name_their_place() {
        let files = files().unwrap();
        let this = files
            .iter()
            .find(|file| file.path == "tools/xtask/src/tidy/mod.rs");
        let finding = this.expect("git knows this file").finding(3, "too long");
        assert_eq!(
            finding.to_string(),
            "tools/xtask/src/tidy/mod.rs:3: too long"
        );
    }
}
