//! Reading: lookups by id, an account's transfers and balances, and scans by field.
//!
//! Results are rows of 128 bytes, written one behind another. A filter that makes no sense
//! selects nothing. Transfers that have left memory are not found here.
//!
//! A query can be done piece by piece, between operations: [`Asked`] is what it asks for, and
//! [`Recent`] the way through memory.

mod accounts;
mod balances;
mod filters;
mod rows;

use giro_base::operation::Kind;
use giro_base::{AccountFlags, Timestamp, Transfer};
use zerocopy::IntoBytes;

pub use self::filters::{AccountQuery, Query};
use crate::machine::StateMachine;

use self::accounts::AccountScan;
use self::balances::BalanceWalk;
use self::rows::{AccountWalk, RowScan};

/// A query that has an answer.
#[derive(Clone, Copy)]
pub enum Asked {
    /// The transfers of the account in a slot.
    AccountTransfers(AccountQuery, u32),
    /// The account's balances after its transfers.
    AccountBalances(AccountQuery, u32),
    /// Transfers.
    Transfers(Query),
    /// Accounts.
    Accounts(Query),
}

impl Asked {
    /// What a filter (as bytes) asks for; none when nothing can answer it: it makes no sense, or
    /// its account is not there, or keeps no history of balances. An answer has room for
    /// `rows_max`.
    #[must_use]
    pub fn parse(
        machine: &StateMachine,
        kind: Kind,
        filter: &[u8],
        rows_max: usize,
    ) -> Option<Self> {
        let account = || {
            let query = AccountQuery::parse(filter, rows_max)?;
            let slot = machine.account_slot(query.filter.account_id)?;
            Some((query, slot))
        };
        let keeps = |slot: u32| {
            let flags = machine.tables().accounts[slot as usize].flags;
            flags & AccountFlags::HISTORY != 0
        };
        match kind {
            Kind::GetAccountTransfers => {
                account().map(|(query, slot)| Self::AccountTransfers(query, slot))
            }
            Kind::GetAccountBalances => account()
                .filter(|(_, slot)| keeps(*slot))
                .map(|(query, slot)| Self::AccountBalances(query, slot)),
            Kind::QueryTransfers => Query::parse(filter, rows_max).map(Self::Transfers),
            Kind::QueryAccounts => Query::parse(filter, rows_max).map(Self::Accounts),
            _ => None,
        }
    }

    /// Most rows of the answer.
    #[must_use]
    pub fn limit(&self) -> usize {
        match self {
            Self::AccountTransfers(query, _) | Self::AccountBalances(query, _) => query.limit,
            Self::Transfers(query) | Self::Accounts(query) => query.limit,
        }
    }

    /// Newest first.
    #[must_use]
    pub fn reversed(&self) -> bool {
        match self {
            Self::AccountTransfers(query, _) | Self::AccountBalances(query, _) => query.reversed,
            Self::Transfers(query) | Self::Accounts(query) => query.reversed,
        }
    }

    /// The way through what is in memory, to the first `limit` rows whose timestamps are not
    /// above `until`.
    #[must_use]
    pub fn recent(&self, machine: &StateMachine, limit: usize, until: Timestamp) -> Recent {
        let ends = |mut query: AccountQuery| {
            query.limit = limit;
            query.bounds.timestamp_max = query.bounds.timestamp_max.min(until);
            query
        };
        match *self {
            Self::AccountTransfers(query, slot) => {
                Recent::AccountTransfers(AccountWalk::new(machine, ends(query), slot))
            }
            Self::AccountBalances(query, slot) => {
                Recent::AccountBalances(BalanceWalk::new(machine, ends(query), slot))
            }
            Self::Transfers(mut query) => {
                query.limit = limit;
                query.bounds.timestamp_max = query.bounds.timestamp_max.min(until);
                Recent::Transfers(RowScan::new(machine, query))
            }
            Self::Accounts(mut query) => {
                query.limit = limit;
                Recent::Accounts(AccountScan::new(machine, query))
            }
        }
    }
}

/// A way through what is in memory. Transfers that it has seen must stay there until it is
/// written; when a generation leaves before, it must be begun again.
pub enum Recent {
    /// Of [`Asked::AccountTransfers`].
    AccountTransfers(AccountWalk),
    /// Of [`Asked::AccountBalances`].
    AccountBalances(BalanceWalk),
    /// Of [`Asked::Transfers`].
    Transfers(RowScan),
    /// Of [`Asked::Accounts`].
    Accounts(AccountScan),
}

impl Recent {
    /// Goes on, over at most `work` rows or accounts, of which it subtracts what it did. True when
    /// it has found everything. Over accounts it can be called again, for those made since.
    pub fn step(&mut self, machine: &StateMachine, work: &mut usize) -> bool {
        match self {
            Self::AccountTransfers(walk) => walk.step(machine, work),
            Self::AccountBalances(walk) => walk.step(machine, work),
            Self::Transfers(scan) => scan.step(machine, work),
            Self::Accounts(scan) => scan.step(machine, work),
        }
    }

    /// Writes what was found to `out`, in the order asked for, and returns how many rows. Accounts
    /// are written as they are now.
    pub fn write(&self, machine: &StateMachine, out: &mut [u8]) -> usize {
        let mut rows = Rows::new(out);
        match self {
            Self::AccountTransfers(walk) => walk.write(machine, &mut rows),
            Self::AccountBalances(walk) => walk.write(&mut rows),
            Self::Transfers(scan) => scan.write(machine, &mut rows),
            Self::Accounts(scan) => scan.write(machine, &mut rows),
        }
        rows.count
    }
}

impl StateMachine {
    /// Writes the accounts with these ids to `out` in the order asked, missing ones left out, and
    /// returns how many. `ids` are 16 little-endian bytes each; `out` has room for all.
    pub fn lookup_accounts(&self, ids: &[u8], out: &mut [u8]) -> usize {
        let mut rows = Rows::new(out);
        for account in ids_in(ids).filter_map(|id| self.account(id)) {
            rows.push(&account);
        }
        rows.count
    }

    /// As [`Self::lookup_accounts`], for transfers.
    pub fn lookup_transfers(&self, ids: &[u8], out: &mut [u8]) -> usize {
        let mut rows = Rows::new(out);
        for transfer in ids_in(ids).filter_map(|id| self.transfer(id)) {
            rows.push(transfer);
        }
        rows.count
    }

    /// Writes what is in memory of the answer to a query, at most `rows_max` rows, and returns how
    /// many: all at once.
    pub fn query(&self, kind: Kind, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        let Some(asked) = Asked::parse(self, kind, filter, rows_max) else {
            return 0;
        };
        let mut recent = asked.recent(self, asked.limit(), Timestamp::MAX);
        let mut unbounded = usize::MAX;
        let is_done = recent.step(self, &mut unbounded);
        debug_assert!(is_done, "nothing stops it");
        recent.write(self, out)
    }

    /// [`Self::query`] for an [`giro_base::filter::AccountFilter`].
    pub fn account_transfers(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        self.query(Kind::GetAccountTransfers, filter, rows_max, out)
    }

    /// [`Self::query`] for an [`giro_base::filter::AccountFilter`].
    pub fn account_balances(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        self.query(Kind::GetAccountBalances, filter, rows_max, out)
    }

    /// [`Self::query`] for a [`giro_base::filter::QueryFilter`].
    pub fn query_accounts(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        self.query(Kind::QueryAccounts, filter, rows_max, out)
    }

    /// [`Self::query`] for a [`giro_base::filter::QueryFilter`].
    pub fn query_transfers(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        self.query(Kind::QueryTransfers, filter, rows_max, out)
    }
}

/// Results being written.
struct Rows<'a> {
    out: &'a mut [u8],
    count: usize,
}

impl<'a> Rows<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Self { out, count: 0 }
    }

    fn push(&mut self, row: &(impl IntoBytes + zerocopy::Immutable)) {
        let bytes = row.as_bytes();
        self.out[self.count * bytes.len()..][..bytes.len()].copy_from_slice(bytes);
        self.count += 1;
    }
}

fn ids_in(bytes: &[u8]) -> impl Iterator<Item = u128> + '_ {
    bytes
        .as_chunks::<16>()
        .0
        .iter()
        .map(|id| u128::from_le_bytes(*id))
}

const _: () = assert!(size_of::<giro_base::Account>() == size_of::<Transfer>());
