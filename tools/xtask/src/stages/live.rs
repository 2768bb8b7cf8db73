//! Stages with a running server.

use std::net::TcpListener;
use std::path::Path;

use anyhow::Context;

use crate::command::{cargo, command, output, root, run, scratch};
use crate::group::Group;
use crate::server::{self, Server};

/// The clients' programs and where they are installed.
const RUN: &str = "net/official/run.py";
const KILL: &str = "net/official/kill.py";
const SIEGE: &str = "net/official/siege.py";

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
    run(command(server::binary(), ["verify"]).arg(dir.path()))?;
    official_group(require_all)
}

/// The newest official clients against a group of three replicas, whose leader hands over in the
/// middle.
fn official_group(require_all: bool) -> anyhow::Result<()> {
    let dir = scratch("official-group")?;
    let addresses = free_ports()?;
    let group = Group::start(dir.path(), &addresses)?;
    for kind in ["python", "node"] {
        let mut clients = command("python3", [RUN, "--address", &addresses, "--only", kind]);
        clients.args(["--suite", "core"]);
        if require_all {
            clients.arg("--require-all");
        }
        run(&mut clients)?;
        group.hand_over()?;
    }
    group.stop()
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

/// A group of three under all kinds of faults, with official clients and an audit.
pub(crate) fn siege(kills: u32, seed: Option<u64>, require_namespaces: bool) -> anyhow::Result<()> {
    server::build()?;
    let dir = scratch("siege")?;
    let mut trial = command("python3", [SIEGE, "--giro"]);
    trial.arg(server::binary());
    trial.env("TMPDIR", dir.path());
    trial.args(["--kills", &kills.to_string()]);
    if let Some(seed) = seed {
        trial.args(["--seed", &seed.to_string()]);
    }
    if require_namespaces {
        trial.arg("--require-namespaces");
    }
    let result = run(&mut trial);
    if result.is_err() {
        println!("ledgers and logs are kept in {}", dir.keep().display());
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
    run(command(server::binary(), ["verify"]).arg(&ledger))?;
    with_curl(dir.path(), &readme)?;
    three_nodes(dir.path(), &readme)
}

/// Runs README's lines with curl on free ports.
fn with_curl(dir: &Path, readme: &str) -> anyhow::Result<()> {
    let free = free_ports()?;
    let ports: Vec<&str> = free.split(',').collect();
    let ours = [("3004", ports[0]), ("8080", ports[1])];
    let said = section(dir, readme, "## With curl", &ours)?;
    for part in [
        "[{\"status\":\"created\"",
        "\"credits_posted\":\"500\"",
        "\"gid\":\"order-7\",\"branch_id\":\"pay\",\"tried_at\"",
        "\"state\":\"confirmed\"",
        "giro_http_requests_total",
        "giro_server_ledger_op",
    ] {
        anyhow::ensure!(said.contains(part), "curl does not say {part}: {said}");
    }
    Ok(())
}

/// Runs README's group of three on free ports, and ends it.
fn three_nodes(dir: &Path, readme: &str) -> anyhow::Result<()> {
    let ours = [("3001,3002,3003", &*free_ports()?)];
    let said = section(dir, readme, "## Three nodes on your laptop", &ours)?;
    for part in ["leader", "voter", "\"status\":\"created\"", "\"id\":\"1\""] {
        anyhow::ensure!(
            said.contains(part),
            "the group of three does not say {part}: {said}"
        );
    }
    Ok(())
}

/// Runs a section's commands, which build first, with other ports, and gives what they say. What
/// they start ends with them.
fn section(
    dir: &Path,
    readme: &str,
    title: &str,
    ports: &[(&str, &str)],
) -> anyhow::Result<String> {
    let (_, section) = readme
        .split_once(title)
        .with_context(|| format!("README.md has no section {title}"))?;
    let text = block(section, "sh").with_context(|| format!("{title} has no commands"))?;
    let (build, commands) = text.split_once('\n').context("it builds first")?;
    anyhow::ensure!(build.starts_with("cargo build --release"), "{build}");
    let mut commands = commands.to_owned();
    for (theirs, free) in ports {
        anyhow::ensure!(commands.contains(theirs), "{title} has ports {theirs}");
        commands = commands.replace(theirs, free);
    }
    let program = dir.join("section.sh");
    std::fs::write(
        &program,
        format!("set -eu\ntrap 'kill $(jobs -p)' EXIT\n{commands}"),
    )?;
    let binaries = server::binary();
    let binaries = binaries.parent().context("the binary is in a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = command("bash", [program.as_os_str()]);
    bash.current_dir(dir);
    bash.env("PATH", format!("{}:{path}", binaries.display()));
    output(&mut bash)
}

/// Three ports that are free, and so are those a thousand above.
fn free_ports() -> anyhow::Result<String> {
    for first in (20_001..30_000).step_by(10) {
        let all = (first..first + 3).flat_map(|port| [port, port + 1000]);
        let taken: Result<Vec<_>, _> = all
            .map(|port| TcpListener::bind(("127.0.0.1", port)))
            .collect();
        if taken.is_ok() {
            return Ok(format!("{first},{},{}", first + 1, first + 2));
        }
    }
    anyhow::bail!("no six ports are free")
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
