//! What requests about branches consist of. On the wire and in the log each is an rkyv archive of
//! a vector of these.

use rkyv::{Archive, Deserialize, Serialize};
use smallvec::SmallVec;

use crate::transfer::Transfer;

/// Names a branch: two texts that the ledger does not interpret, of 1 to 128 bytes each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Archive, Serialize, Deserialize)]
pub struct BranchKey {
    /// Id of the global transaction.
    pub gid: String,
    /// Id of the branch in it.
    pub branch_id: String,
}

/// An amount to be moved, as a transfer has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Leg {
    /// The account whose debits grow.
    pub debit_account_id: u128,
    /// The account whose credits grow.
    pub credit_account_id: u128,
    /// In the ledger's smallest unit.
    pub amount: u128,
    /// Free for the user.
    pub user_data_128: u128,
    /// Free for the user.
    pub user_data_64: u64,
    /// Free for the user.
    pub user_data_32: u32,
    /// Must be both accounts' ledger.
    pub ledger: u32,
    /// The user's reason or kind; not 0.
    pub code: u16,
}

/// Asks to reserve all legs of a branch, or none.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct TryBranch {
    /// The branch.
    pub key: BranchKey,
    /// Seconds until the branch expires by itself; 0 is never.
    pub timeout: u32,
    /// 1 to 64.
    pub legs: SmallVec<[Leg; 2]>,
}

/// Asks to post what a branch has reserved.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ConfirmBranch {
    /// The branch.
    pub key: BranchKey,
    /// One for each leg, none above what is reserved; empty is all of everything.
    pub amounts: SmallVec<[u128; 2]>,
}

impl BranchKey {
    /// The key of these texts.
    #[must_use]
    pub fn new(gid: impl Into<String>, branch_id: impl Into<String>) -> Self {
        Self {
            gid: gid.into(),
            branch_id: branch_id.into(),
        }
    }
}

impl ConfirmBranch {
    /// Confirms all that is reserved.
    #[must_use]
    pub fn whole(key: BranchKey) -> Self {
        Self {
            key,
            amounts: SmallVec::new(),
        }
    }
}

impl ArchivedLeg {
    /// What it says, in a transfer that has nothing else.
    #[must_use]
    pub fn transfer(&self) -> Transfer {
        Transfer {
            debit_account_id: self.debit_account_id.to_native(),
            credit_account_id: self.credit_account_id.to_native(),
            amount: self.amount.to_native(),
            user_data_128: self.user_data_128.to_native(),
            user_data_64: self.user_data_64.to_native(),
            user_data_32: self.user_data_32.to_native(),
            ledger: self.ledger.to_native(),
            code: self.code.to_native(),
            ..Transfer::default()
        }
    }
}
