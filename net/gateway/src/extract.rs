//! Requests as types: bodies, query strings and deadlines, checked where they come in.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::app::App;
use crate::book::Book;
use crate::error::ApiError;

/// Names a shorter or longer deadline for one request, in milliseconds.
pub(crate) const DEADLINE_HEADER: &str = "x-deadline-ms";
/// Bodies are counted against the memory for all of them in such steps.
const BUDGET_STEP_BYTES: usize = 1 << 10;
/// Most parameters of a query string.
const PARAMETERS_MAX: usize = 32;

/// The ledger, whose calls end by the request's deadline.
pub(crate) struct Call(pub(crate) Book);

impl FromRequestParts<Arc<App>> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let deadline = deadline(&parts.headers, app.options.deadline)?;
        let marked = parts.extensions.get().copied();
        app.book(marked, deadline).map(Self)
    }
}

/// The request's own deadline, which is not above the option's.
fn deadline(headers: &HeaderMap, max: Duration) -> Result<Duration, ApiError> {
    let Some(value) = headers.get(DEADLINE_HEADER) else {
        return Ok(max);
    };
    let text = value.to_str().unwrap_or_default();
    let ms = crate::number::parse(text, max.as_millis());
    let ms = ms.map_err(|why| ApiError::field(DEADLINE_HEADER, why))?;
    if ms == 0 {
        return Err(ApiError::field(DEADLINE_HEADER, "must not be 0"));
    }
    // It is not above the option's, which is a Duration.
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
}

/// A body of JSON.
pub(crate) struct Payload<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Payload<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        content_type(request.headers())?;
        let bytes = read(request, app).await?;
        json(&bytes).map(Self)
    }
}

/// A body of JSON, or none.
pub(crate) struct MaybePayload<T>(pub(crate) Option<T>);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for MaybePayload<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let typed = content_type(request.headers());
        let bytes = read(request, app).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        typed?;
        json(&bytes).map(|value| Self(Some(value)))
    }
}

/// A body nobody looks at: whatever it is, it is read and dropped as it comes, and who does not
/// send all of it in time is answered all the same.
pub(crate) struct AnyBody;

impl FromRequest<Arc<App>> for AnyBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let mut body = request.into_body();
        let all = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = timeout(app.options.body_timeout, all).await;
        Ok(Self)
    }
}

/// That no page in a browser sent it: one can have it ask any address, without a body, and would
/// have branches confirmed and cancelled. Browsers say of which site the page is, and those that
/// do not, since the address is not one they trust, have a name that pages cannot change.
pub(crate) struct NoPage;

impl FromRequestParts<Arc<App>> for NoPage {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, ApiError> {
        let has = |name, begin: &[u8]| {
            let value: Option<&HeaderValue> = parts.headers.get(name);
            value.is_some_and(|value| value.as_bytes().starts_with(begin))
        };
        let is_browser = has("sec-fetch-site", b"") || has("user-agent", b"Mozilla/");
        let by_hand = has("sec-fetch-site", b"none") || has("sec-fetch-site", b"same-origin");
        if !has("origin", b"") && (by_hand || !is_browser) {
            return Ok(Self);
        }
        let why = "is not taken from a page in a browser";
        Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", why))
    }
}

/// A page in a browser can post texts and forms to any address without being asked; JSON it
/// cannot. So nothing else is taken.
fn content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim();
    let is_json = media.eq_ignore_ascii_case("application/json")
        || (media.starts_with("application/") && media.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let mut error = ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "must be application/json (curl: --json)",
    );
    error.problem.field = Some("content-type".into());
    Err(error)
}

/// The whole body, in time and within the limits of one and of all.
async fn read(request: Request, app: &App) -> Result<Bytes, ApiError> {
    let max = app.options.body_bytes_max;
    if request.body().size_hint().lower() > max as u64 {
        return Err(too_large(max));
    }
    let whole = collect(request.into_body(), max, &app.body_budget);
    match timeout(app.options.body_timeout, whole).await {
        Ok(collected) => collected,
        Err(_) => Err(slow(app.options.body_timeout)),
    }
}

/// A body's bytes. It has room for what has come, and not for what is announced: whoever sends
/// slowly, or nothing, takes none from the others.
async fn collect(mut body: Body, max: usize, budget: &Arc<Semaphore>) -> Result<Bytes, ApiError> {
    let mut room = Room::default();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| {
            let why = "the body did not come whole";
            ApiError::new(StatusCode::BAD_REQUEST, "invalid", why)
        };
        let Ok(part) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if room.bytes + part.len() > max {
            return Err(too_large(max));
        }
        if !room.grow(budget, part.len()) {
            return Err(too_many());
        }
        // Most come in one part. One that does not is copied: a part of a few bytes keeps the
        // memory of all that was read with it.
        if whole.is_empty() && body.is_end_stream() {
            return Ok(part);
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
}

/// A body's share of the memory for all bodies, given back when dropped.
#[derive(Default)]
pub(crate) struct Room {
    permit: Option<OwnedSemaphorePermit>,
    /// Bytes it is for.
    bytes: usize,
}

impl Room {
    /// Takes room for so many bytes more; false when there is none.
    pub(crate) fn grow(&mut self, budget: &Arc<Semaphore>, bytes: usize) -> bool {
        let steps = |bytes| u32::try_from(budget_steps(bytes)).unwrap_or(u32::MAX);
        let more = steps(self.bytes + bytes) - steps(self.bytes);
        let Ok(more) = Arc::clone(budget).try_acquire_many_owned(more) else {
            return false;
        };
        self.bytes += bytes;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        true
    }
}

pub(crate) fn too_large(bytes_max: usize) -> ApiError {
    let message = format!("the body has more than {bytes_max} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

pub(crate) fn too_many() -> ApiError {
    ApiError::busy("too many large bodies at a time; come back later")
}

pub(crate) fn slow(limit: Duration) -> ApiError {
    let message = format!("the body did not come within {limit:?}");
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "slow", message)
}

/// Steps of the memory for all bodies.
pub(crate) fn budget_steps(bytes: usize) -> usize {
    bytes.div_ceil(BUDGET_STEP_BYTES)
}

/// Reads JSON; a body that is not right is read once more, for the place.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
    let Err(error) = read else {
        let behind = reader.end().err();
        let why = behind.map_or("cannot be read".to_owned(), |error| error.to_string());
        return Err(ApiError::field("body", why));
    };
    let path = error.path().to_string();
    let why = error.inner();
    let field = if why.is_data() && path != "." {
        path
    } else {
        "body".into()
    };
    Err(ApiError::field(field, why.to_string()))
}

/// The parameters of a query string, as they stand in it.
pub(crate) struct Parameters(pub(crate) Vec<(String, String)>);

impl FromRequestParts<Arc<App>> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, ApiError> {
        parameters(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parameters(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut found = Vec::new();
    for pair in pairs {
        if found.len() == PARAMETERS_MAX {
            let why = format!("has more than {PARAMETERS_MAX} parameters");
            return Err(ApiError::field("query", why));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| ApiError::field("query", "is not UTF-8"))?;
        let value = decode(value).ok_or_else(|| ApiError::field(&*name, "is not UTF-8"))?;
        found.push((name.into_owned(), value.into_owned()));
    }
    Ok(found)
}

/// None when it is not UTF-8. It is not mended: two texts must never become one.
fn decode(text: &str) -> Option<Cow<'static, str>> {
    let spaced: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    let decoded = percent_decode(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

/// A query string as a type with the rules of bodies: every value is a text.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, ApiError> {
        let mut object = serde_json::Map::new();
        for (name, value) in parameters(parts.uri.query().unwrap_or_default())? {
            if object.contains_key(&name) {
                return Err(ApiError::field(name, "is there twice"));
            }
            let value = match value.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                _ => value.into(),
            };
            object.insert(name, value);
        }
        let text = serde_json::Value::Object(object).to_string();
        json(text.as_bytes()).map(Self).map_err(|mut error| {
            if error.problem.field.as_deref() == Some("body") {
                error.problem.field = Some("query".into());
            }
            error
        })
    }
}

/// What stands in the path.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, app).await;
        path.map(|path| Self(path.0))
            .map_err(|why| ApiError::field("path", why.body_text()))
    }
}

/// An id that stands in the path.
pub(crate) fn id(text: &str) -> Result<u128, ApiError> {
    crate::number::parse(text, u128::MAX).map_err(|why| ApiError::field("id", why))
}
