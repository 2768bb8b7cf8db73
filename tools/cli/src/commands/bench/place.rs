//! Where a run runs; what was made for it is removed with it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use giro::Ledger;
use giro_client::{Client, ClientOptions};
use giro_driver::target::{Http, Library, Postgres, Target, TigerBeetle};

use super::options::{RunArguments, TargetKind};
use super::postgres::PostgresServer;
use super::process::Scratch;
use super::server::Server;
use super::tigerbeetle::TigerBeetleServer;

/// A target, with what it needs.
pub(super) struct Place {
    pub(super) target: Target,
    pub(super) name: String,
    // In this order: a server ends before its directory goes.
    server: Option<Started>,
    scratch: Option<Scratch>,
}

/// A server that ends with its owner.
enum Started {
    Giro(Arc<Mutex<Server>>),
    TigerBeetle { _server: TigerBeetleServer },
    Postgres { _server: PostgresServer },
}

/// A directory that only this process uses.
fn scratch(arguments: &RunArguments) -> anyhow::Result<Scratch> {
    let dir = &arguments.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(Scratch::new(
        dir.join(format!("bench-{}", std::process::id())),
    ))
}

impl Place {
    pub(super) async fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        match (arguments.target(), &arguments.addresses) {
            (TargetKind::Library, _) => Self::library(arguments),
            (TargetKind::Postgres, _) => Self::postgres(arguments).await,
            (TargetKind::TigerBeetle, None) => Self::tigerbeetle(arguments),
            (kind, None) => Self::started(arguments, kind).await,
            (kind, Some(addresses)) => Ok(Self {
                target: connect(kind, addresses, arguments).await?,
                name: format!("{} at {addresses}", kind.name()),
                server: None,
                scratch: None,
            }),
        }
    }

    async fn started(arguments: &RunArguments, kind: TargetKind) -> anyhow::Result<Self> {
        let scratch = scratch(arguments)?;
        let server = Server::start(scratch.path(), arguments, kind == TargetKind::Http)?;
        let address = server.http.as_ref().unwrap_or(&server.addresses);
        let target = connect(kind, address, arguments).await?;
        let name = match arguments.replicas {
            1 => kind.name(),
            count => format!("{}, {count} replicas", kind.name()),
        };
        Ok(Self {
            target,
            name,
            server: Some(Started::Giro(Arc::new(Mutex::new(server)))),
            scratch: Some(scratch),
        })
    }

    fn tigerbeetle(arguments: &RunArguments) -> anyhow::Result<Self> {
        let scratch = scratch(arguments)?;
        let binary = arguments.tigerbeetle.as_deref();
        let server = TigerBeetleServer::start(scratch.path(), binary, arguments.cluster)?;
        let target =
            TigerBeetle::connect(arguments.cluster, &server.address, arguments.deadline())?;
        Ok(Self {
            target: Target::TigerBeetle(target),
            name: server.version.clone(),
            server: Some(Started::TigerBeetle { _server: server }),
            scratch: Some(scratch),
        })
    }

    /// The server that was started, if it is Giro's.
    pub(super) fn server(&self) -> Option<Arc<Mutex<Server>>> {
        match &self.server {
            Some(Started::Giro(server)) => Some(Arc::clone(server)),
            _ => None,
        }
    }

    fn library(arguments: &RunArguments) -> anyhow::Result<Self> {
        let scratch = scratch(arguments)?;
        let settings = giro::Options {
            prefault_bytes: usize::try_from(arguments.prefault_mib << 20)?,
            ..giro::Options::default()
        };
        let ledger = Ledger::open(scratch.path(), settings)?;
        Ok(Self {
            target: Target::Library(Library::new(ledger)),
            name: "giro, library".into(),
            server: None,
            scratch: Some(scratch),
        })
    }

    async fn postgres(arguments: &RunArguments) -> anyhow::Result<Self> {
        let scratch = scratch(arguments)?;
        let bin = arguments.postgres_bin.as_deref();
        let mut server = PostgresServer::start(scratch.path(), bin, arguments.in_flight).await?;
        let (config, deadline) = (server.config(), arguments.deadline());
        let (connections, reads) = (arguments.in_flight, arguments.reads() > 0.0);
        let postgres = Postgres::connect(&config, connections, deadline, reads).await;
        let postgres = postgres.with_context(|| server.said())?;
        Ok(Self {
            target: Target::Postgres(postgres),
            name: server.version.clone(),
            server: Some(Started::Postgres { _server: server }),
            scratch: Some(scratch),
        })
    }

    pub(super) fn dir(&self) -> Option<&Path> {
        self.scratch.as_ref().map(Scratch::path)
    }
}

async fn connect(
    kind: TargetKind,
    addresses: &str,
    arguments: &RunArguments,
) -> anyhow::Result<Target> {
    let deadline = arguments.deadline();
    match kind {
        TargetKind::Http => {
            let http = Http::connect(addresses, deadline).await;
            let http = http.with_context(|| format!("no Giro answers HTTP at {addresses}"))?;
            Ok(Target::Http(http))
        }
        TargetKind::TigerBeetle => {
            let client = TigerBeetle::connect(arguments.cluster, addresses, deadline);
            let client = client.with_context(|| format!("the addresses {addresses}"))?;
            Ok(Target::TigerBeetle(client))
        }
        _ => {
            let options = ClientOptions {
                cluster: arguments.cluster,
                sessions_max: arguments.in_flight,
                deadline,
                ..ClientOptions::default()
            };
            let client = Client::connect(addresses, options).await;
            let client = client.with_context(|| format!("no Giro answers at {addresses}"))?;
            Ok(Target::Giro(client))
        }
    }
}
