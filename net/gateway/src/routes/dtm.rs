//! DTM's contract of a TCC participant (`docs/reference/http.md`, section "DTM").
//!
//! What DTM makes of an answer decides its form: 425 or the word ONGOING anywhere in a body is
//! "still running", 409 or FAILURE is a failure, 200 is success, everything else is asked again.
//! So bodies never have those words unless they mean it, and phase two never says FAILURE: DTM
//! would ask for ever, and report a failed transaction meanwhile.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use giro_client::{BranchAnswer, BranchKey, BranchStatus, ConfirmBranch, Leg, TryBranch};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::branches::{described, valid};
use super::{alarm, only, watch};
use crate::app::App;
use crate::book::Book;
use crate::error::{ApiError, Problem};
use crate::extract::{AnyBody, MaybePayload, NoPage, Parameters, Payload};
use crate::number::{U32, U128};
use crate::observe::Marked;
use crate::records::LegRow;

/// Whether the request is test traffic.
type MaybeMarked = Option<Extension<Marked>>;

/// Body of a try. DTM's own clients register one body for all three phases, so each phase takes
/// all fields and looks at its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DtmTry {
    /// 1 to 64.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 64)]
    legs: Vec<LegRow>,
    /// Seconds until the branch expires by itself; 0 is never. DTM does not know of it.
    #[serde(default)]
    timeout: U32,
    /// The confirm's: none, or one for each leg, at most that leg's. A confirm with others would be
    /// refused for ever.
    #[serde(default)]
    #[schema(max_items = 64)]
    amounts: Vec<U128>,
}

/// Body of a confirm.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DtmConfirm {
    /// The try's.
    #[serde(default, rename = "legs")]
    #[schema(max_items = 64)]
    _legs: Vec<LegRow>,
    /// The try's.
    #[serde(default, rename = "timeout")]
    _timeout: U32,
    /// One for each leg; all that is reserved when not given.
    #[serde(default)]
    #[schema(max_items = 64)]
    amounts: Vec<U128>,
}

/// What DTM reads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DtmResult {
    /// SUCCESS, FAILURE or ONGOING.
    dtm_result: &'static str,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// The leg that a refusal is about, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<usize>,
    /// Why that leg was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg_status: Option<String>,
}

/// The parameters that say which branch. Further ones are left alone: they are the caller's.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are read by hand")]
struct DtmQuery {
    /// The global transaction.
    #[param(min_length = 1, max_length = 128)]
    gid: String,
    /// The branch in it.
    #[param(min_length = 1, max_length = 128)]
    branch_id: String,
    /// `tcc`.
    #[param(pattern = "^tcc$")]
    trans_type: String,
}

/// The key of a request's branch, from its query string.
fn key(parameters: &Parameters, op: &str) -> Result<BranchKey, ApiError> {
    let find = |name: &str| {
        let mut values = parameters.0.iter().filter(|(found, _)| found == name);
        let value = values
            .next()
            .ok_or_else(|| ApiError::field(name, "is missing"))?;
        if values.next().is_some() {
            return Err(ApiError::field(name, "is there twice"));
        }
        Ok(value.1.as_str())
    };
    let (gid, branch_id) = (find("gid")?, find("branch_id")?);
    if find("trans_type")? != "tcc" {
        return Err(ApiError::field("trans_type", "must be tcc"));
    }
    if find("op")? != op {
        return Err(ApiError::field("op", format!("must be {op} on this route")));
    }
    let key = BranchKey::new(gid, branch_id);
    valid(key.check())?;
    Ok(key)
}

fn book(app: &App, marked: &MaybeMarked) -> Result<Book, ApiError> {
    let marked = marked.as_ref().map(|Extension(marked)| *marked);
    app.book(marked, app.options.dtm_deadline)
}

/// Reserves a branch.
#[utoipa::path(post, path = "/dtm/try",
    params(DtmQuery, ("op" = String, Query, pattern = "^try$")),
    request_body = DtmTry, responses(
    (status = 200, body = DtmResult),
    (status = "4XX", body = Problem),
    (status = 409, body = DtmResult, description = "refused; DTM's client aborts"),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn try_(
    State(app): State<Arc<App>>,
    marked: MaybeMarked,
    parameters: Result<Parameters, ApiError>,
    body: Result<Payload<DtmTry>, ApiError>,
) -> Response {
    let tried = async {
        let key = key(&parameters?, "try")?;
        let Payload(body) = body?;
        let branch = TryBranch {
            key: key.clone(),
            timeout: body.timeout.0,
            legs: body.legs.into_iter().map(Leg::from).collect(),
        };
        valid(branch.check())?;
        let amounts = body.amounts.iter().map(|amount| amount.0);
        confirmable(&branch, &amounts.collect::<Vec<_>>())?;
        let answer = only(book(&app, &marked)?.try_branches("", vec![branch]).await?)?;
        watch(&app, "try", &key, &answer);
        match refused_try(&answer) {
            _ if answer.status.is_ok() => Ok(success()),
            Some(passing) => Err(passing),
            None => Ok(failure(answer)),
        }
    };
    neutral(tried.await)
}

/// Confirms a branch.
#[utoipa::path(post, path = "/dtm/confirm",
    params(DtmQuery, ("op" = String, Query, pattern = "^confirm$")),
    request_body = DtmConfirm, responses(
    (status = 200, body = DtmResult),
    (status = "4XX", body = Problem),
    (status = 425, body = DtmResult, description = "not known yet; ask again"),
    (status = 500, body = Problem, description = "the branch cannot be confirmed: raise an alarm"),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    marked: MaybeMarked,
    no_page: Result<NoPage, ApiError>,
    parameters: Result<Parameters, ApiError>,
    body: Result<MaybePayload<DtmConfirm>, ApiError>,
) -> Response {
    let confirmed = async {
        no_page?;
        let key = key(&parameters?, "confirm")?;
        let amounts = body?.0.map(|body| body.amounts).unwrap_or_default();
        let branch = ConfirmBranch {
            key: key.clone(),
            amounts: amounts.into_iter().map(|amount| amount.0).collect(),
        };
        branch
            .check()
            .map_err(|error| ApiError::field("amounts", described(&error).1))?;
        let answered = book(&app, &marked)?
            .confirm_branches("", vec![branch])
            .await;
        second_phase(&app, Phase::Confirm, &key, answered).map(settled)
    };
    neutral(confirmed.await)
}

/// Confirms a branch: what DTM sends when no body was registered.
#[utoipa::path(get, path = "/dtm/confirm",
    params(DtmQuery, ("op" = String, Query, pattern = "^confirm$")), responses(
    (status = 200, body = DtmResult),
    (status = "4XX", body = Problem),
    (status = 425, body = DtmResult),
    (status = 500, body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn confirm_without_body(
    app: State<Arc<App>>,
    marked: MaybeMarked,
    no_page: Result<NoPage, ApiError>,
    parameters: Result<Parameters, ApiError>,
    body: Result<MaybePayload<DtmConfirm>, ApiError>,
) -> Response {
    confirm(app, marked, no_page, parameters, body).await
}

/// Cancels a branch. The body is not looked at: a try whose body was refused is cancelled with the
/// same body.
#[utoipa::path(post, path = "/dtm/cancel",
    params(DtmQuery, ("op" = String, Query, pattern = "^cancel$")), responses(
    (status = 200, body = DtmResult),
    (status = "4XX", body = Problem),
    (status = 425, body = DtmResult, description = "not known yet; ask again"),
    (status = 500, body = Problem, description = "the branch was confirmed: raise an alarm"),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    marked: MaybeMarked,
    no_page: Result<NoPage, ApiError>,
    parameters: Result<Parameters, ApiError>,
    body: Result<AnyBody, ApiError>,
) -> Response {
    let cancelled = async {
        no_page?;
        let key = key(&parameters?, "cancel")?;
        // A try whose body could not be taken has the same body in its cancel.
        drop(body);
        let answered = book(&app, &marked)?
            .cancel_branches("", vec![key.clone()])
            .await;
        second_phase(&app, Phase::Cancel, &key, answered).map(settled)
    };
    neutral(cancelled.await)
}

/// Cancels a branch: what DTM sends when no body was registered.
#[utoipa::path(get, path = "/dtm/cancel",
    params(DtmQuery, ("op" = String, Query, pattern = "^cancel$")), responses(
    (status = 200, body = DtmResult),
    (status = "4XX", body = Problem),
    (status = 425, body = DtmResult),
    (status = 500, body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn cancel_without_body(
    app: State<Arc<App>>,
    marked: MaybeMarked,
    no_page: Result<NoPage, ApiError>,
    parameters: Result<Parameters, ApiError>,
    body: Result<AnyBody, ApiError>,
) -> Response {
    cancel(app, marked, no_page, parameters, body).await
}

/// Whether a branch can be confirmed with these amounts once it is tried: DTM's clients have one
/// body for all phases, and DTM asks for ever when the second one is refused.
pub(crate) fn confirmable(branch: &TryBranch, amounts: &[u128]) -> Result<(), ApiError> {
    let wrong = |why: String| Err(ApiError::field("amounts", why));
    if amounts.is_empty() {
        return Ok(());
    }
    let (legs, count) = (branch.legs.len(), amounts.len());
    if count != legs {
        return wrong(format!("there are {count}, and {legs} legs"));
    }
    let mut pairs = branch.legs.iter().zip(amounts);
    match pairs.position(|(leg, amount)| *amount > leg.amount) {
        Some(at) => wrong(format!("that of leg {at} is more than the leg's")),
        None => Ok(()),
    }
}

/// The two ways a branch is settled.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Confirm,
    Cancel,
}

/// What DTM is told of a second phase, where it is no error.
#[derive(Clone, Copy)]
pub(crate) enum Settled {
    Done,
    /// Not known yet.
    Ongoing,
}

/// A refusal of a try that passes; none of one that does not.
pub(crate) fn refused_try(answer: &BranchAnswer) -> Option<ApiError> {
    let is_full = answer.status == BranchStatus::TooManyOpen;
    is_full.then(|| ApiError::busy("too many branches are open"))
}

/// Done, still running, or an alarm; never a failure.
pub(crate) fn second_phase(
    app: &App,
    phase: Phase,
    key: &BranchKey,
    answered: Result<Vec<BranchAnswer>, ApiError>,
) -> Result<Settled, ApiError> {
    let phase = match phase {
        Phase::Confirm => "confirm",
        Phase::Cancel => "cancel",
    };
    let answers = match answered {
        Ok(answers) => answers,
        Err(error) if error.is_unknown() => return Ok(Settled::Ongoing),
        Err(error) => return Err(error),
    };
    let answer = only(answers)?;
    if answer.status.is_ok() {
        return Ok(Settled::Done);
    }
    if answer.status == BranchStatus::RequestTooLarge {
        return Err(ApiError::busy("too much at a time; ask again"));
    }
    alarm(app, phase, key, &answer);
    let message = format!(
        "cannot {phase} the branch: {}. Nothing was done; asking again does not help",
        answer.status
    );
    Err(ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "anomaly",
        message,
    ))
}

fn settled(settled: Settled) -> Response {
    match settled {
        Settled::Done => success(),
        Settled::Ongoing => ongoing(),
    }
}

fn result(status: StatusCode, dtm_result: &'static str) -> Response {
    let body = DtmResult {
        dtm_result,
        status: None,
        leg: None,
        leg_status: None,
    };
    (status, Json(body)).into_response()
}

fn success() -> Response {
    result(StatusCode::OK, "SUCCESS")
}

fn ongoing() -> Response {
    result(StatusCode::TOO_EARLY, "ONGOING")
}

fn failure(answer: BranchAnswer) -> Response {
    let body = DtmResult {
        dtm_result: "FAILURE",
        status: Some(answer.status.to_string()),
        leg: answer.leg,
        leg_status: answer.leg_status.map(|status| status.to_string()),
    };
    (StatusCode::CONFLICT, Json(body)).into_response()
}

/// An error's texts may repeat names of fields that the caller made up, and DTM looks for its
/// words in them.
fn neutral(answered: Result<Response, ApiError>) -> Response {
    answered.unwrap_or_else(|mut error| {
        error.problem.message = calm(&error.problem.message);
        error.problem.field = error.problem.field.as_deref().map(calm);
        error.into_response()
    })
}

fn calm(text: &str) -> String {
    let text = text.replace("FAILURE", "failure");
    text.replace("ONGOING", "ongoing")
}
