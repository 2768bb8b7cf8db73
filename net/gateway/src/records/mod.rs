//! What bodies and answers look like, and how they become the ledger's records.

mod account;
mod branch;
mod filter;
mod flags;
mod transfer;

pub(crate) use account::{AccountRow, BalanceRow, NewAccount};
pub(crate) use branch::{
    BranchInfoRow, BranchResultRow, Cancel, Confirm, LegRow, NewBranch, OpenBranches, OpenQuery,
    page_end,
};
pub(crate) use filter::{AccountQuery, RecordQuery};
pub(crate) use flags::{AccountFlagNames, TransferFlagNames};
pub(crate) use transfer::{NewTransfer, TransferRow};

use giro_client::{AccountResult, TransferResult};
use serde::Serialize;
use utoipa::ToSchema;

use crate::number::{U32, U64};

/// Most rows when a query does not say.
fn limit_default() -> U32 {
    U32(100)
}

/// A limit of a message, where 0 is not saying.
pub(crate) fn limit_or_default(limit: u32) -> u32 {
    if limit == 0 { limit_default().0 } else { limit }
}

/// What became of one account or transfer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ResultRow {
    /// The outcome, in the field's own words: `created`, `exists`, `exceeds_credits` and so on.
    pub(crate) status: String,
    /// When it was created, be it now or before; else the event's own time (ns).
    pub(crate) timestamp: U64,
}

impl From<AccountResult> for ResultRow {
    fn from(result: AccountResult) -> Self {
        Self {
            status: result.status.to_string(),
            timestamp: result.timestamp.into(),
        }
    }
}

impl From<TransferResult> for ResultRow {
    fn from(result: TransferResult) -> Self {
        Self {
            status: result.status.to_string(),
            timestamp: result.timestamp.into(),
        }
    }
}
