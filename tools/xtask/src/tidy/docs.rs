//! Lints on the documents: what they point at is there.

use std::collections::HashSet;

use super::{File, Finding};
use crate::command;

/// Documents whose tables name a test for each case.
const CASE_TABLES: &[&str] = &[
    "docs/internals/log.md",
    "docs/internals/replication.md",
    "docs/internals/simulator.md",
    "docs/operating/bad-input.md",
];
/// Words a test's name has at least; shorter names in backticks are fields and functions.
const TEST_NAME_WORDS_MIN: usize = 4;

pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let tests = test_names(files);
    for file in files.iter().filter(|file| file.is(".rs")) {
        mentions(file, findings);
    }
    for file in files.iter().filter(|file| file.is(".md")) {
        links(file, findings);
        if file.path == "ARCHITECTURE.md" {
            paths(file, findings);
        }
        if CASE_TABLES.contains(&file.path.as_str()) {
            cases(file, &tests, findings);
        }
    }
}

/// Every function of a file with tests, in Rust or Python.
fn test_names(files: &[File]) -> HashSet<&str> {
    let mut names = HashSet::new();
    for file in files.iter().filter(|file| file.is(".rs") || file.is(".py")) {
        for (_, line) in file.lines() {
            let code = line.trim_start();
            let code = code.strip_prefix("async ").unwrap_or(code);
            let after = code.strip_prefix("fn ").or(code.strip_prefix("def "));
            names.extend(after.and_then(|after| after.split('(').next()));
        }
    }
    names
}

/// Links to files of the repository.
fn links(file: &File, findings: &mut Vec<Finding>) {
    let here = command::root().join(&file.path);
    let here = here.parent().expect("a file is in a folder");
    for (number, line) in file.lines() {
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let is_elsewhere = target.contains("://") || target.is_empty();
            if !is_elsewhere && !here.join(target).exists() {
                findings.push(file.finding(number, format!("{target} is not there")));
            }
        }
    }
}

/// Documents that comments send their reader to.
fn mentions(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in file.lines() {
        for (at, _) in line.match_indices("docs/") {
            let is_end = |c: char| !(c.is_ascii_alphanumeric() || "/-_.".contains(c));
            let path = line[at..].split(is_end).next().unwrap_or_default();
            let path = path.trim_end_matches('.');
            let is_comment = line.trim_start().starts_with("//");
            if is_comment && path.ends_with(".md") && !command::root().join(path).exists() {
                findings.push(file.finding(number, format!("{path} is not there")));
            }
        }
    }
}

/// Files and folders named in backticks.
fn paths(file: &File, findings: &mut Vec<Finding>) {
    for (number, word) in quoted(file) {
        let is_path = word.contains('/') && !word.contains([' ', '<', ':', '*', '(']);
        if is_path && !command::root().join(word).exists() {
            findings.push(file.finding(number, format!("{word} is not there")));
        }
    }
}

/// Names of tests in the rows of tables.
fn cases(file: &File, tests: &HashSet<&str>, findings: &mut Vec<Finding>) {
    for (number, word) in quoted(file) {
        let is_name = word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let words = word.split('_').filter(|word| !word.is_empty()).count();
        if is_name && words >= TEST_NAME_WORDS_MIN && !tests.contains(word) {
            findings.push(file.finding(number, format!("there is no test {word}")));
        }
    }
}

/// What stands in backticks on one line, outside blocks of code.
fn quoted(file: &File) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut in_block = false;
    for (number, line) in file.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let inside = line.split('`').skip(1).step_by(2);
            words.extend(inside.map(|word| (number, word)));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let test = File {
            path: "a.rs".into(),
            text: "    fn a_full_disk_passes_by_itself() {\n".into(),
        };
        let document = File {
            path: path.into(),
            text: text.into(),
        };
        let mut findings = Vec::new();
        check(&[test, document], &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let text = "[a](Cargo.toml) [b](https://example.org) [c](nowhere.md#part)\n";
        assert_eq!(
            findings("README.md", text),
            ["README.md:1: nowhere.md is not there"]
        );
    }

    #[test]
    fn paths_of_the_architecture_must_exist() {
        let text = "`ledger/base` and `ledger/gold`\n```\n`x/y`\n```\n";
        assert_eq!(
            findings("ARCHITECTURE.md", text),
            ["ARCHITECTURE.md:1: ledger/gold is not there"]
        );
    }

    #[test]
    fn comments_name_documents_that_exist() {
        let text = "//! See `docs/internals/log.md`.\n/// And docs/internals/gold.md.\n";
        assert_eq!(
            findings("b.rs", text),
            ["b.rs:2: docs/internals/gold.md is not there"]
        );
    }

    #[test]
    fn tables_name_tests_that_exist() {
        let text = "| full | `a_full_disk_passes_by_itself` | `durable_index` |\n\
                    | gone | `no_such_test_is_here` |\n";
        assert_eq!(
            findings("docs/operating/bad-input.md", text),
            ["docs/operating/bad-input.md:2: there is no test no_such_test_is_here"]
        );
    }
}
