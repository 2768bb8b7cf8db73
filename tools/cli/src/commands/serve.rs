//! Running a ledger behind its port, until a signal asks to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use giro::Engine;
use giro_server::{Address, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::Config;
use crate::show;

/// What to say when the port is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// The port, for programs.
    Port,
    /// What to try next, for people.
    Tour,
}

pub(crate) fn run(dir: &Path, mut config: Config, greeting: Greeting) -> anyhow::Result<()> {
    let address: Address = config
        .addresses
        .parse()
        .context("in the address to listen on")?;
    let identity = giro_log::read_identity(dir)?;
    config.server.cluster = identity.cluster;
    raise_file_limit();
    let mut bar = show::ReplayBar::new();
    let engine = Engine::open(dir, &config.ledger, &mut |progress| bar.show(progress))?;
    bar.finish();
    // Listen only now: a client that connects is served at once.
    let server = Server::bind(&address)?;
    stop_on_signals(server.handle())?;
    greet(greeting, server.address(), &engine)?;
    server.serve(engine, &config.server)?;
    tracing::info!("stopped; everything taken was executed and answered");
    Ok(())
}

/// Files of the history stay open, two a generation, and a connection takes one: all that the
/// system allows may be used.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn greet(greeting: Greeting, address: SocketAddr, engine: &Engine) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match greeting {
        Greeting::Port => writeln!(out, "{}", address.port())?,
        Greeting::Tour => writeln!(out, "{}", tour(address))?,
    }
    out.flush()?;
    let tables = engine.machine().tables();
    tracing::info!(
        %address,
        accounts = tables.accounts.len(),
        transfers = tables.window.end_row(),
        sessions = engine.sessions().len(),
        op = engine.commit_op(),
        "listening"
    );
    Ok(())
}

fn tour(address: SocketAddr) -> String {
    format!(
        "listening on {address}

Try it with any TigerBeetle client, for example in Python (pip install tigerbeetle):

    import tigerbeetle as tb
    with tb.ClientSync(cluster_id=0, replica_addresses=\"{address}\") as client:
        client.create_accounts([tb.Account(id=id, ledger=1, code=1) for id in (1, 2)])
        client.create_transfers([tb.Transfer(
            id=1, debit_account_id=1, credit_account_id=2, amount=10, ledger=1, code=1)])
        print(client.lookup_accounts([1, 2]))

Then kill this process however you like, start it again, and look the accounts up once more.
Stop it with Ctrl-C."
    )
}

fn stop_on_signals(handle: giro_server::Handle) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    std::thread::Builder::new()
        .name("giro-signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                tracing::info!(signal, "stopping");
                handle.stop();
            }
        })?;
    Ok(())
}
