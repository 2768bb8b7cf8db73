//! From a change to the event that consumers see.

use giro_base::change::ChangedAccount;
use giro_base::{Account, ChangeEvent, ChangeKind, Transfer, TransferFlags as Flags};
use zerocopy::FromZeros;

use super::{Change, What};
use crate::replay::AccountState;

/// The event of a change, given all accounts by slot, and the pending transfer if it is an expiry.
///
/// # Panics
/// When it is an expiry and `pending` is missing.
#[must_use]
pub fn event_of(change: &Change, accounts: &[Account], pending: Option<&Transfer>) -> ChangeEvent {
    let (transfer, kind, amount) = match &change.what {
        What::Transfer { transfer, .. } => (transfer, kind_of(transfer), transfer.amount),
        What::Expiry { amount, .. } => {
            let pending = pending.expect("an expiry comes with its pending transfer");
            (pending, ChangeKind::TwoPhaseExpired, *amount)
        }
    };
    let [debit, credit] = change.slots.map(|slot| &accounts[slot as usize]);
    let [debit_after, credit_after] = &change.after;
    ChangeEvent {
        transfer_id: transfer.id,
        transfer_amount: amount,
        transfer_pending_id: transfer.pending_id,
        transfer_user_data_128: transfer.user_data_128,
        transfer_user_data_64: transfer.user_data_64,
        transfer_user_data_32: transfer.user_data_32,
        transfer_timeout: transfer.timeout,
        transfer_code: transfer.code,
        transfer_flags: transfer.flags,
        ledger: transfer.ledger,
        kind: kind.into(),
        debit_account: changed(debit, debit_after),
        credit_account: changed(credit, credit_after),
        timestamp: change.timestamp,
        transfer_timestamp: transfer.timestamp,
        debit_account_timestamp: debit.timestamp,
        credit_account_timestamp: credit.timestamp,
        ..ChangeEvent::new_zeroed()
    }
}

fn kind_of(transfer: &Transfer) -> ChangeKind {
    if transfer.flags & Flags::PENDING != 0 {
        ChangeKind::TwoPhasePending
    } else if transfer.flags & Flags::POST_PENDING_TRANSFER != 0 {
        ChangeKind::TwoPhasePosted
    } else if transfer.flags & Flags::VOID_PENDING_TRANSFER != 0 {
        ChangeKind::TwoPhaseVoided
    } else {
        ChangeKind::SinglePhase
    }
}

fn changed(account: &Account, after: &AccountState) -> ChangedAccount {
    let balances = after.balances;
    ChangedAccount {
        id: account.id,
        debits_pending: balances.debits_pending,
        debits_posted: balances.debits_posted,
        credits_pending: balances.credits_pending,
        credits_posted: balances.credits_posted,
        user_data_128: account.user_data_128,
        user_data_64: account.user_data_64,
        user_data_32: account.user_data_32,
        code: account.code,
        flags: after.flags,
    }
}
