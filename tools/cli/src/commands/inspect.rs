//! `giro inspect`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Subcommand;
use giro::open::take_lock;
use giro::{Engine, Operation};
use giro_base::BufferPool;
use giro_log::storage::{RealStorage, Storage};
use giro_log::{LogOptions, OpHeader, Recovery, ops, read_identity};
use giro_store::checkpoint::format::PiecePart;
use giro_store::format::Part;
use giro_store::page::PAGE_BYTES;
use giro_store::{History, Names};
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
    /// The history's segments, id runs and checkpoint pieces, with sizes and ratios.
    History(Target),
    /// The checkpoint: the state that opening begins with.
    Checkpoint(Target),
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
        What::History(target) => history(target),
        What::Checkpoint(target) => checkpoint(target),
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
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let options = LogOptions {
        first_index: Recovery::oldest_index(&storage, &target.dir, &identity)?,
        ..config.ledger.log
    };
    let mut recovery = Recovery::open(&target.dir, &identity, &options)?;
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

/// The history, opened for reading; an error where there is none.
fn open_history(target: &Target) -> anyhow::Result<History> {
    let identity = read_identity(&target.dir)?;
    if !Names::new(&target.dir).checkpoints.exists() {
        bail!(
            "{} has no history: its ledger keeps all in memory",
            target.dir.display()
        );
    }
    let whose = giro_store::Identity {
        cluster: identity.cluster,
        hash_key: identity.hash_key,
    };
    Ok(History::open_read_only(
        Arc::new(RealStorage),
        &target.dir,
        whose,
    )?)
}

fn history(target: &Target) -> anyhow::Result<()> {
    let _lock = take_lock(&target.dir)?;
    let history = open_history(target)?;
    let catalog = history.catalog();
    let bytes = |pages: u64| pages * PAGE_BYTES as u64;
    let mut total = 0;
    for segment in &catalog.segments {
        let header = segment.header();
        let size = bytes(header.pages);
        total += size;
        let of = |part: Part| header.sections[part as usize];
        let fields = [
            Part::UserData128,
            Part::UserData64,
            Part::UserData32,
            Part::Code,
            Part::Ledger,
        ];
        let by_field: u64 = fields.map(|part| bytes(of(part).pages)).iter().sum();
        print(
            target,
            &json!({
                "segment": segment.number(), "first_row": segment.first_row(),
                "transfers": segment.rows(), "expiries": of(Part::Expiries).count,
                "accounts": of(Part::Accounts).count,
                "first_timestamp": header.event_first, "last_timestamp": header.event_last,
                "bytes": size, "bytes_rows": bytes(of(Part::Rows).pages),
                "bytes_by_account": bytes(of(Part::Accounts).pages + of(Part::Postings).pages
                    + of(Part::Snapshots).pages + of(Part::Sides).pages),
                "bytes_by_field": by_field,
                "bytes_a_transfer": ratio(size, segment.rows().into()),
            }),
        )?;
    }
    for run in &catalog.runs {
        let size = bytes(run.file().pages());
        total += size;
        print(
            target,
            &json!({
                "id_run": run.first(), "to": run.last(), "level": run.level(),
                "ids": run.entries(), "burned": run.burned().count, "bytes": size,
                "bytes_an_id": ratio(size, run.entries()),
            }),
        )?;
    }
    for piece in &catalog.pieces {
        let size = bytes(piece.pages());
        total += size;
        let count = |part| piece.section(part).count;
        print(
            target,
            &json!({
                "piece": piece.first(), "to": piece.last(), "op": piece.state().op,
                "accounts": count(PiecePart::Accounts), "changes": count(PiecePart::Changes),
                "opened": count(PiecePart::Opened), "closed": count(PiecePart::Closed),
                "sessions": count(PiecePart::Sessions), "bytes": size,
            }),
        )?;
    }
    print(
        target,
        &json!({
            "total": "history", "generations": catalog.generations(),
            "transfers": catalog.end_row(), "bytes": total,
            "bytes_a_transfer": ratio(total, catalog.end_row()),
        }),
    )
}

/// To a tenth; none of nothing.
fn ratio(bytes: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| (bytes as f64 / count as f64 * 10.0).round() / 10.0)
}

fn checkpoint(target: &Target) -> anyhow::Result<()> {
    let _lock = take_lock(&target.dir)?;
    let history = open_history(target)?;
    let Some(whole) = history.catalog().checkpoint() else {
        bail!("{} has no checkpoint yet", target.dir.display());
    };
    let state = whole.state();
    print(
        target,
        &json!({
            "generation": whole.last(), "op": state.op, "timestamp": state.timestamp,
            "log_record": state.record, "transfers": state.rows_end,
            "accounts": state.slots_end, "digest": format!("{:032x}", state.digest),
        }),
    )
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
