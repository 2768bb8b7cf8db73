//! What the metadata of a request says.

use std::time::Duration;

use tonic::Request;
use tonic::metadata::MetadataMap;

use crate::app::App;
use crate::book::Book;
use crate::error::ApiError;

/// How a caller names its deadline.
const TIMEOUT: &str = "grpc-timeout";
/// Most digits of it.
const DIGITS_MAX: usize = 8;

/// The ledger, whose calls end by the request's deadline, which is not above `max`.
pub(super) fn book<T>(app: &App, request: &Request<T>, max: Duration) -> Result<Book, ApiError> {
    let own = timeout(request.metadata())?;
    let deadline = own.map_or(max, |own| own.min(max));
    app.book(request.extensions().get().copied(), deadline)
}

fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>, ApiError> {
    let Some(value) = metadata.get(TIMEOUT) else {
        return Ok(None);
    };
    let time = value.to_str().ok().and_then(time);
    let why = "must be up to 8 digits and one of H, M, S, m, u, n";
    time.map(Some).ok_or_else(|| ApiError::field(TIMEOUT, why))
}

fn time(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_in_every_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("0u", Some(Duration::ZERO)),
            ("5n", Some(Duration::from_nanos(5))),
            ("", None),
            ("S", None),
            ("5", None),
            ("+5S", None),
            ("123456789S", None),
            ("5\u{e9}", None),
            ("5s", None),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
    }
}
