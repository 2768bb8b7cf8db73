//! A member's directory as its files have it, for whoever is not the member: to check, to show, to
//! copy. Nothing is changed.
//!
//! Which of a log's records count, and which of these are committed, a single record does not say.
//! An entry is void when a later record overwrites it or an installed checkpoint replaces it. It is
//! committed when some record says so, each saying what its node knew when it was made: of the last
//! entries nobody can tell from the log alone, and they are not judged.

mod copy;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro::open::read_history;
use giro::{CheckpointPlace, Progress};
use giro_base::{Buffer, BufferPool};
use giro_log::directory::read_identity_on;
use giro_log::storage::Storage;
use giro_log::{
    Identity, LogOptions, Mark, RecordHeader, Recovery, op_bytes, ops_of_valid_payload,
};
use giro_replication::{Change, Content, EntryKind, Hard, Members, StartError};
use giro_store::History;

use crate::error::NodeError;
use crate::found::{Survey, content_of};
use crate::life::{Life, NextRecord, mark_of};
use crate::mark::GroupMark;
use crate::options::ReplicaOptions;
use crate::places::Places;
use crate::transfer::install;

pub use self::{
    copy::{CopiedMember, CopyError, Executed, copy_member},
    verify::{VerifiedMember, VerifyStage},
};

/// Whether the directory's owner runs meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It does not: whoever reads holds the directory's lock.
    Stopped,
    /// It may.
    Running,
}

/// What a member's directory has.
pub struct MemberFiles {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    identity: Identity,
    options: ReplicaOptions,
    owner: Owner,
    /// Where the history is that counts.
    home: PathBuf,
    history: Option<History>,
    checkpoint: Option<(CheckpointPlace, GroupMark)>,
    standing: LogStanding,
    places: Places,
    /// Changes of membership in entries that count.
    changes: Vec<(u64, Change)>,
}

/// How far a member's log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStanding {
    /// The newest term it knows, whom it voted for in that, and the last entry that it knows to be
    /// committed: that of the checkpoint at least.
    pub hard: Hard,
    /// The oldest record that the log has, and the last one.
    pub records: (u64, u64),
    /// The oldest entry that counts and the last one; the last is below the first when there is
    /// none.
    pub entries: (u64, u64),
    /// Entries that the state of the checkpoint has.
    pub applied: u64,
    /// Records whose entry is void.
    pub void: u64,
}

/// What became of a record's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has none.
    None,
    /// It is committed: all members have it, or will.
    Committed,
    /// It counts, and this log does not know whether it is committed.
    Open,
    /// A later record put something else in its place.
    Void,
}

impl MemberFiles {
    /// Reads the log of the member in `dir`, all of it, and finds its history.
    ///
    /// # Errors
    /// When the log is damaged, or does not go on from the checkpoint, as
    /// [`Replica::open`](crate::Replica::open).
    pub fn read(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        options: &ReplicaOptions,
        owner: Owner,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, NodeError> {
        let identity = read_identity_on(&**storage, dir)?;
        let fetched = install::in_force(storage, dir, &identity, owner.next())?;
        let home = fetched.unwrap_or_else(|| dir.to_owned());
        let history = read_history(storage, &home, &identity)?;
        let place = history.as_ref().map(|h| CheckpointPlace::of(h.catalog()));
        let place = place.transpose()?.flatten();
        let checkpoint = place.map(|place| {
            let life = || Life::read(storage, dir, &identity, owner.next());
            let mark = mark_of(&place, options, life)?;
            Ok::<_, NodeError>((place, mark))
        });
        let mut files = Self {
            storage: Arc::clone(storage),
            dir: dir.to_owned(),
            identity,
            options: options.clone(),
            owner,
            home,
            history,
            checkpoint: checkpoint.transpose()?,
            standing: LogStanding::default(),
            places: Places::default(),
            changes: Vec::new(),
        };
        files.survey(progress)?;
        Ok(files)
    }

    fn survey(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), NodeError> {
        // Of the entries, only where they are is kept.
        let mut survey = Survey::new(u64::MAX);
        let (mut records, mut with_entry) = ((0, 0), 0);
        let mut changes: Vec<(u64, Change)> = Vec::new();
        self.each_record(progress, &mut |header, buffer| {
            let (hard, content) = content_of(header, buffer)?;
            match &content {
                Content::State | Content::Roll(_) => {}
                Content::Installed { .. } => changes.clear(),
                Content::Entry(entry) => {
                    with_entry += 1;
                    changes.retain(|(index, _)| *index < entry.index);
                    if entry.kind == EntryKind::Change {
                        changes.push((entry.index, entry.change()));
                    }
                }
            }
            records = (
                if records.0 == 0 {
                    header.index
                } else {
                    records.0
                },
                header.index,
            );
            Ok(survey.take(header.index, hard, content)?)
        })?;
        let (mut replay, places) = survey.finish();
        let mark = self.checkpoint.as_ref().map(|(_, mark)| mark);
        let (applied, term) = mark.map_or((0, 0), |mark| (mark.index, mark.term));
        replay.go_on_from(applied, term)?;
        let mut hard = replay.hard();
        hard.commit = hard.commit.max(applied);
        let entries = (places.first(), places.end() - 1);
        self.standing = LogStanding {
            hard,
            records,
            entries,
            applied,
            void: with_entry - (places.end() - places.first()),
        };
        (self.places, self.changes) = (places, changes);
        if let Some((place, _)) = &self.checkpoint {
            // The entry that the checkpoint was made in the middle of was being executed.
            let op = place.op;
            if self.last_op_of(applied + 1).is_some_and(|last| last >= op) {
                self.standing.hard.commit = self.standing.hard.commit.max(applied + 1);
            }
        }
        self.know_alone()
    }

    /// In a group that never had another member nobody else can decide: what is durable here is
    /// committed, up to the entry that adds one, that included.
    fn know_alone(&mut self) -> Result<(), NodeError> {
        // Ids are given from 1 on, and never twice.
        if self.members()?.id_max != 1 || self.options.node != 1 {
            return Ok(());
        }
        let commit = self.standing.hard.commit;
        let adds = |(index, change): &&(u64, Change)| {
            *index > commit && matches!(change, Change::AddLearner(_))
        };
        let added = self.changes.iter().find(adds);
        let last = added.map_or(self.standing.entries.1, |(index, _)| *index);
        self.standing.hard.commit = commit.max(last);
        Ok(())
    }

    /// The op that an entry ends with.
    fn last_op_of(&self, index: u64) -> Option<u64> {
        Some(self.places.get(index)?.last_op?.op)
    }

    /// The member says that it has executed this op: all up to it is committed, whatever the log
    /// knows.
    fn know_committed(&mut self, op: u64) {
        let (commit, last) = (self.standing.hard.commit, self.standing.entries.1);
        let known = (commit..=last).rev().find(|index| {
            let last_op = self.last_op_of(*index);
            last_op.is_some_and(|last| last <= op)
        });
        self.standing.hard.commit = commit.max(known.unwrap_or(0));
    }

    /// Goes through the log's records from the oldest on; the second time not beyond what was there
    /// the first time.
    fn each_record(
        &self,
        progress: &mut dyn FnMut(Progress),
        each: &mut dyn FnMut(&RecordHeader, &Buffer) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let ours = self.checkpoint.as_ref().filter(|(place, mark)| {
            place.group.is_empty() || mark.incarnation == self.options.incarnation
        });
        let options = LogOptions {
            first_index: Recovery::oldest_index(&self.storage, &self.dir, &self.identity)?,
            durable_index: ours.map_or(0, |(place, _)| place.record),
            ..LogOptions::default()
        };
        let storage = Arc::clone(&self.storage);
        let mut recovery = Recovery::open_on(storage, &self.dir, &self.identity, &options)?;
        let pool = BufferPool::new(1).map_err(|source| giro::Error::Memory {
            what: "a message buffer",
            source,
        })?;
        let mut buffer = pool.take().expect("a new pool has a buffer");
        let mut at = Progress {
            records: 0,
            ops: 0,
            bytes: 0,
            bytes_total: recovery.bytes_total(),
        };
        let (next, end) = (self.owner.next(), self.standing.records.1);
        while let Some(header) = next(&mut recovery, &mut buffer)? {
            if end != 0 && header.index > end {
                break;
            }
            each(&header, &buffer)?;
            at.records += 1;
            at.ops += u64::from(header.op_count);
            at.bytes += header.padded_bytes() as u64;
            progress(at);
        }
        Ok(())
    }

    /// How far the log has come.
    #[must_use]
    pub fn standing(&self) -> &LogStanding {
        &self.standing
    }

    /// The directory below which the history is: another one than the member's own while a fetched
    /// checkpoint waits for the next start to be put in its place.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// What the checkpoint says of the group; none without one.
    #[must_use]
    pub fn mark(&self) -> Option<&GroupMark> {
        self.checkpoint.as_ref().map(|(_, mark)| mark)
    }

    /// What became of what a record has.
    #[must_use]
    pub fn fate(&self, record: u64, content: &Content) -> Fate {
        match content {
            Content::State | Content::Roll(_) | Content::Installed { .. } => Fate::None,
            Content::Entry(entry) => self.fate_of(record, entry.index),
        }
    }

    fn fate_of(&self, record: u64, entry: u64) -> Fate {
        match self.places.get(entry) {
            Some(place) if place.record != record => Fate::Void,
            None => Fate::Void,
            Some(_) if entry <= self.standing.hard.commit => Fate::Committed,
            Some(_) => Fate::Open,
        }
    }

    /// The members behind the last entry that is known to be committed.
    ///
    /// # Errors
    /// When the log's changes cannot follow one another.
    pub fn members(&self) -> Result<Members, NodeError> {
        let first = self.mark().map(|mark| &mark.members);
        let mut members = first.unwrap_or(&self.options.members).clone();
        let behind = (self.standing.applied + 1)..=self.standing.hard.commit;
        for (index, change) in &self.changes {
            if behind.contains(index) {
                let after = members.after(change);
                let wrong = "a change of membership cannot follow the members before it";
                members = after.ok_or(StartError::Inconsistent(wrong))?;
            }
        }
        Ok(members)
    }
}

impl Owner {
    fn next(self) -> NextRecord {
        match self {
            Self::Stopped => Recovery::next,
            Self::Running => Recovery::next_of_running,
        }
    }
}

/// Kind and index of a record's entry, if it has one.
fn entry_of(header: &RecordHeader) -> Option<(u8, u64)> {
    let mark = header.mark;
    if mark == Mark::default() {
        return Some((EntryKind::Ops as u8, header.index));
    }
    EntryKind::from_number(mark.kind).map(|kind| (kind as u8, mark.entry))
}

/// The ops of a payload up to this number.
fn up_to(payload: &[u8], op: u64) -> &[u8] {
    let ops = ops_of_valid_payload(payload);
    let taken = ops.take_while(|(header, _)| header.op <= op);
    let bytes: usize = taken.map(|(_, body)| op_bytes(body.len())).sum();
    &payload[..bytes]
}
