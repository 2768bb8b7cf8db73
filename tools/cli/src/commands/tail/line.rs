//! An event as a line of JSON. Numbers of 64 and 128 bits are strings, for many readers of JSON
//! keep only 53.

use giro_client::{Change, ChangeKind, ChangedAccount};
use serde::Serialize;

use crate::commands::repl::fields::{ACCOUNT_FLAGS, TRANSFER_FLAGS, names};

#[derive(Serialize)]
struct Line {
    position: String,
    timestamp: String,
    r#type: &'static str,
    ledger: u32,
    transfer: TransferPart,
    debit_account: AccountPart,
    credit_account: AccountPart,
}

#[derive(Serialize)]
struct TransferPart {
    id: String,
    amount: String,
    pending_id: String,
    user_data_128: String,
    user_data_64: String,
    user_data_32: u32,
    timeout: u32,
    code: u16,
    flags: Vec<&'static str>,
    timestamp: String,
}

#[derive(Serialize)]
struct AccountPart {
    id: String,
    debits_pending: String,
    debits_posted: String,
    credits_pending: String,
    credits_posted: String,
    user_data_128: String,
    user_data_64: String,
    user_data_32: u32,
    code: u16,
    flags: Vec<&'static str>,
    timestamp: String,
}

/// The line, with its end.
pub(super) fn of(change: &Change) -> String {
    let event = &change.event;
    let kind = ChangeKind::try_from(event.kind).map_or("unknown", Into::into);
    let line = Line {
        position: change.position.to_string(),
        timestamp: event.timestamp.to_string(),
        r#type: kind,
        ledger: event.ledger,
        transfer: TransferPart {
            id: event.transfer_id.to_string(),
            amount: event.transfer_amount.to_string(),
            pending_id: event.transfer_pending_id.to_string(),
            user_data_128: event.transfer_user_data_128.to_string(),
            user_data_64: event.transfer_user_data_64.to_string(),
            user_data_32: event.transfer_user_data_32,
            timeout: event.transfer_timeout,
            code: event.transfer_code,
            flags: names(event.transfer_flags, TRANSFER_FLAGS),
            timestamp: event.transfer_timestamp.to_string(),
        },
        debit_account: account(&event.debit_account, event.debit_account_timestamp),
        credit_account: account(&event.credit_account, event.credit_account_timestamp),
    };
    let mut text = serde_json::to_string(&line).expect("text and small numbers have a form");
    text.push('\n');
    text
}

fn account(account: &ChangedAccount, timestamp: u64) -> AccountPart {
    AccountPart {
        id: account.id.to_string(),
        debits_pending: account.debits_pending.to_string(),
        debits_posted: account.debits_posted.to_string(),
        credits_pending: account.credits_pending.to_string(),
        credits_posted: account.credits_posted.to_string(),
        user_data_128: account.user_data_128.to_string(),
        user_data_64: account.user_data_64.to_string(),
        user_data_32: account.user_data_32,
        code: account.code,
        flags: names(account.flags, ACCOUNT_FLAGS),
        timestamp: timestamp.to_string(),
    }
}
