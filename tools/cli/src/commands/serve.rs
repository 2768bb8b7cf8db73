//! Running a ledger behind its port, until a signal asks to stop.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use giro::Engine;
use giro_gateway::Gateway;
use giro_log::Identity;
use giro_node::{Replica, ReplicaOptions};
use giro_replication::{Members, NodeId};
use giro_server::{Address, Commander, ServedReplica, Server};

use super::cluster;
use super::stopping::StopSignals;
use crate::config::Config;
use crate::leave;
use crate::metrics::PortFigures;
use crate::places::Places;
use crate::show;

/// What to say when the port is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// The port, for programs.
    Port,
    /// What to try next, for people.
    Tour,
}

pub(crate) fn run(
    dir: &Path,
    mut config: Config,
    greeting: Greeting,
    signals: &StopSignals,
) -> anyhow::Result<()> {
    let identity = giro_log::read_identity(dir)?;
    config.server.cluster = identity.cluster;
    if identity.incarnation == 0 {
        run_alone(dir, &config, greeting, signals)?;
    } else {
        run_replica(dir, &config, &identity, greeting, signals)?;
    }
    tracing::info!("stopped; everything taken was executed and answered");
    Ok(())
}

/// A ledger that is alone.
fn run_alone(
    dir: &Path,
    config: &Config,
    greeting: Greeting,
    signals: &StopSignals,
) -> anyhow::Result<()> {
    if config.gate.is_some() {
        bail!(
            "reply_gate names replicas, and this ledger is alone: nobody could keep that promise"
        );
    }
    let address: Address = config
        .addresses
        .parse()
        .context("in the address to listen on (a ledger that is alone has one)")?;
    let mut bar = show::ReplayBar::new();
    let engine = Engine::open(dir, &config.ledger, &mut |progress| bar.show(progress))?;
    bar.finish();
    // Listen only now: a client that connects is served at once.
    let server = Server::bind(&address)?;
    let gateway = start_gateway(config, &server.address().to_string(), server.handle())?;
    signals.serve(server.handle(), gateway);
    greet(greeting, server.address(), &engine);
    server.serve(engine, &config.server)?;
    Ok(())
}

/// A replica of a group.
fn run_replica(
    dir: &Path,
    config: &Config,
    identity: &Identity,
    greeting: Greeting,
    signals: &StopSignals,
) -> anyhow::Result<()> {
    let places = Places::of(identity, &config.addresses, config.peers.as_deref())?;
    leave::refuse_if_noted(dir, identity)?;
    let options = replica_options(identity, config);
    let open = || {
        let mut bar = show::ReplayBar::new();
        let replica = Replica::open(dir, &options, &mut |progress| bar.show(progress));
        bar.finish();
        replica.map_err(|error| leave::explain(identity, error))
    };
    let mut replica = open()?;
    let mut server = Server::bind(&places.clients)?;
    let listener = Server::listen_for_peers(&places.peers)?;
    let handle = server.handle();
    let gateway = start_gateway(config, &config.addresses, server.handle())?;
    signals.serve(server.handle(), gateway);
    greet(greeting, server.address(), replica.engine());
    let mut orders: Option<Arc<Mutex<Commander>>> = None;
    loop {
        let pool = replica.engine().pool().clone();
        // Clients and peers that come while the directory is opened again wait for that.
        let (again, peers) = (server.try_clone()?, listener.try_clone()?);
        let names = places.names.clone();
        let (served, commander) = ServedReplica::new(replica, peers, names)?;
        match &orders {
            Some(orders) => *orders.lock().expect("nobody panics with it") = commander.clone(),
            None => {
                let slot = Arc::new(Mutex::new(commander.clone()));
                cluster::socket::listen(dir, Arc::clone(&slot))?;
                orders = Some(slot);
            }
        }
        tracing::info!(replica = identity.replica, peers = %places.peers, "in a group");
        let ran = server.run(served, &pool, &config.server);
        ran.map_err(|error| leave::explain_end(dir, identity, error))?;
        if !commander.is_superseded() || handle.is_stopping() {
            return Ok(());
        }
        tracing::info!("a checkpoint was fetched: opening the directory again");
        server = again;
        replica = open()?;
    }
}

/// What a replica is opened with.
pub(crate) fn replica_options(identity: &Identity, config: &Config) -> ReplicaOptions {
    // Whose names and incarnations they are is in the settings, and found out.
    let members = Members::first(identity.replica_count.into());
    let node = NodeId::from(identity.replica) + 1;
    let mut options = ReplicaOptions::new(node, identity.incarnation, members);
    options.engine = config.ledger.clone();
    options.kept_bytes = config.log_kept_bytes;
    options.gate.clone_from(&config.gate);
    options
}

/// Serves HTTP, where that is configured. The binary port listens already, so the gateway's
/// connection waits there until the server runs.
fn start_gateway(
    config: &Config,
    ledger: &str,
    port: giro_server::Handle,
) -> anyhow::Result<Option<Gateway>> {
    let Some(http) = &config.http else {
        return Ok(None);
    };
    let http: Address = http.parse().context("in the address of HTTP")?;
    let found = (http.host.as_str(), http.port).to_socket_addrs();
    let mut found = found.with_context(|| format!("cannot resolve `{}`", http.host))?;
    let http = found.next().context("the host of HTTP has no address")?;
    let options = giro_gateway::Options {
        cluster: config.server.cluster,
        shadow_ledgers: config.shadow_ledgers,
        ..giro_gateway::Options::default()
    };
    let gateway = Gateway::start(http, &ledger, options, vec![Box::new(PortFigures(port))])?;
    tracing::info!(address = %gateway.address(), "serving HTTP");
    Ok(Some(gateway))
}

fn greet(greeting: Greeting, address: SocketAddr, engine: &Engine) {
    let mut out = std::io::stdout().lock();
    let greeted = match greeting {
        Greeting::Port => writeln!(out, "{}", address.port()),
        Greeting::Tour => writeln!(out, "{}", tour(address)),
    };
    if let Err(error) = greeted.and_then(|()| out.flush()) {
        tracing::warn!(%error, "nobody reads standard output; the address is in this log");
    }
    let tables = engine.machine().tables();
    tracing::info!(
        %address,
        accounts = tables.accounts.len(),
        transfers = tables.window.end_row(),
        sessions = engine.sessions().len(),
        op = engine.commit_op(),
        "listening"
    );
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
