//! The answer to a transfer's id that is taken: the same again, or what differs.

use giro_base::CreateTransferStatus::{self as Status, *};
use giro_base::{Transfer, TransferFlags as Flags};

use super::transfers::TransferDecider;

impl TransferDecider<'_> {
    /// Compares the request with the transfer that has its id, in the order of
    /// `docs/reference/state-machine.md`.
    #[cold]
    pub(super) fn compare_with_existing(&self, i: usize, e: &Transfer) -> Status {
        let t = &self.events[i];
        if t.flags != e.flags {
            return ExistsWithDifferentFlags;
        }
        if t.pending_id != e.pending_id {
            return ExistsWithDifferentPendingId;
        }
        if t.timeout != e.timeout {
            return ExistsWithDifferentTimeout;
        }
        if t.flags & (Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER) == 0 {
            return compare_single(t, e);
        }
        let pending = self
            .pending_at(i)
            .expect("what a stored transfer closed is stored too");
        compare_post_or_void(t, e, self.transfer_at(pending))
    }
}

/// What differs of a transfer that is no post or void, flags and timeout aside.
pub(super) fn compare_single(t: &Transfer, e: &Transfer) -> Status {
    let balancing = t.flags & (Flags::BALANCING_DEBIT | Flags::BALANCING_CREDIT) != 0;
    let amount_differs = if balancing {
        t.amount < e.amount
    } else {
        t.amount != e.amount
    };
    let ladder = [
        (
            t.debit_account_id != e.debit_account_id,
            ExistsWithDifferentDebitAccountId,
        ),
        (
            t.credit_account_id != e.credit_account_id,
            ExistsWithDifferentCreditAccountId,
        ),
        (amount_differs, ExistsWithDifferentAmount),
        (
            t.user_data_128 != e.user_data_128,
            ExistsWithDifferentUserData128,
        ),
        (
            t.user_data_64 != e.user_data_64,
            ExistsWithDifferentUserData64,
        ),
        (
            t.user_data_32 != e.user_data_32,
            ExistsWithDifferentUserData32,
        ),
        (t.ledger != e.ledger, ExistsWithDifferentLedger),
        (t.code != e.code, ExistsWithDifferentCode),
    ];
    ladder
        .into_iter()
        .find_map(|(differs, status)| differs.then_some(status))
        .unwrap_or(Exists)
}

/// Zero means "the pending transfer's" here, as it did when the transfer was made.
fn compare_post_or_void(t: &Transfer, e: &Transfer, p: &Transfer) -> Status {
    let whole = if t.flags & Flags::VOID_PENDING_TRANSFER != 0 {
        0
    } else {
        u128::MAX
    };
    let amount = if t.amount == whole {
        p.amount
    } else {
        t.amount
    };
    let differs = |asked: u128, stored: u128| asked != 0 && asked != stored;
    let data = |asked: u128, stored: u128, of_p: u128| {
        if asked == 0 {
            stored != of_p
        } else {
            stored != asked
        }
    };
    let ladder = [
        (
            differs(t.debit_account_id, e.debit_account_id),
            ExistsWithDifferentDebitAccountId,
        ),
        (
            differs(t.credit_account_id, e.credit_account_id),
            ExistsWithDifferentCreditAccountId,
        ),
        (amount != e.amount, ExistsWithDifferentAmount),
        (
            data(t.user_data_128, e.user_data_128, p.user_data_128),
            ExistsWithDifferentUserData128,
        ),
        (
            data(
                t.user_data_64.into(),
                e.user_data_64.into(),
                p.user_data_64.into(),
            ),
            ExistsWithDifferentUserData64,
        ),
        (
            data(
                t.user_data_32.into(),
                e.user_data_32.into(),
                p.user_data_32.into(),
            ),
            ExistsWithDifferentUserData32,
        ),
        (
            differs(t.ledger.into(), e.ledger.into()),
            ExistsWithDifferentLedger,
        ),
        (
            differs(t.code.into(), e.code.into()),
            ExistsWithDifferentCode,
        ),
    ];
    ladder
        .into_iter()
        .find_map(|(differs, status)| differs.then_some(status))
        .unwrap_or(Exists)
}
