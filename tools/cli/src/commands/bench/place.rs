//! Where a run runs; what was made for it is removed with it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context;
use giro::{Ledger, TccParticipant};
use giro_client::{Client, ClientOptions};
use giro_driver::target::{Postgres, Target};

use super::options::{RunArguments, TargetKind};
use super::postgres::PostgresServer;
use super::server::Server;

/// A target, with what it needs.
pub(super) struct Place {
    pub(super) target: Target,
    pub(super) name: String,
    // In this order: a server ends before its directory goes.
    _server: Option<Process>,
    scratch: Option<Scratch>,
}

/// A server that ends with its owner.
enum Process {
    Giro { _server: Server },
    Postgres { _server: PostgresServer },
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Scratch {
    /// A name for this process; the directory itself is made by who uses it.
    fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        let dir = &arguments.dir;
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self(dir.join(format!("bench-{}", std::process::id()))))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        // It is not there when its user could not even begin.
        if let Err(error) = removed.or_else(unless_missing) {
            eprintln!("giro: {} stays: {error}", self.0.display());
        }
    }
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

impl Place {
    pub(super) async fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        match (arguments.target(), &arguments.addresses) {
            (TargetKind::Library, _) => Self::library(arguments),
            (TargetKind::Postgres, _) => Self::postgres(arguments).await,
            (TargetKind::Giro, None) => {
                let scratch = Scratch::new(arguments)?;
                let server = Server::start(&scratch.0, arguments)?;
                Ok(Self {
                    target: connect(&server.address, arguments).await?,
                    name: "giro".into(),
                    _server: Some(Process::Giro { _server: server }),
                    scratch: Some(scratch),
                })
            }
            (TargetKind::Giro, Some(addresses)) => Ok(Self {
                target: connect(addresses, arguments).await?,
                name: format!("giro at {addresses}"),
                _server: None,
                scratch: None,
            }),
        }
    }

    fn library(arguments: &RunArguments) -> anyhow::Result<Self> {
        let scratch = Scratch::new(arguments)?;
        let settings = giro::Options {
            prefault_bytes: usize::try_from(arguments.prefault_mib << 20)?,
            ..giro::Options::default()
        };
        let ledger = Ledger::open(&scratch.0, settings)?;
        let tcc = TccParticipant::new(ledger.clone());
        Ok(Self {
            target: Target::Library(ledger, tcc),
            name: "giro, library".into(),
            _server: None,
            scratch: Some(scratch),
        })
    }

    async fn postgres(arguments: &RunArguments) -> anyhow::Result<Self> {
        let scratch = Scratch::new(arguments)?;
        let bin = arguments.postgres_bin.as_deref();
        let mut server = PostgresServer::start(&scratch.0, bin, arguments.in_flight).await?;
        let (config, deadline) = (server.config(), arguments.deadline());
        let postgres = Postgres::connect(&config, arguments.in_flight, deadline).await;
        let postgres = postgres.with_context(|| server.said())?;
        Ok(Self {
            target: Target::Postgres(postgres),
            name: server.version.clone(),
            _server: Some(Process::Postgres { _server: server }),
            scratch: Some(scratch),
        })
    }

    pub(super) fn dir(&self) -> Option<&Path> {
        self.scratch.as_ref().map(|scratch| scratch.0.as_path())
    }
}

async fn connect(addresses: &str, arguments: &RunArguments) -> anyhow::Result<Target> {
    let options = ClientOptions {
        cluster: arguments.cluster,
        sessions_max: arguments.in_flight,
        deadline: arguments.deadline(),
        ..ClientOptions::default()
    };
    let client = Client::connect(addresses, options).await;
    let client = client.with_context(|| format!("no Giro answers at {addresses}"))?;
    Ok(Target::Giro(client))
}
