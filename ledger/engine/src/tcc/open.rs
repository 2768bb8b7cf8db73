//! Going through the open branches.

use giro_base::branch::{BranchId, BranchKey, OpenBranch, OpenBranchesFilter};
use giro_base::{Operation, Timestamp};
use zerocopy::{FromBytes, IntoBytes};

use super::TccParticipant;
use crate::error::Error;
use crate::ledger::Pending;

/// An open branch: tried, and not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The branch.
    pub key: BranchKey,
    /// Its id, from which those of its legs follow.
    pub id: BranchId,
    /// When it was tried (ns).
    pub tried_at: Timestamp,
    /// Seconds it has; 0 is for ever.
    pub timeout: u32,
    /// Number of its legs.
    pub legs: usize,
}

/// Open branches, oldest first, a page at a time. What is settled or tried meanwhile may be
/// missing or be there.
pub struct OpenBranches {
    participant: TccParticipant,
    filter: OpenBranchesFilter,
    is_done: bool,
}

/// Branches of a page.
const PAGE: u32 = 1000;

impl TccParticipant {
    /// Open branches that were tried at `until` or before (ns), oldest first; with an account,
    /// only those that have a leg on it.
    #[must_use]
    pub fn open_branches(&self, until: Timestamp, account_id: Option<u128>) -> OpenBranches {
        OpenBranches {
            participant: self.clone(),
            filter: OpenBranchesFilter {
                account_id: account_id.unwrap_or(0),
                tried_at_max: until.max(1),
                limit: PAGE,
                ..OpenBranchesFilter::default()
            },
            is_done: false,
        }
    }

    fn page(&self, filter: &OpenBranchesFilter) -> Pending<Vec<OpenBranch>> {
        let body = filter.as_bytes().to_vec();
        let ledger = self.ledger();
        ledger.ask(Operation::ListBranches, body, |reply: &[u8]| {
            let rows = reply.chunks_exact(size_of::<OpenBranch>());
            let row = |bytes| OpenBranch::read_from_bytes(bytes).expect("cut to a row's size");
            rows.map(row).collect()
        })
    }
}

impl OpenBranches {
    /// The next page; none when there are no more. It can be empty.
    ///
    /// # Errors
    /// When the ledger stopped.
    pub fn next_page(&mut self) -> Result<Option<Vec<Open>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let rows = self.participant.page(&self.filter).wait()?;
        let Some(last) = rows.last() else {
            self.is_done = true;
            return Ok(None);
        };
        (self.filter.after, self.filter.after_tried_at) = (last.id, last.tried_at);
        // One without legs only says how far the ledger has looked.
        let rows = rows.iter().filter(|row| row.legs > 0);
        Ok(Some(rows.map(Open::of).collect()))
    }
}

impl Open {
    fn of(row: &OpenBranch) -> Self {
        let (gid, branch_id) = row.key();
        Self {
            key: BranchKey::new(gid, branch_id),
            id: BranchId::of(gid, branch_id),
            tried_at: row.tried_at,
            timeout: row.timeout,
            legs: row.legs.into(),
        }
    }
}
