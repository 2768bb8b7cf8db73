//! Errors as gRPC has them.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::error::{ApiError, RETRY_AFTER};

/// Who gives the reasons in error details.
pub(super) const DOMAIN: &str = "giro";

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let problem = error.problem;
        let code = code(error.status);
        let mut details = ErrorDetails::new();
        details.set_error_info(problem.error, DOMAIN, []);
        if code == Code::Unavailable {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        let message = match problem.field {
            Some(field) => {
                let message = format!("{field}: {}", problem.message);
                details.add_bad_request_violation(field, problem.message);
                message
            }
            None => problem.message,
        };
        Self::with_error_details(code, message, details)
    }
}

/// The code that says what the status of HTTP says.
fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::CONFLICT => Code::Aborted,
        // tonic takes what is cancelled for the end of a message, so slow is another bound passed.
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => Code::ResourceExhausted,
        StatusCode::TOO_EARLY => Code::FailedPrecondition,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
        other if other.is_server_error() => Code::Internal,
        _ => Code::InvalidArgument,
    }
}

/// Bytes that are no message of the method.
pub(super) fn unreadable(error: &prost::DecodeError) -> Status {
    ApiError::field("message", error.to_string()).into()
}

/// No method has this path.
pub(crate) fn unknown_method() -> Response {
    let why = "no such method; reflection has all of them";
    let response = Status::unimplemented(why).into_http::<axum::body::Body>();
    response.into_response()
}
