//! Accounts.

use giro_client::{Account, AccountBalance};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::flags::AccountFlagNames;
use crate::number::{U16, U32, U64, U128};

/// An account to be created.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccount {
    /// Not 0 and not the largest number.
    id: U128,
    /// Its currency or asset; not 0.
    ledger: U32,
    /// Its kind; not 0.
    code: U16,
    #[serde(default)]
    flags: AccountFlagNames,
    #[serde(default)]
    user_data_128: U128,
    #[serde(default)]
    user_data_64: U64,
    #[serde(default)]
    user_data_32: U32,
    /// Only of imported ones (ns).
    #[serde(default)]
    timestamp: U64,
}

impl From<NewAccount> for Account {
    fn from(new: NewAccount) -> Self {
        Self {
            id: new.id.0,
            ledger: new.ledger.0,
            code: new.code.0,
            flags: new.flags.0,
            user_data_128: new.user_data_128.0,
            user_data_64: new.user_data_64.0,
            user_data_32: new.user_data_32.0,
            timestamp: new.timestamp.0,
            ..Self::default()
        }
    }
}

/// An account as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AccountRow {
    id: U128,
    /// Reserved by pending transfers that debit it.
    debits_pending: U128,
    debits_posted: U128,
    credits_pending: U128,
    credits_posted: U128,
    user_data_128: U128,
    user_data_64: U64,
    user_data_32: U32,
    ledger: U32,
    code: U16,
    flags: AccountFlagNames,
    /// When it was created (ns).
    timestamp: U64,
}

impl From<Account> for AccountRow {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.into(),
            debits_pending: account.debits_pending.into(),
            debits_posted: account.debits_posted.into(),
            credits_pending: account.credits_pending.into(),
            credits_posted: account.credits_posted.into(),
            user_data_128: account.user_data_128.into(),
            user_data_64: account.user_data_64.into(),
            user_data_32: account.user_data_32.into(),
            ledger: account.ledger.into(),
            code: account.code.into(),
            flags: AccountFlagNames(account.flags),
            timestamp: account.timestamp.into(),
        }
    }
}

/// An account's balances after one of its transfers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BalanceRow {
    debits_pending: U128,
    debits_posted: U128,
    credits_pending: U128,
    credits_posted: U128,
    /// The transfer's (ns).
    timestamp: U64,
}

impl From<AccountBalance> for BalanceRow {
    fn from(balance: AccountBalance) -> Self {
        Self {
            debits_pending: balance.debits_pending.into(),
            debits_posted: balance.debits_posted.into(),
            credits_pending: balance.credits_pending.into(),
            credits_posted: balance.credits_posted.into(),
            timestamp: balance.timestamp.into(),
        }
    }
}
