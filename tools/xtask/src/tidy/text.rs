//! Lints on the text of any source file.

use super::{File, Finding};

/// Columns of a line of source.
const COLUMNS_MAX: usize = 100;
/// Lines of a source file.
const LINES_MAX: usize = 800;

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let is_source = [".rs", ".py", ".js", ".toml", ".sh"]
        .iter()
        .any(|ending| file.is(ending));
    if is_source {
        lines(file, findings);
        length(file, findings);
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') && !file.path.contains("corpus/") {
        findings.push(file.finding(0, "the last line has no end"));
    }
}

fn lines(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in file.lines() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            let what = format!("{columns} columns; at most {COLUMNS_MAX}");
            findings.push(file.finding(number, what));
        }
        if !line.is_ascii() {
            findings.push(file.finding(number, "a character outside ASCII: sources have none"));
        }
        if line.ends_with([' ', '\t']) {
            findings.push(file.finding(number, "blanks at the end of the line"));
        }
    }
}

fn length(file: &File, findings: &mut Vec<Finding>) {
    let count = file.text.lines().count();
    if count > LINES_MAX {
        let what = format!("{count} lines; at most {LINES_MAX}: split it by concept");
        findings.push(file.finding(0, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let file = File {
            path: "a.rs".into(),
            text: text.into(),
        };
        check(&file, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_clean_file_has_no_findings() {
        assert!(findings("fn a() {}\n").is_empty());
        assert!(findings("").is_empty());
    }

    #[test]
    fn long_lines_and_files_are_found() {
        let line = format!("{}\n", "x".repeat(101));
        assert_eq!(findings(&line), ["a.rs:1: 101 columns; at most 100"]);
        assert!(findings(&format!("{}\n", "x".repeat(100))).is_empty());
        let file = "\n".repeat(801);
        assert!(findings(&file)[0].starts_with("a.rs: 801 lines"));
    }

    #[test]
    fn other_alphabets_and_stray_blanks_are_found() {
        assert!(findings("// caf\u{e9}\n")[0].contains("ASCII"));
        assert!(findings("a \n")[0].contains("blanks"));
        assert!(findings("a")[0].contains("last line"));
    }
}
