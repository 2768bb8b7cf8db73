//! `create_transfers`: the walk, and single-phase and pending transfers. Checks run in the order
//! of `docs/reference/state-machine.md`.

use giro_base::CreateTransferStatus::{self as Status, *};
use giro_base::prefetch::prefetch;
use giro_base::time::{NS_PER_S, TIMESTAMP_MAX};
use giro_base::{Account, AccountFlags, Timestamp, Transfer, TransferFlags as Flags};

use super::chain::Gate;
use super::effects::Made;
use super::walk::{AHEAD, Bits, Decider, Outcome};
use crate::archive::Past;
use crate::place::{NONE, Stored};
use crate::scratch::{Decided, Found};
use crate::tables::Tables;

pub(super) struct TransferDecider<'a> {
    pub(super) tables: &'a mut Tables,
    pub(super) found: &'a Found,
    pub(super) decided: &'a mut Decided,
    pub(super) past: &'a [Past],
    pub(super) events: &'a [Transfer],
}

impl Decider for TransferDecider<'_> {
    type Status = Status;
    const CREATED: Status = Created;

    #[inline(always)]
    fn bits(&self, i: usize) -> Bits {
        let event = &self.events[i];
        Bits {
            linked: event.flags & Flags::LINKED != 0,
            imported: event.flags & Flags::IMPORTED != 0,
            timestamp: event.timestamp,
        }
    }

    #[inline(always)]
    fn decided(&mut self) -> &mut Decided {
        self.decided
    }

    /// Asks for the accounts of an event that comes up soon, for itself, and for its row. A large
    /// operation and many accounts have left the cache since resolve saw them.
    #[inline(always)]
    fn fetch(&self, i: usize) {
        let event = &self.events[i];
        prefetch(&event.id);
        prefetch(&event.timestamp);
        self.tables.window.prefetch_push(AHEAD);
        let slots = [self.found.at(i).debit.get(), self.found.at(i).credit.get()];
        self.tables.fetch_accounts(slots);
    }

    #[inline(always)]
    fn create(&mut self, i: usize, timestamp: Timestamp) -> Outcome<Status> {
        let t = &self.events[i];
        let refuse = |status| Outcome { status, timestamp };
        if t.flags & !Flags::ALL != 0 {
            return refuse(ReservedFlag);
        }
        if t.id == 0 {
            return refuse(IdMustNotBeZero);
        }
        if t.id == u128::MAX {
            return refuse(IdMustNotBeIntMax);
        }
        match self.taken(i) {
            None => {}
            Some(Stored::Burned(_)) => return refuse(IdAlreadyFailed),
            Some(existing) => {
                let existing = *self.transfer_at(existing);
                let status = self.compare_with_existing(i, &existing);
                let timestamp = if status == Exists {
                    existing.timestamp
                } else {
                    timestamp
                };
                return Outcome { status, timestamp };
            }
        }
        let created =
            if t.flags & (Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER) != 0 {
                self.create_post_or_void(i, timestamp)
            } else {
                self.create_single_or_pending(i, timestamp)
            };
        match created {
            Ok(timestamp) => Outcome {
                status: Created,
                timestamp,
            },
            Err(status) => refuse(status),
        }
    }

    #[inline(always)]
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

    fn take_back(&mut self, chain_start: usize, end: usize) {
        self.take_back_chain(chain_start, end);
    }

    fn failed(&mut self, i: usize, status: Status) {
        if status.is_transient() {
            self.burn(i);
        }
    }
}

impl TransferDecider<'_> {
    /// What event `i`'s id stands for, before this operation or by an earlier event of it.
    #[inline(always)]
    pub(super) fn taken(&self, i: usize) -> Option<Stored> {
        let mut place = self.found.at(i).existing.get();
        let mut earlier = self.found.at(i).earlier.get();
        while place == NONE && earlier != NONE {
            place = self.decided.place[earlier as usize];
            earlier = self.found.at(earlier as usize).earlier.get();
        }
        (place != NONE).then(|| Stored::of(place))
    }

    /// The transfer that is stored there. Not for burned ids.
    pub(super) fn transfer_at(&self, stored: Stored) -> &Transfer {
        match stored {
            Stored::Row(place) => self.tables.transfer(self.tables.window.row_at(place)),
            Stored::Past(answer) => &self.past[answer as usize].transfer,
            Stored::Older(slot) => self.tables.pendings.transfer(slot),
            Stored::Burned(_) => unreachable!("burned ids have no transfer"),
        }
    }

    #[inline(always)]
    pub(super) fn create_single_or_pending(
        &mut self,
        i: usize,
        timestamp: u64,
    ) -> Result<u64, Status> {
        let t = &self.events[i];
        let debit = self.found.at(i).debit.get();
        let credit = self.found.at(i).credit.get();
        if debit == NONE || credit == NONE || debit == credit {
            check_account_ids(t)?;
        }
        check_fields(t)?;
        if debit == NONE {
            return Err(DebitAccountNotFound);
        }
        if credit == NONE {
            return Err(CreditAccountNotFound);
        }
        let dr = &self.tables.accounts[debit as usize];
        let cr = &self.tables.accounts[credit as usize];
        if dr.ledger != cr.ledger {
            return Err(AccountsMustHaveTheSameLedger);
        }
        if t.ledger != dr.ledger {
            return Err(TransferMustHaveTheSameLedgerAsAccounts);
        }
        let mut timestamp = timestamp;
        if t.flags & Flags::IMPORTED != 0 {
            self.check_import(t, dr, cr)?;
            timestamp = t.timestamp;
        }
        if dr.flags & AccountFlags::CLOSED != 0 {
            return Err(DebitAccountAlreadyClosed);
        }
        if cr.flags & AccountFlags::CLOSED != 0 {
            return Err(CreditAccountAlreadyClosed);
        }
        let amount = balanced_amount(t, dr, cr);
        check_overflow(t, amount, dr, cr)?;
        if t.timeout != 0 && due_at(timestamp, t.timeout) > TIMESTAMP_MAX {
            return Err(OverflowsTimeout);
        }
        check_limits(amount, dr, cr)?;
        self.insert(i, Made { amount, timestamp }, [debit, credit]);
        Ok(timestamp)
    }

    #[cold]
    fn check_import(&self, t: &Transfer, dr: &Account, cr: &Account) -> Result<(), Status> {
        self.check_import_order(t)?;
        if t.timestamp <= dr.timestamp {
            return Err(ImportedEventTimestampMustPostdateDebitAccount);
        }
        if t.timestamp <= cr.timestamp {
            return Err(ImportedEventTimestampMustPostdateCreditAccount);
        }
        if t.timeout != 0 {
            return Err(ImportedEventTimeoutMustBeZero);
        }
        Ok(())
    }

    /// An imported transfer comes after all others and shares its timestamp with no account.
    pub(super) fn check_import_order(&self, t: &Transfer) -> Result<(), Status> {
        if t.timestamp <= self.tables.window.timestamp_last()
            || self.tables.account_has_timestamp(t.timestamp)
        {
            return Err(ImportedEventTimestampMustNotRegress);
        }
        Ok(())
    }
}

/// What an account was found for is valid: no account has an invalid id.
#[cold]
fn check_account_ids(t: &Transfer) -> Result<(), Status> {
    if t.debit_account_id == 0 {
        return Err(DebitAccountIdMustNotBeZero);
    }
    if t.debit_account_id == u128::MAX {
        return Err(DebitAccountIdMustNotBeIntMax);
    }
    if t.credit_account_id == 0 {
        return Err(CreditAccountIdMustNotBeZero);
    }
    if t.credit_account_id == u128::MAX {
        return Err(CreditAccountIdMustNotBeIntMax);
    }
    if t.debit_account_id == t.credit_account_id {
        return Err(AccountsMustBeDifferent);
    }
    Ok(())
}

#[inline(always)]
fn check_fields(t: &Transfer) -> Result<(), Status> {
    if t.pending_id != 0 {
        return Err(PendingIdMustBeZero);
    }
    if t.flags & Flags::PENDING == 0 {
        if t.timeout != 0 {
            return Err(TimeoutReservedForPendingTransfer);
        }
        if t.flags & (Flags::CLOSING_DEBIT | Flags::CLOSING_CREDIT) != 0 {
            return Err(ClosingTransferMustBePending);
        }
    }
    if t.ledger == 0 {
        return Err(LedgerMustNotBeZero);
    }
    if t.code == 0 {
        return Err(CodeMustNotBeZero);
    }
    Ok(())
}

/// The amount that moves: the transfer's, or less where it balances an account.
#[inline(always)]
fn balanced_amount(t: &Transfer, dr: &Account, cr: &Account) -> u128 {
    let mut amount = t.amount;
    if t.flags & Flags::BALANCING_DEBIT != 0 {
        let used = dr.debits_posted.saturating_add(dr.debits_pending);
        amount = amount.min(dr.credits_posted.saturating_sub(used));
    }
    if t.flags & Flags::BALANCING_CREDIT != 0 {
        let used = cr.credits_posted.saturating_add(cr.credits_pending);
        amount = amount.min(cr.debits_posted.saturating_sub(used));
    }
    amount
}

#[inline(always)]
fn check_overflow(t: &Transfer, amount: u128, dr: &Account, cr: &Account) -> Result<(), Status> {
    let overflows = |balance: u128| balance.checked_add(amount).is_none();
    // Where the sum of both balances has room, each has. Neither sum overflows by itself: it was
    // checked here when it grew.
    let (debits, credits) = (
        dr.debits_pending + dr.debits_posted,
        cr.credits_pending + cr.credits_posted,
    );
    if !overflows(debits) && !overflows(credits) {
        return Ok(());
    }
    if t.flags & Flags::PENDING != 0 {
        if overflows(dr.debits_pending) {
            return Err(OverflowsDebitsPending);
        }
        if overflows(cr.credits_pending) {
            return Err(OverflowsCreditsPending);
        }
    }
    if overflows(dr.debits_posted) {
        return Err(OverflowsDebitsPosted);
    }
    if overflows(cr.credits_posted) {
        return Err(OverflowsCreditsPosted);
    }
    Err(if overflows(debits) {
        OverflowsDebits
    } else {
        OverflowsCredits
    })
}

#[inline(always)]
fn check_limits(amount: u128, dr: &Account, cr: &Account) -> Result<(), Status> {
    if dr.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0
        && dr.debits_pending + dr.debits_posted + amount > dr.credits_posted
    {
        return Err(ExceedsCredits);
    }
    if cr.flags & AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS != 0
        && cr.credits_pending + cr.credits_posted + amount > cr.debits_posted
    {
        return Err(ExceedsDebits);
    }
    Ok(())
}

/// When a pending transfer with a timeout is due (ns). May lie beyond the valid range.
pub(crate) fn expires_at(t: &Transfer) -> u64 {
    due_at(t.timestamp, t.timeout)
}

#[inline(always)]
fn due_at(timestamp: Timestamp, timeout: u32) -> Timestamp {
    timestamp + u64::from(timeout) * NS_PER_S
}
