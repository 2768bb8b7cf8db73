//! `create_accounts`: the ladder of checks, in the order of `docs/reference/state-machine.md`.

use giro_base::CreateAccountStatus::{self as Status, *};
use giro_base::{Account, AccountFlags, Timestamp};

use super::chain::Gate;
use super::walk::{Bits, Decider, Outcome};
use crate::place::NONE;
use crate::scratch::{Decided, Found};
use crate::tables::Tables;

pub(super) struct AccountDecider<'a> {
    pub(super) tables: &'a mut Tables,
    pub(super) found: &'a Found,
    pub(super) decided: &'a mut Decided,
    pub(super) events: &'a [Account],
}

impl Decider for AccountDecider<'_> {
    type Status = Status;
    const CREATED: Status = Created;

    #[inline(always)]
    fn bits(&self, i: usize) -> Bits {
        let event = &self.events[i];
        Bits {
            linked: event.flags & AccountFlags::LINKED != 0,
            imported: event.flags & AccountFlags::IMPORTED != 0,
            timestamp: event.timestamp,
        }
    }

    fn decided(&mut self) -> &mut Decided {
        self.decided
    }

    /// Creating an account touches no other.
    fn fetch(&self, _: usize) {}

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
                || self.tables.transfer_has_timestamp(a.timestamp)
                || self.found.at(i).pending.get() != NONE)
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

    fn refusal(gate: Gate) -> Option<Status> {
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

    /// An account's failure never sticks to its id.
    fn failed(&mut self, _: usize, _: Status) {}
}

impl AccountDecider<'_> {
    /// The account that has event `i`'s id, whether it was there before or an earlier event of
    /// this operation made it.
    fn existing(&self, i: usize) -> Option<u32> {
        let slot = self.found.at(i).existing.get();
        if slot != NONE {
            return Some(slot);
        }
        let mut earlier = self.found.at(i).earlier.get();
        while earlier != NONE {
            let place = self.decided.place[earlier as usize];
            if place != NONE {
                return Some(place);
            }
            earlier = self.found.at(earlier as usize).earlier.get();
        }
        None
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
