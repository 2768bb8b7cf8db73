//! Open branches from a checkpoint.

use giro_base::TransferFlags as Flags;
use giro_base::branch::{BranchId, LegKind};

use super::open::NewBranch;
use crate::machine::StateMachine;
use crate::tables::Tables;

impl StateMachine {
    /// Takes the texts of a branch that is open at the boundary. Pending transfers are there by
    /// then, and branches come by row.
    ///
    /// # Errors
    /// What does not fit together: both come from disk.
    pub fn restore_branch(
        &mut self,
        row: u64,
        gid: &str,
        branch_id: &str,
    ) -> Result<(), &'static str> {
        let tables = &mut self.tables;
        let id = BranchId::of(gid, branch_id);
        let first = tables.open_pending(row);
        let Some(first) = first.filter(|p| p.transfer.id == id.leg(LegKind::Reserve, 0)) else {
            return Err("an open branch has no pending transfer of its own");
        };
        if !tables.branches.has_room() || tables.branches.find(id).is_some() {
            return Err("a branch is open twice");
        }
        let new = NewBranch {
            id,
            row,
            tried_at: first.transfer.timestamp,
            timeout: first.transfer.timeout,
            legs: tables.legs_from(row, id)?,
            gid,
            branch_id,
        };
        tables.branches.insert(&new);
        Ok(())
    }

    /// Whether every open branch was restored.
    #[must_use]
    pub fn has_all_branches(&self) -> bool {
        let is_first = |id: u128| id == BranchId::of_leg(id).leg(LegKind::Reserve, 0);
        let pendings = self.tables.pendings.iter().map(|pending| pending.transfer);
        let first = pendings.filter(|t| t.flags & Flags::BRANCH != 0 && is_first(t.id));
        first.count() == self.tables.branches.len()
    }
}

impl Tables {
    /// How many legs an open branch has whose first one is in this row.
    fn legs_from(&self, row: u64, id: BranchId) -> Result<usize, &'static str> {
        let legs_max = giro_base::limits::BRANCH_LEGS_MAX;
        for leg in 0..legs_max {
            let pending = self.open_pending(row + leg as u64);
            let is_leg = |t: &giro_base::Transfer| t.id == id.leg(LegKind::Reserve, leg);
            let Some(pending) = pending.filter(|pending| is_leg(&pending.transfer)) else {
                return Err("a leg of an open branch is not pending");
            };
            if pending.transfer.flags & Flags::LINKED == 0 {
                return Ok(leg + 1);
            }
        }
        Err("an open branch has too many legs")
    }
}
