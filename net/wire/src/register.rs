//! The bodies of the operation that opens a session.

use giro_base::limits::BODY_BYTES_MAX;

/// Bytes of a register request's body: a limit of 0, then zeros.
pub const REGISTER_REQUEST_BYTES: usize = 256;
/// Bytes of a register reply's body: the limit, then zeros.
pub const REGISTER_REPLY_BYTES: usize = 64;

/// Most bytes of a request body, which a register reply announces. Exactly the protocol's
/// largest: the field's load generator checks its own batch size against it.
pub const BATCH_SIZE_LIMIT: u32 = BODY_BYTES_MAX as u32;

/// The body of the answer to a register.
#[must_use]
pub fn reply_body() -> [u8; REGISTER_REPLY_BYTES] {
    let mut body = [0; REGISTER_REPLY_BYTES];
    body[..4].copy_from_slice(&BATCH_SIZE_LIMIT.to_le_bytes());
    body
}

/// The largest request body the server takes, from the answer to a register; none when the
/// answer is not one.
#[must_use]
pub fn batch_size_limit(reply_body: &[u8]) -> Option<u32> {
    let (limit, rest) = reply_body.split_first_chunk::<4>()?;
    let limit = u32::from_le_bytes(*limit);
    let valid = rest.len() == REGISTER_REPLY_BYTES - 4 && (1..=BATCH_SIZE_LIMIT).contains(&limit);
    valid.then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_goes_through_and_nonsense_does_not() {
        assert_eq!(reply_body()[..4], [0x00, 0xff, 0x0f, 0x00]);
        assert_eq!(batch_size_limit(&reply_body()), Some(1_048_320));
        assert_eq!(batch_size_limit(&[0; REGISTER_REPLY_BYTES]), None);
        assert_eq!(batch_size_limit(&reply_body()[1..]), None);
    }
}
