//! The reply to a create operation, and to one on branches.

use giro_base::multi_batch::write_trailer;
use giro_base::operation::ResultForm;
use giro_base::result::{CreateFailure, CreateResult};
use zerocopy::IntoBytes;

use crate::batch::{Batch, Events};
use crate::scratch::Decided;

/// The status both kinds of create give to an event that made its object.
const CREATED: u32 = 0xFFFF_FFFF;

/// Writes the reply's body to `out`, which has room for the largest
/// ([`giro_base::limits::CREATE_REPLY_BYTES_MAX`]), and returns its length.
pub fn encode(batch: &Batch<'_>, decided: &Decided, out: &mut [u8]) -> usize {
    if let Events::Branches(branches, _) = batch.events {
        let results = decided.branches[..branches.len()].as_bytes();
        out[..results.len()].copy_from_slice(results);
        return results.len();
    }
    match batch.operation.result_form() {
        ResultForm::Dense => encode_dense(batch, decided, out),
        ResultForm::Sparse => encode_sparse(batch, decided, out),
    }
}

fn encode_dense(batch: &Batch<'_>, decided: &Decided, out: &mut [u8]) -> usize {
    let results = decided.results[..batch.len()].as_bytes();
    out[..results.len()].copy_from_slice(results);
    let counts = Counted {
        counts: batch.body.batches(),
        len: batch.body.batch_count(),
    };
    write_trailer(out, results.len(), size_of::<CreateResult>(), counts)
}

fn encode_sparse(batch: &Batch<'_>, decided: &Decided, out: &mut [u8]) -> usize {
    let failures = |start: usize, events: usize| {
        let results = decided.results[start..start + events].iter().enumerate();
        results.filter(|(_, result)| result.status != CREATED)
    };
    let mut length = 0;
    let mut start = 0;
    for events in batch.body.batches() {
        for (index, result) in failures(start, events) {
            let failure = CreateFailure {
                index: index as u32,
                status: result.status,
            };
            out[length..length + 8].copy_from_slice(failure.as_bytes());
            length += 8;
        }
        start += events;
    }
    if !batch.operation.is_multi_batch() {
        return length;
    }
    let mut start = 0;
    let counts = batch.body.batches().map(|events| {
        start += events;
        failures(start - events, events).count()
    });
    let counts = Counted {
        counts,
        len: batch.body.batch_count(),
    };
    write_trailer(out, length, size_of::<CreateFailure>(), counts)
}

/// An iterator whose length is known beside it.
struct Counted<I> {
    counts: I,
    len: usize,
}

impl<I: Iterator<Item = usize>> Iterator for Counted<I> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.counts.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl<I: Iterator<Item = usize>> ExactSizeIterator for Counted<I> {}
