//! `giro inspect`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use giro::open::take_lock;
use giro::{Engine, Operation};
use giro_base::BufferPool;
use giro_log::{OpHeader, Recovery, ops, read_identity};
use serde_json::{Value, json};

use crate::config::{Config, Flags};

/// What to show of which ledger.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The identity chosen when it was formatted.
    Identity(Target),
    /// The log's records and their operations.
    Log(Target),
    /// Sessions and their last replies.
    Sessions(Target),
}

#[derive(clap::Args)]
struct Target {
    #[command(flatten)]
    settings: Flags,
    /// Print JSON, a line for each thing.
    #[arg(long)]
    json: bool,
    /// The ledger's directory. It must not be running.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let shown = match &arguments.what {
        What::Identity(target) => identity(target),
        What::Log(target) => log(target),
        What::Sessions(target) => sessions(target),
    };
    // `giro inspect log | head` is no error.
    match shown {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        shown => shown,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn identity(target: &Target) -> anyhow::Result<()> {
    let identity = read_identity(&target.dir)?;
    print(
        target,
        &json!({
            "cluster": identity.cluster.to_string(),
            "replica": identity.replica,
            "replica_count": identity.replica_count,
            "segment_bytes": identity.segment_bytes,
        }),
    )
}

fn log(target: &Target) -> anyhow::Result<()> {
    let _lock = take_lock(&target.dir)?;
    let config = Config::load(&target.dir, &target.settings)?;
    let identity = read_identity(&target.dir)?;
    let mut recovery = Recovery::open(&target.dir, &identity, &config.ledger.log)?;
    let mut buffer = BufferPool::new(1)?
        .take()
        .context("a new pool has a buffer")?;
    loop {
        let place = recovery.place();
        let Some(record) = recovery.next(&mut buffer)? else {
            return Ok(());
        };
        print(
            target,
            &json!({
                "record": record.index, "term": record.term,
                "segment": place.segment, "offset": place.offset,
                "bytes": record.bytes, "ops": record.op_count, "first_op": record.first_op,
                "timestamp": record.timestamp, "checksum": format!("{:032x}", record.checksum),
            }),
        )?;
        for (header, _) in ops(&buffer) {
            print(target, &op(header))?;
        }
    }
}

fn op(header: &OpHeader) -> Value {
    let operation = Operation::try_from(header.operation);
    let name = operation.map_or_else(|_| header.operation.to_string(), |known| known.to_string());
    json!({
        "op": header.op, "operation": name, "timestamp": header.timestamp,
        "client": format!("{:032x}", header.client), "session": header.session,
        "request": header.request, "body_bytes": header.body_bytes,
    })
}

fn sessions(target: &Target) -> anyhow::Result<()> {
    let _lock = take_lock(&target.dir)?;
    let config = Config::load(&target.dir, &target.settings)?;
    let engine = replay(&target.dir, &config)?;
    let mut replies: Vec<_> = engine.sessions().iter().collect();
    replies.sort_by_key(|reply| reply.session);
    for reply in replies {
        print(
            target,
            &json!({
                "client": format!("{:032x}", reply.client), "session": reply.session,
                "request": reply.request, "op": reply.op, "timestamp": reply.timestamp,
                "operation": reply.operation.to_string(), "reply_bytes": reply.body.len(),
            }),
        )?;
    }
    Ok(())
}

fn replay(dir: &Path, config: &Config) -> anyhow::Result<Engine> {
    Ok(Engine::replay_only(dir, &config.ledger, &mut |_| {})?)
}

/// One thing on one line: as JSON, or as `name=value` words.
fn print(target: &Target, value: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if target.json {
        return Ok(writeln!(out, "{value}")?);
    }
    let fields = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        });
    let line = fields.collect::<Vec<_>>().join(" ");
    let indent = if value.get("op").is_some() && value.get("body_bytes").is_some() {
        "    "
    } else {
        ""
    };
    Ok(writeln!(out, "{indent}{line}")?)
}
