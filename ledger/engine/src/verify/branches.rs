//! Which transfers an operation on branches can have made.

use std::collections::HashMap;

use giro_base::branch::{BranchId, Branches, LegKind};
use giro_base::limits::BRANCH_LEGS_MAX;
use giro_base::{Transfer, TransferFlags as Flags};

/// The branches of an operation, by id.
pub(super) struct Legs<'a> {
    branches: Branches<'a>,
    places: HashMap<BranchId, usize>,
    kind: LegKind,
}

impl<'a> Legs<'a> {
    pub(super) fn of(branches: Branches<'a>) -> Self {
        let places = (0..branches.len()).map(|place| {
            let key = branches.key(place);
            let id = BranchId::of(key.gid.as_str(), key.branch_id.as_str());
            (id, place)
        });
        Self {
            branches,
            places: places.collect(),
            kind: match branches {
                Branches::Try(_) => LegKind::Reserve,
                Branches::Confirm(_) => LegKind::Confirm,
                Branches::Keys(_) => LegKind::Cancel,
            },
        }
    }

    /// Whether the transfer can be a leg of one of them. How many legs a confirm or cancel settled
    /// is not in the log, nor what was reserved; what a try reserved is. Where a key comes twice,
    /// the two can differ in content, and only the id is compared.
    pub(super) fn has(&self, transfer: &Transfer) -> bool {
        let id = BranchId::of_leg(transfer.id);
        let Some(place) = self.places.get(&id) else {
            return false;
        };
        let leg = (transfer.id as usize) % BRANCH_LEGS_MAX;
        if transfer.id != id.leg(self.kind, leg) || transfer.flags & Flags::BRANCH == 0 {
            return false;
        }
        let is_alone = self.places.len() == self.branches.len();
        match self.branches {
            Branches::Try(tries) if is_alone => {
                let leg = tries[*place].legs.get(leg);
                leg.is_some_and(|leg| {
                    // Id, flags and timestamp are the ledger's.
                    let asked = Transfer {
                        id: transfer.id,
                        flags: transfer.flags,
                        timestamp: transfer.timestamp,
                        timeout: tries[*place].timeout.to_native(),
                        ..leg.transfer()
                    };
                    asked == *transfer
                })
            }
            Branches::Try(_) => true,
            Branches::Confirm(_) | Branches::Keys(_) => {
                transfer.pending_id == id.leg(LegKind::Reserve, leg)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use giro_base::branch::{BranchKey, ConfirmBranch, Leg, TryBranch, encode};
    use giro_base::operation::Kind;

    use super::*;

    #[test]
    fn a_transfer_is_a_leg_only_of_a_branch_that_asked_for_it() {
        let key = BranchKey::new("g", "01");
        let id = BranchId::of("g", "01");
        let leg = Leg {
            debit_account_id: 1,
            credit_account_id: 2,
            amount: 5,
            ledger: 1,
            code: 1,
            ..Leg::default()
        };
        let tries = encode(&vec![TryBranch {
            key: key.clone(),
            timeout: 3,
            legs: [leg].into_iter().collect(),
        }]);
        let tries = Legs::of(Branches::parse(Kind::TryBranches, &tries).unwrap());
        let reserved = Transfer {
            id: id.leg(LegKind::Reserve, 0),
            debit_account_id: 1,
            credit_account_id: 2,
            amount: 5,
            timeout: 3,
            ledger: 1,
            code: 1,
            flags: Flags::PENDING | Flags::BRANCH,
            timestamp: 9,
            ..Transfer::default()
        };
        assert!(tries.has(&reserved));
        let wrong = [
            Transfer {
                amount: 6,
                ..reserved
            },
            Transfer {
                timeout: 4,
                ..reserved
            },
            Transfer {
                id: reserved.id + 1,
                ..reserved
            },
            Transfer { id: 7, ..reserved },
            Transfer {
                flags: Flags::PENDING,
                ..reserved
            },
        ];
        assert!(wrong.iter().all(|transfer| !tries.has(transfer)));
        let confirms = encode(&vec![ConfirmBranch::whole(key)]);
        let confirms = Legs::of(Branches::parse(Kind::ConfirmBranches, &confirms).unwrap());
        let posted = Transfer {
            id: id.leg(LegKind::Confirm, 0),
            pending_id: reserved.id,
            flags: Flags::POST_PENDING_TRANSFER | Flags::BRANCH,
            ..reserved
        };
        assert!(confirms.has(&posted) && !confirms.has(&reserved) && !tries.has(&posted));
        let other = Transfer {
            pending_id: 7,
            ..posted
        };
        assert!(!confirms.has(&other));
    }
}
