//! Records as lines of JSON. Numbers of 64 and 128 bits are strings, for many readers of JSON
//! keep only 53.

use giro_client::{Account, AccountBalance, AccountResult, Transfer, TransferResult};
use serde::Serialize;

use super::fields::{ACCOUNT_FLAGS, TRANSFER_FLAGS, names};

#[derive(Serialize)]
struct AccountLine {
    id: String,
    debits_pending: String,
    debits_posted: String,
    credits_pending: String,
    credits_posted: String,
    user_data_128: String,
    user_data_64: String,
    user_data_32: u32,
    ledger: u32,
    code: u16,
    flags: Vec<&'static str>,
    timestamp: String,
}

#[derive(Serialize)]
struct TransferLine {
    id: String,
    debit_account_id: String,
    credit_account_id: String,
    amount: String,
    pending_id: String,
    user_data_128: String,
    user_data_64: String,
    user_data_32: u32,
    timeout: u32,
    ledger: u32,
    code: u16,
    flags: Vec<&'static str>,
    timestamp: String,
}

#[derive(Serialize)]
struct BalanceLine {
    debits_pending: String,
    debits_posted: String,
    credits_pending: String,
    credits_posted: String,
    timestamp: String,
}

#[derive(Serialize)]
struct ResultLine {
    index: usize,
    status: String,
    timestamp: String,
}

pub(super) fn account(account: &Account) -> String {
    line(&AccountLine {
        id: account.id.to_string(),
        debits_pending: account.debits_pending.to_string(),
        debits_posted: account.debits_posted.to_string(),
        credits_pending: account.credits_pending.to_string(),
        credits_posted: account.credits_posted.to_string(),
        user_data_128: account.user_data_128.to_string(),
        user_data_64: account.user_data_64.to_string(),
        user_data_32: account.user_data_32,
        ledger: account.ledger,
        code: account.code,
        flags: names(account.flags, ACCOUNT_FLAGS),
        timestamp: account.timestamp.to_string(),
    })
}

pub(super) fn transfer(transfer: &Transfer) -> String {
    line(&TransferLine {
        id: transfer.id.to_string(),
        debit_account_id: transfer.debit_account_id.to_string(),
        credit_account_id: transfer.credit_account_id.to_string(),
        amount: transfer.amount.to_string(),
        pending_id: transfer.pending_id.to_string(),
        user_data_128: transfer.user_data_128.to_string(),
        user_data_64: transfer.user_data_64.to_string(),
        user_data_32: transfer.user_data_32,
        timeout: transfer.timeout,
        ledger: transfer.ledger,
        code: transfer.code,
        flags: names(transfer.flags, TRANSFER_FLAGS),
        timestamp: transfer.timestamp.to_string(),
    })
}

pub(super) fn balance(balance: &AccountBalance) -> String {
    line(&BalanceLine {
        debits_pending: balance.debits_pending.to_string(),
        debits_posted: balance.debits_posted.to_string(),
        credits_pending: balance.credits_pending.to_string(),
        credits_posted: balance.credits_posted.to_string(),
        timestamp: balance.timestamp.to_string(),
    })
}

pub(super) fn account_result((index, result): (usize, &AccountResult)) -> String {
    line(&ResultLine {
        index,
        status: result.status.to_string(),
        timestamp: result.timestamp.to_string(),
    })
}

pub(super) fn transfer_result((index, result): (usize, &TransferResult)) -> String {
    line(&ResultLine {
        index,
        status: result.status.to_string(),
        timestamp: result.timestamp.to_string(),
    })
}

fn line(fields: &impl Serialize) -> String {
    serde_json::to_string(fields).expect("text and small numbers have a form in JSON")
}

#[cfg(test)]
mod tests {
    use giro_client::{CreateTransferStatus, TransferFlags};

    use super::*;

    #[test]
    fn lines_keep_every_digit_and_the_order_of_the_fields() {
        let shown = transfer(&Transfer {
            id: u128::MAX,
            amount: 10,
            flags: TransferFlags::LINKED | TransferFlags::PENDING,
            timestamp: u64::MAX,
            ..Transfer::default()
        });
        assert_eq!(
            shown,
            "{\"id\":\"340282366920938463463374607431768211455\",\"debit_account_id\":\"0\",\
             \"credit_account_id\":\"0\",\"amount\":\"10\",\"pending_id\":\"0\",\
             \"user_data_128\":\"0\",\"user_data_64\":\"0\",\"user_data_32\":0,\"timeout\":0,\
             \"ledger\":0,\"code\":0,\"flags\":[\"linked\",\"pending\"],\
             \"timestamp\":\"18446744073709551615\"}"
        );
        let result = TransferResult {
            timestamp: 5,
            status: CreateTransferStatus::ExceedsCredits,
        };
        assert_eq!(
            transfer_result((2, &result)),
            "{\"index\":2,\"status\":\"exceeds_credits\",\"timestamp\":\"5\"}"
        );
    }
}
