//! `giro inspect`.

mod log;
mod members;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use giro::open::take_lock;
use giro::{CheckpointPlace, Engine};
use giro_log::storage::{RealStorage, Storage};
use giro_log::{Identity, read_identity};
use giro_node::{MemberFiles, Owner};
use giro_store::checkpoint::format::PiecePart;
use giro_store::format::Part;
use giro_store::page::PAGE_BYTES;
use giro_store::{History, Names};
use serde_json::{Value, json};

use super::serve::replica_options;
use crate::config::{Config, Flags};
use crate::show;

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
    /// The log's records and their operations; of a member of a group also what they are to it.
    Log(Target),
    /// The members of the group, and how far this one's log has come.
    Members(Target),
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
        What::Log(target) => log::show(target),
        What::Members(target) => members::show(target),
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
            // One that is alone has none.
            "incarnation": (identity.incarnation != 0)
                .then(|| format!("{:016x}", identity.incarnation)),
        }),
    )
}

/// What the directory of a member of a group has.
fn member_files(target: &Target, identity: &Identity) -> anyhow::Result<MemberFiles> {
    let config = Config::load(&target.dir, &target.settings)?;
    let options = replica_options(identity, &config);
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let mut bar = show::SurveyBar::new();
    let read = MemberFiles::read(&storage, &target.dir, &options, Owner::Stopped, &mut |at| {
        bar.show(at);
    });
    bar.finish();
    Ok(read?)
}

fn sessions(target: &Target) -> anyhow::Result<()> {
    let _lock = take_lock(&target.dir)?;
    let engine = replay(target)?;
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
    let home = match identity.incarnation {
        0 => target.dir.clone(),
        _ => member_files(target, &identity)?.home().to_owned(),
    };
    if !Names::new(&home).checkpoints.exists() {
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
        &home,
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
    let mut shown = json!({
        "generation": whole.last(), "op": state.op, "timestamp": state.timestamp,
        "log_record": state.record, "transfers": state.rows_end,
        "accounts": state.slots_end, "digest": format!("{:032x}", state.digest),
    });
    if let Some(place) = CheckpointPlace::of(history.catalog())?
        && !place.group.is_empty()
    {
        shown["group"] = members::of_mark(&place.group);
    }
    print(target, &shown)
}

fn replay(target: &Target) -> anyhow::Result<Engine> {
    let identity = read_identity(&target.dir)?;
    if identity.incarnation != 0 {
        return Ok(member_files(target, &identity)?.replay(&mut |_| {})?);
    }
    let config = Config::load(&target.dir, &target.settings)?;
    let replayed = Engine::replay_only(&target.dir, &config.ledger, &mut |_| {});
    Ok(replayed?)
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
    let is_op = value.get("op").is_some() && value.get("body_bytes").is_some();
    let indent = if is_op || value.get("change").is_some() {
        "    "
    } else {
        ""
    };
    Ok(writeln!(out, "{indent}{line}")?)
}
