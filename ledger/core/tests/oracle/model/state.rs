//! What the model remembers: plain maps, and a journal that takes changes back.

use std::collections::{BTreeMap, BTreeSet};

use giro_base::branch::BranchKey;
use giro_base::{Account, Transfer};

use super::branches::{Branch, Branches};
use super::changes::Change;

/// What became of a pending transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Posted,
    Voided,
    Expired,
}

/// All accounts and transfers. Changes go through methods that note how to undo them.
#[derive(Default)]
pub(crate) struct State {
    accounts: BTreeMap<u128, Account>,
    transfers: BTreeMap<u128, Transfer>,
    phases: BTreeMap<u128, Phase>,
    account_times: BTreeMap<u64, u128>,
    transfer_times: BTreeMap<u64, u128>,
    /// Open pending transfers with a timeout: when they expire, when they were made, their id.
    due: BTreeSet<(u64, u64, u128)>,
    burned: BTreeSet<u128>,
    branches: Branches,
    /// What changed accounts, in the order it took effect.
    changes: Vec<Change>,
    journal: Option<Vec<Undo>>,
}

/// What a place held before it was changed.
enum Undo {
    Account(u128, Option<Account>),
    Transfer(u128),
    Phase(u128, Option<Phase>),
}

impl State {
    /// Starts to note changes, until [`Self::commit`] or [`Self::roll_back`].
    pub(crate) fn savepoint(&mut self) {
        assert!(self.journal.is_none(), "chains do not nest");
        self.journal = Some(Vec::new());
    }

    /// Keeps the changes since the savepoint.
    pub(crate) fn commit(&mut self) {
        assert!(self.journal.take().is_some(), "a savepoint is open");
    }

    /// Takes the changes since the savepoint back, newest first. Burned ids stay burned.
    pub(crate) fn roll_back(&mut self) {
        let journal = self.journal.take().expect("a savepoint is open");
        for undo in journal.into_iter().rev() {
            match undo {
                Undo::Account(id, before) => self.put_account(id, before),
                Undo::Transfer(id) => {
                    let transfer = self.transfers.remove(&id).expect("it was inserted");
                    self.transfer_times.remove(&transfer.timestamp);
                    self.changes.pop();
                }
                Undo::Phase(id, before) => self.put_phase(id, before),
            }
        }
    }

    /// Creates the account or gives it new content.
    pub(crate) fn set_account(&mut self, account: Account) {
        let before = self.accounts.get(&account.id).copied();
        self.note(Undo::Account(account.id, before));
        self.put_account(account.id, Some(account));
    }

    /// Creates the transfer, whose accounts are as it leaves them; transfers never change.
    pub(crate) fn insert_transfer(&mut self, transfer: Transfer) {
        self.note(Undo::Transfer(transfer.id));
        assert!(!self.account_times.contains_key(&transfer.timestamp));
        let time = self.transfer_times.insert(transfer.timestamp, transfer.id);
        assert_eq!(time, None, "timestamps are unique");
        let old = self.transfers.insert(transfer.id, transfer);
        assert_eq!(old, None, "ids are unique");
        let sides = [transfer.debit_account_id, transfer.credit_account_id];
        let [dr, cr] = sides.map(|id| self.accounts[&id]);
        self.note_change(Change::transfer(&transfer, [&dr, &cr]));
    }

    /// Sets what became of a pending transfer that exists.
    pub(crate) fn set_phase(&mut self, id: u128, phase: Phase) {
        self.note(Undo::Phase(id, self.phases.get(&id).copied()));
        self.put_phase(id, Some(phase));
    }

    /// Adds what happened behind everything else.
    pub(crate) fn note_change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// What changed accounts, in the order it took effect.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The id can never be used again, whatever is rolled back.
    pub(crate) fn burn(&mut self, id: u128) {
        self.burned.insert(id);
    }

    /// Keeps what is known of a branch.
    pub(crate) fn add_branch(&mut self, key: &BranchKey, branch: Branch) {
        let key = (key.gid.clone(), key.branch_id.clone());
        self.branches.insert(key, branch);
    }

    /// What is known of a branch that was tried.
    pub(crate) fn branch(&self, key: &BranchKey) -> Option<&Branch> {
        self.branches.get(&(key.gid.clone(), key.branch_id.clone()))
    }

    /// All branches that were tried, by key.
    pub(crate) fn branches(&self) -> &Branches {
        &self.branches
    }

    pub(crate) fn account(&self, id: u128) -> Option<Account> {
        self.accounts.get(&id).copied()
    }

    pub(crate) fn transfer(&self, id: u128) -> Option<Transfer> {
        self.transfers.get(&id).copied()
    }

    /// What became of this transfer, if it is a pending one.
    pub(crate) fn phase(&self, id: u128) -> Option<Phase> {
        self.phases.get(&id).copied()
    }

    pub(crate) fn is_burned(&self, id: u128) -> bool {
        self.burned.contains(&id)
    }

    pub(crate) fn burned(&self) -> &BTreeSet<u128> {
        &self.burned
    }

    /// All accounts, by id.
    pub(crate) fn accounts(&self) -> &BTreeMap<u128, Account> {
        &self.accounts
    }

    /// All transfers, by id.
    pub(crate) fn transfers(&self) -> &BTreeMap<u128, Transfer> {
        &self.transfers
    }

    /// Ids of accounts by timestamp.
    pub(crate) fn account_times(&self) -> &BTreeMap<u64, u128> {
        &self.account_times
    }

    /// Ids of transfers by timestamp.
    pub(crate) fn transfer_times(&self) -> &BTreeMap<u64, u128> {
        &self.transfer_times
    }

    /// Open pending transfers with a timeout, in the order they expire.
    pub(crate) fn due(&self) -> &BTreeSet<(u64, u64, u128)> {
        &self.due
    }

    fn note(&mut self, undo: Undo) {
        if let Some(journal) = &mut self.journal {
            journal.push(undo);
        }
    }

    fn put_account(&mut self, id: u128, account: Option<Account>) {
        match account {
            Some(account) => {
                assert!(!self.transfer_times.contains_key(&account.timestamp));
                self.account_times.insert(account.timestamp, id);
                self.accounts.insert(id, account);
            }
            None => {
                let account = self.accounts.remove(&id).expect("it was inserted");
                self.account_times.remove(&account.timestamp);
            }
        }
    }

    /// The transfer must exist: on the way in it is inserted before its phase, on the way back
    /// its phase is taken back before it is removed.
    fn put_phase(&mut self, id: u128, phase: Option<Phase>) {
        let transfer = self.transfers[&id];
        if transfer.timeout != 0 {
            let expires_at = super::expires_at(&transfer);
            let entry = (expires_at, transfer.timestamp, id);
            if phase == Some(Phase::Pending) {
                self.due.insert(entry);
            } else {
                self.due.remove(&entry);
            }
        }
        match phase {
            Some(phase) => self.phases.insert(id, phase),
            None => self.phases.remove(&id),
        };
    }
}
