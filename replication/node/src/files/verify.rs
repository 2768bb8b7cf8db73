//! Checking a stopped member's directory: all that a ledger alone is checked for, and that of its
//! log only what the group has committed is executed.

use std::sync::Arc;

use giro::open::whose;
use giro::verify::compare_op;
use giro::{Engine, EntryOps, Progress};
use giro_base::Buffer;
use giro_base::limits::RECORD_HEADER_BYTES;
use giro_log::{RecordHeader, ops_of_valid_payload};
use giro_replication::{EntryKind, Members};
use giro_store::verify::{Verified as VerifiedHistory, VerifyProgress, verify as verify_history};
use giro_store::{Catalog, Reader};

use super::{Fate, LogStanding, MemberFiles, entry_of, up_to};
use crate::error::NodeError;

/// How far a verification is.
#[derive(Clone, Copy, Debug)]
pub enum VerifyStage {
    /// Every page of the history.
    History(VerifyProgress),
    /// The log, against the history up to the checkpoint and by executing it behind that.
    Replay(Progress),
}

/// What a verification went through.
pub struct VerifiedMember {
    /// The history; none where there is none.
    pub history: Option<VerifiedHistory>,
    /// Transfers that were found equal in log and history.
    pub compared: u64,
    /// Entries behind the checkpoint that were executed.
    pub executed: u64,
    /// How far the log has come.
    pub standing: LogStanding,
    /// The members behind the last committed entry.
    pub members: Members,
    /// The state there, or behind the last op that was asked for; takes no requests.
    pub engine: Engine,
}

impl MemberFiles {
    /// The state behind the last entry that is known to be committed; it takes no requests.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn replay(self, progress: &mut dyn FnMut(Progress)) -> Result<Engine, NodeError> {
        let judged = self.judge(None, progress)?;
        Ok(judged.engine)
    }

    /// Checks everything: each page of the history, each committed op of the log against the
    /// history or by executing it, and the members. `until` is the last op to be executed, for
    /// comparing members that do not know equally much to be committed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(
        mut self,
        until: Option<u64>,
        progress: &mut dyn FnMut(VerifyStage),
    ) -> Result<VerifiedMember, NodeError> {
        let members = self.members()?;
        let mut checked = None;
        if let Some(history) = &mut self.history {
            let catalog = Arc::clone(history.catalog());
            let step = |at| progress(VerifyStage::History(at));
            let whose = whose(&self.identity);
            let verified = verify_history(&catalog, history.reader(), whose, step);
            checked = Some(verified.map_err(giro::Error::from)?);
        }
        let standing = self.standing;
        let judged = self.judge(until, &mut |at| progress(VerifyStage::Replay(at)))?;
        Ok(VerifiedMember {
            history: checked,
            compared: judged.compared,
            executed: judged.executed,
            standing,
            members,
            engine: judged.engine,
        })
    }

    /// Goes through the committed entries.
    fn judge(
        mut self,
        until: Option<u64>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Judge, NodeError> {
        let history = self.history.take();
        let reader = Reader::new().map_err(|source| giro::Error::Memory {
            what: "a page of the history",
            source,
        })?;
        let catalog = history
            .as_ref()
            .map(|history| Arc::clone(history.catalog()));
        let engine = Engine::read_at_checkpoint(history, &self.identity, &self.options.engine)?;
        let known_op = engine.commit_op();
        if let Some(until) = until.filter(|until| *until < known_op) {
            return Err(NodeError::BeforeCheckpoint { until, known_op });
        }
        let mut judge = Judge {
            engine,
            known_op,
            until: until.unwrap_or(u64::MAX),
            catalog,
            reader,
            applied: self.standing.applied,
            compared: 0,
            executed: 0,
        };
        self.each_record(progress, &mut |header, buffer| {
            let entry = entry_of(header);
            let is_ops = entry.is_some_and(|(kind, _)| kind == EntryKind::Ops as u8);
            match entry {
                Some((_, index)) if is_ops => match self.fate_of(header.index, index) {
                    Fate::Committed => judge.take(index, header, buffer),
                    Fate::None | Fate::Open | Fate::Void => Ok(()),
                },
                _ => Ok(()),
            }
        })?;
        judge.engine.settle();
        let known_op = judge.engine.commit_op();
        match until {
            Some(until) if until > known_op => Err(NodeError::NotCommitted { until, known_op }),
            _ => Ok(judge),
        }
    }
}

/// Compares and executes committed entries, in their order.
struct Judge {
    engine: Engine,
    /// Ops up to this one are in the checkpoint, and in the history.
    known_op: u64,
    until: u64,
    catalog: Option<Arc<Catalog>>,
    reader: Reader,
    applied: u64,
    compared: u64,
    executed: u64,
}

impl Judge {
    fn take(
        &mut self,
        index: u64,
        header: &RecordHeader,
        buffer: &Buffer,
    ) -> Result<(), NodeError> {
        let payload = &buffer[RECORD_HEADER_BYTES..header.bytes as usize];
        if let Some(catalog) = &self.catalog {
            for op in ops_of_valid_payload(payload) {
                if op.0.op <= self.known_op {
                    self.compared += compare_op(header.index, op, catalog, &mut self.reader)?;
                }
            }
        }
        let payload = up_to(payload, self.until);
        if index <= self.applied || payload.is_empty() {
            return Ok(());
        }
        let entry = EntryOps {
            record: header.index,
            payload,
            known_op: self.known_op,
            group: &mut Vec::new,
        };
        self.engine.execute_entry(entry, None)?;
        self.executed += 1;
        Ok(())
    }
}
