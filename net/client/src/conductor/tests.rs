//! The conductor against a server that does what each test says.

use giro_base::multi_batch::{Body, trailer_bytes, write_trailer};
use giro_wire::{NewReply, PongHeader, Release, RequestHeader, parse_header, register};
use zerocopy::IntoBytes;

use super::*;
use crate::call::tests::{Answer, call};

const CREATE: Operation = Operation::CreateTransfers;
const LOOKUP: Operation = Operation::LookupTransfers;

/// A conductor, its clock, and what it sent.
struct World {
    conductor: Conductor,
    out: Outbox,
    now: Instant,
    opened: oneshot::Receiver<Result<(), EvictionReason>>,
    /// The last op.
    op: u64,
}

/// A request as the server sees it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    bytes: Vec<u8>,
    client: u128,
    session: u64,
    number: u32,
    operation: Operation,
    /// Events of each batch.
    batches: Vec<usize>,
}

impl Seen {
    fn header(&self) -> &RequestHeader {
        let header = self.bytes.first_chunk().unwrap();
        let Ok(Message::Request(header)) = parse_header(header, 0) else {
            panic!("the client sends what a server takes");
        };
        header
    }
}

impl World {
    /// Connected, nothing registered yet.
    fn new(sessions_max: usize) -> Self {
        let options = ClientOptions {
            sessions_max,
            ..ClientOptions::default()
        };
        let (opened, is_open) = oneshot::channel();
        let mut world = Self {
            conductor: Conductor::new(&options, opened),
            out: Outbox::default(),
            now: Instant::now(),
            opened: is_open,
            op: 1,
        };
        world.connect();
        world
    }

    /// With one open session.
    fn open(sessions_max: usize) -> Self {
        let mut world = Self::new(sessions_max);
        let register = world.sent_one();
        world.reply(&register);
        assert_eq!(world.opened.try_recv(), Ok(Ok(())));
        world
    }

    fn connect(&mut self) {
        self.conductor.on_connected(self.now, &mut self.out);
    }

    fn reconnect(&mut self) {
        self.conductor.on_disconnected();
        self.out.clear();
        self.connect();
    }

    fn submit(&mut self, operation: Operation, events: usize) -> Answer {
        let (mut call, answer) = call(operation, events, 7);
        call.deadline = self.now + Duration::from_secs(1);
        self.conductor.submit(call);
        answer
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.conductor.on_time(self.now, &mut self.out);
    }

    /// The requests sent since the last look.
    fn sent(&mut self) -> Vec<Seen> {
        self.conductor.dispatch(self.now, &mut self.out);
        let mut bytes = Vec::new();
        let write = |slices: &[std::io::IoSlice<'_>]| {
            let before = bytes.len();
            slices
                .iter()
                .for_each(|slice| bytes.extend_from_slice(slice));
            Ok(bytes.len() - before)
        };
        self.out.write(write).unwrap();
        let mut seen = Vec::new();
        while let Some(header) = bytes.first_chunk() {
            let Ok(Message::Request(header)) = parse_header(header, 0) else {
                panic!("the client sends what a server takes");
            };
            let rest = bytes.split_off(header.frame.size.get() as usize);
            let message = std::mem::replace(&mut bytes, rest);
            seen.push(look(message));
        }
        seen
    }

    fn sent_one(&mut self) -> Seen {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    fn hear(&mut self, header: &[u8], body: &[u8]) {
        let message = parse_header(header.try_into().unwrap(), 0).unwrap();
        self.conductor
            .on_message(message, body, self.now, &mut self.out);
    }

    /// Answers a request: every event created or found.
    fn reply(&mut self, to: &Seen) {
        self.op += 1;
        let rows: usize = to.batches.iter().sum();
        let body = if to.operation == Operation::Register {
            register::reply_body().to_vec()
        } else {
            let bytes = to.operation.result_bytes();
            let mut body = vec![0xFF; rows * bytes + trailer_bytes(to.batches.len(), bytes)];
            write_trailer(&mut body, rows * bytes, bytes, to.batches.iter().copied());
            body
        };
        self.reply_with(to, &body);
    }

    fn reply_with(&mut self, to: &Seen, body: &[u8]) {
        let request = to.header();
        let new = NewReply {
            cluster: 0,
            view: 1,
            release: Release(request.frame.release.get()),
            request_checksum: request.frame.checksum.get(),
            client: to.client,
            op: self.op,
            timestamp: self.op,
            request: to.number,
            operation: to.operation,
        };
        let header = ReplyHeader::build(&new, body);
        self.hear(header.as_bytes(), body);
    }

    fn refuse(&mut self, to: &Seen, reason: RefusalReason) {
        let refusal = RefusalHeader::build(to.header(), 1, reason);
        self.hear(refusal.as_bytes(), &[]);
    }

    fn evict(&mut self, client: u128, reason: EvictionReason) {
        let eviction = EvictionHeader::build(0, 1, client, reason);
        self.hear(eviction.as_bytes(), &[]);
    }
}

fn look(bytes: Vec<u8>) -> Seen {
    let (header, body) = bytes.split_at(256);
    let Ok(Message::Request(header)) = parse_header(header.try_into().unwrap(), 0) else {
        panic!("the client sends what a server takes");
    };
    giro_wire::verify_body(&header.frame, body).unwrap();
    let operation = header.operation().unwrap();
    let parsed = Body::parse(operation, body).unwrap();
    Seen {
        client: header.client.get(),
        session: header.session.get(),
        number: header.request.get(),
        operation,
        batches: parsed.batches().collect(),
        bytes,
    }
}

/// Rows of an answer that is there.
fn rows(answer: &mut Answer) -> usize {
    let rows = answer.try_recv().expect("answered").expect("done");
    rows.bytes().len()
}

fn error(answer: &mut Answer) -> CallError {
    answer.try_recv().expect("answered").expect_err("an error")
}

fn is_waiting(answer: &mut Answer) -> bool {
    answer.try_recv().err() == Some(oneshot::error::TryRecvError::Empty)
}

const BUSY: CallError = CallError::Refused(Refusal::Busy(RefusalReason::Busy));

#[test]
fn the_first_call_leaves_as_soon_as_the_session_is_open() {
    let mut world = World::new(4);
    let mut answer = world.submit(CREATE, 3);
    let register = world.sent_one();
    assert_eq!((register.number, register.session), (0, 0));
    world.reply(&register);
    let request = world.sent_one();
    assert_eq!((request.session, request.number), (world.op, 1));
    world.reply(&request);
    assert_eq!(rows(&mut answer), 3 * 16);
}

#[test]
fn what_waits_for_a_session_leaves_together_when_it_is_free() {
    let mut world = World::open(1);
    let mut first = world.submit(CREATE, 1);
    let request = world.sent_one();
    let mut others: Vec<_> = (2..=9).map(|events| world.submit(CREATE, events)).collect();
    assert!(world.sent().is_empty(), "one request a session");
    world.reply(&request);
    let gathered = world.sent_one();
    assert_eq!(gathered.batches, [2, 3, 4, 5, 6, 7, 8, 9]);
    world.reply(&gathered);
    assert_eq!(rows(&mut first), 16);
    for (events, answer) in (2..).zip(&mut others) {
        assert_eq!(rows(answer), events * 16);
    }
}

#[test]
fn sessions_are_opened_as_they_are_needed_up_to_the_limit() {
    let mut world = World::open(3);
    let mut waiting = Vec::new();
    let mut in_flight = Vec::new();
    for _ in 0..6 {
        waiting.push(world.submit(CREATE, 8189));
        for seen in world.sent() {
            if seen.operation == Operation::Register {
                world.reply(&seen);
                in_flight.extend(world.sent());
            } else {
                in_flight.push(seen);
            }
        }
    }
    let mut clients: Vec<_> = in_flight.iter().map(|seen| seen.client).collect();
    clients.sort_unstable();
    clients.dedup();
    assert_eq!((in_flight.len(), clients.len()), (3, 3));
    while let Some(seen) = in_flight.pop() {
        world.reply(&seen);
        in_flight.extend(world.sent());
    }
    assert!(waiting.iter_mut().all(|answer| rows(answer) == 8189 * 16));
}

#[test]
fn a_new_connection_gets_the_same_bytes() {
    let mut world = World::open(2);
    let mut answer = world.submit(CREATE, 2);
    let first = world.sent_one();
    let mut waits = world.submit(CREATE, 1);
    let register = world.sent_one();
    world.reconnect();
    assert_eq!(world.sent(), [first.clone(), register.clone()]);
    world.reply(&first);
    assert_eq!(rows(&mut answer), 32);
    assert_eq!(world.sent_one().batches, [1], "on the session that is free");
    assert!(is_waiting(&mut waits));
}

/// The first copy may be executed yet: under its client id every other register would be dropped.
#[test]
fn a_register_that_was_refused_and_sent_twice_is_followed_by_one_of_another_client() {
    let mut world = World::new(1);
    let first = world.sent_one();
    world.reconnect();
    let again = world.sent_one();
    assert_eq!(again, first);
    world.refuse(&again, RefusalReason::Busy);
    world.pass(Duration::from_secs(1));
    let next = world.sent_one();
    assert_eq!(next.operation, Operation::Register);
    assert_ne!(next.client, first.client);
    // The answer to the first one opens nothing.
    world.reply(&first);
    assert!(world.opened.try_recv().is_err());
    world.reply(&next);
    assert_eq!(world.opened.try_recv(), Ok(Ok(())));
}

#[test]
fn a_connection_lost_while_a_refused_register_pauses_does_not_end_the_opening() {
    let mut world = World::new(1);
    let first = world.sent_one();
    world.refuse(&first, RefusalReason::Busy);
    world.conductor.on_disconnected();
    world.out.clear();
    world.pass(Duration::from_secs(1));
    world.connect();
    let next = world.sent_one();
    assert_eq!(next.operation, Operation::Register);
    world.reply(&next);
    assert_eq!(world.opened.try_recv(), Ok(Ok(())));
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut world = World::open(1);
    world.conductor.on_disconnected();
    let answer = world.submit(CREATE, 1);
    assert!(world.sent().is_empty());
    drop(answer);
    world.connect();
    assert!(world.sent().is_empty(), "given up before it was sent");
    assert!(world.conductor.is_quiet());
}

#[test]
fn silence_is_answered_by_the_same_bytes_at_growing_intervals() {
    let mut world = World::open(1);
    let (mut patient, _answer) = call(CREATE, 1, 7);
    patient.deadline = world.now + Duration::from_secs(3600);
    world.conductor.submit(patient);
    let request = world.sent_one();
    let mut times = Vec::new();
    for second in 1..=20 {
        world.pass(Duration::from_secs(1));
        for seen in world.sent() {
            assert_eq!(seen, request);
            times.push(second);
        }
    }
    assert_eq!(times, [2, 6, 14]);
}

#[test]
fn a_refusal_of_the_only_copy_is_an_answer() {
    let mut world = World::open(1);
    let mut answer = world.submit(CREATE, 1);
    let request = world.sent_one();
    world.refuse(&request, RefusalReason::Busy);
    assert_eq!(error(&mut answer), BUSY);
    let mut next = world.submit(CREATE, 2);
    let request = world.sent_one();
    assert_eq!(request.number, 2, "the session goes on");
    world.reply(&request);
    assert_eq!(rows(&mut next), 32);
}

#[test]
fn a_refusal_of_one_of_several_copies_says_nothing() {
    let mut world = World::open(1);
    let mut answer = world.submit(CREATE, 1);
    let request = world.sent_one();
    world.reconnect();
    assert_eq!(world.sent_one(), request);
    world.refuse(&request, RefusalReason::Busy);
    assert!(is_waiting(&mut answer));
    world.pass(REGISTER_PAUSE);
    assert_eq!(world.sent_one(), request);
    world.reply(&request);
    assert_eq!(rows(&mut answer), 16);
}

#[test]
fn a_server_that_does_not_lead_says_who_does_and_the_request_goes_there() {
    let mut world = World::open(1);
    let mut answer = world.submit(CREATE, 1);
    let request = world.sent_one();
    assert_eq!(world.conductor.take_redirection(), None);
    world.refuse(&request, RefusalReason::NotLeader);
    assert!(world.conductor.take_redirection().is_some());
    assert_eq!(world.conductor.take_redirection(), None, "once");
    world.reconnect();
    assert_eq!(world.sent_one(), request);
    // The first copy was not taken: this is the only one there is.
    world.refuse(&request, RefusalReason::Busy);
    assert_eq!(error(&mut answer), BUSY);
}

#[test]
fn a_lost_session_is_replaced_and_what_was_not_taken_is_sent_in_the_new_one() {
    let mut world = World::open(1);
    let mut answer = world.submit(CREATE, 1);
    let request = world.sent_one();
    world.evict(request.client, EvictionReason::NoSession);
    let register = world.sent_one();
    assert_ne!(register.client, request.client);
    world.reply(&register);
    let again = world.sent_one();
    assert_eq!((again.client, again.number), (register.client, 1));
    // The old id is nobody's.
    world.evict(request.client, EvictionReason::InvalidRequestBody);
    world.reply(&again);
    assert_eq!(rows(&mut answer), 16);
}

#[test]
fn a_write_sent_twice_is_unknown_when_its_session_is_lost() {
    let mut world = World::open(1);
    let mut answer = world.submit(CREATE, 1);
    let mut other = world.submit(LOOKUP, 1);
    let request = world.sent_one();
    world.reconnect();
    world.sent_one();
    world.evict(request.client, EvictionReason::NoSession);
    let lost = Uncertainty::SessionLost(EvictionReason::NoSession);
    assert_eq!(error(&mut answer), CallError::Unknown(lost));
    let register = world.sent_one();
    world.reply(&register);
    let read = world.sent_one();
    assert_eq!(read.operation, LOOKUP);
    world.reply(&read);
    assert_eq!(rows(&mut other), 128);
}

#[test]
fn a_refused_body_or_operation_is_told_to_its_callers_only() {
    let mut world = World::open(1);
    let mut answer = world.submit(LOOKUP, 1);
    let request = world.sent_one();
    let reason = EvictionReason::InvalidRequestOperation;
    world.evict(request.client, reason);
    let refused = CallError::Refused(Refusal::Evicted(reason));
    assert_eq!(error(&mut answer), refused);
    let mut next = world.submit(CREATE, 1);
    let register = world.sent_one();
    world.reply(&register);
    let request = world.sent_one();
    world.reply(&request);
    assert_eq!(rows(&mut next), 16);
}

#[test]
fn a_client_of_the_wrong_release_is_told_for_good() {
    let mut world = World::new(1);
    let mut waiting = world.submit(CREATE, 1);
    let register = world.sent_one();
    let reason = EvictionReason::ClientReleaseTooLow;
    world.evict(register.client, reason);
    assert_eq!(world.opened.try_recv(), Ok(Err(reason)));
    let refused = CallError::Refused(Refusal::Evicted(reason));
    assert_eq!(error(&mut waiting), refused);
    let mut later = world.submit(CREATE, 1);
    assert_eq!(error(&mut later), refused);
    assert!(world.sent().is_empty());
}

#[test]
fn a_write_nobody_waits_for_is_fenced_and_never_sent_again() {
    let mut world = World::open(1);
    let mut answer = world.submit(CREATE, 5);
    let request = world.sent_one();
    world.conductor.on_disconnected();
    world.pass(Duration::from_secs(1));
    let late = CallError::Unknown(Uncertainty::Deadline);
    assert_eq!(error(&mut answer), late);
    let (done, mut is_settled) = oneshot::channel();
    world.conductor.settle(done, world.now, &mut world.out);
    assert!(is_settled.try_recv().is_err());
    world.connect();
    let fence = world.sent_one();
    assert_eq!((fence.client, fence.number), (request.client, 2));
    assert_eq!((fence.operation, &fence.batches[..]), (CREATE, &[0][..]));
    world.reply(&fence);
    assert_eq!(is_settled.try_recv(), Ok(()));
    let _next = world.submit(CREATE, 1);
    assert_eq!(world.sent_one().number, 3);
}

#[test]
fn a_late_reply_lets_the_fence_through() {
    let mut world = World::open(1);
    let answer = world.submit(CREATE, 5);
    let request = world.sent_one();
    drop(answer);
    let (done, mut is_settled) = oneshot::channel();
    // Asking what became of it gives it up at once, for nobody waits.
    world.conductor.settle(done, world.now, &mut world.out);
    let fence = world.sent_one();
    world.reply(&request);
    assert!(is_settled.try_recv().is_err());
    assert_eq!(world.sent_one(), fence);
    world.reply(&fence);
    assert_eq!(is_settled.try_recv(), Ok(()));
}

#[test]
fn an_answer_in_time_settles_what_some_callers_gave_up() {
    let mut world = World::open(1);
    let impatient = world.submit(CREATE, 1);
    let mut patient = world.submit(CREATE, 2);
    let request = world.sent_one();
    drop(impatient);
    let (done, mut is_settled) = oneshot::channel();
    world.conductor.settle(done, world.now, &mut world.out);
    assert!(world.sent().is_empty(), "one of them still waits");
    assert!(is_settled.try_recv().is_err());
    world.reply(&request);
    assert_eq!(rows(&mut patient), 32);
    assert_eq!(is_settled.try_recv(), Ok(()));
}

#[test]
fn nothing_given_up_is_settled_at_once() {
    let mut world = World::open(1);
    let _answer = world.submit(CREATE, 1);
    world.sent_one();
    let (done, mut is_settled) = oneshot::channel();
    world.conductor.settle(done, world.now, &mut world.out);
    assert_eq!(is_settled.try_recv(), Ok(()));
}

#[test]
fn a_read_nobody_waits_for_is_forgotten_with_its_session() {
    let mut world = World::open(1);
    let mut answer = world.submit(LOOKUP, 1);
    let request = world.sent_one();
    world.pass(Duration::from_secs(1));
    assert_eq!(error(&mut answer), CallError::Refused(Refusal::Deadline));
    world.reply(&request);
    let _next = world.submit(LOOKUP, 1);
    let register = world.sent_one();
    assert_eq!(register.operation, Operation::Register);
    assert_ne!(register.client, request.client);
}

#[test]
fn a_server_without_a_free_session_is_busy() {
    let mut world = World::new(2);
    let mut answer = world.submit(CREATE, 1);
    let register = world.sent_one();
    let full = RefusalReason::SessionsFull;
    world.refuse(&register, full);
    let busy = CallError::Refused(Refusal::Busy(full));
    assert_eq!(error(&mut answer), busy);
    assert!(world.sent().is_empty());
    world.pass(REGISTER_PAUSE);
    let again = world.sent_one();
    world.reply(&again);
    assert_eq!(world.opened.try_recv(), Ok(Ok(())));
}

#[test]
fn an_answer_that_does_not_fit_its_calls_is_unknown() {
    let mut world = World::open(1);
    for body in [&[0xFF; 16][..], &[], &[0xFF; 15]] {
        let mut answer = world.submit(CREATE, 1);
        let request = world.sent_one();
        world.reply_with(&request, body);
        let unreadable = CallError::Unknown(Uncertainty::Answer);
        assert_eq!(error(&mut answer), unreadable);
    }
}

#[test]
fn stray_messages_change_nothing() {
    let mut world = World::open(1);
    let mut answer = world.submit(CREATE, 1);
    let request = world.sent_one();
    let mut stranger = request.clone();
    stranger.client ^= 1;
    world.reply(&stranger);
    world.evict(stranger.client, EvictionReason::NoSession);
    let ping = giro_wire::PingHeader::build(0, Release::DEVELOPMENT, 9, 0, 5);
    let pong = PongHeader::build(&ping, 3);
    world.hear(pong.as_bytes(), &[]);
    assert!(is_waiting(&mut answer));
    world.reply(&request);
    world.reply(&request);
    assert_eq!(rows(&mut answer), 16);
    let _next = world.submit(CREATE, 1);
    let view = world.sent_one().header().frame.view.get();
    assert_eq!(view, 3, "the highest seen");
}

#[test]
fn calls_that_wait_leave_in_two_messages() {
    let mut world = World::open(4);
    let _answers: Vec<Answer> = (0..200).map(|_| world.submit(CREATE, 1)).collect();
    let sent = world.sent();
    let [first, register] = &sent[..] else {
        panic!("half of the calls, and a session for the others: {sent:?}");
    };
    assert_eq!(first.batches.len(), 100);
    assert_eq!(register.operation, Operation::Register);
    world.reply(register);
    assert_eq!(world.sent_one().batches.len(), 100);
    // While one half is on its way, the callers of the other go on.
    world.reply(first);
    let _answers: Vec<Answer> = (0..100).map(|_| world.submit(CREATE, 1)).collect();
    assert_eq!(world.sent_one().batches.len(), 100);
}

#[test]
fn few_calls_leave_together_and_the_last_idle_session_takes_all() {
    let mut world = World::open(4);
    let _answers: Vec<Answer> = (0..CALLS_TOGETHER)
        .map(|_| world.submit(CREATE, 1))
        .collect();
    assert_eq!(world.sent_one().batches.len(), CALLS_TOGETHER);
    let mut world = World::open(1);
    let _answers: Vec<Answer> = (0..200).map(|_| world.submit(CREATE, 1)).collect();
    assert_eq!(world.sent_one().batches.len(), 200);
}
