//! What every request passes: counters, a log line, the trace it belongs to, and whether it is test
//! traffic.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Status;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

use crate::app::App;
use crate::error::ApiError;
use crate::{metrics, shadow};

/// Most bytes of a header that are taken along.
const TEXT_BYTES_MAX: usize = 512;
/// Headers that tell which trace a request belongs to, and the field of the log each becomes:
/// W3C's, and those of SOFATracer, which are B3's.
const HEADERS: [(&str, &str); 7] = [
    ("traceparent", "traceparent"),
    ("tracestate", "tracestate"),
    ("baggage", "baggage"),
    ("x-b3-traceid", "b3_trace_id"),
    ("x-b3-spanid", "b3_span_id"),
    ("x-b3-parentspanid", "b3_parent_span_id"),
    ("x-b3-sampled", "b3_sampled"),
];
/// Before the names of SOFATracer's baggage; its system's begins so, too.
const SOFA_BAGGAGE: &str = "baggage-";

/// That a request is test traffic; among its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked;

/// Passes a request on.
pub(crate) async fn observe(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = metrics::known(request.method().as_str());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let marked = mark(&app, &mut request);
    let span = span(request.headers(), request.extensions().get().copied());
    let answered = async {
        let response = match marked {
            Ok(()) => next.run(request).await,
            Err(error) => refuse(error, request.headers()),
        };
        let route = route.as_ref().map_or("none", |route| route.as_str());
        let took = began.elapsed();
        app.metrics.answered(method, route, &response, took);
        let status = response.status().as_u16();
        tracing::debug!(method, route, status, ?took, "answered");
        response
    };
    answered.instrument(span).await
}

/// Marks test traffic, for which there must be a place.
fn mark(app: &App, request: &mut Request) -> Result<(), ApiError> {
    if !shadow::is_marked(request.headers())? {
        return Ok(());
    }
    if app.options.shadow_ledgers.is_none() {
        return Err(ApiError::no_shadow());
    }
    request.extensions_mut().insert(Marked);
    Ok(())
}

fn refuse(error: ApiError, headers: &HeaderMap) -> Response {
    if metrics::is_grpc(headers) {
        let response = Status::from(error).into_http::<axum::body::Body>();
        return response.into_response();
    }
    error.into_response()
}

/// What the log's lines about a request say of its trace; nothing where it has none.
fn span(headers: &HeaderMap, marked: Option<Marked>) -> Span {
    let is_traced = HEADERS.iter().any(|(name, _)| headers.contains_key(*name));
    if !is_traced && marked.is_none() {
        return Span::none();
    }
    let span = tracing::info_span!(
        "request",
        traceparent = Empty,
        tracestate = Empty,
        baggage = Empty,
        b3_trace_id = Empty,
        b3_span_id = Empty,
        b3_parent_span_id = Empty,
        b3_sampled = Empty,
        sofa_baggage = Empty,
        is_test = marked.is_some(),
    );
    if span.is_disabled() {
        return span;
    }
    for (name, field) in HEADERS {
        if let Some(text) = headers.get(name).and_then(|value| value.to_str().ok()) {
            span.record(field, display(short(text)));
        }
    }
    let sofa = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(SOFA_BAGGAGE)?;
        Some(format!("{name}={}", value.to_str().ok()?))
    });
    let sofa: Vec<String> = sofa.collect();
    if !sofa.is_empty() {
        span.record("sofa_baggage", display(short(&sofa.join(","))));
    }
    span
}

/// The beginning of a text of ASCII.
fn short(text: &str) -> &str {
    text.get(..TEXT_BYTES_MAX).unwrap_or(text)
}
