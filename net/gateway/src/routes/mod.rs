//! The routes, and what they share.

mod branches;
pub(crate) mod dtm;
mod ledger;
mod reservations;
mod service;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use giro_client::{BranchAnswer, BranchKey, BranchStatus};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::branches::{check_each, described, valid};
pub(crate) use self::ledger::at_most;
use crate::app::App;
use crate::error::ApiError;
use crate::observe::observe;
use crate::{grpc, metrics};

#[derive(OpenApi)]
#[openapi(info(
    title = "Giro",
    description = "A payment ledger over HTTP. Integers are numbers or digits in a text."
))]
struct Api;

/// Everything that is served.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let (router, mut api) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(service::healthz))
        .routes(routes!(service::readyz))
        .routes(routes!(service::version))
        .routes(routes!(service::metrics))
        .routes(routes!(ledger::create_accounts))
        .routes(routes!(ledger::create_transfers))
        .routes(routes!(ledger::account))
        .routes(routes!(ledger::transfer))
        .routes(routes!(ledger::account_transfers))
        .routes(routes!(ledger::account_balances))
        .routes(routes!(ledger::query_accounts))
        .routes(routes!(ledger::query_transfers))
        .routes(routes!(branches::try_branches))
        .routes(routes!(branches::confirm_branches))
        .routes(routes!(branches::cancel_branches))
        .routes(routes!(branches::branch))
        .routes(routes!(branches::open_branches))
        .routes(routes!(dtm::try_))
        .routes(routes!(dtm::confirm, dtm::confirm_without_body))
        .routes(routes!(dtm::cancel, dtm::cancel_without_body))
        .routes(routes!(reservations::create))
        .routes(routes!(
            reservations::show,
            reservations::confirm,
            reservations::cancel
        ))
        .split_for_parts();
    api.info.version = env!("CARGO_PKG_VERSION").into();
    let page = Json(serde_json::to_value(&api).unwrap_or_default());
    router
        .route(
            "/openapi.json",
            axum::routing::get(async move || page.clone()),
        )
        .merge(grpc::router(app))
        .fallback(unknown_route)
        .method_not_allowed_fallback(async || {
            let why = "this route does not take this method";
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why)
        })
        .layer(middleware::from_fn_with_state(Arc::clone(app), observe))
        .with_state(Arc::clone(app))
}

async fn unknown_route(request: Request) -> Response {
    if metrics::is_grpc(request.headers()) {
        return grpc::unknown_method();
    }
    ApiError::not_found("route; /openapi.json has all of them").into_response()
}

/// The answer about the only branch of a call.
pub(crate) fn only<T>(rows: Vec<T>) -> Result<T, ApiError> {
    let only = rows.into_iter().next();
    only.ok_or_else(|| ApiError::busy("the ledger did not answer about the branch"))
}

/// As [`watch`], for a list.
pub(crate) fn watch_all(
    app: &App,
    phase: &'static str,
    keys: &[BranchKey],
    answers: &[BranchAnswer],
) {
    for (key, answer) in keys.iter().zip(answers) {
        watch(app, phase, key, answer);
    }
}

/// Counts and tells what no correct coordinator asks for.
pub(crate) fn watch(app: &App, phase: &'static str, key: &BranchKey, answer: &BranchAnswer) {
    let is_anomaly = match phase {
        "confirm" => matches!(
            answer.status,
            BranchStatus::NotTried
                | BranchStatus::Cancelled
                | BranchStatus::Suspended
                | BranchStatus::Expired
                | BranchStatus::AmountsDiffer
        ),
        "cancel" => answer.status == BranchStatus::Confirmed,
        _ => answer.status == BranchStatus::Differs,
    };
    if is_anomaly {
        alarm(app, phase, key, answer);
    }
}

/// Counts and tells that a branch cannot become what a coordinator wants.
pub(crate) fn alarm(app: &App, phase: &'static str, key: &BranchKey, answer: &BranchAnswer) {
    app.metrics.anomalies.inc();
    tracing::error!(
        phase,
        gid = key.gid,
        branch_id = key.branch_id,
        status = %answer.status,
        "a coordinator contradicts what became of a branch"
    );
}
