//! `giro repl` at a terminal: editing, history, giving up, leaving, and going on after errors.

mod support;

use std::path::Path;

use support::server::Server;
use support::terminal::{BACKSPACE, CTRL_C, CTRL_D, ENTER, HOME, LEFT, Terminal, UP};
use support::{folder, format, giro};

const PROMPT: &str = "giro> ";
const PROMPT_INSIDE: &str = "  ... ";

/// A running ledger with the accounts 1 to 3, and a home for the history.
struct Desk {
    server: Server,
    _dir: tempfile::TempDir,
    home: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = folder();
        format(dir.path());
        let server = Server::start(dir.path());
        let desk = Self {
            server,
            _dir: dir,
            home: folder(),
        };
        let accounts = "--command=create_accounts id=1 code=1 ledger=1, id=2 code=2 ledger=1,
                        id=3 code=3 ledger=1;";
        let created = giro(&["repl", &desk.address(), accounts]).output().unwrap();
        assert!(created.status.success(), "{created:?}");
        desk
    }

    fn address(&self) -> String {
        format!("--addresses=127.0.0.1:{}", self.server.port())
    }

    /// Sits down; the prompt is there.
    fn sit_down(&self) -> Terminal {
        let mut terminal = Terminal::start(giro(&["repl", &self.address()]), self.home.path());
        terminal.until("connected; `help` lists the statements");
        terminal.until(PROMPT);
        terminal
    }
}

/// What a look-up shows of an account; never part of what is typed.
fn row(id: u32) -> String {
    format!("\"id\":\"{id}\"")
}

/// Leaves with an empty line's Ctrl-D.
fn leave(mut terminal: Terminal) {
    terminal.press(&[CTRL_D]);
    let (status, rest) = terminal.ended();
    assert!(status.success(), "{status}: {rest:?}");
}

#[test]
fn a_line_is_edited_before_it_is_sent() {
    let desk = Desk::new();
    let mut terminal = desk.sit_down();
    terminal.press(&["lookup_accounts id=3;", LEFT, BACKSPACE, "2", ENTER]);
    let before = terminal.until(&row(2));
    assert!(!before.contains(&row(3)), "{before:?}");
    terminal.until(PROMPT);
    terminal.press(&["ookup_accounts id=3;", HOME, "l", ENTER]);
    terminal.until(&row(3));
    terminal.until(PROMPT);
    leave(terminal);
}

#[test]
fn arrow_up_recalls_statements_of_this_and_of_earlier_sessions() {
    let desk = Desk::new();
    let mut terminal = desk.sit_down();
    // A statement of two lines is recalled as one.
    terminal.press(&["lookup_accounts", ENTER]);
    terminal.until(PROMPT_INSIDE);
    terminal.press(&["id=1;", ENTER]);
    terminal.until(&row(1));
    terminal.until(PROMPT);
    terminal.press(&["lookup_accounts id=2;", ENTER]);
    terminal.until(&row(2));
    terminal.until(PROMPT);
    terminal.press(&[UP]);
    terminal.until("lookup_accounts id=2;");
    terminal.press(&[UP]);
    terminal.until("lookup_accounts id=1;");
    terminal.press(&[ENTER]);
    terminal.until(&row(1));
    terminal.until(PROMPT);
    leave(terminal);
    assert!(history(desk.home.path()).contains("lookup_accounts id=2;"));

    let mut terminal = desk.sit_down();
    terminal.press(&[UP, UP]);
    terminal.until("lookup_accounts id=2;");
    terminal.press(&[LEFT, BACKSPACE, "3", ENTER]);
    terminal.until(&row(3));
    terminal.until(PROMPT);
    leave(terminal);
}

fn history(home: &Path) -> String {
    std::fs::read_to_string(home.join(".giro_history")).unwrap()
}

#[test]
fn ctrl_c_gives_up_what_was_typed_and_nothing_else() {
    let desk = Desk::new();
    let mut terminal = desk.sit_down();
    terminal.press(&["lookup_accounts id=1;", CTRL_C]);
    terminal.until("lookup_accounts id=1;");
    let between = terminal.until(PROMPT);
    assert!(!between.contains(&row(1)), "it was not sent: {between:?}");
    // Also in the middle of a statement of several lines.
    terminal.press(&["lookup_accounts", ENTER]);
    terminal.until(PROMPT_INSIDE);
    terminal.press(&["id=2,", ENTER]);
    terminal.until(PROMPT_INSIDE);
    terminal.press(&[CTRL_C]);
    terminal.until(PROMPT);
    terminal.press(&["lookup_accounts id=3;", ENTER]);
    let before = terminal.until(&row(3));
    assert!(!before.contains(&row(2)), "{before:?}");
    terminal.until(PROMPT);
    leave(terminal);
    let history = history(desk.home.path());
    assert!(!history.contains("id=1") && history.contains("id=3"));
}

#[test]
fn ctrl_d_and_exit_leave_with_success() {
    let desk = Desk::new();
    leave(desk.sit_down());
    let mut terminal = desk.sit_down();
    terminal.press(&["exit", ENTER]);
    let (status, rest) = terminal.ended();
    assert!(status.success(), "{status}: {rest:?}");
    // In a line that is not empty it leaves nothing: it deletes, and there is nothing to delete.
    let mut terminal = desk.sit_down();
    terminal.press(&["lookup_accounts id=2;", CTRL_D, ENTER]);
    terminal.until(&row(2));
    terminal.until(PROMPT);
    leave(terminal);
}

#[test]
fn an_error_is_shown_and_the_session_goes_on() {
    let desk = Desk::new();
    let mut terminal = desk.sit_down();
    for (statement, fault) in [
        ("lookup_accounts id=x;", "`x`"),
        ("look_up_accounts id=1;", "`look_up_accounts`"),
    ] {
        terminal.press(&[statement, ENTER]);
        terminal.until(fault);
        terminal.until(PROMPT);
    }
    terminal.press(&["lookup_accounts id=1;", ENTER]);
    terminal.until(&row(1));
    terminal.until(PROMPT);
    // What was wrong can be recalled and put right.
    terminal.press(&[UP, UP, UP]);
    terminal.until("lookup_accounts id=x;");
    terminal.press(&[LEFT, BACKSPACE, "2", ENTER]);
    terminal.until(&row(2));
    terminal.until(PROMPT);
    leave(terminal);
}
