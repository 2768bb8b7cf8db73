//! What is answered about branches without changing anything.

use giro_base::branch::{
    BranchId, BranchInfo, BranchState, LegKind, OpenBranch, OpenBranchesFilter,
};
use giro_base::limits::{BRANCH_LEGS_MAX, BRANCH_TEXT_BYTES_MAX};
use giro_base::time::NS_PER_S;
use giro_base::{Transfer, TransferFlags as Flags};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::open::Open;
use crate::machine::StateMachine;

/// What an id stands for, in memory or in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing has it.
    Nothing,
    /// A transfer failed for good with it, or a branch was cancelled before its try.
    Burned,
    /// A transfer has it.
    Transfer(Transfer),
}

/// Ids that tell what became of a branch that is not open.
pub const PROBES: usize = 3;

/// Open branches that are looked at for one reply. Few branches are open for long, but a filter
/// must not hold up payments where that is otherwise.
const LOOKED_AT_MAX: usize = 1 << 16;

/// Those ids.
#[must_use]
pub fn probes(id: BranchId) -> [u128; PROBES] {
    [LegKind::Reserve, LegKind::Confirm, LegKind::Cancel].map(|kind| id.leg(kind, 0))
}

/// Whether an id stands for a leg of a branch.
#[must_use]
pub fn is_leg(known: &Known) -> bool {
    matches!(known, Known::Transfer(transfer) if transfer.flags & Flags::BRANCH != 0)
}

/// Whether it is one with another leg behind it: all legs of a branch but the last are linked.
#[must_use]
pub fn has_further_leg(known: &Known) -> bool {
    let is_linked = |transfer: &Transfer| transfer.flags & Flags::LINKED != 0;
    is_leg(known) && matches!(known, Known::Transfer(transfer) if is_linked(transfer))
}

/// What there is to say of a branch that is not open, given what its [`probes`] stand for and how
/// many further legs it has.
#[must_use]
pub fn settled_info(id: BranchId, known: &[Known], further: usize) -> BranchInfo {
    let mut info = BranchInfo {
        id: id.value(),
        ..BranchInfo::default()
    };
    let is_leg = |t: &Transfer| t.flags & Flags::BRANCH != 0;
    let leg = |place: usize| match known[place] {
        Known::Transfer(transfer) => Some(transfer).filter(is_leg),
        Known::Nothing | Known::Burned => None,
    };
    let first = match known[0] {
        Known::Nothing => return info,
        Known::Burned => {
            info.state = BranchState::Suspended.into();
            return info;
        }
        Known::Transfer(first) if is_leg(&first) => first,
        Known::Transfer(_) => {
            info.state = BranchState::IdTaken.into();
            return info;
        }
    };
    let (state, settled_at) = match (leg(1), leg(2)) {
        (Some(confirm), _) => (BranchState::Confirmed, confirm.timestamp),
        (None, Some(cancel)) => (BranchState::Cancelled, cancel.timestamp),
        (None, None) => {
            let due_at = first.timestamp + u64::from(first.timeout) * NS_PER_S;
            (BranchState::Expired, due_at)
        }
    };
    info.state = state.into();
    info.settled_at = settled_at;
    info.tried_at = first.timestamp;
    info.timeout = first.timeout;
    info.legs = 1 + further as u8;
    info
}

impl StateMachine {
    /// What there is to say of a branch if it is open.
    #[must_use]
    pub fn open_branch_info(&self, id: BranchId) -> Option<BranchInfo> {
        let branches = &self.tables.branches;
        let open = branches.get(branches.find(id)?);
        Some(BranchInfo {
            id: id.value(),
            tried_at: open.tried_at,
            timeout: open.timeout,
            state: BranchState::Tried.into(),
            legs: open.legs as u8,
            ..BranchInfo::default()
        })
    }

    /// Writes the open branches that a filter ([`OpenBranchesFilter`] as bytes) selects to `out`,
    /// oldest first, and returns how many; at most `rows_max`. A filter that makes no sense
    /// selects none.
    pub fn list_branches(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        let Ok(filter) = OpenBranchesFilter::read_from_bytes(filter) else {
            return 0;
        };
        let rows_max = rows_max.min(filter.limit as usize);
        if rows_max == 0 || filter.reserved != [0; 12] {
            return 0;
        }
        let mut rows = out.chunks_exact_mut(size_of::<OpenBranch>()).take(rows_max);
        let mut count = 0;
        let mut put = |row: &OpenBranch| {
            if let Some(place) = rows.next() {
                place.copy_from_slice(row.as_bytes());
                count += 1;
            }
        };
        let open = self
            .tables
            .branches
            .after(filter.after, filter.after_tried_at);
        let until = move |tried_at| filter.tried_at_max == 0 || tried_at <= filter.tried_at_max;
        let open = open.take_while(|open| until(open.tried_at));
        let mut found = 0;
        for (looked_at, open) in open.enumerate() {
            if found == rows_max {
                break;
            }
            if looked_at == LOOKED_AT_MAX {
                // The reader goes on behind this one, which is not of its own.
                put(&row_of(&open, false));
                break;
            }
            if filter.account_id == 0 || self.touches(&open, filter.account_id) {
                found += 1;
                put(&row_of(&open, true));
            }
        }
        count
    }

    fn touches(&self, open: &Open<'_>, account: u128) -> bool {
        let rows = (open.row..).take(open.legs);
        let mut legs = rows.filter_map(|row| self.tables.open_pending(row));
        legs.any(|leg| {
            leg.transfer.debit_account_id == account || leg.transfer.credit_account_id == account
        })
    }
}

fn row_of(open: &Open<'_>, is_selected: bool) -> OpenBranch {
    let mut row = OpenBranch::new_zeroed();
    row.id = open.id.value();
    row.tried_at = open.tried_at;
    if !is_selected {
        return row;
    }
    row.timeout = open.timeout;
    row.legs = open.legs as u8;
    row.gid_bytes = open.gid.len() as u8;
    row.branch_id_bytes = open.branch_id.len() as u8;
    row.gid[..open.gid.len()].copy_from_slice(open.gid);
    row.branch_id[..open.branch_id.len()].copy_from_slice(open.branch_id);
    row
}

// Lengths fit the record's bytes.
const _: () = assert!(BRANCH_TEXT_BYTES_MAX < 256 && BRANCH_LEGS_MAX < 256);
