//! What queries ask for.

use giro_client::{AccountFilter, QueryFilter};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::number::{U16, U32, U64, U128};

/// Selects transfers or balances of an account. A field that is 0 or missing selects nothing away.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountQuery {
    /// Those that debit it. Both kinds when neither is asked for.
    #[serde(default)]
    debits: bool,
    /// Those that credit it.
    #[serde(default)]
    credits: bool,
    /// Newest first.
    #[serde(default)]
    reversed: bool,
    #[serde(default)]
    #[param(required = false)]
    user_data_128: U128,
    #[serde(default)]
    #[param(required = false)]
    user_data_64: U64,
    #[serde(default)]
    #[param(required = false)]
    user_data_32: U32,
    #[serde(default)]
    #[param(required = false)]
    code: U16,
    /// From this time on (ns).
    #[serde(default)]
    #[param(required = false)]
    timestamp_min: U64,
    /// Up to this time (ns).
    #[serde(default)]
    #[param(required = false)]
    timestamp_max: U64,
    /// Most rows; 100 when not given, and at most 8189 come.
    #[serde(default = "super::limit_default")]
    #[param(required = false)]
    limit: U32,
}

impl AccountQuery {
    pub(crate) fn of(self, account_id: u128) -> AccountFilter {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let is_both = self.debits == self.credits;
        AccountFilter {
            account_id,
            user_data_128: self.user_data_128.0,
            user_data_64: self.user_data_64.0,
            user_data_32: self.user_data_32.0,
            code: self.code.0,
            timestamp_min: self.timestamp_min.0,
            timestamp_max: self.timestamp_max.0,
            limit: self.limit.0,
            flags: flag(self.debits || is_both, AccountFilter::DEBITS)
                | flag(self.credits || is_both, AccountFilter::CREDITS)
                | flag(self.reversed, AccountFilter::REVERSED),
            ..AccountFilter::default()
        }
    }
}

/// Selects accounts or transfers. A field that is 0 or missing selects nothing away.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordQuery {
    #[serde(default)]
    user_data_128: U128,
    #[serde(default)]
    user_data_64: U64,
    #[serde(default)]
    user_data_32: U32,
    #[serde(default)]
    ledger: U32,
    #[serde(default)]
    code: U16,
    /// From this time on (ns).
    #[serde(default)]
    timestamp_min: U64,
    /// Up to this time (ns).
    #[serde(default)]
    timestamp_max: U64,
    /// Most rows; 100 when not given, and at most 8189 come.
    #[serde(default = "super::limit_default")]
    limit: U32,
    /// Newest first.
    #[serde(default)]
    reversed: bool,
}

impl From<RecordQuery> for QueryFilter {
    fn from(query: RecordQuery) -> Self {
        Self {
            user_data_128: query.user_data_128.0,
            user_data_64: query.user_data_64.0,
            user_data_32: query.user_data_32.0,
            ledger: query.ledger.0,
            code: query.code.0,
            timestamp_min: query.timestamp_min.0,
            timestamp_max: query.timestamp_max.0,
            limit: query.limit.0,
            flags: if query.reversed { Self::REVERSED } else { 0 },
            ..Self::default()
        }
    }
}
