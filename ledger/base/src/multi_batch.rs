//! Bodies: the events of a request, in one batch or several.
//!
//! Several batches share a message by a trailer behind the events. Read from the end backwards:
//! the number of batches (u16), the element count of batch 0 (u16), of batch 1, and so on; bytes
//! 0xFF fill the trailer up to a whole number of elements.
//!
//! ```text
//! | elements of batch 0 | of batch 1 | ... | 0xFF .. | count n-1 | ... | count 0 | n |
//! ```

use thiserror::Error;

use crate::branch::{BranchBodyError, Branches};
use crate::limits::{BATCHES_MAX, BODY_BYTES_MAX};
use crate::operation::Operation;

/// Why a body is not valid for its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Not a whole number of elements.
    #[error("body of {bytes} bytes is not a multiple of the element's {element_bytes}")]
    Misaligned {
        /// The body's length.
        bytes: usize,
        /// The element's.
        element_bytes: usize,
    },
    /// The trailer does not fit the body, or its number of batches is out of range.
    #[error("trailer does not fit: {batches} batches in {bytes} bytes")]
    Trailer {
        /// The batches it names.
        batches: usize,
        /// The body's length.
        bytes: usize,
    },
    /// The filling is not 0xFF throughout.
    #[error("trailer padding is not 0xFF")]
    Padding,
    /// The counts do not add up to the elements that are there.
    #[error("trailer counts {counted} elements, body has {present}")]
    Count {
        /// Sum of the trailer's counts.
        counted: usize,
        /// Elements before the trailer.
        present: usize,
    },
    /// More events than the operation takes, or a filter operation without exactly one filter.
    #[error("batch of {events} events, operation takes {events_max}")]
    Events {
        /// Events of the batch.
        events: usize,
        /// What the operation takes.
        events_max: usize,
    },
    /// The reply to all events could exceed a message.
    #[error("reply of up to {bytes} bytes exceeds a message")]
    ReplyTooLarge {
        /// The reply's largest size.
        bytes: usize,
    },
    /// A body where none belongs, or one of the wrong length.
    #[error("body of {bytes} bytes where the operation takes {expected}")]
    Length {
        /// The body's length.
        bytes: usize,
        /// What the operation takes.
        expected: usize,
    },
    /// The body of a branch operation.
    #[error(transparent)]
    Branches(#[from] BranchBodyError),
}

/// A validated body: its events and how they divide into batches.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The events of all batches, one after another.
    pub events: &'a [u8],
    /// The trailer's counts, last batch first, or none for a body without trailer.
    counts: Option<&'a [u8]>,
    event_bytes: usize,
}

impl<'a> Body<'a> {
    /// Checks `bytes` against everything `operation` demands of a body
    /// (`docs/reference/protocol.md`, section "Bodies").
    pub fn parse(operation: Operation, bytes: &'a [u8]) -> Result<Self, BodyError> {
        if operation.kind().takes_branches() {
            Branches::parse(operation.kind(), bytes)?;
        }
        let body = Self::parse_shape(operation, bytes)?;
        body.check_counts(operation)?;
        Ok(body)
    }

    /// A body that is one piece.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self {
            events: bytes,
            counts: None,
            event_bytes: 1,
        }
    }

    fn parse_shape(operation: Operation, bytes: &'a [u8]) -> Result<Self, BodyError> {
        let event_bytes = operation.event_bytes();
        if event_bytes == 0 {
            return Ok(Self::whole(bytes));
        }
        if !bytes.len().is_multiple_of(event_bytes) {
            return Err(BodyError::Misaligned {
                bytes: bytes.len(),
                element_bytes: event_bytes,
            });
        }
        if !operation.is_multi_batch() {
            return Ok(Self {
                events: bytes,
                counts: None,
                event_bytes,
            });
        }
        let (events, counts) = split_trailer(bytes, event_bytes)?;
        Ok(Self {
            events,
            counts: Some(counts),
            event_bytes,
        })
    }

    fn check_counts(&self, operation: Operation) -> Result<(), BodyError> {
        if operation.event_bytes() == 0 {
            return Ok(());
        }
        let events_max = operation.events_max();
        let mut results_max = 0;
        let mut at = 0;
        for events in self.batches() {
            let wrong = if operation.takes_filter() {
                events != 1
            } else {
                events > events_max
            };
            if wrong {
                let events_max = if operation.takes_filter() {
                    1
                } else {
                    events_max
                };
                return Err(BodyError::Events { events, events_max });
            }
            results_max += if operation.takes_filter() {
                let filter = &self.events[at * self.event_bytes..][..self.event_bytes];
                filter_limit(operation, filter).min(events_max)
            } else {
                events
            };
            at += events;
        }
        let mut bytes = results_max * operation.result_bytes();
        if operation.is_multi_batch() {
            bytes += trailer_bytes(self.batch_count(), operation.result_bytes());
        }
        if bytes > BODY_BYTES_MAX {
            return Err(BodyError::ReplyTooLarge { bytes });
        }
        Ok(())
    }

    /// Number of batches; 1 for a body without trailer.
    #[must_use]
    pub fn batch_count(&self) -> usize {
        self.counts.map_or(1, |counts| counts.len() / 2)
    }

    /// Number of events in all batches.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.events.len() / self.event_bytes
    }

    /// Events of each batch, in order.
    pub fn batches(&self) -> impl Iterator<Item = usize> + 'a {
        let whole = self.events.len() / self.event_bytes;
        let trailer = self.counts.unwrap_or(&[]);
        let single = self.counts.is_none().then_some(whole);
        let counted = trailer
            .rchunks_exact(2)
            .map(|c| usize::from(u16::from_le_bytes([c[0], c[1]])));
        single.into_iter().chain(counted)
    }
}

/// The `limit` of a filter, which bounds the rows of its reply.
fn filter_limit(operation: Operation, filter: &[u8]) -> usize {
    let at = match operation {
        Operation::GetChangeEvents | Operation::GetChangesAfter => 16,
        Operation::ListBranches => 48,
        _ if filter.len() == 128 => 120,
        _ => 56,
    };
    let limit = [filter[at], filter[at + 1], filter[at + 2], filter[at + 3]];
    u32::from_le_bytes(limit) as usize
}

/// Splits a multi-batch body into its elements and the trailer's counts (last batch first).
pub fn split_trailer(bytes: &[u8], element_bytes: usize) -> Result<(&[u8], &[u8]), BodyError> {
    let Some((rest, [low, high])) = bytes.split_last_chunk::<2>() else {
        return Err(BodyError::Trailer {
            batches: 0,
            bytes: bytes.len(),
        });
    };
    let batches = usize::from(u16::from_le_bytes([*low, *high]));
    let trailer = trailer_bytes(batches, element_bytes);
    if batches == 0 || batches > BATCHES_MAX || trailer > bytes.len() {
        return Err(BodyError::Trailer {
            batches,
            bytes: bytes.len(),
        });
    }
    let (elements, trailer) = rest.split_at(bytes.len() - trailer);
    let (padding, counts) = trailer.split_at(trailer.len() - 2 * batches);
    if padding.iter().any(|byte| *byte != 0xFF) {
        return Err(BodyError::Padding);
    }
    let counted = counts
        .chunks_exact(2)
        .map(|c| usize::from(u16::from_le_bytes([c[0], c[1]])))
        .sum::<usize>();
    if counted * element_bytes != elements.len() {
        return Err(BodyError::Count {
            counted,
            present: elements.len() / element_bytes,
        });
    }
    Ok((elements, counts))
}

/// Bytes of the trailer for this many batches.
#[must_use]
pub const fn trailer_bytes(batches: usize, element_bytes: usize) -> usize {
    (2 * (batches + 1)).next_multiple_of(element_bytes)
}

/// Writes the trailer for batches of these many elements behind `payload_bytes` of elements
/// in `out`, and returns the body's whole length. `out` must have room for it.
pub fn write_trailer(
    out: &mut [u8],
    payload_bytes: usize,
    element_bytes: usize,
    counts: impl ExactSizeIterator<Item = usize>,
) -> usize {
    let batches = counts.len();
    let total = payload_bytes + trailer_bytes(batches, element_bytes);
    let trailer = &mut out[payload_bytes..total];
    trailer.fill(0xFF);
    let mut at = trailer.len() - 2;
    trailer[at..].copy_from_slice(&(batches as u16).to_le_bytes());
    for count in counts {
        at -= 2;
        trailer[at..at + 2].copy_from_slice(&(count as u16).to_le_bytes());
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(payload: usize, element: usize, counts: &[usize]) -> Vec<u8> {
        let mut out = vec![0; payload + trailer_bytes(counts.len(), element)];
        let total = write_trailer(&mut out, payload, element, counts.iter().copied());
        assert_eq!(total, out.len());
        out
    }

    #[test]
    fn trailer_of_one_id_has_the_protocols_bytes() {
        let bytes = body(16, 16, &[1]);
        assert_eq!(bytes[16..28], [0xFF; 12]);
        assert_eq!(bytes[28..], [1, 0, 1, 0]);
    }

    #[test]
    fn batches_come_back_in_order_and_may_be_empty() {
        let bytes = body(48, 16, &[2, 0, 1]);
        assert_eq!(
            bytes[48..],
            *b"\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\x02\0\x03\0"
        );
        let parsed = Body::parse(Operation::LookupAccounts, &bytes).unwrap();
        assert_eq!(parsed.batches().collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(parsed.event_count(), 3);
    }

    #[test]
    fn every_malformed_trailer_is_refused() {
        let good = body(256, 128, &[2]);
        let parse = |bytes: &[u8]| Body::parse(Operation::CreateTransfers, bytes).map(|_| ());
        assert_eq!(parse(&good), Ok(()));
        assert_eq!(
            parse(&[]),
            Err(BodyError::Trailer {
                batches: 0,
                bytes: 0
            })
        );
        assert!(matches!(
            parse(&good[1..]),
            Err(BodyError::Misaligned { .. })
        ));
        let mut bad = good.clone();
        bad[256] = 0;
        assert_eq!(parse(&bad), Err(BodyError::Padding));
        let mut bad = good.clone();
        bad[380] = 3;
        assert_eq!(
            parse(&bad),
            Err(BodyError::Count {
                counted: 3,
                present: 2
            })
        );
        let mut bad = good.clone();
        bad[382] = 0;
        assert!(matches!(parse(&bad), Err(BodyError::Trailer { .. })));
        let mut bad = good;
        bad[382..].copy_from_slice(&[0xFF, 0xFF]);
        assert!(matches!(parse(&bad), Err(BodyError::Trailer { .. })));
    }

    #[test]
    fn an_empty_body_is_valid_only_without_trailer() {
        assert!(Body::parse(Operation::CreateTransfers, &[]).is_err());
        assert_eq!(
            Body::parse(Operation::CreateTransfersUnbatched, &[])
                .unwrap()
                .event_count(),
            0
        );
    }

    #[test]
    fn two_filters_whose_rows_would_not_fit_are_refused() {
        let mut bytes = body(256, 128, &[1, 1]);
        bytes[120..124].copy_from_slice(&8189_u32.to_le_bytes());
        bytes[248..252].copy_from_slice(&8189_u32.to_le_bytes());
        let parsed = Body::parse(Operation::GetAccountTransfers, &bytes);
        assert!(matches!(parsed, Err(BodyError::ReplyTooLarge { .. })));
        bytes[248..252].copy_from_slice(&0_u32.to_le_bytes());
        assert!(Body::parse(Operation::GetAccountTransfers, &bytes).is_ok());
    }
}
