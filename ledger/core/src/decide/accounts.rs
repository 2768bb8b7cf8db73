//! `create_accounts`: the ladder of checks, in the order of `docs/reference/state-machine.md`.

use giro_base::CreateAccountStatus::{self as Status, *};
use giro_base::{Account, AccountFlags, Timestamp};

use super::Outcome;
use super::chain::{Chain, Entry, Gate};
use crate::batch::Batch;
use crate::scratch::{Decided, Found};
use crate::tables::{NONE, Tables};

pub(super) struct AccountDecider<'a> {
    pub(super) tables: &'a mut Tables,
    pub(super) found: &'a Found,
    pub(super) decided: &'a mut Decided,
    pub(super) events: &'a [Account],
}

impl AccountDecider<'_> {
    pub(super) fn run(&mut self, batch: &Batch<'_>) {
        let mut start = 0;
        for events in batch.body.batches() {
            self.run_batch(batch, start, start + events);
            start += events;
        }
    }

    fn run_batch(&mut self, batch: &Batch<'_>, start: usize, end: usize) {
        let Some(first) = self.events[start..end].first() else {
            return;
        };
        let imported_batch = first.flags & AccountFlags::IMPORTED != 0;
        let batch_timestamp = batch.event_timestamp(end - 1);
        let mut chain = Chain::default();
        for i in start..end {
            let event = &self.events[i];
            let linked = event.flags & AccountFlags::LINKED != 0;
            let gate = chain.enter(Entry {
                i,
                linked,
                last: i + 1 == end,
                imported: event.flags & AccountFlags::IMPORTED != 0,
                imported_batch,
                timestamp: event.timestamp,
                batch_timestamp,
            });
            let timestamp = batch.event_timestamp(i);
            self.decided.place[i] = NONE;
            let outcome = match gate_status(gate) {
                None => self.create(i, timestamp),
                Some(status) => Outcome { status, timestamp },
            };
            if outcome.status != Created
                && let Some(chain_start) = chain.fail()
            {
                self.take_back(chain_start, i);
            }
            chain.leave(linked, gate);
            self.decided.results[i] = outcome.into();
        }
    }

    fn create(&mut self, i: usize, timestamp: Timestamp) -> Outcome<Status> {
        let a = &self.events[i];
        let refuse = |status| Outcome { status, timestamp };
        if a.reserved != 0 {
            return refuse(ReservedField);
        }
        if a.flags & !AccountFlags::ALL != 0 {
            return refuse(ReservedFlag);
        }
        if a.id == 0 {
            return refuse(IdMustNotBeZero);
        }
        if a.id == u128::MAX {
            return refuse(IdMustNotBeIntMax);
        }
        if let Some(slot) = self.existing(i) {
            let existing = &self.tables.accounts[slot as usize];
            let status = compare(a, existing);
            let same = status == Exists;
            return Outcome {
                status,
                timestamp: if same { existing.timestamp } else { timestamp },
            };
        }
        if let Some(status) = invalid(a) {
            return refuse(status);
        }
        let imported = a.flags & AccountFlags::IMPORTED != 0;
        if imported
            && (a.timestamp <= self.tables.account_timestamp_last()
                || self.tables.transfer_has_timestamp(a.timestamp))
        {
            return refuse(ImportedEventTimestampMustNotRegress);
        }
        let timestamp = if imported { a.timestamp } else { timestamp };
        let account = Account { timestamp, ..*a };
        self.decided.place[i] = self.tables.accounts.len() as u32;
        self.decided.effect[i] = account.id as u64 ^ (account.id >> 64) as u64;
        self.tables.accounts.push(account);
        Outcome {
            status: Created,
            timestamp,
        }
    }

    /// The account that has event `i`'s id, whether it was there before or an earlier event of
    /// this operation made it.
    fn existing(&self, i: usize) -> Option<u32> {
        let slot = self.found.existing.get(i);
        if slot != NONE {
            return Some(slot);
        }
        let mut earlier = self.found.earlier.get(i);
        while earlier != NONE {
            let place = self.decided.place[earlier as usize];
            if place != NONE {
                return Some(place);
            }
            earlier = self.found.earlier.get(earlier as usize);
        }
        None
    }

    /// Undoes the chain's events before `end`, which broke it.
    fn take_back(&mut self, chain_start: usize, end: usize) {
        for i in (chain_start..end).rev() {
            if self.decided.place[i] != NONE {
                debug_assert_eq!(
                    self.decided.place[i] as usize + 1,
                    self.tables.accounts.len()
                );
                self.tables.accounts.set_len(self.decided.place[i] as usize);
                self.decided.place[i] = NONE;
            }
            self.decided.results[i].status = LinkedEventFailed.into();
        }
    }
}

/// The checks of a new account's own fields.
fn invalid(a: &Account) -> Option<Status> {
    let both_limits =
        AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS | AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS;
    let ladder = [
        (
            a.flags & both_limits == both_limits,
            FlagsAreMutuallyExclusive,
        ),
        (a.debits_pending != 0, DebitsPendingMustBeZero),
        (a.debits_posted != 0, DebitsPostedMustBeZero),
        (a.credits_pending != 0, CreditsPendingMustBeZero),
        (a.credits_posted != 0, CreditsPostedMustBeZero),
        (a.ledger == 0, LedgerMustNotBeZero),
        (a.code == 0, CodeMustNotBeZero),
    ];
    ladder
        .into_iter()
        .find_map(|(fails, status)| fails.then_some(status))
}

/// The answer to an id that is taken. Balances in the request are not looked at.
fn compare(a: &Account, existing: &Account) -> Status {
    let ladder = [
        (a.flags != existing.flags, ExistsWithDifferentFlags),
        (
            a.user_data_128 != existing.user_data_128,
            ExistsWithDifferentUserData128,
        ),
        (
            a.user_data_64 != existing.user_data_64,
            ExistsWithDifferentUserData64,
        ),
        (
            a.user_data_32 != existing.user_data_32,
            ExistsWithDifferentUserData32,
        ),
        (a.ledger != existing.ledger, ExistsWithDifferentLedger),
        (a.code != existing.code, ExistsWithDifferentCode),
    ];
    ladder
        .into_iter()
        .find_map(|(differs, status)| differs.then_some(status))
        .unwrap_or(Exists)
}

fn gate_status(gate: Gate) -> Option<Status> {
    match gate {
        Gate::Open => None,
        Gate::ChainOpen => Some(LinkedEventChainOpen),
        Gate::ChainFailed => Some(LinkedEventFailed),
        Gate::ImportedExpected => Some(ImportedEventExpected),
        Gate::ImportedNotExpected => Some(ImportedEventNotExpected),
        Gate::ImportedOutOfRange => Some(ImportedEventTimestampOutOfRange),
        Gate::ImportedMustNotAdvance => Some(ImportedEventTimestampMustNotAdvance),
        Gate::TimestampMustBeZero => Some(TimestampMustBeZero),
    }
}
