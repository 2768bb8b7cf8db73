//! Copying a member's directory, running or not, to a ledger that is alone.
//!
//! A copy must never take part in the group: what the member promised behind it would be forgotten.
//! So nothing in it says who the member was. The history is copied as it is; the log is written
//! anew, as a ledger alone writes it, with the committed ops behind the checkpoint and nothing
//! else.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use giro::backup::{BackupError, Copied, Stage, Target};
use giro::{Digest, Engine, Progress};
use giro_base::limits::RECORD_HEADER_BYTES;
use giro_base::{Buffer, BufferPool};
use giro_log::directory::read_identity_on;
use giro_log::storage::Storage;
use giro_log::{
    Identity, LogWriter, NewRecord, RecordHeader, ops_of_valid_payload, write_identity,
};
use giro_replication::EntryKind;

use super::{Fate, MemberFiles, Owner, entry_of, up_to};
use crate::error::NodeError;
use crate::options::ReplicaOptions;

/// Where a member that runs says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The last op that it has executed.
    pub op: u64,
    /// Its state behind that.
    pub digest: Digest,
}

/// Why a member's directory cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The directory to copy to, or the copy.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The member's directory.
    #[error(transparent)]
    Member(#[from] NodeError),
    /// The member runs and does not say where it is.
    #[error("the replica that runs there does not answer: try again, or stop it first")]
    Silent,
    /// The copy came to another state than the member.
    #[error(
        "the copy is at op {} with digest {}, where the replica said op {} and digest {}: one of \
         them is wrong; verify the replica",
        found.op, found.digest, expected.op, expected.digest
    )]
    Differs {
        /// The copy's.
        found: Executed,
        /// The member's.
        expected: Executed,
    },
}

/// A copy of a member's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedMember {
    /// What every copy has.
    pub copied: Copied,
    /// Ops that the log has behind it, of which it does not know whether they are committed.
    pub left_out: u64,
}

/// How often it is tried again when the member changed what was being read.
const ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Copies the directory of a member to `to`, which must be new or empty, and makes it a ledger that
/// is alone. A member that runs can be asked where it is: the copy is of that. So it has everything
/// that this member has executed before the call; of a leader, all that was acknowledged. Of one
/// that does not run, whose lock the caller holds, it has what its log knows to be committed.
///
/// # Errors
/// [`CopyError`]. What was copied stays; without its `giro.format` it is no ledger.
pub fn copy_member(
    storage: &Arc<dyn Storage>,
    (from, to): (&Path, &Path),
    options: &ReplicaOptions,
    mut ask: Option<&mut dyn FnMut() -> Option<Executed>>,
    progress: &mut dyn FnMut(Stage),
) -> Result<CopiedMember, CopyError> {
    let identity = read_identity_on(&**storage, from).map_err(NodeError::from)?;
    let mut target = Target::make(storage, to)?;
    let mut source = Source {
        storage,
        from,
        to,
        identity: alone(&identity),
        options,
        asked: None,
    };
    let mut attempt = 1;
    let left_out = loop {
        let copied = source
            .ask(&mut ask)
            .and_then(|()| source.copy(&mut target, progress));
        match copied {
            Ok(left_out) => break left_out,
            Err(error) if ask.is_none() || attempt == ATTEMPTS => return Err(error),
            // A running member merges and gives up files, also those that are being looked for.
            Err(_) => std::thread::sleep(PAUSE),
        }
        attempt += 1;
    };
    let asked = source.asked;
    target.copy_small(from, "giro.toml")?;
    // Last: until now it is no ledger.
    write_identity(&**storage, to, &alone(&identity)).map_err(NodeError::from)?;
    let copied = open_copy(to, options, target.bytes(), progress)?;
    let found = Executed {
        op: copied.op,
        digest: copied.digest,
    };
    match asked {
        Some(expected) if expected != found => Err(CopyError::Differs { found, expected }),
        _ => Ok(CopiedMember { copied, left_out }),
    }
}

/// The identity of a copy: that of a ledger alone, which no group takes for a member.
fn alone(identity: &Identity) -> Identity {
    Identity {
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        ..*identity
    }
}

fn open_copy(
    to: &Path,
    options: &ReplicaOptions,
    bytes: u64,
    progress: &mut dyn FnMut(Stage),
) -> Result<Copied, NodeError> {
    let check = &mut |at| progress(Stage::Check(at));
    let engine = Engine::replay_only(to, &options.engine, check)?;
    Ok(Copied {
        op: engine.commit_op(),
        digest: engine.digest(),
        transfers: engine.machine().tables().window.end_row(),
        bytes,
    })
}

/// What is copied from where to where.
struct Source<'a> {
    storage: &'a Arc<dyn Storage>,
    from: &'a Path,
    to: &'a Path,
    /// The copy's.
    identity: Identity,
    options: &'a ReplicaOptions,
    asked: Option<Executed>,
}

impl Source<'_> {
    /// Asks the member where it is, if it runs.
    fn ask(
        &mut self,
        ask: &mut Option<&mut dyn FnMut() -> Option<Executed>>,
    ) -> Result<(), CopyError> {
        if let Some(ask) = ask {
            self.asked = Some(ask().ok_or(CopyError::Silent)?);
        }
        Ok(())
    }

    /// Copies history and log, and says how many ops were left out.
    fn copy(&self, target: &mut Target, progress: &mut dyn FnMut(Stage)) -> Result<u64, CopyError> {
        let owner = match self.asked {
            Some(_) => Owner::Running,
            None => Owner::Stopped,
        };
        let read = MemberFiles::read(self.storage, self.from, self.options, owner, &mut |_| {});
        let mut files = read?;
        if let Some(asked) = self.asked {
            // It has executed it, so it is committed.
            files.know_committed(asked.op);
        }
        // A member that left its history behind has all in its log. A copy must open as it does.
        let is_whole = !self.options.engine.archive && files.standing.entries.0 == 1;
        let known = files.checkpoint.as_ref().filter(|_| !is_whole);
        let known = known.map(|(place, _)| (place.op, place.record));
        if let Some(history) = files.history.as_ref().filter(|_| !is_whole) {
            target.copy_history(history.catalog(), progress)?;
        }
        target.clear_log()?;
        let (known_op, first_record) = known.unwrap_or((0, 1));
        let log = LogWriter::begin(self.storage, self.to, &self.identity, first_record);
        let pool = BufferPool::new(1).map_err(|source| {
            let what = "a message buffer";
            NodeError::from(giro::Error::Memory { what, source })
        })?;
        let mut rewrite = Rewrite {
            log: log.map_err(NodeError::from)?,
            buffer: pool.take().expect("a new pool has a buffer"),
            known_op,
            until: self.asked.map_or(u64::MAX, |asked| asked.op),
            last_op: known_op,
            left_out: 0,
        };
        if known.is_some() {
            // The checkpoint lies in this one: of its ops all that it has are passed over.
            rewrite.append(&[])?;
        }
        let mut bytes = 0;
        let mut count = |at: Progress| {
            bytes = at.bytes;
            progress(Stage::Log { bytes });
        };
        files.each_record(&mut count, &mut |header, buffer| {
            rewrite.take(&files, header, buffer)
        })?;
        target.count(bytes);
        rewrite.log.finish().map_err(NodeError::from)?;
        match self.asked {
            // Read before the member had it in its log, or after the log gave it up.
            Some(asked) if rewrite.last_op != asked.op => Err(BackupError::TooBusy.into()),
            _ => Ok(rewrite.left_out),
        }
    }
}

/// The log of the copy.
struct Rewrite {
    log: LogWriter,
    buffer: Buffer,
    /// Ops up to this one are in the history that was copied.
    known_op: u64,
    /// Ops behind this one are not copied.
    until: u64,
    last_op: u64,
    left_out: u64,
}

impl Rewrite {
    fn take(
        &mut self,
        files: &MemberFiles,
        header: &RecordHeader,
        buffer: &Buffer,
    ) -> Result<(), NodeError> {
        let payload = &buffer[RECORD_HEADER_BYTES..header.bytes as usize];
        let Some((kind, index)) = entry_of(header).filter(|(_, index)| *index > 0) else {
            return Ok(());
        };
        if kind != EntryKind::Ops as u8 {
            return Ok(());
        }
        match files.fate_of(header.index, index) {
            Fate::Committed => {
                let wanted = up_to(payload, self.until);
                let known = up_to(wanted, self.known_op).len();
                let wanted = &wanted[known..];
                if wanted.is_empty() {
                    return Ok(());
                }
                self.append(wanted)
            }
            Fate::Open => {
                self.left_out += u64::from(header.op_count);
                Ok(())
            }
            Fate::None | Fate::Void => Ok(()),
        }
    }

    /// Writes a record with these ops.
    fn append(&mut self, ops: &[u8]) -> Result<(), NodeError> {
        self.buffer[RECORD_HEADER_BYTES..][..ops.len()].copy_from_slice(ops);
        let mut record = NewRecord {
            term: LONE_TERM,
            first_op: 0,
            op_count: 0,
            ops_bytes: ops.len(),
            timestamp: 0,
        };
        for (header, _) in ops_of_valid_payload(ops) {
            if record.op_count == 0 {
                record.first_op = header.op;
            }
            record.op_count += 1;
            record.timestamp = header.timestamp;
            self.last_op = header.op;
        }
        self.log.append(&mut self.buffer, record)?;
        Ok(())
    }
}

/// Term of all records of a ledger alone.
const LONE_TERM: u64 = 1;
