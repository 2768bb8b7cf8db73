//! What a request that was not done is answered.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use giro_client::{CallError, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

/// When to come back after a refusal that passes.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Body of every answer that is not a success.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What kind of error, for programs.
    pub(crate) error: &'static str,
    /// The field or parameter it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// Why, and what to do.
    pub(crate) message: String,
}

/// A request that was not done.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) problem: Problem,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            problem: Problem {
                error,
                field: None,
                message: message.into(),
            },
        }
    }

    /// A field that cannot be what it is.
    pub(crate) fn field(field: impl Into<String>, why: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid", why);
        error.problem.field = Some(field.into());
        error
    }

    /// Test traffic where there is no place for it.
    pub(crate) fn no_shadow() -> Self {
        let why = "is marked as test traffic, and no shadow ledgers are configured";
        Self::new(StatusCode::BAD_REQUEST, "no_shadow", why)
    }

    /// Nothing has this name.
    pub(crate) fn not_found(what: &str) -> Self {
        let message = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Whether it may have happened.
    pub(crate) fn is_unknown(&self) -> bool {
        self.status == StatusCode::GATEWAY_TIMEOUT
    }

    /// Nothing happened, for a reason that passes.
    pub(crate) fn busy(why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why)
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(Refusal::TooLarge { .. } | Refusal::Branches(_)) => {
                Self::new(StatusCode::BAD_REQUEST, "invalid", error.to_string())
            }
            // Coming back does not help: whoever runs the ledger must look.
            CallError::Refused(Refusal::Evicted(_)) => {
                Self::new(StatusCode::BAD_GATEWAY, "evicted", error.to_string())
            }
            CallError::Refused(Refusal::Closed) => {
                Self::new(StatusCode::BAD_GATEWAY, "closed", error.to_string())
            }
            CallError::Refused(Refusal::Deadline | Refusal::Busy(_)) => {
                Self::busy(error.to_string())
            }
            CallError::Unknown(why) => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "unknown",
                format!(
                    "unknown, it may have happened: {why}. Ask by id, or send the same again: \
                     it never happens twice"
                ),
            ),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self.problem)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from(RETRY_AFTER.as_secs());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        let is_cut =
            status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::PAYLOAD_TOO_LARGE;
        if is_cut {
            // The rest of the body may still come: this connection cannot be used again.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use giro_client::{BranchBodyError, EvictionReason, Uncertainty};

    use super::*;

    #[test]
    fn only_what_passes_is_busy() {
        let large = Refusal::TooLarge {
            events: 2,
            events_max: 1,
        };
        for (refusal, status, error) in [
            (large, 400, "invalid"),
            (
                Refusal::Branches(BranchBodyError::Archive { bytes: 1 }),
                400,
                "invalid",
            ),
            (Refusal::Deadline, 503, "busy"),
            (
                Refusal::Evicted(EvictionReason::ClientReleaseTooLow),
                502,
                "evicted",
            ),
            (Refusal::Closed, 502, "closed"),
        ] {
            let answered = ApiError::from(CallError::Refused(refusal));
            let found = (answered.status.as_u16(), answered.problem.error);
            assert_eq!(found, (status, error));
            let retry = answered.into_response();
            let retry = retry.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(retry, error == "busy", "{error}");
        }
        let unknown = ApiError::from(CallError::Unknown(Uncertainty::Closed));
        assert!(unknown.is_unknown());
    }
}
