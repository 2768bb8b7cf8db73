//! Branches of TCC transactions.

use giro_client::{
    BranchAnswer, BranchInfo, BranchKey, BranchState, ConfirmBranch, Leg, OpenBranch,
    OpenBranchesFilter, TryBranch,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::number::{U16, U32, U64, U128};

/// An amount to be moved.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LegRow {
    debit_account_id: U128,
    credit_account_id: U128,
    /// In the ledger's smallest unit.
    amount: U128,
    ledger: U32,
    code: U16,
    #[serde(default)]
    user_data_128: U128,
    #[serde(default)]
    user_data_64: U64,
    #[serde(default)]
    user_data_32: U32,
}

impl From<LegRow> for Leg {
    fn from(row: LegRow) -> Self {
        Self {
            debit_account_id: row.debit_account_id.0,
            credit_account_id: row.credit_account_id.0,
            amount: row.amount.0,
            user_data_128: row.user_data_128.0,
            user_data_64: row.user_data_64.0,
            user_data_32: row.user_data_32.0,
            ledger: row.ledger.0,
            code: row.code.0,
        }
    }
}

/// A branch to be tried: all of its legs are reserved, or none.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBranch {
    /// The global transaction: 1 to 128 bytes.
    #[schema(min_length = 1, max_length = 128)]
    gid: String,
    /// The branch in it: 1 to 128 bytes.
    #[schema(min_length = 1, max_length = 128)]
    branch_id: String,
    /// Seconds until it expires by itself; 0 is never.
    #[serde(default)]
    timeout: U32,
    /// 1 to 64.
    #[schema(min_items = 1, max_items = 64)]
    legs: Vec<LegRow>,
}

impl From<NewBranch> for TryBranch {
    fn from(new: NewBranch) -> Self {
        Self {
            key: BranchKey::new(new.gid, new.branch_id),
            timeout: new.timeout.0,
            legs: new.legs.into_iter().map(Leg::from).collect(),
        }
    }
}

/// A branch to be confirmed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    #[schema(min_length = 1, max_length = 128)]
    gid: String,
    #[schema(min_length = 1, max_length = 128)]
    branch_id: String,
    /// One for each leg; all that is reserved when not given.
    #[serde(default)]
    #[schema(max_items = 64)]
    amounts: Vec<U128>,
}

impl From<Confirm> for ConfirmBranch {
    fn from(confirm: Confirm) -> Self {
        Self {
            key: BranchKey::new(confirm.gid, confirm.branch_id),
            amounts: confirm.amounts.into_iter().map(|amount| amount.0).collect(),
        }
    }
}

/// A branch to be cancelled.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    #[schema(min_length = 1, max_length = 128)]
    gid: String,
    #[schema(min_length = 1, max_length = 128)]
    branch_id: String,
}

impl From<Cancel> for BranchKey {
    fn from(cancel: Cancel) -> Self {
        Self::new(cancel.gid, cancel.branch_id)
    }
}

/// What became of one branch of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BranchResultRow {
    /// The outcome; `done` and `done_before` are success.
    pub(crate) status: String,
    /// Of a success: when it took effect (ns).
    pub(crate) timestamp: U64,
    /// The leg that a refusal is about, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leg: Option<usize>,
    /// Why that leg was refused, or which of its fields differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leg_status: Option<String>,
}

impl From<BranchAnswer> for BranchResultRow {
    fn from(answer: BranchAnswer) -> Self {
        Self {
            status: answer.status.to_string(),
            timestamp: answer.timestamp.into(),
            leg: answer.leg,
            leg_status: answer.leg_status.map(|status| status.to_string()),
        }
    }
}

/// Where a branch stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BranchInfoRow {
    gid: String,
    branch_id: String,
    /// Of the pending transfer of its first leg.
    id: U128,
    /// tried, confirmed, cancelled, suspended, expired or id_taken.
    state: String,
    legs: u8,
    /// When it was tried (ns); 0 if never.
    tried_at: U64,
    /// When it was settled (ns); 0 if open, and of an empty cancel.
    settled_at: U64,
    /// Seconds it had; 0 is for ever.
    timeout: U32,
}

impl BranchInfoRow {
    /// None of a branch never heard of.
    pub(crate) fn of(key: BranchKey, info: &BranchInfo) -> Option<Self> {
        let state = BranchState::try_from(info.state).ok()?;
        if state == BranchState::None {
            return None;
        }
        Some(Self {
            gid: key.gid,
            branch_id: key.branch_id,
            id: info.id.into(),
            state: state.to_string(),
            legs: info.legs,
            tried_at: info.tried_at.into(),
            settled_at: info.settled_at.into(),
            timeout: info.timeout.into(),
        })
    }
}

/// Selects open branches, oldest first.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OpenQuery {
    /// Only those with a leg on this account.
    #[serde(default)]
    #[param(required = false)]
    account_id: U128,
    /// Only those tried at this time or before (ns).
    #[serde(default)]
    #[param(required = false)]
    tried_at_max: U64,
    /// `next.after` of the page before.
    #[serde(default)]
    #[param(required = false)]
    after: U128,
    /// `next.after_tried_at` of the page before.
    #[serde(default)]
    #[param(required = false)]
    after_tried_at: U64,
    /// Most branches; 100 when not given, and at most 3276 come.
    #[serde(default = "super::limit_default")]
    #[param(required = false)]
    limit: U32,
}

impl From<OpenQuery> for OpenBranchesFilter {
    fn from(query: OpenQuery) -> Self {
        Self {
            account_id: query.account_id.0,
            after: query.after.0,
            after_tried_at: query.after_tried_at.0,
            tried_at_max: query.tried_at_max.0,
            limit: query.limit.0,
            ..Self::default()
        }
    }
}

/// A page of open branches.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct OpenBranches {
    branches: Vec<OpenBranchRow>,
    /// Where the next page begins; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
}

/// Parameters of the next page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Next {
    after: U128,
    after_tried_at: U64,
}

/// An open branch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct OpenBranchRow {
    gid: String,
    branch_id: String,
    id: U128,
    legs: u8,
    tried_at: U64,
    timeout: U32,
}

/// Where the next page begins; none on the last one.
pub(crate) fn page_end(
    rows: &[(OpenBranch, Option<BranchKey>)],
    limit_rows: usize,
) -> Option<&OpenBranch> {
    let last = rows.last().map(|(row, _)| row);
    last.filter(|last| last.legs == 0 || rows.len() >= limit_rows)
}

impl OpenBranches {
    /// Of the rows that came for a limit.
    pub(crate) fn of(rows: Vec<(OpenBranch, Option<BranchKey>)>, limit_rows: usize) -> Self {
        let next = page_end(&rows, limit_rows).map(|last| Next {
            after: last.id.into(),
            after_tried_at: last.tried_at.into(),
        });
        // One without legs only says where the ledger stopped looking.
        let real = rows.into_iter().filter(|(row, _)| row.legs > 0);
        let real = real.filter_map(|(row, key)| Some((row, key?)));
        let row = |(row, key): (OpenBranch, BranchKey)| OpenBranchRow {
            gid: key.gid,
            branch_id: key.branch_id,
            id: row.id.into(),
            legs: row.legs,
            tried_at: row.tried_at.into(),
            timeout: row.timeout.into(),
        };
        Self {
            branches: real.map(row).collect(),
            next,
        }
    }
}
