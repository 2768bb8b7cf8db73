//! Requests that a program makes of the description that HTTP serves.

use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::Context;

use crate::command::{command, output, root, run, scratch, target_dir};
use crate::server::{self, Server};

/// The program, from Python's package index.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// Which checks it makes, how many requests, and why.
const SETTINGS: &str = "net/gateway/tests/schemathesis.toml";

/// Thousands of right and wrong requests to every route: none may end in an error of the server
/// that is not documented, and every answer has to be as described. Then the ledger is verified.
pub(crate) fn http() -> anyhow::Result<()> {
    server::build()?;
    let program = install()?;
    let dir = scratch("http")?;
    let ledger = dir.path().join("ledger");
    server::format(&ledger)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut start = command(server::binary(), ["start", "--addresses=0"]);
    start.arg(format!("--http=127.0.0.1:{port}")).arg(&ledger);
    // Every refused second phase is an error in its log, and there are many on purpose.
    let server = Server::spawn(start.env("RUST_LOG", "off"))?;
    let mut requests = command(program, ["--config-file"]);
    requests.arg(root().join(SETTINGS)).arg("run");
    // It leaves a folder where it runs.
    requests.current_dir(dir.path());
    requests.arg(format!("http://127.0.0.1:{port}/openapi.json"));
    let answered = run(&mut requests);
    server.stop()?;
    answered?;
    run(command(server::binary(), ["verify"]).arg(&ledger))
}

/// Installs the program once, and gives its path.
fn install() -> anyhow::Result<PathBuf> {
    let folder = target_dir().join("http");
    let program = folder.join("bin/schemathesis");
    let version = program.exists().then(|| {
        let asked = output(&mut command(&program, ["--version"]));
        asked.unwrap_or_default()
    });
    let (_, wanted) = SCHEMATHESIS.split_once("==").context("a version")?;
    if version.is_some_and(|version| version.trim().ends_with(wanted)) {
        return Ok(program);
    }
    run(command("python3", ["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = folder.join("bin/pip");
    run(&mut command(
        pip,
        [
            "install",
            "--quiet",
            "--disable-pip-version-check",
            SCHEMATHESIS,
        ],
    ))?;
    Ok(program)
}
