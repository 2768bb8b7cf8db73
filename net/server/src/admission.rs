//! What a valid request header must still show before sessions are looked at.

use giro_base::Operation;
use giro_base::multi_batch::Body;
use giro_wire::{EvictionReason, Release, RequestHeader};

/// Checks release, operation and body, in the protocol's order.
///
/// # Errors
/// The reason to end the client's session with.
pub(crate) fn admit<'a>(
    header: &RequestHeader,
    body: &'a [u8],
    supports: impl Fn(Operation) -> bool,
) -> Result<(Operation, Body<'a>), EvictionReason> {
    if header.frame.release() < Release::CLIENT_MIN {
        return Err(EvictionReason::ClientReleaseTooLow);
    }
    let operation = match header.operation() {
        // The ledger makes pulses itself; nobody may send one.
        None | Some(Operation::Pulse) => return Err(EvictionReason::InvalidRequestOperation),
        Some(operation) => operation,
    };
    let session_only = matches!(operation, Operation::Register | Operation::Noop);
    if !session_only && !supports(operation) {
        return Err(EvictionReason::InvalidRequestOperation);
    }
    if operation == Operation::Register {
        if body.is_empty() {
            return Err(EvictionReason::InvalidRequestBodySize);
        }
        if body.iter().any(|byte| *byte != 0) {
            return Err(EvictionReason::InvalidRequestBody);
        }
    }
    let body = Body::parse(operation, body).map_err(|_| EvictionReason::InvalidRequestBody)?;
    Ok((operation, body))
}

#[cfg(test)]
mod tests {
    use giro_wire::NewRequest;

    use super::*;

    fn judged(release: Release, operation: u8, body: &[u8]) -> Option<EvictionReason> {
        let mut header = RequestHeader::build(
            &NewRequest {
                cluster: 0,
                view: 0,
                release,
                client: 7,
                session: 1,
                parent: 0,
                request: 1,
                operation: Operation::Noop,
                previous_request_latency: 0,
            },
            body,
        );
        header.operation = operation;
        let supports = |operation| operation != Operation::QueryAccounts;
        admit(&header, body, supports).err()
    }

    #[test]
    fn each_reason_has_its_cause() {
        let new = Release::new(0, 17, 9);
        let old = Release::new(0, 16, 3);
        let ids = [&[1; 16][..], &[0xFF; 12], &[1, 0, 1, 0]].concat();
        assert_eq!(judged(new, 140, &ids), None);
        assert_eq!(judged(Release::DEVELOPMENT, 140, &ids), None);
        assert_eq!(judged(Release::CLIENT_MIN, 131, &ids), None);
        use EvictionReason as Reason;
        for (release, operation, body, reason) in [
            // The release comes first, whatever else is wrong.
            (old, 200, &[1][..], Reason::ClientReleaseTooLow),
            (old, 2, &[], Reason::ClientReleaseTooLow),
            (new, 200, &[], Reason::InvalidRequestOperation),
            (new, 3, &[0; 256], Reason::InvalidRequestOperation),
            (new, 128, &[], Reason::InvalidRequestOperation),
            (new, 144, &[], Reason::InvalidRequestOperation),
            (new, 2, &[], Reason::InvalidRequestBodySize),
            (new, 2, &[1; 256], Reason::InvalidRequestBody),
            (new, 140, &[], Reason::InvalidRequestBody),
            (new, 147, &[0; 128], Reason::InvalidRequestBody),
            (new, 140, &[0; 17], Reason::InvalidRequestBody),
        ] {
            assert_eq!(
                judged(release, operation, body),
                Some(reason),
                "{operation}"
            );
        }
    }
}
