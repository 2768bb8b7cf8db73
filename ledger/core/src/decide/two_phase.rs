//! The second phase: posting or voiding a pending transfer.

use giro_base::CreateTransferStatus::{self as Status, *};
use giro_base::{AccountFlags, Timestamp, Transfer, TransferFlags as Flags};

use super::transfers::{TransferDecider, expires_at};
use crate::tables::{BURNED, Links, NONE, Phase};

impl TransferDecider<'_> {
    pub(super) fn create_post_or_void(
        &mut self,
        i: usize,
        timestamp: Timestamp,
    ) -> Result<Timestamp, Status> {
        let t = &self.events[i];
        check_fields(t)?;
        let row = self.pending_row(i).ok_or(PendingTransferNotFound)?;
        let p = &self.tables.transfers[row as usize];
        check_against_pending(t, p)?;
        let amount = amount_of(t, p)?;
        self.check_open(row, timestamp)?;
        let mut timestamp = timestamp;
        if t.flags & Flags::IMPORTED != 0 {
            self.check_import_order(t)?;
            timestamp = t.timestamp;
        }
        let Links { debit, credit, .. } = self.tables.links[row as usize];
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
        self.insert_closing_of(i, stored, row);
        Ok(timestamp)
    }

    /// The row that event `i`'s `pending_id` names, stored before this operation or by an earlier
    /// event of it.
    pub(super) fn pending_row(&self, i: usize) -> Option<u32> {
        let mut place = self.found.pending.get(i);
        let mut earlier = self.found.pending_earlier.get(i);
        while place == NONE && earlier != NONE {
            place = self.decided.place[earlier as usize];
            earlier = self.found.earlier.get(earlier as usize);
        }
        (place != NONE && place & BURNED == 0).then_some(place)
    }

    fn check_open(&self, row: u32, now: Timestamp) -> Result<(), Status> {
        match self.tables.phase(row) {
            Phase::Posted => return Err(PendingTransferAlreadyPosted),
            Phase::Voided => return Err(PendingTransferAlreadyVoided),
            Phase::Expired => return Err(PendingTransferExpired),
            Phase::Pending => {}
            Phase::Single => unreachable!("only pending transfers come here"),
        }
        let p = &self.tables.transfers[row as usize];
        if p.timeout != 0 && expires_at(p) <= now {
            return Err(PendingTransferExpired);
        }
        Ok(())
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
    if p.flags & Flags::PENDING == 0 {
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
