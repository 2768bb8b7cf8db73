//! A ledger as plain as can be, for what the clients here ask: one event at a time over maps. It
//! shares no code with the engine but the records.

use std::collections::BTreeMap;

use giro_base::{Account, AccountFlags, CreateAccountStatus, CreateTransferStatus};
use giro_base::{Transfer, TransferFlags};
use zerocopy::{FromBytes, IntoBytes};

use crate::workload::accounts;

/// Accounts and pending transfers.
#[derive(Default)]
pub struct Model {
    accounts: BTreeMap<u128, Account>,
    pendings: BTreeMap<u128, Pending>,
}

struct Pending {
    transfer: Transfer,
    state: PendingState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PendingState {
    Open,
    Posted,
    Voided,
    Expired,
}

impl Pending {
    /// When it expires (ns), if it ever does.
    fn expires_at(&self) -> Option<u64> {
        let timeout = u64::from(self.transfer.timeout);
        (timeout > 0).then(|| self.transfer.timestamp + timeout * 1_000_000_000)
    }
}

/// The timestamps of `count` events of an op.
fn timestamps(op: u64, count: usize) -> impl Iterator<Item = u64> {
    op + 1 - count as u64..=op
}

fn results(outcomes: impl Iterator<Item = u32>, created: u32) -> Vec<u8> {
    let mut reply = Vec::new();
    for (place, outcome) in outcomes.enumerate() {
        if outcome != created {
            reply.extend_from_slice(&(place as u32).to_le_bytes());
            reply.extend_from_slice(&outcome.to_le_bytes());
        }
    }
    reply
}

impl Model {
    /// The reply to creating the accounts in `body`.
    pub fn create_accounts(&mut self, timestamp: u64, body: &[u8]) -> Vec<u8> {
        let wanted = body.as_chunks::<128>().0;
        let wanted = wanted
            .iter()
            .map(|bytes| Account::read_from_bytes(bytes).expect("an account has 128 bytes"));
        let wanted: Vec<Account> = wanted.collect();
        let outcomes = wanted.iter().zip(timestamps(timestamp, wanted.len()));
        let outcomes: Vec<u32> = outcomes
            .map(|(account, timestamp)| {
                if self.accounts.contains_key(&account.id) {
                    return CreateAccountStatus::Exists as u32;
                }
                let account = Account {
                    timestamp,
                    ..*account
                };
                self.accounts.insert(account.id, account);
                CreateAccountStatus::Created as u32
            })
            .collect();
        results(outcomes.into_iter(), CreateAccountStatus::Created as u32)
    }

    /// The reply to creating the transfers in `body`.
    pub fn create_transfers(&mut self, timestamp: u64, body: &[u8]) -> Vec<u8> {
        let wanted = body.as_chunks::<128>().0;
        let times = timestamps(timestamp, wanted.len());
        let outcomes: Vec<u32> = wanted
            .iter()
            .zip(times)
            .map(|(bytes, timestamp)| {
                let transfer = Transfer::read_from_bytes(bytes).expect("as above");
                let transfer = Transfer {
                    timestamp,
                    ..transfer
                };
                self.transfer(transfer) as u32
            })
            .collect();
        results(outcomes.into_iter(), CreateTransferStatus::Created as u32)
    }

    fn transfer(&mut self, transfer: Transfer) -> CreateTransferStatus {
        let ends = TransferFlags::POST_PENDING_TRANSFER | TransferFlags::VOID_PENDING_TRANSFER;
        if transfer.flags & ends != 0 {
            return self.end_pending(&transfer);
        }
        let Some(debit) = self.accounts.get(&transfer.debit_account_id) else {
            return CreateTransferStatus::DebitAccountNotFound;
        };
        if !self.accounts.contains_key(&transfer.credit_account_id) {
            return CreateTransferStatus::CreditAccountNotFound;
        }
        let limited = debit.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0;
        let debits = debit.debits_pending + debit.debits_posted + transfer.amount;
        if limited && debits > debit.credits_posted {
            return CreateTransferStatus::ExceedsCredits;
        }
        let is_pending = transfer.flags & TransferFlags::PENDING != 0;
        self.change(&transfer, |debit, credit| {
            if is_pending {
                debit.debits_pending += transfer.amount;
                credit.credits_pending += transfer.amount;
            } else {
                debit.debits_posted += transfer.amount;
                credit.credits_posted += transfer.amount;
            }
        });
        if is_pending {
            let state = PendingState::Open;
            self.pendings
                .insert(transfer.id, Pending { transfer, state });
        }
        CreateTransferStatus::Created
    }

    fn end_pending(&mut self, end: &Transfer) -> CreateTransferStatus {
        let Some(pending) = self.pendings.get_mut(&end.pending_id) else {
            return CreateTransferStatus::PendingTransferNotFound;
        };
        match pending.state {
            PendingState::Posted => return CreateTransferStatus::PendingTransferAlreadyPosted,
            PendingState::Voided => return CreateTransferStatus::PendingTransferAlreadyVoided,
            PendingState::Expired => return CreateTransferStatus::PendingTransferExpired,
            PendingState::Open => {}
        }
        if pending.expires_at().is_some_and(|at| at <= end.timestamp) {
            return CreateTransferStatus::PendingTransferExpired;
        }
        let posts = end.flags & TransferFlags::POST_PENDING_TRANSFER != 0;
        pending.state = if posts {
            PendingState::Posted
        } else {
            PendingState::Voided
        };
        let transfer = pending.transfer;
        self.release(&transfer, posts);
        CreateTransferStatus::Created
    }

    fn release(&mut self, pending: &Transfer, posts: bool) {
        let amount = pending.amount;
        self.change(pending, |debit, credit| {
            debit.debits_pending -= amount;
            credit.credits_pending -= amount;
            if posts {
                debit.debits_posted += amount;
                credit.credits_posted += amount;
            }
        });
    }

    fn change(&mut self, transfer: &Transfer, change: impl FnOnce(&mut Account, &mut Account)) {
        let (debit, credit) = (transfer.debit_account_id, transfer.credit_account_id);
        assert_ne!(debit, credit, "the clients do not ask for that");
        let mut first = self.accounts.remove(&debit).expect("looked at it before");
        let second = self.accounts.get_mut(&credit).expect("looked at it before");
        change(&mut first, second);
        self.accounts.insert(debit, first);
    }

    /// Expires what is due (ns).
    pub fn expire(&mut self, timestamp: u64) {
        let is_due = |pending: &Pending| {
            let due = pending.expires_at().is_some_and(|at| at <= timestamp);
            due && pending.state == PendingState::Open
        };
        let due: Vec<Transfer> = self
            .pendings
            .values_mut()
            .filter(|pending| is_due(pending))
            .map(|pending| {
                pending.state = PendingState::Expired;
                pending.transfer
            })
            .collect();
        for transfer in due {
            self.release(&transfer, false);
        }
    }

    /// All accounts that there are, as a lookup gives them.
    #[must_use]
    pub fn balances(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for account in accounts().filter_map(|id| self.accounts.get(&id)) {
            bytes.extend_from_slice(account.as_bytes());
        }
        bytes
    }

    /// Debits equal credits.
    ///
    /// # Errors
    /// When they do not.
    pub fn check_conservation(&self) -> Result<(), String> {
        let sum = |of: fn(&Account) -> u128| self.accounts.values().map(of).sum::<u128>();
        let (debits, credits) = (sum(|a| a.debits_posted), sum(|a| a.credits_posted));
        let pending = (sum(|a| a.debits_pending), sum(|a| a.credits_pending));
        if debits != credits || pending.0 != pending.1 {
            return Err(format!(
                "debits {debits} and credits {credits} differ: {pending:?}"
            ));
        }
        Ok(())
    }
}
