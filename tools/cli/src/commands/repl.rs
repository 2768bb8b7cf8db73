//! `giro repl`: statements for a running ledger, as users know them from `tigerbeetle repl`.
//!
//! Results are lines of JSON on standard output; everything else goes to standard error.

mod console;
mod execute;
mod fault;
pub(super) mod fields;
mod parse;
mod show;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use giro_client::{Client, ClientOptions};
use tokio::runtime::{Builder, Runtime};

use self::console::{Console, Input};
use self::parse::{Statement, parse};

/// Where to connect, and what to say.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The server's address.
    #[arg(
        long,
        env = "GIRO_ADDRESSES",
        value_name = "[HOST:]PORT",
        default_value = "3000"
    )]
    addresses: String,
    /// The cluster's id.
    #[arg(long, default_value_t = 0)]
    cluster: u128,
    /// How long to wait for a session, and for each answer, in milliseconds.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    deadline_ms: u64,
    /// Statements to run instead of asking for them.
    #[arg(long, value_name = "STATEMENTS")]
    command: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // The connection lives on a thread of its own, also while a person thinks.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the client's thread")?;
    let options = ClientOptions {
        cluster: arguments.cluster,
        deadline: Duration::from_millis(arguments.deadline_ms),
        ..ClientOptions::default()
    };
    let connecting = Client::connect(&arguments.addresses, options);
    let client = runtime.block_on(connecting).with_context(|| {
        let addresses = &arguments.addresses;
        format!(
            "cannot open a session at {addresses}; is `giro start` or `giro dev` running there?"
        )
    })?;
    let repl = Repl { runtime, client };
    match &arguments.command {
        Some(text) => repl.run_all(text),
        None => repl.talk(),
    }
}

struct Repl {
    runtime: Runtime,
    client: Client,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Statement,
    Exit,
}

impl Repl {
    /// Runs statements of a text; the first failure ends it.
    fn run_all(&self, text: &str) -> anyhow::Result<()> {
        self.run_text(text).map(drop)
    }

    /// Asks for statements until there are no more. A person may go on after a failure; a
    /// program's input ends there.
    fn talk(&self) -> anyhow::Result<()> {
        let mut console = Console::new()?;
        if console.is_terminal() {
            eprintln!("connected; `help` lists the statements, `exit` ends");
        }
        loop {
            let text = match console.read()? {
                Input::Statements(text) => text,
                Input::Nothing => continue,
                Input::End => return Ok(()),
            };
            match self.run_text(&text) {
                Ok(Next::Statement) => {}
                Ok(Next::Exit) => return Ok(()),
                Err(error) if console.is_terminal() => eprintln!("{error:#}"),
                Err(error) => return Err(error),
            }
        }
    }

    fn run_text(&self, text: &str) -> anyhow::Result<Next> {
        let statements = match parse(text) {
            Ok(statements) => statements,
            Err(fault) => bail!("{}", fault.in_text(text)),
        };
        for statement in statements {
            match statement {
                Statement::Exit => return Ok(Next::Exit),
                Statement::Help => print(&[parse::HELP.trim_end().to_owned()])?,
                Statement::Ask(request) => {
                    let asked = execute::execute(&self.client, request);
                    print(&self.runtime.block_on(asked)?)?;
                }
            }
        }
        Ok(Next::Statement)
    }
}

fn print(lines: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush().context("cannot write the results")
}
