//! Messages as the ledger's records, and back.

use giro_client::{
    Account, AccountBalance, AccountFilter, AccountResult, BranchAnswer, BranchInfo, BranchKey,
    BranchState, ConfirmBranch, Leg, OpenBranch, OpenBranchesFilter, QueryFilter, Transfer,
    TransferResult, TryBranch,
};

use super::v1;
use crate::error::ApiError;
use crate::number::parse;
use crate::records::{AccountFlagNames, TransferFlagNames, limit_or_default, page_end};

/// A field that cannot be what it is, and why.
#[derive(Debug)]
pub(super) struct Wrong {
    field: String,
    why: String,
}

impl Wrong {
    fn new(field: &str, why: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            why: why.into(),
        }
    }

    /// As seen from the message around it.
    fn within(mut self, outer: &str, at: usize) -> Self {
        self.field = format!("{outer}[{at}].{}", self.field);
        self
    }
}

impl From<Wrong> for ApiError {
    fn from(wrong: Wrong) -> Self {
        Self::field(wrong.field, wrong.why)
    }
}

type Converted<T> = Result<T, Wrong>;

/// Digits; an empty text is 0.
fn number(text: &str, field: &str) -> Converted<u128> {
    if text.is_empty() {
        return Ok(0);
    }
    parse(text, u128::MAX).map_err(|why| Wrong::new(field, why))
}

/// Digits that must be there.
fn amount(text: &str, field: &str) -> Converted<u128> {
    if text.is_empty() {
        return Err(Wrong::new(field, "is missing"));
    }
    number(text, field)
}

fn code(value: u32) -> Converted<u16> {
    let why = || Wrong::new("code", format!("must be at most {}", u16::MAX));
    value.try_into().map_err(|_| why())
}

/// Each element, with its place where it is wrong.
pub(super) fn each<M, T>(
    messages: &[M],
    list: &str,
    convert: fn(&M) -> Converted<T>,
) -> Converted<Vec<T>> {
    let messages = messages.iter().enumerate();
    let convert = |(at, message)| convert(message).map_err(|wrong: Wrong| wrong.within(list, at));
    messages.map(convert).collect()
}

pub(super) fn ids(message: &v1::Ids) -> Converted<Vec<u128>> {
    let id = |(at, text): (usize, &String)| amount(text, &format!("ids[{at}]"));
    message.ids.iter().enumerate().map(id).collect()
}

pub(super) fn account(new: &v1::NewAccount) -> Converted<Account> {
    let flags = AccountFlagNames::of(&new.flags).map_err(|why| Wrong::new("flags", why))?;
    Ok(Account {
        id: amount(&new.id, "id")?,
        ledger: new.ledger,
        code: code(new.code)?,
        flags: flags.0,
        user_data_128: number(&new.user_data_128, "user_data_128")?,
        user_data_64: new.user_data_64,
        user_data_32: new.user_data_32,
        timestamp: new.timestamp,
        ..Account::default()
    })
}

pub(super) fn transfer(new: &v1::NewTransfer) -> Converted<Transfer> {
    let flags = TransferFlagNames::of(&new.flags).map_err(|why| Wrong::new("flags", why))?;
    Ok(Transfer {
        id: amount(&new.id, "id")?,
        debit_account_id: number(&new.debit_account_id, "debit_account_id")?,
        credit_account_id: number(&new.credit_account_id, "credit_account_id")?,
        amount: amount(&new.amount, "amount")?,
        pending_id: number(&new.pending_id, "pending_id")?,
        user_data_128: number(&new.user_data_128, "user_data_128")?,
        user_data_64: new.user_data_64,
        user_data_32: new.user_data_32,
        timeout: new.timeout,
        ledger: new.ledger,
        code: code(new.code)?,
        flags: flags.0,
        timestamp: new.timestamp,
    })
}

pub(super) fn account_filter(filter: &v1::AccountFilter) -> Converted<AccountFilter> {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let is_both = filter.debits == filter.credits;
    Ok(AccountFilter {
        account_id: amount(&filter.account_id, "account_id")?,
        user_data_128: number(&filter.user_data_128, "user_data_128")?,
        user_data_64: filter.user_data_64,
        user_data_32: filter.user_data_32,
        code: code(filter.code)?,
        timestamp_min: filter.timestamp_min,
        timestamp_max: filter.timestamp_max,
        limit: limit_or_default(filter.limit),
        flags: flag(filter.debits || is_both, AccountFilter::DEBITS)
            | flag(filter.credits || is_both, AccountFilter::CREDITS)
            | flag(filter.reversed, AccountFilter::REVERSED),
        ..AccountFilter::default()
    })
}

pub(super) fn query_filter(filter: &v1::QueryFilter) -> Converted<QueryFilter> {
    Ok(QueryFilter {
        user_data_128: number(&filter.user_data_128, "user_data_128")?,
        user_data_64: filter.user_data_64,
        user_data_32: filter.user_data_32,
        ledger: filter.ledger,
        code: code(filter.code)?,
        timestamp_min: filter.timestamp_min,
        timestamp_max: filter.timestamp_max,
        limit: limit_or_default(filter.limit),
        flags: if filter.reversed {
            QueryFilter::REVERSED
        } else {
            0
        },
        ..QueryFilter::default()
    })
}

pub(super) fn leg(leg: &v1::Leg) -> Converted<Leg> {
    Ok(Leg {
        debit_account_id: amount(&leg.debit_account_id, "debit_account_id")?,
        credit_account_id: amount(&leg.credit_account_id, "credit_account_id")?,
        amount: amount(&leg.amount, "amount")?,
        user_data_128: number(&leg.user_data_128, "user_data_128")?,
        user_data_64: leg.user_data_64,
        user_data_32: leg.user_data_32,
        ledger: leg.ledger,
        code: code(leg.code)?,
    })
}

pub(super) fn try_branch(new: &v1::NewBranch) -> Converted<TryBranch> {
    Ok(TryBranch {
        key: BranchKey::new(&*new.gid, &*new.branch_id),
        timeout: new.timeout,
        legs: each(&new.legs, "legs", leg)?.into(),
    })
}

pub(super) fn amounts(texts: &[String]) -> Converted<Vec<u128>> {
    let one = |(at, text): (usize, &String)| amount(text, &format!("amounts[{at}]"));
    texts.iter().enumerate().map(one).collect()
}

pub(super) fn confirm_branch(confirm: &v1::Confirmation) -> Converted<ConfirmBranch> {
    Ok(ConfirmBranch {
        amounts: amounts(&confirm.amounts)?.into(),
        key: BranchKey::new(&*confirm.gid, &*confirm.branch_id),
    })
}

pub(super) fn key(key: v1::BranchKey) -> BranchKey {
    BranchKey::new(key.gid, key.branch_id)
}

pub(super) fn open_filter(request: &v1::ListOpenRequest) -> Converted<OpenBranchesFilter> {
    let next = request.next.clone().unwrap_or_default();
    Ok(OpenBranchesFilter {
        account_id: number(&request.account_id, "account_id")?,
        after: number(&next.after, "next.after")?,
        after_tried_at: next.after_tried_at,
        tried_at_max: request.tried_at_max,
        limit: limit_or_default(request.limit),
        ..OpenBranchesFilter::default()
    })
}

impl From<AccountResult> for v1::Result {
    fn from(result: AccountResult) -> Self {
        Self {
            status: result.status.to_string(),
            timestamp: result.timestamp,
        }
    }
}

impl From<TransferResult> for v1::Result {
    fn from(result: TransferResult) -> Self {
        Self {
            status: result.status.to_string(),
            timestamp: result.timestamp,
        }
    }
}

impl From<Account> for v1::Account {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.to_string(),
            debits_pending: account.debits_pending.to_string(),
            debits_posted: account.debits_posted.to_string(),
            credits_pending: account.credits_pending.to_string(),
            credits_posted: account.credits_posted.to_string(),
            user_data_128: account.user_data_128.to_string(),
            user_data_64: account.user_data_64,
            user_data_32: account.user_data_32,
            ledger: account.ledger,
            code: account.code.into(),
            flags: AccountFlagNames(account.flags).names(),
            timestamp: account.timestamp,
        }
    }
}

impl From<Transfer> for v1::Transfer {
    fn from(transfer: Transfer) -> Self {
        Self {
            id: transfer.id.to_string(),
            debit_account_id: transfer.debit_account_id.to_string(),
            credit_account_id: transfer.credit_account_id.to_string(),
            amount: transfer.amount.to_string(),
            pending_id: transfer.pending_id.to_string(),
            user_data_128: transfer.user_data_128.to_string(),
            user_data_64: transfer.user_data_64,
            user_data_32: transfer.user_data_32,
            timeout: transfer.timeout,
            ledger: transfer.ledger,
            code: transfer.code.into(),
            flags: TransferFlagNames(transfer.flags).names(),
            timestamp: transfer.timestamp,
        }
    }
}

impl From<AccountBalance> for v1::Balance {
    fn from(balance: AccountBalance) -> Self {
        Self {
            debits_pending: balance.debits_pending.to_string(),
            debits_posted: balance.debits_posted.to_string(),
            credits_pending: balance.credits_pending.to_string(),
            credits_posted: balance.credits_posted.to_string(),
            timestamp: balance.timestamp,
        }
    }
}

impl From<BranchAnswer> for v1::BranchResult {
    fn from(answer: BranchAnswer) -> Self {
        Self {
            status: answer.status.to_string(),
            timestamp: answer.timestamp,
            leg: answer.leg.and_then(|leg| leg.try_into().ok()),
            leg_status: answer.leg_status.map(|status| status.to_string()),
        }
    }
}

/// None of a branch never heard of.
pub(super) fn branch_info(key: BranchKey, info: &BranchInfo) -> Option<v1::BranchInfo> {
    let state = BranchState::try_from(info.state).ok()?;
    (state != BranchState::None).then(|| v1::BranchInfo {
        gid: key.gid,
        branch_id: key.branch_id,
        id: info.id.to_string(),
        state: state.to_string(),
        legs: info.legs.into(),
        tried_at: info.tried_at,
        settled_at: info.settled_at,
        timeout: info.timeout,
    })
}

/// Of the rows that came for a limit.
pub(super) fn open_branches(
    rows: Vec<(OpenBranch, Option<BranchKey>)>,
    limit_rows: usize,
) -> v1::OpenBranches {
    let next = page_end(&rows, limit_rows).map(|last| v1::Next {
        after: last.id.to_string(),
        after_tried_at: last.tried_at,
    });
    // One without legs only says where the ledger stopped looking.
    let real = rows.into_iter().filter(|(row, _)| row.legs > 0);
    let real = real.filter_map(|(row, key)| Some((row, key?)));
    let row = |(row, key): (OpenBranch, BranchKey)| v1::OpenBranch {
        gid: key.gid,
        branch_id: key.branch_id,
        id: row.id.to_string(),
        legs: row.legs.into(),
        tried_at: row.tried_at,
        timeout: row.timeout,
    };
    v1::OpenBranches {
        branches: real.map(row).collect(),
        next,
    }
}
