//! `giro inspect log`.

use std::sync::Arc;

use anyhow::Context;
use giro::Operation;
use giro::open::take_lock;
use giro_base::{Buffer, BufferPool};
use giro_log::storage::{RealStorage, Storage};
use giro_log::{LogOptions, OpHeader, RecordHeader, Recovery, ops, read_identity};
use giro_node::{Fate, MemberFiles, content_of};
use giro_replication::{Change, Content, EntryKind};
use serde_json::{Value, json};

use super::{Target, member_files, print};
use crate::commands::members::replica_of;
use crate::config::Config;

/// Prints the log's records and their operations.
pub(super) fn show(target: &Target) -> anyhow::Result<()> {
    let _lock = take_lock(&target.dir)?;
    let config = Config::load(&target.dir, &target.settings)?;
    let identity = read_identity(&target.dir)?;
    let is_member = identity.incarnation != 0;
    // Of a damaged log the records before the damage are shown, without what became of them.
    let files = is_member.then(|| member_files(target, &identity).ok());
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
        let mut shown = json!({
            "record": record.index, "term": record.term,
            "segment": place.segment, "offset": place.offset,
            "bytes": record.bytes, "ops": record.op_count, "first_op": record.first_op,
            "timestamp": record.timestamp, "checksum": format!("{:032x}", record.checksum),
        });
        let mut change = None;
        if let Some(files) = &files {
            change = add_mark(&mut shown, &record, &buffer, files.as_ref())?;
        }
        print(target, &shown)?;
        match change {
            Some(change) => print(target, &change)?,
            None => {
                for (header, _) in ops(&buffer) {
                    print(target, &op(header))?;
                }
            }
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

/// Adds what the record is to the group. Its change of membership, or the roll of the first
/// replicas, is a line of its own.
fn add_mark(
    shown: &mut Value,
    record: &RecordHeader,
    buffer: &Buffer,
    files: Option<&MemberFiles>,
) -> anyhow::Result<Option<Value>> {
    let (hard, content) = content_of(record, buffer)?;
    let (kind, entry, entry_term) = match &content {
        Content::State => ("no_entry", 0, 0),
        Content::Roll(_) => ("roll", 0, 0),
        Content::Installed { index, term } => ("checkpoint_installed", *index, *term),
        Content::Entry(entry) => {
            let kind = match entry.kind {
                EntryKind::Ops => "ops",
                EntryKind::Empty => "no_ops",
                EntryKind::Change => "change",
            };
            (kind, entry.index, entry.term)
        }
    };
    shown["kind"] = kind.into();
    shown["entry"] = entry.into();
    shown["entry_term"] = entry_term.into();
    shown["vote"] = replica_of(hard.vote).into();
    shown["commit"] = hard.commit.into();
    if let Some(files) = files {
        shown["fate"] = match files.fate(record.index, &content) {
            Fate::None => Value::Null,
            Fate::Committed => "committed".into(),
            Fate::Open => "open".into(),
            Fate::Void => "void".into(),
        };
    }
    Ok(match &content {
        Content::Entry(entry) if entry.kind == EntryKind::Change => {
            Some(show_change(&entry.change()))
        }
        Content::Roll(roll) => Some(json!({
            "incarnations": roll.iter().map(|each| format!("{each:016x}")).collect::<Vec<_>>(),
        })),
        _ => None,
    })
}

fn show_change(change: &Change) -> Value {
    let n = |id: u64| replica_of(id);
    match change {
        Change::Leave => json!({"change": "joint_change_ends"}),
        Change::AddLearner(member) => json!({
            "change": "add_learner", "replica": n(member.id), "peer": member.name,
        }),
        Change::Promote(id) => json!({"change": "promote", "replica": n(*id)}),
        Change::Replace { promote, remove } => json!({
            "change": "replace", "replica": n(*promote), "lost": n(*remove),
        }),
        Change::Remove(id) => json!({"change": "remove", "replica": n(*id)}),
        Change::Bind {
            id, incarnation, ..
        } => json!({
            "change": "incarnation_known", "replica": n(*id),
            "incarnation": format!("{incarnation:016x}"),
        }),
    }
}
