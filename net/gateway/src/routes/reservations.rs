//! REST-TCC: a reservation is a resource. POST makes it, PUT confirms it, DELETE cancels it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use giro_client::{BranchKey, BranchStatus, ConfirmBranch, Leg, TryBranch, new_id};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::branches::{described, valid};
use super::{only, watch};
use crate::app::App;
use crate::error::{ApiError, Problem};
use crate::extract::{AnyBody, Call, MaybePayload, Payload, Segments};
use crate::number::{U32, U64, U128};
use crate::records::{BranchInfoRow, LegRow};

/// The global transaction of reservations that name none.
const OWN_GID: &str = "reservations";
/// What need not be encoded in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A reservation to be made. Who may lose the answer and ask again names it by `gid` and
/// `branch_id`: the same one is never made twice.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReservation {
    /// The global transaction; with `branch_id` or not at all.
    #[schema(min_length = 1, max_length = 128)]
    gid: Option<String>,
    /// The branch in it.
    #[schema(min_length = 1, max_length = 128)]
    branch_id: Option<String>,
    /// Seconds until it expires by itself; 0 is never.
    #[serde(default)]
    timeout: U32,
    /// 1 to 64.
    #[schema(min_items = 1, max_items = 64)]
    legs: Vec<LegRow>,
}

/// A reservation that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reservation {
    gid: String,
    branch_id: String,
    /// When it was made (ns).
    tried_at: U64,
}

/// Amounts of a confirmation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amounts {
    /// One for each leg; all that is reserved when not given.
    #[serde(default)]
    #[schema(max_items = 64)]
    amounts: Vec<U128>,
}

/// Makes a reservation.
#[utoipa::path(post, path = "/reservations", request_body = NewReservation, responses(
    (status = 201, body = Reservation, headers(("location" = String))),
    (status = "4XX", body = Problem),
    (status = 409, body = Problem, description = "refused by the ledger, or made otherwise"),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Call(book): Call,
    Payload(new): Payload<NewReservation>,
) -> Result<Response, ApiError> {
    let key = match (new.gid, new.branch_id) {
        (Some(gid), Some(branch_id)) => BranchKey::new(gid, branch_id),
        (None, None) => BranchKey::new(OWN_GID, format!("{:032x}", new_id())),
        (Some(_), None) => return Err(ApiError::field("branch_id", "is missing beside gid")),
        (None, Some(_)) => return Err(ApiError::field("gid", "is missing beside branch_id")),
    };
    let branch = TryBranch {
        key: key.clone(),
        timeout: new.timeout.0,
        legs: new.legs.into_iter().map(Leg::from).collect(),
    };
    valid(branch.check())?;
    let answer = only(book.try_branches("", vec![branch]).await?)?;
    watch(&app, "try", &key, &answer);
    if !answer.status.is_ok() {
        return Err(match (answer.status, answer.leg, answer.leg_status) {
            (BranchStatus::TooManyOpen, _, _) => ApiError::busy("too many branches are open"),
            (status, Some(leg), Some(why)) => {
                let mut error = conflict(status);
                error.problem.field = Some(format!("legs[{leg}]"));
                error.problem.message = format!("{status}: {why}");
                error
            }
            (status, _, _) => conflict(status),
        });
    }
    let segment = |text| utf8_percent_encode(text, SEGMENT);
    let location = format!(
        "/reservations/{}/{}",
        segment(&key.gid),
        segment(&key.branch_id)
    );
    let body = Reservation {
        gid: key.gid,
        branch_id: key.branch_id,
        tried_at: answer.timestamp.into(),
    };
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(body)).into_response())
}

/// Where a reservation stands.
#[utoipa::path(get, path = "/reservations/{gid}/{branch_id}",
    params(("gid" = String, Path), ("branch_id" = String, Path)), responses(
    (status = 200, body = BranchInfoRow),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn show(
    call: Call,
    segments: Segments<(String, String)>,
) -> Result<Json<BranchInfoRow>, ApiError> {
    super::branches::branch(call, segments).await
}

/// Confirms a reservation.
#[utoipa::path(put, path = "/reservations/{gid}/{branch_id}",
    params(("gid" = String, Path), ("branch_id" = String, Path)), responses(
    (status = 204, description = "confirmed, now or before"),
    (status = 404, body = Problem, description = "never made, or its time was over"),
    (status = 409, body = Problem, description = "cancelled, or confirmed with other amounts"),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    Call(book): Call,
    Segments((gid, branch_id)): Segments<(String, String)>,
    MaybePayload(body): MaybePayload<Amounts>,
) -> Result<StatusCode, ApiError> {
    let key = BranchKey::new(gid, branch_id);
    let amounts = body.map(|body| body.amounts).unwrap_or_default();
    let branch = ConfirmBranch {
        key: key.clone(),
        amounts: amounts.into_iter().map(|amount| amount.0).collect(),
    };
    key.check()
        .map_err(|error| ApiError::field("path", error.to_string()))?;
    branch
        .check()
        .map_err(|error| ApiError::field("amounts", described(&error).1))?;
    let answer = only(book.confirm_branches("", vec![branch]).await?)?;
    watch(&app, "confirm", &key, &answer);
    settled(answer.status)
}

/// Cancels a reservation. One that was not made never can be from then on.
#[utoipa::path(delete, path = "/reservations/{gid}/{branch_id}",
    params(("gid" = String, Path), ("branch_id" = String, Path)), responses(
    (status = 204, description = "cancelled, now or before"),
    (status = 409, body = Problem, description = "confirmed"),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Call(book): Call,
    Segments((gid, branch_id)): Segments<(String, String)>,
    _body: AnyBody,
) -> Result<StatusCode, ApiError> {
    let key = BranchKey::new(gid, branch_id);
    key.check()
        .map_err(|error| ApiError::field("path", error.to_string()))?;
    let answer = only(book.cancel_branches("", vec![key.clone()]).await?)?;
    watch(&app, "cancel", &key, &answer);
    settled(answer.status)
}

fn settled(status: BranchStatus) -> Result<StatusCode, ApiError> {
    match status {
        BranchStatus::Done | BranchStatus::DoneBefore => Ok(StatusCode::NO_CONTENT),
        BranchStatus::NotTried => Err(ApiError::not_found("reservation")),
        BranchStatus::Expired => {
            let why = "the reservation's time was over";
            Err(ApiError::new(StatusCode::NOT_FOUND, "expired", why))
        }
        BranchStatus::RequestTooLarge => Err(ApiError::busy("too much at a time; ask again")),
        other => Err(conflict(other)),
    }
}

fn conflict(status: BranchStatus) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, status.into(), status.to_string())
}
