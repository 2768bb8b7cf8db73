//! The second phase: posting or voiding a pending transfer.

use giro_base::CreateTransferStatus::{self as Status, *};
use giro_base::{AccountFlags, Timestamp, Transfer, TransferFlags as Flags};

use super::transfers::{TransferDecider, expires_at};
use crate::pendings::Pending;
use crate::phase::Phase;
use crate::place::{NONE, Stored};

impl TransferDecider<'_> {
    pub(super) fn create_post_or_void(
        &mut self,
        i: usize,
        timestamp: Timestamp,
    ) -> Result<Timestamp, Status> {
        let t = &self.events[i];
        check_fields(t)?;
        let stored = self.pending_at(i).ok_or(PendingTransferNotFound)?;
        let p = self.transfer_at(stored);
        check_against_pending(t, p)?;
        let amount = amount_of(t, p)?;
        let pending = self.check_open(stored, timestamp)?;
        let p = &pending.transfer;
        let mut timestamp = timestamp;
        if t.flags & Flags::IMPORTED != 0 {
            self.check_import_order(t)?;
            timestamp = t.timestamp;
        }
        let Pending { debit, credit, .. } = pending;
        if t.flags & Flags::POST_PENDING_TRANSFER != 0 {
            if self.tables.accounts[debit as usize].flags & AccountFlags::CLOSED != 0 {
                return Err(DebitAccountAlreadyClosed);
            }
            if self.tables.accounts[credit as usize].flags & AccountFlags::CLOSED != 0 {
                return Err(CreditAccountAlreadyClosed);
            }
        }
        let stored = Transfer {
            debit_account_id: p.debit_account_id,
            credit_account_id: p.credit_account_id,
            amount,
            user_data_128: if t.user_data_128 == 0 {
                p.user_data_128
            } else {
                t.user_data_128
            },
            user_data_64: if t.user_data_64 == 0 {
                p.user_data_64
            } else {
                t.user_data_64
            },
            user_data_32: if t.user_data_32 == 0 {
                p.user_data_32
            } else {
                t.user_data_32
            },
            ledger: p.ledger,
            code: p.code,
            timestamp,
            ..*t
        };
        self.insert_closing_of(i, stored, &pending);
        Ok(timestamp)
    }

    /// Where the transfer lies that event `i`'s `pending_id` names, stored before this operation
    /// or by an earlier event of it.
    pub(super) fn pending_at(&self, i: usize) -> Option<Stored> {
        let mut place = self.found.at(i).pending.get();
        let mut earlier = self.found.at(i).pending_earlier.get();
        while place == NONE && earlier != NONE {
            place = self.decided.place[earlier as usize];
            earlier = self.found.at(earlier as usize).earlier.get();
        }
        let stored = (place != NONE).then(|| Stored::of(place));
        stored.filter(|stored| !matches!(stored, Stored::Burned(_)))
    }

    fn check_open(&self, stored: Stored, now: Timestamp) -> Result<Pending, Status> {
        let pending = self.pending_of(stored);
        match pending.phase {
            Phase::Posted => return Err(PendingTransferAlreadyPosted),
            Phase::Voided => return Err(PendingTransferAlreadyVoided),
            Phase::Expired => return Err(PendingTransferExpired),
            Phase::Pending => {}
            Phase::Single => unreachable!("only pending transfers come here"),
        }
        let p = &pending.transfer;
        if p.timeout != 0 && expires_at(p) <= now {
            return Err(PendingTransferExpired);
        }
        Ok(pending)
    }

    /// The pending transfer that lies there, open or not.
    pub(super) fn pending_of(&self, stored: Stored) -> Pending {
        let tables = &*self.tables;
        match stored {
            Stored::Row(place) => {
                let row = tables.window.row_at(place);
                let links = tables.window.links(row);
                Pending {
                    transfer: *tables.transfer(row),
                    row,
                    debit: links.debit,
                    credit: links.credit,
                    phase: tables.window.phase(row),
                }
            }
            Stored::Older(slot) => tables.pendings.get(slot),
            Stored::Past(answer) => {
                let past = &self.past[answer as usize];
                let ended = tables.window.end_of(past.row);
                Pending {
                    transfer: past.transfer,
                    row: past.row,
                    debit: NONE,
                    credit: NONE,
                    phase: ended.unwrap_or(past.phase),
                }
            }
            Stored::Burned(_) => unreachable!("burned ids have no transfer"),
        }
    }
}

fn check_fields(t: &Transfer) -> Result<(), Status> {
    let both = Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER;
    let first_phase = Flags::PENDING
        | Flags::BALANCING_DEBIT
        | Flags::BALANCING_CREDIT
        | Flags::CLOSING_DEBIT
        | Flags::CLOSING_CREDIT;
    if t.flags & both == both || t.flags & first_phase != 0 {
        return Err(FlagsAreMutuallyExclusive);
    }
    if t.pending_id == 0 {
        return Err(PendingIdMustNotBeZero);
    }
    if t.pending_id == u128::MAX {
        return Err(PendingIdMustNotBeIntMax);
    }
    if t.pending_id == t.id {
        return Err(PendingIdMustBeDifferent);
    }
    if t.timeout != 0 {
        return Err(TimeoutReservedForPendingTransfer);
    }
    Ok(())
}

/// A field that is 0 means "the pending transfer's".
fn check_against_pending(t: &Transfer, p: &Transfer) -> Result<(), Status> {
    let differs = |asked: u128, stored: u128| asked != 0 && asked != stored;
    // A branch is settled as a whole, by its confirm or cancel.
    if p.flags & Flags::PENDING == 0 || p.flags & Flags::BRANCH != 0 {
        return Err(PendingTransferNotPending);
    }
    if differs(t.debit_account_id, p.debit_account_id) {
        return Err(PendingTransferHasDifferentDebitAccountId);
    }
    if differs(t.credit_account_id, p.credit_account_id) {
        return Err(PendingTransferHasDifferentCreditAccountId);
    }
    if differs(t.ledger.into(), p.ledger.into()) {
        return Err(PendingTransferHasDifferentLedger);
    }
    if differs(t.code.into(), p.code.into()) {
        return Err(PendingTransferHasDifferentCode);
    }
    Ok(())
}

/// A void's 0 and a post's maximum mean the whole pending amount.
fn amount_of(t: &Transfer, p: &Transfer) -> Result<u128, Status> {
    let void = t.flags & Flags::VOID_PENDING_TRANSFER != 0;
    let whole = if void { 0 } else { u128::MAX };
    let amount = if t.amount == whole {
        p.amount
    } else {
        t.amount
    };
    if amount > p.amount {
        return Err(ExceedsPendingTransferAmount);
    }
    if void && amount < p.amount {
        return Err(PendingTransferHasDifferentAmount);
    }
    Ok(amount)
}
