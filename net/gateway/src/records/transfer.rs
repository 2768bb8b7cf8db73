//! Transfers.

use giro_client::Transfer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::flags::TransferFlagNames;
use crate::number::{U16, U32, U64, U128};

/// A transfer to be created. The ledger says which fields a kind of transfer needs: an ordinary one
/// has both accounts, amount, ledger and code.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTransfer {
    /// Not 0 and not the largest number. The same id never posts twice.
    id: U128,
    #[serde(default)]
    debit_account_id: U128,
    #[serde(default)]
    credit_account_id: U128,
    /// In the ledger's smallest unit.
    amount: U128,
    /// Of a post or void: the pending transfer.
    #[serde(default)]
    pending_id: U128,
    #[serde(default)]
    user_data_128: U128,
    #[serde(default)]
    user_data_64: U64,
    #[serde(default)]
    user_data_32: U32,
    /// Seconds until a pending transfer expires; 0 is never.
    #[serde(default)]
    timeout: U32,
    #[serde(default)]
    ledger: U32,
    #[serde(default)]
    code: U16,
    #[serde(default)]
    #[schema(schema_with = super::flags::settable)]
    flags: TransferFlagNames,
    /// Only of imported ones (ns).
    #[serde(default)]
    timestamp: U64,
}

impl From<NewTransfer> for Transfer {
    fn from(new: NewTransfer) -> Self {
        Self {
            id: new.id.0,
            debit_account_id: new.debit_account_id.0,
            credit_account_id: new.credit_account_id.0,
            amount: new.amount.0,
            pending_id: new.pending_id.0,
            user_data_128: new.user_data_128.0,
            user_data_64: new.user_data_64.0,
            user_data_32: new.user_data_32.0,
            timeout: new.timeout.0,
            ledger: new.ledger.0,
            code: new.code.0,
            flags: new.flags.0,
            timestamp: new.timestamp.0,
        }
    }
}

/// A transfer as it was executed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TransferRow {
    id: U128,
    debit_account_id: U128,
    credit_account_id: U128,
    amount: U128,
    pending_id: U128,
    user_data_128: U128,
    user_data_64: U64,
    user_data_32: U32,
    timeout: U32,
    ledger: U32,
    code: U16,
    flags: TransferFlagNames,
    /// When it took effect (ns).
    timestamp: U64,
}

impl From<Transfer> for TransferRow {
    fn from(transfer: Transfer) -> Self {
        Self {
            id: transfer.id.into(),
            debit_account_id: transfer.debit_account_id.into(),
            credit_account_id: transfer.credit_account_id.into(),
            amount: transfer.amount.into(),
            pending_id: transfer.pending_id.into(),
            user_data_128: transfer.user_data_128.into(),
            user_data_64: transfer.user_data_64.into(),
            user_data_32: transfer.user_data_32.into(),
            timeout: transfer.timeout.into(),
            ledger: transfer.ledger.into(),
            code: transfer.code.into(),
            flags: TransferFlagNames(transfer.flags),
            timestamp: transfer.timestamp.into(),
        }
    }
}
