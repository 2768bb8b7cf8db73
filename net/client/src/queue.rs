//! Calls that wait to be sent, and which of them share a message.

use std::collections::VecDeque;

use giro_base::Operation;
use giro_base::branch::merge;
use giro_base::limits::{BODY_BYTES_MAX, BRANCHES_MAX, EVENTS_MAX_UNBATCHED};
use giro_base::multi_batch::{trailer_bytes, write_trailer};

use crate::call::Call;

/// The operations a client sends that take several batches have consecutive numbers.
const OPERATION_MIN: u8 = Operation::LookupAccounts as u8;
const LANES_BATCHED: usize = Operation::CreateTransfers as usize - OPERATION_MIN as usize + 1;
/// Behind them the operations that take one, and those on branches.
const LANES: usize = LANES_BATCHED + 2 + LANES_BRANCHES;
const BRANCHES_MIN: u8 = Operation::TryBranches as u8;
const LANES_BRANCHES: usize = Operation::ListBranches as usize - BRANCHES_MIN as usize + 1;

/// Archives are merged up to here: more gains nothing, and merging reads and writes all of it.
const MERGED_BYTES_MAX: usize = 64 << 10;
/// What an archive may take more when it is merged with others.
const ARCHIVE_SLACK_BYTES: usize = 16;

/// Calls by operation, each lane in the order they came.
pub(crate) struct Queue {
    lanes: [VecDeque<Call>; LANES],
    next_order: u64,
    len: usize,
}

/// Calls that leave in one message.
pub(crate) struct Gathered {
    pub(crate) operation: Operation,
    pub(crate) calls: Vec<Call>,
}

/// What the calls gathered so far come to.
#[derive(Default)]
struct Load {
    calls: usize,
    event_bytes: usize,
    rows: usize,
    legs: usize,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            lanes: std::array::from_fn(|_| VecDeque::new()),
            next_order: 0,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a call behind all others.
    pub(crate) fn push(&mut self, mut call: Call) {
        call.order = self.next_order;
        self.next_order += 1;
        self.len += 1;
        self.lanes[lane_of(call.operation)].push_back(call);
    }

    /// Puts calls back to the place they were taken from.
    pub(crate) fn put_back(&mut self, calls: Vec<Call>) {
        for call in calls.into_iter().rev() {
            self.len += 1;
            self.lanes[lane_of(call.operation)].push_front(call);
        }
    }

    /// The calls of the next message: the one that waits longest, and those of its operation
    /// that fit beside it, `calls_max` at most. `body_bytes_max` is the server's limit.
    pub(crate) fn take(&mut self, body_bytes_max: usize, calls_max: usize) -> Option<Gathered> {
        loop {
            let front = |lane: &VecDeque<Call>| lane.front().map(|call| call.order);
            let lane = (0..LANES)
                .filter(|index| !self.lanes[*index].is_empty())
                .min_by_key(|index| front(&self.lanes[*index]))?;
            let calls = self.gather(lane, body_bytes_max, calls_max);
            if let Some(first) = calls.first() {
                let operation = first.operation;
                return Some(Gathered { operation, calls });
            }
        }
    }

    /// Takes calls from the front of a lane. Empty when nobody waited for them any more.
    fn gather(&mut self, lane: usize, body_bytes_max: usize, calls_max: usize) -> Vec<Call> {
        let lane = &mut self.lanes[lane];
        let mut calls = Vec::new();
        let mut load = Load::default();
        while let Some(call) = lane.front() {
            if !call.is_abandoned() {
                load.add(call);
                let has_room = load.calls <= calls_max && load.fits(call.operation, body_bytes_max);
                if !calls.is_empty() && !has_room {
                    break;
                }
            }
            let call = lane.pop_front().expect("it was looked at");
            self.len -= 1;
            if !call.is_abandoned() && call.stage.send() {
                calls.push(call);
            }
        }
        calls
    }

    /// Forgets calls that nobody waits for.
    pub(crate) fn purge(&mut self) {
        for lane in &mut self.lanes {
            lane.retain(|call| !call.is_abandoned());
        }
        self.len = self.lanes.iter().map(VecDeque::len).sum();
    }

    /// Takes all calls.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Call> {
        self.len = 0;
        self.lanes.iter_mut().flat_map(std::mem::take)
    }
}

impl Gathered {
    /// Appends the body of the request: events, then the trailer if the operation has one.
    pub(crate) fn write_body(&self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.calls.len() > 1 && self.operation.kind().takes_branches() {
            let bodies = self.calls.iter().map(|call| &call.events[..]);
            let merged = merge(self.operation.kind(), bodies);
            return out.extend_from_slice(&merged.expect("made by the handle"));
        }
        for call in &self.calls {
            out.extend_from_slice(&call.events);
        }
        if !self.operation.is_multi_batch() {
            assert_eq!(
                self.calls.len(),
                1,
                "there is no trailer to tell calls apart"
            );
            return;
        }
        let counts = self.calls.iter().map(Call::event_count);
        append_trailer(self.operation, out, start, counts);
    }
}

/// Appends the body of a request with one batch of no events.
pub(crate) fn write_empty_body(operation: Operation, out: &mut Vec<u8>) {
    let start = out.len();
    append_trailer(operation, out, start, [0].into_iter());
}

fn append_trailer(
    operation: Operation,
    out: &mut Vec<u8>,
    start: usize,
    counts: impl ExactSizeIterator<Item = usize>,
) {
    let event_bytes = operation.event_bytes();
    let payload_bytes = out.len() - start;
    let trailer = trailer_bytes(counts.len(), event_bytes);
    out.resize(out.len() + trailer, 0);
    write_trailer(&mut out[start..], payload_bytes, event_bytes, counts);
}

impl Load {
    fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.event_bytes += call.events.len();
        self.rows += call.rows_max;
        self.legs += call.legs;
    }

    fn fits(&self, operation: Operation, body_bytes_max: usize) -> bool {
        if operation.kind().takes_branches() {
            // However many legs they have, the server has room for them.
            let bytes = self.event_bytes + self.calls * ARCHIVE_SLACK_BYTES;
            return self.rows <= BRANCHES_MAX
                && self.legs <= EVENTS_MAX_UNBATCHED
                && bytes <= body_bytes_max.min(MERGED_BYTES_MAX);
        }
        if !operation.is_multi_batch() {
            return self.calls == 1;
        }
        let (event, row) = (operation.event_bytes(), operation.result_bytes());
        let request = self.event_bytes + trailer_bytes(self.calls, event);
        let reply = self.rows * row + trailer_bytes(self.calls, row);
        request <= body_bytes_max && reply <= BODY_BYTES_MAX
    }
}

fn lane_of(operation: Operation) -> usize {
    match operation {
        Operation::GetChangeEvents => LANES_BATCHED,
        Operation::GetChangesAfter => LANES_BATCHED + 1,
        branches if u8::from(branches) >= BRANCHES_MIN => {
            LANES_BATCHED + 2 + usize::from(u8::from(branches) - BRANCHES_MIN)
        }
        batched => usize::from(u8::from(batched) - OPERATION_MIN),
    }
}

#[cfg(test)]
mod tests {
    use giro_base::multi_batch::Body;

    use super::*;
    use crate::call::tests::call;

    /// A queue of calls, and what keeps them wanted.
    fn queue(calls: &[(Operation, usize)]) -> (Queue, Vec<crate::call::tests::Answer>) {
        let mut queue = Queue::new();
        let mut answers = Vec::new();
        for (fill, (operation, events)) in (0..).zip(calls) {
            let (call, answer) = call(*operation, *events, fill);
            queue.push(call);
            answers.push(answer);
        }
        (queue, answers)
    }

    fn sizes(gathered: &Gathered) -> Vec<usize> {
        gathered.calls.iter().map(Call::event_count).collect()
    }

    const CREATE: Operation = Operation::CreateTransfers;
    const LOOKUP: Operation = Operation::LookupAccounts;

    #[test]
    fn calls_of_one_operation_leave_together_the_oldest_first() {
        let (mut queue, _answers) = queue(&[(CREATE, 2), (LOOKUP, 1), (CREATE, 3), (LOOKUP, 4)]);
        let first = queue.take(BODY_BYTES_MAX, usize::MAX).unwrap();
        assert_eq!((first.operation, sizes(&first)), (CREATE, vec![2, 3]));
        let mut body = Vec::new();
        first.write_body(&mut body);
        let parsed = Body::parse(CREATE, &body).unwrap();
        assert_eq!(parsed.batches().collect::<Vec<_>>(), [2, 3]);
        assert_eq!((body[0], body[2 * 128]), (0, 2));
        let second = queue.take(BODY_BYTES_MAX, usize::MAX).unwrap();
        assert_eq!((second.operation, sizes(&second)), (LOOKUP, vec![1, 4]));
        assert!(queue.take(BODY_BYTES_MAX, usize::MAX).is_none());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_message_is_filled_and_never_overfilled() {
        for operation in [CREATE, LOOKUP, Operation::CreateAccounts] {
            let (mut queue, _answers) = queue(&[(operation, 4000); 5]);
            let mut seen = Vec::new();
            while let Some(gathered) = queue.take(BODY_BYTES_MAX, usize::MAX) {
                let mut body = Vec::new();
                gathered.write_body(&mut body);
                assert!(Body::parse(operation, &body).is_ok());
                seen.push(gathered.calls.len());
            }
            assert_eq!(seen, [2, 2, 1], "{operation}");
        }
        // A whole message of its own, and one that is one event short of it.
        let (mut queue, _answers) = queue(&[(CREATE, 8189), (CREATE, 8188), (CREATE, 1)]);
        assert_eq!(
            sizes(&queue.take(BODY_BYTES_MAX, usize::MAX).unwrap()),
            [8189]
        );
        assert_eq!(
            sizes(&queue.take(BODY_BYTES_MAX, usize::MAX).unwrap()),
            [8188, 1]
        );
    }

    #[test]
    fn queries_share_a_message_while_their_rows_fit_the_reply() {
        let query = Operation::GetAccountTransfers;
        let (mut queue, _answers) = queue(&[(query, 1); 3]);
        for (lane, rows) in queue.lanes[lane_of(query)]
            .iter_mut()
            .zip([5000, 3000, 500])
        {
            lane.rows_max = rows;
        }
        assert_eq!(
            sizes(&queue.take(BODY_BYTES_MAX, usize::MAX).unwrap()),
            [1, 1]
        );
        assert_eq!(sizes(&queue.take(BODY_BYTES_MAX, usize::MAX).unwrap()), [1]);
    }

    #[test]
    fn a_query_of_the_change_feed_has_a_message_of_its_own() {
        let query = Operation::GetChangesAfter;
        let (mut queue, _answers) = queue(&[(query, 1), (query, 1)]);
        for _ in 0..2 {
            let gathered = queue.take(BODY_BYTES_MAX, usize::MAX).unwrap();
            let mut body = Vec::new();
            gathered.write_body(&mut body);
            assert_eq!(body.len(), query.event_bytes());
            assert!(Body::parse(query, &body).is_ok());
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent() {
        let (mut queue, mut answers) = queue(&[(CREATE, 1), (CREATE, 2), (LOOKUP, 3)]);
        drop(answers.remove(0));
        let given_up = &queue.lanes[lane_of(CREATE)][1];
        assert!(given_up.stage.give_up());
        assert_eq!(sizes(&queue.take(BODY_BYTES_MAX, usize::MAX).unwrap()), [3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_put_back_goes_first_again() {
        let (mut queue, _answers) = queue(&[(CREATE, 1), (CREATE, 2)]);
        let gathered = queue.take(BODY_BYTES_MAX, usize::MAX).unwrap();
        let (late, _answer) = call(CREATE, 3, 0);
        queue.push(late);
        for call in &gathered.calls {
            call.stage.take_back();
        }
        queue.put_back(gathered.calls);
        assert_eq!(queue.len(), 3);
        assert_eq!(
            sizes(&queue.take(BODY_BYTES_MAX, usize::MAX).unwrap()),
            [1, 2, 3]
        );
    }
}
