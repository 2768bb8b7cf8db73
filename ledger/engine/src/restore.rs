//! Opening from a checkpoint: the state as it was, without executing what led to it.

use std::sync::Arc;

use giro_core::Digest;
use giro_core::pendings::Pending;
use giro_core::phase::Phase;
use giro_core::restore::Boundary;
use giro_store::checkpoint::format::PiecePart;

use crate::engine::Engine;
use crate::error::Error;

impl Engine {
    /// Takes accounts, open pending transfers and sessions from the checkpoint of its history, if
    /// that has one. Execution goes on behind the checkpoint's op.
    pub(crate) fn restore(&mut self) -> Result<(), Error> {
        let (machine, past) = self.executor.restoring();
        let Some(history) = past.map(crate::past::Past::history) else {
            return Ok(());
        };
        let catalog = Arc::clone(history.catalog());
        let Some(whole) = catalog.checkpoint() else {
            return Ok(());
        };
        let reader = history.reader();
        let mut fits = true;
        whole.accounts(reader, |account| {
            fits &= machine.has_room(1);
            if fits {
                machine.restore_account(account);
            }
            Ok(())
        })?;
        if !fits {
            return Err(Error::Full);
        }
        whole.pendings(reader, |pending| {
            machine.restore_pending(Pending {
                transfer: pending.transfer,
                row: pending.row,
                debit: pending.debit,
                credit: pending.credit,
                phase: Phase::Pending,
            });
            Ok(())
        })?;
        let state = whole.state();
        let restored = machine.restore(&Boundary {
            generation: whole.last() + 1,
            row: state.rows_end,
            timestamp_last: state.timestamp_last,
            digest: Digest::from_value(state.digest),
        });
        let damaged = |part, reason| Error::History(whole.damaged(part, reason));
        restored.map_err(|reason| damaged(PiecePart::Accounts, reason))?;
        let mut restored = Ok(());
        whole.branches(reader, |branch| {
            let texts = branch.texts();
            let (gid, branch_id) = texts.expect("checked as it was read");
            let taken = machine.restore_branch(branch.row, gid, branch_id);
            restored = restored.and(taken);
            Ok(())
        })?;
        restored.map_err(|reason| damaged(PiecePart::Branches, reason))?;
        if !machine.has_all_branches() {
            return Err(damaged(
                PiecePart::Branches,
                "an open branch is not among them",
            ));
        }
        let mark = whole.mark(reader)?;
        if self.sessions.restore(&mark.sessions).is_none() {
            return Err(damaged(PiecePart::Sessions, "a session cannot be"));
        }
        (self.executed_op, self.executed_at) = (mark.op, mark.timestamp);
        self.marked_op = mark.op;
        Ok(())
    }
}
