//! Stages with a running server.

use std::path::Path;

use anyhow::Context;

use crate::command::{cargo, command, output, root, run, scratch};
use crate::server::{self, Server};

/// The clients' programs and where they are installed.
const RUN: &str = "net/official/run.py";
const KILL: &str = "net/official/kill.py";

/// The official clients against a fresh ledger, which must be in order afterwards.
pub(crate) fn official(require_all: bool) -> anyhow::Result<()> {
    server::build()?;
    let dir = scratch("official")?;
    server::format(dir.path())?;
    let server = Server::start(dir.path())?;
    let mut clients = command("python3", [RUN, "--address", &server.address()]);
    if require_all {
        clients.arg("--require-all");
    }
    run(&mut clients)?;
    server.stop()?;
    run(command(server::binary(), ["verify"]).arg(dir.path()))
}

/// kill -9 under load; after each kill the ledger is verified and started again.
pub(crate) fn kill(rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    server::build()?;
    let dir = scratch("kill")?;
    let giro = server::binary();
    let giro = giro
        .to_str()
        .context("the target folder's name is no text")?;
    let mut trial = command("python3", [KILL]);
    // Its files belong on a disk that does O_DIRECT, which the system's temp folder may not.
    trial.env("TMPDIR", dir.path());
    trial.args(["--rounds", &rounds.to_string()]);
    if let Some(seed) = seed {
        trial.args(["--seed", &seed.to_string()]);
    }
    let format = format!("{giro} format --cluster=0 --replica=0 --replica-count=1 {{dir}}");
    // So few that generations are sealed, indexed and merged all the time, and checkpoints made.
    let start =
        format!("{giro} start --generation-rows=2000 --addresses=127.0.0.1:{{port}} {{dir}}");
    let verify = format!("{giro} verify {{dir}}");
    trial.args(["--format-cmd", &format]);
    trial.args(["--server-cmd", &start]);
    trial.args(["--check-cmd", &verify]);
    let result = run(&mut trial);
    if result.is_err() {
        println!("the ledger is kept in {}", dir.keep().display());
    }
    result
}

/// The examples, as the documents tell to run them.
pub(crate) fn examples() -> anyhow::Result<()> {
    let dir = scratch("examples")?;
    let ledger = dir.path().join("embedded");
    run(cargo("run --release --package giro --example embedded").arg(&ledger))?;
    // The client's example goes on with the ledger of the library's.
    let server = Server::start(&ledger)?;
    let mut pay = cargo("run --release --package giro-client --example pay");
    run(pay.arg(server.address()))?;
    server.stop()
}

/// README's commands and its first use, with a free port and a folder of their own.
pub(crate) fn readme() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    for line in ["cargo run --release -- dev", "cargo xtask ci"] {
        let there = readme.lines().any(|found| found.trim() == line);
        anyhow::ensure!(there, "README.md does not have the command `{line}`");
    }
    let dir = scratch("readme")?;
    let ledger = dir.path().join("giro-data");
    let mut dev = cargo("run --release -- dev --addresses=0");
    let server = Server::spawn(dev.arg(&ledger))?;
    let text = block(&readme, "python").context("README.md has no block of Python")?;
    first_use(dir.path(), &text, &server)?;
    // `cargo run` has become the server, so the signal reaches it.
    server.stop()?;
    run(command(server::binary(), ["verify"]).arg(&ledger))
}

/// Runs README's Python against this server, with the newest official client.
fn first_use(dir: &Path, text: &str, server: &Server) -> anyhow::Result<()> {
    let address = "127.0.0.1:3000";
    anyhow::ensure!(text.contains(address), "README's Python names {address}");
    let program = dir.join("first_use.py");
    std::fs::write(&program, text.replace(address, &server.address()))?;
    let find = "import run; print(run.python_environment(run.CACHE, run.CLIENTS[0][1]))";
    let mut python = command("python3", ["-c", find]);
    python.env("PYTHONPATH", root().join("net/official"));
    let python = output(python.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    run(command(python.trim(), [program.as_os_str()]).current_dir(dir))
}

/// The first block of this language in a document.
fn block(document: &str, language: &str) -> Option<String> {
    let start = format!("```{language}");
    let lines = document.lines().skip_while(|line| *line != start).skip(1);
    let block: Vec<_> = lines.take_while(|line| *line != "```").collect();
    (!block.is_empty()).then(|| block.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_of_a_language_is_found() {
        let document = "a\n```sh\nls\n```\n```python\nb\nc\n```\n```python\nd\n```\n";
        assert_eq!(block(document, "python").unwrap(), "b\nc\n");
        assert_eq!(block(document, "rust"), None);
    }
}
