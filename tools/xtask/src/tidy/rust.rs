//! Lints on Rust sources. They read lines, not syntax: rustfmt has made the lines predictable.

use super::{File, Finding};

/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines above an `unsafe` in which its reason stands.
const SAFETY_LINES: usize = 6;

/// Where `unsafe` may be, each with why. A file is added here knowingly or not at all.
const UNSAFE_FILES: &[&str] = &[
    // Memory and the processor: buffers, the growable region, prefetching, wide compares.
    "ledger/base/src/buffer.rs",
    "ledger/base/src/lanes.rs",
    "ledger/base/src/prefetch.rs",
    "ledger/base/src/region.rs",
    // Sharing one piece of state between shards; model-checked.
    "ledger/engine/src/handover/gate.rs",
    "ledger/engine/src/handover/workers.rs",
    // The kernel's ring: memory must outlive the kernel's use of it.
    "ledger/log/src/disk/uring.rs",
    // A lease tells who has a file open.
    "ledger/log/src/storage/release.rs",
    "ledger/log/src/uring/op.rs",
    "ledger/log/src/uring/ring.rs",
    "ledger/store/src/output/ring.rs",
    "ledger/store/src/reader/ring.rs",
    // Those who hand memory or descriptors to the ring.
    "ledger/engine/src/ledger/driver.rs",
    "net/server/src/acceptor.rs",
    "net/server/src/engine.rs",
    "net/server/src/io.rs",
    "net/server/src/peers/flight.rs",
    "net/server/src/peers/mod.rs",
    "net/server/src/replica.rs",
];

/// What never stays in a source.
const LEFT_OVERS: &[&str] = &["dbg!(", "todo!(", "unimplemented!(", "#[ignore"];

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let is_test = is_test(&file.path);
    left_overs(file, findings);
    essay(file, findings);
    unsafe_code(file, is_test, findings);
    if !is_test {
        functions(file, findings);
    }
}

/// Files that are compiled for tests only.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("_tests.rs") || path.ends_with("/tests.rs")
}

fn left_overs(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in file.lines() {
        for left_over in LEFT_OVERS {
            // A quoted one is the list above.
            if line.trim_start().starts_with(left_over) {
                findings.push(file.finding(number, format!("{left_over} is left over")));
            }
        }
    }
}

/// Every crate starts with what it is for.
fn essay(file: &File, findings: &mut Vec<Finding>) {
    let is_root = file.is("src/lib.rs") || file.is("src/main.rs");
    if is_root && !file.text.starts_with("//!") {
        let what = "a crate starts with an essay: what it guarantees, relies on, where to start";
        findings.push(file.finding(1, what));
    }
}

fn unsafe_code(file: &File, is_test: bool, findings: &mut Vec<Finding>) {
    let lines: Vec<&str> = file.text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if !has_unsafe(code) {
            continue;
        }
        if !is_test && !UNSAFE_FILES.contains(&file.path.as_str()) {
            let what = "unsafe outside the files listed in tools/xtask/src/tidy/rust.rs";
            findings.push(file.finding(at + 1, what));
        }
        let above = &lines[at.saturating_sub(SAFETY_LINES)..=at];
        let is_function = code.contains("unsafe fn");
        if is_function && is_test {
            // A test's own functions only implement what others declare.
            continue;
        }
        let reason = if is_function { "# Safety" } else { "SAFETY:" };
        if !above.iter().any(|line| line.contains(reason)) {
            findings.push(file.finding(at + 1, format!("unsafe without `{reason}` above it")));
        }
    }
}

fn has_unsafe(code: &str) -> bool {
    ["unsafe {", "unsafe fn ", "unsafe impl", "unsafe extern"]
        .iter()
        .any(|what| code.contains(what) && !code.contains(&format!("\"{what}")))
}

/// A function ends at the first line that is its indentation and a brace.
fn functions(file: &File, findings: &mut Vec<Finding>) {
    let lines: Vec<&str> = file.text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        // Tests stand at the end of a file, and are as long as the case needs.
        if line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test") {
            break;
        }
        let Some((indent, name)) = function(line) else {
            continue;
        };
        if line.ends_with(['}', ';']) {
            continue;
        }
        let end = format!("{indent}}}");
        let body = lines[at..].iter().position(|line| *line == end);
        let count = body.map_or(0, |last| last + 1);
        if count > FUNCTION_LINES_MAX {
            let what = format!("{name} has {count} lines; at most {FUNCTION_LINES_MAX}");
            findings.push(file.finding(at + 1, what));
        }
    }
}

/// The indentation and the name, if a function starts on this line.
fn function(line: &str) -> Option<(&str, &str)> {
    let code = line.trim_start();
    let indent = &line[..line.len() - code.len()];
    let (before, after) = code.split_once("fn ")?;
    let is_qualifier = |word: &str| {
        word.starts_with("pub") || matches!(word, "const" | "async" | "unsafe" | "extern" | "\"C\"")
    };
    if !before.split_whitespace().all(is_qualifier) {
        return None;
    }
    let name = after.split(['(', '<']).next()?;
    Some((indent, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let file = File {
            path: path.into(),
            text: text.into(),
        };
        check(&file, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    fn function_of(lines: usize) -> String {
        let body = "    line();\n".repeat(lines - 2);
        format!("pub(crate) async fn long<T>(t: T) {{\n{body}}}\n")
    }

    #[test]
    fn long_functions_are_found_but_not_in_tests() {
        assert!(findings("a.rs", &function_of(70)).is_empty());
        let found = findings("a.rs", &function_of(71));
        assert_eq!(found, ["a.rs:1: long has 71 lines; at most 70"]);
        assert!(findings("x/tests/a.rs", &function_of(71)).is_empty());
        let in_tests = format!("#[cfg(test)]\nmod tests {{}}\n{}", function_of(71));
        assert!(findings("a.rs", &in_tests).is_empty());
    }

    #[test]
    fn unsafe_needs_a_listed_file_and_a_reason() {
        let bare = format!("fn a() {{\n    {} {{ b() }}\n}}\n", "unsafe");
        let found = findings("net/a.rs", &bare);
        assert_eq!(found.len(), 2, "{found:?}");
        let reasoned = bare.replacen('\n', "\n    // SAFETY: b is fine.\n", 1);
        assert!(findings(UNSAFE_FILES[0], &reasoned).is_empty());
        assert_eq!(findings(UNSAFE_FILES[0], &bare).len(), 1);
    }

    #[test]
    fn left_overs_and_missing_essays_are_found() {
        let left_over = format!("fn a() {{\n    {}1);\n}}\n", LEFT_OVERS[0]);
        assert!(findings("a.rs", &left_over)[0].contains("left over"));
        assert!(findings("x/src/lib.rs", "mod a;\n")[0].contains("essay"));
        assert!(findings("x/src/lib.rs", "//! For a.\nmod a;\n").is_empty());
    }
}
