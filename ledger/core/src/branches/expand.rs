//! From branches to transfers: every id that a request about branches is about, so that all are
//! looked up together before the first branch is decided.

use giro_base::Transfer;
use giro_base::TransferFlags as Flags;
use giro_base::branch::{ArchivedConfirmBranch, ArchivedTryBranch, BranchId, Branches, LegKind};
use giro_base::limits::{BRANCHES_MAX, EVENTS_MAX_UNBATCHED};

use super::open::OpenBranches;
use crate::place::NONE;

/// A request's branches as transfers. Kept from one operation to the next for its memory.
pub struct Expanded {
    pub(crate) spans: Vec<Span>,
    pub(crate) events: Vec<Transfer>,
}

/// The transfers of one branch.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The branch's id.
    pub id: BranchId,
    /// Its first event.
    pub(crate) first: u32,
    /// How many it has. None says that there was no room for them.
    pub(crate) events: u32,
    /// Its slot among the open branches, or [`NONE`].
    pub(crate) open: u32,
}

impl Default for Expanded {
    fn default() -> Self {
        Self {
            spans: Vec::with_capacity(BRANCHES_MAX),
            events: Vec::with_capacity(EVENTS_MAX_UNBATCHED),
        }
    }
}

impl Expanded {
    /// The transfers of all branches.
    #[must_use]
    pub fn events(&self) -> &[Transfer] {
        &self.events
    }

    /// What belongs to each branch.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Takes the branches of a request, as `open` has them now.
    ///
    /// An open branch has an event for each of its legs. One that is not open has, in a confirm or
    /// cancel, first the id that shows its state, and then those it was settled by, if it was.
    pub(crate) fn take(&mut self, branches: &Branches<'_>, open: &OpenBranches) {
        self.spans.clear();
        self.events.clear();
        for branch in 0..branches.len() {
            let key = branches.key(branch);
            let id = BranchId::of(key.gid.as_str(), key.branch_id.as_str());
            let first = self.events.len();
            let slot = match branches {
                Branches::Try(tries) => {
                    self.take_try(id, &tries[branch]);
                    None
                }
                Branches::Confirm(confirms) => {
                    let slot = open.find(id);
                    self.take_confirm(id, &confirms[branch], slot.map(|slot| open.legs(slot).1));
                    slot
                }
                Branches::Keys(_) => {
                    let slot = open.find(id);
                    self.take_cancel(id, slot.map(|slot| open.legs(slot).1));
                    slot
                }
            };
            if self.events.len() > EVENTS_MAX_UNBATCHED {
                self.events.truncate(first);
            }
            self.spans.push(Span {
                id,
                first: first as u32,
                events: (self.events.len() - first) as u32,
                open: slot.unwrap_or(NONE),
            });
        }
    }

    fn take_try(&mut self, id: BranchId, branch: &ArchivedTryBranch) {
        let timeout = branch.timeout.to_native();
        let count = branch.legs.len();
        for (k, leg) in branch.legs.iter().enumerate() {
            self.events.push(Transfer {
                id: id.leg(LegKind::Reserve, k),
                timeout,
                flags: Flags::PENDING | leg_flags(k, count),
                ..leg.transfer()
            });
        }
    }

    fn take_confirm(
        &mut self,
        id: BranchId,
        branch: &ArchivedConfirmBranch,
        open_legs: Option<usize>,
    ) {
        let amounts = &branch.amounts;
        if open_legs.is_none() {
            self.probe(id.leg(LegKind::Reserve, 0));
        }
        let count = open_legs.unwrap_or(amounts.len().max(1));
        for k in 0..count {
            self.events.push(Transfer {
                id: id.leg(LegKind::Confirm, k),
                amount: amounts.get(k).map_or(u128::MAX, |a| a.to_native()),
                flags: Flags::POST_PENDING_TRANSFER | leg_flags(k, count),
                ..Transfer::default()
            });
        }
    }

    fn take_cancel(&mut self, id: BranchId, open_legs: Option<usize>) {
        let Some(count) = open_legs else {
            self.probe(id.leg(LegKind::Reserve, 0));
            self.probe(id.leg(LegKind::Cancel, 0));
            return;
        };
        for k in 0..count {
            self.events.push(Transfer {
                id: id.leg(LegKind::Cancel, k),
                flags: Flags::VOID_PENDING_TRANSFER | leg_flags(k, count),
                ..Transfer::default()
            });
        }
    }

    /// An id that is only looked up.
    fn probe(&mut self, id: u128) {
        self.events.push(Transfer {
            id,
            ..Transfer::default()
        });
    }
}

/// Legs of one branch are linked, as a chain of transfers is: all but the last say so.
fn leg_flags(leg: usize, count: usize) -> u16 {
    if leg + 1 < count {
        Flags::BRANCH | Flags::LINKED
    } else {
        Flags::BRANCH
    }
}
