//! Branches of TCC transactions, many at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use giro_base::limits::{BRANCHES_MAX, OPEN_BRANCHES_MAX};
use giro_client::{
    BranchBodyError as Why, BranchKey, ConfirmBranch, OpenBranchesFilter, TryBranch,
};

use super::ledger::{at_most, rows};
use super::watch_all;
use crate::app::App;
use crate::error::{ApiError, Problem};
use crate::extract::{Call, Payload, Query, Segments};
use crate::records::{
    BranchInfoRow, BranchResultRow, Cancel, Confirm, NewBranch, OpenBranches, OpenQuery,
};

type Results = Result<Json<Vec<BranchResultRow>>, ApiError>;

/// Tries branches: one result each, in order.
#[utoipa::path(post, path = "/branches/try", request_body = Vec<NewBranch>, responses(
    (status = 200, body = Vec<BranchResultRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn try_branches(
    State(app): State<Arc<App>>,
    Call(book): Call,
    Payload(new): Payload<Vec<NewBranch>>,
) -> Results {
    at_most("body", new.len(), BRANCHES_MAX)?;
    let branches: Vec<TryBranch> = new.into_iter().map(TryBranch::from).collect();
    check_each("", &branches, TryBranch::check)?;
    let keys: Vec<_> = branches.iter().map(|branch| branch.key.clone()).collect();
    let answers = book.try_branches("", branches).await?;
    watch_all(&app, "try", &keys, &answers);
    Ok(rows(answers))
}

/// Confirms branches: one result each, in order.
#[utoipa::path(post, path = "/branches/confirm", request_body = Vec<Confirm>, responses(
    (status = 200, body = Vec<BranchResultRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn confirm_branches(
    State(app): State<Arc<App>>,
    Call(book): Call,
    Payload(confirms): Payload<Vec<Confirm>>,
) -> Results {
    at_most("body", confirms.len(), BRANCHES_MAX)?;
    let confirms: Vec<_> = confirms.into_iter().map(ConfirmBranch::from).collect();
    check_each("", &confirms, ConfirmBranch::check)?;
    let keys: Vec<_> = confirms.iter().map(|confirm| confirm.key.clone()).collect();
    let answers = book.confirm_branches("", confirms).await?;
    watch_all(&app, "confirm", &keys, &answers);
    Ok(rows(answers))
}

/// Cancels branches: one result each, in order.
#[utoipa::path(post, path = "/branches/cancel", request_body = Vec<Cancel>, responses(
    (status = 200, body = Vec<BranchResultRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn cancel_branches(
    State(app): State<Arc<App>>,
    Call(book): Call,
    Payload(cancels): Payload<Vec<Cancel>>,
) -> Results {
    at_most("body", cancels.len(), BRANCHES_MAX)?;
    let keys: Vec<BranchKey> = cancels.into_iter().map(BranchKey::from).collect();
    check_each("", &keys, BranchKey::check)?;
    let answers = book.cancel_branches("", keys.clone()).await?;
    watch_all(&app, "cancel", &keys, &answers);
    Ok(rows(answers))
}

/// Where a branch stands.
#[utoipa::path(get, path = "/branches/{gid}/{branch_id}",
    params(("gid" = String, Path), ("branch_id" = String, Path)), responses(
    (status = 200, body = BranchInfoRow),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn branch(
    Call(book): Call,
    Segments((gid, branch_id)): Segments<(String, String)>,
) -> Result<Json<BranchInfoRow>, ApiError> {
    let key = BranchKey::new(gid, branch_id);
    key.check()
        .map_err(|why| ApiError::field("path", why.to_string()))?;
    let info = book.branch(key.clone()).await?;
    let row = info.and_then(|info| BranchInfoRow::of(key, &info));
    row.map(Json).ok_or_else(|| ApiError::not_found("branch"))
}

/// Open branches, oldest first.
#[utoipa::path(get, path = "/branches", params(OpenQuery), responses(
    (status = 200, body = OpenBranches),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn open_branches(
    Call(book): Call,
    Query(query): Query<OpenQuery>,
) -> Result<Json<OpenBranches>, ApiError> {
    let filter = OpenBranchesFilter::from(query);
    let most = (filter.limit as usize).min(OPEN_BRANCHES_MAX);
    let found = book.list_branches(filter).await?;
    Ok(Json(OpenBranches::of(found, most)))
}

/// That a request may have its one branch; else which field is wrong and why.
pub(crate) fn valid<T>(checked: Result<T, Why>) -> Result<T, ApiError> {
    checked.map_err(|error| {
        let (field, why) = described(&error);
        ApiError::field(field, why)
    })
}

/// That a request may have each branch of a list; else which field is wrong and why.
pub(crate) fn check_each<B, T>(
    list: &str,
    branches: &[B],
    check: fn(&B) -> Result<T, Why>,
) -> Result<(), ApiError> {
    for (at, branch) in branches.iter().enumerate() {
        let Err(error) = check(branch) else {
            continue;
        };
        let (field, why) = described(&error);
        let field = match error {
            Why::Text { .. } | Why::Legs { .. } => format!("{list}[{at}].{field}"),
            _ => "body".into(),
        };
        return Err(ApiError::field(field, why));
    }
    Ok(())
}

/// The field of a branch, and what is wrong with it.
pub(crate) fn described(error: &Why) -> (&'static str, String) {
    use giro_base::limits::{BRANCH_LEGS_MAX, BRANCH_TEXT_BYTES_MAX};
    match error {
        Why::Text { field, bytes, .. } => {
            let why = format!("has {bytes} bytes; it must have 1 to {BRANCH_TEXT_BYTES_MAX}");
            (field, why)
        }
        Why::Legs { .. } => {
            let why = format!("1 to {BRANCH_LEGS_MAX} legs are taken, and at most as many amounts");
            ("legs", why)
        }
        _ => ("body", error.to_string()),
    }
}
