//! Where statements come from: a person at a terminal, with a line to edit and a history, or
//! standard input.

use std::io::{BufRead, IsTerminal, StdinLock};
use std::path::PathBuf;

use anyhow::Context;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

const PROMPT: &str = "giro> ";
const PROMPT_INSIDE: &str = "  ... ";
/// Statements remembered.
const HISTORY_MAX: usize = 1000;
/// Most bytes of statements without an end: more than the largest batch takes.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// A source of statements.
pub(super) enum Console {
    Terminal {
        editor: Box<DefaultEditor>,
        history: Option<PathBuf>,
    },
    Plain(StdinLock<'static>),
}

/// What came.
pub(super) enum Input {
    /// One or several whole statements.
    Statements(String),
    /// A line was given up.
    Nothing,
    End,
}

impl Console {
    pub(super) fn new() -> anyhow::Result<Self> {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if !is_terminal {
            return Ok(Self::Plain(std::io::stdin().lock()));
        }
        let config = rustyline::Config::builder()
            .max_history_size(HISTORY_MAX)
            .context("cannot keep a history")?
            .build();
        let mut editor = DefaultEditor::with_config(config).context("cannot use the terminal")?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let history = home.map(|home| home.join(".giro_history"));
        if let Some(path) = &history {
            // There is none at first.
            let _ = editor.load_history(path);
        }
        Ok(Self::Terminal {
            editor: Box::new(editor),
            history,
        })
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// Reads lines up to the end of a statement.
    pub(super) fn read(&mut self) -> anyhow::Result<Input> {
        let mut text = String::new();
        loop {
            let prompt = if text.is_empty() {
                PROMPT
            } else {
                PROMPT_INSIDE
            };
            let line = match self.line(prompt)? {
                Line::Text(line) => line,
                Line::GivenUp => return Ok(Input::Nothing),
                Line::End if text.trim().is_empty() => return Ok(Input::End),
                Line::End => break,
            };
            let is_blank = line.trim().is_empty();
            if is_blank && text.is_empty() {
                continue;
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
            // A program's statements may have empty lines in them.
            if (is_blank && self.is_terminal()) || is_complete(&text) {
                break;
            }
            anyhow::ensure!(
                text.len() <= TEXT_BYTES_MAX,
                "a statement of more than {TEXT_BYTES_MAX} bytes; is a `;` missing?"
            );
        }
        self.remember(&text);
        Ok(Input::Statements(text))
    }

    fn line(&mut self, prompt: &str) -> anyhow::Result<Line> {
        match self {
            Self::Terminal { editor, .. } => match editor.readline(prompt) {
                Ok(line) => Ok(Line::Text(line)),
                Err(ReadlineError::Interrupted) => Ok(Line::GivenUp),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(error) => Err(error).context("cannot read from the terminal"),
            },
            Self::Plain(input) => {
                let mut line = String::new();
                let bytes = input
                    .read_line(&mut line)
                    .context("cannot read statements")?;
                if bytes == 0 {
                    return Ok(Line::End);
                }
                let end = line.trim_end_matches(['\n', '\r']).len();
                line.truncate(end);
                Ok(Line::Text(line))
            }
        }
    }

    fn remember(&mut self, text: &str) {
        if let Self::Terminal { editor, history } = self {
            let one_line = text.lines().collect::<Vec<_>>().join(" ");
            // Without a place for it there is no history, and that is all.
            if editor.add_history_entry(one_line.trim()).is_ok()
                && let Some(path) = history
            {
                let _ = editor.save_history(path);
            }
        }
    }
}

enum Line {
    Text(String),
    GivenUp,
    End,
}

/// Whether nothing more needs to follow.
fn is_complete(text: &str) -> bool {
    let text = text.trim();
    text.ends_with(';') || matches!(text, "help" | "exit" | "quit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_goes_on_to_its_semicolon() {
        for (text, complete) in [
            ("lookup_accounts id=1;", true),
            ("lookup_accounts id=1; ", true),
            ("lookup_accounts id=1", false),
            ("lookup_accounts id=1,\n id=2", false),
            ("exit", true),
            (" help ", true),
        ] {
            assert_eq!(is_complete(text), complete, "{text}");
        }
    }
}
