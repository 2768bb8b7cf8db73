//! What is wrong with a text, and where.

use std::fmt::Write;

/// A place in a text and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte it begins at.
    pub(super) at: usize,
    /// What is wrong and what would be right.
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }

    /// The fault with its line and column, and the line with a mark below.
    pub(super) fn in_text(&self, text: &str) -> String {
        let at = self.at.min(text.len());
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line_number = before.matches('\n').count() + 1;
        let column = text[line_start..at].chars().count() + 1;
        let line = text[line_start..].lines().next().unwrap_or("");
        let mut shown = format!("line {line_number}, column {column}: {}\n", self.what);
        // Tabs stay tabs, so that the mark stands where the fault is.
        let indent: String = text[line_start..at]
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let _ = write!(shown, "  {line}\n  {indent}^");
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_below_the_fault() {
        let text = "lookup_accounts\n\tid=1, ix=2;";
        let fault = Fault::new(text.find("ix").unwrap(), "unknown field `ix`");
        let expected = "line 2, column 8: unknown field `ix`\n  \tid=1, ix=2;\n  \t      ^";
        assert_eq!(fault.in_text(text), expected);
    }

    #[test]
    fn the_end_of_a_text_is_a_place_too() {
        let shown = Fault::new(7, "more is expected").in_text("lookup ");
        assert!(shown.starts_with("line 1, column 8"), "{shown}");
    }
}
