//! Readers of the change feed who come back again and again while the ledger goes on: in memory,
//! and with generations that leave it under them. Each answer must be the reference model's.
#![cfg(not(loom))]

#[allow(dead_code)]
#[path = "../../core/tests/oracle/differential.rs"]
mod differential;
#[path = "../../core/tests/oracle/generate/mod.rs"]
mod generate;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/model/mod.rs"]
mod model;
#[path = "../../core/tests/oracle/request.rs"]
mod request;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/shrink.rs"]
mod shrink;

use std::path::Path;
use std::sync::Arc;

use giro::executor::BranchOp;
use giro::{Executor, FeedTurn, Past};
use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::operation::Kind;
use giro_base::time::TIMESTAMP_MAX;
use giro_base::{ChangeEvent, Position};
use giro_core::{Batch, Options, StateMachine};
use giro_log::storage::RealStorage;
use giro_store::{History, Mark};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::{FromBytes, IntoBytes};

use generate::Generator;
use model::Model;
use request::{Action, Request, body};

const KEY: [u64; 2] = [3, 4];
const EVENTS_MAX: usize = 2730;

fn executor(dir: Option<&Path>, shards: u32, rows: usize) -> Executor {
    let transfers_max = if dir.is_some() {
        rows + (1 << 14)
    } else {
        1 << 18
    };
    let options = Options {
        shards,
        hash_key: KEY,
        accounts_max: 1 << 16,
        transfers_max,
        is_archived: dir.is_some(),
        ..Options::default()
    };
    let past = dir.map(|dir| {
        History::create(&RealStorage, dir).unwrap();
        let identity = giro_store::Identity {
            cluster: 0,
            hash_key: KEY,
        };
        let options = giro_store::Options::default();
        let history = History::open(Arc::new(RealStorage), dir, identity, options).unwrap();
        Past::new(history, KEY, Some(rows)).unwrap()
    });
    Executor::new(StateMachine::new(&options).unwrap(), past, shards, false).unwrap()
}

fn execute(executor: &mut Executor, op: u64, request: &Request) {
    let (operation, body) = match &request.action {
        Action::CreateAccounts(form, batches) => (form.accounts(), body(*form, batches)),
        Action::CreateTransfers(form, batches) => (form.transfers(), body(*form, batches)),
        Action::Branches(asked) => {
            let body = asked.body();
            let asked = BranchOp::parse(asked.operation(), request.timestamp, &body).unwrap();
            let mut out = vec![0; 1 << 18];
            executor.execute_branches(op, &asked, &mut out).unwrap();
            return executor.turn_over((0, 0), |_| Mark::default()).unwrap();
        }
        Action::Pulse => {
            executor.expire(request.timestamp);
            return executor.turn_over((0, 0), |_| Mark::default()).unwrap();
        }
        _ => return,
    };
    let mut aligned = vec![0_u128; body.len().div_ceil(16)];
    let bytes = &mut aligned.as_mut_bytes()[..body.len()];
    bytes.copy_from_slice(&body);
    let batch = Batch::parse(operation, request.timestamp, bytes).unwrap();
    let mut out = vec![0; 1 << 18];
    executor.execute(op, &batch, &mut out).unwrap();
    executor.turn_over((0, 0), |_| Mark::default()).unwrap();
}

/// Reads everything there is, some at a time, and remembers only its position.
struct Reader {
    position: Position,
    wants: Wants,
    /// One request in so many is followed by a look at the feed.
    pause: u32,
    read: Vec<ChangeEvent>,
}

/// What a reader asks for.
#[derive(Clone, Copy, PartialEq)]
enum Wants {
    /// Everything behind its position.
    All,
    /// What happened since its last event's time.
    ByTime,
    /// It says that it has all transfers.
    Expiries,
}

impl Reader {
    fn new(wants: Wants, pause: u32) -> Self {
        let mut position = Position::START;
        if wants == Wants::Expiries {
            position.transfers = TIMESTAMP_MAX;
        }
        Self {
            position,
            wants,
            pause,
            read: Vec::new(),
        }
    }

    /// What it asks next.
    fn action(&self, limit: u32) -> Action {
        if self.wants == Wants::ByTime {
            let filter = ChangeEventsFilter {
                timestamp_min: self.position.transfers + 1,
                limit,
                ..ChangeEventsFilter::default()
            };
            return Action::ChangeEvents(filter, EVENTS_MAX);
        }
        let position = self.position;
        let filter = ChangesAfter {
            position,
            limit,
            reserved: [0; 44],
        };
        Action::ChangesAfter(filter, EVENTS_MAX)
    }

    fn take(&mut self, answer: &[u8]) {
        for bytes in answer.chunks_exact(size_of::<ChangeEvent>()) {
            let event = ChangeEvent::read_from_bytes(bytes).unwrap();
            self.position = if self.wants == Wants::ByTime {
                Position::at(event.timestamp)
            } else {
                self.position.behind(&event)
            };
            self.read.push(event);
        }
    }
}

fn filter_of(action: &Action) -> (Kind, &[u8]) {
    match action {
        Action::ChangeEvents(filter, _) => (Kind::GetChangeEvents, filter.as_bytes()),
        Action::ChangesAfter(filter, _) => (Kind::GetChangesAfter, filter.as_bytes()),
        _ => unreachable!("readers ask for changes only"),
    }
}

/// Whether it can be answered now; else some of the work was done.
fn is_prepared(executor: &mut Executor, action: &Action) -> bool {
    let (kind, filter) = filter_of(action);
    executor
        .prepare_change_events(kind, filter, EVENTS_MAX)
        .unwrap()
}

fn ask(executor: &mut Executor, action: &Action) -> Vec<u8> {
    let mut out = vec![0; EVENTS_MAX * size_of::<ChangeEvent>()];
    let (kind, filter) = filter_of(action);
    let count = executor.change_events(kind, filter, EVENTS_MAX, &mut out);
    out.truncate(count.unwrap() * size_of::<ChangeEvent>());
    out
}

#[derive(Default)]
struct Seen {
    events: usize,
    /// Events with an earlier timestamp than the one before.
    back_in_time: usize,
    expiries: usize,
    /// Answers that needed more work.
    put_off: usize,
    /// Answers with fewer events than there were.
    short: usize,
}

/// Whether an answer is the beginning of the one expected, and not empty.
fn is_short(answer: &[u8], expected: &[u8]) -> bool {
    !answer.is_empty() && answer.len() < expected.len() && expected.starts_with(answer)
}

fn run(seed: u64, events: usize, mut executor: Executor, seen: &mut Seen) {
    executor.set_feed_turn(FeedTurn {
        pages: 2,
        changes: 1 + seed as usize % 9,
    });
    let mut generator = Generator::new(seed, false);
    let mut model = Model::default();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // More of them than have their cursors kept, from those who are up to date to laggards.
    let mut readers: Vec<Reader> = [1, 2, 7, 40, 150]
        .into_iter()
        .flat_map(|pause| {
            let kinds = [Wants::All, Wants::ByTime, Wants::Expiries];
            kinds.map(|wants| Reader::new(wants, pause))
        })
        .collect();
    let (mut done, mut op) = (0, 0);
    while done < events {
        let request = generator.next(model.state());
        model.execute(&request);
        done += request.event_count().max(1);
        op += 1;
        execute(&mut executor, op, &request);
        for reader in &mut readers {
            while rng.random_ratio(1, reader.pause) {
                let limit = [1, 5, 60, 3000][rng.random_range(0..4)];
                let action = reader.action(limit);
                // What is not prepared is done at once.
                if rng.random_ratio(4, 5) && !is_prepared(&mut executor, &action) {
                    seen.put_off += 1;
                    break;
                }
                let answer = ask(&mut executor, &action);
                let expected = model.read(&action).reply;
                let may_be_short = reader.wants != Wants::ByTime;
                let is_short = may_be_short && is_short(&answer, &expected);
                seen.short += usize::from(is_short);
                assert!(
                    is_short || answer == expected,
                    "seed {seed} op {op} {action:?}"
                );
                reader.take(&answer);
                if reader.pause == 1 {
                    break;
                }
            }
        }
    }
    for reader in readers
        .iter_mut()
        .filter(|reader| reader.wants != Wants::ByTime)
    {
        loop {
            let answer = ask(&mut executor, &reader.action(3000));
            if answer.is_empty() {
                break;
            }
            reader.take(&answer);
        }
        let all = Action::ChangesAfter(
            ChangesAfter {
                position: Position::START,
                limit: u32::MAX,
                reserved: [0; 44],
            },
            usize::MAX,
        );
        let all = model.read(&all).reply;
        if reader.wants == Wants::All {
            assert_eq!(reader.read.as_bytes(), all);
            continue;
        }
        let all = all.chunks_exact(size_of::<ChangeEvent>());
        let all = all.map(|bytes| ChangeEvent::read_from_bytes(bytes).unwrap());
        let expiries: Vec<_> = all.filter(|event| event.kind == 4).collect();
        assert_eq!(reader.read.as_bytes(), expiries.as_bytes());
    }
    let read = &readers[0].read;
    seen.events += read.len();
    let back = |pair: &&[ChangeEvent]| pair[1].timestamp < pair[0].timestamp;
    seen.back_in_time += read.windows(2).filter(back).count();
    seen.expiries += read.iter().filter(|event| event.kind == 4).count();
}

#[test]
fn readers_of_a_ledger_in_memory_miss_nothing_and_see_nothing_twice() {
    let mut seen = Seen::default();
    for seed in 1..=12 {
        run(
            seed,
            2_000,
            executor(None, 1 + seed as u32 % 2, 0),
            &mut seen,
        );
    }
    assert!(seen.events > 3_000, "{} events", seen.events);
    assert!(seen.expiries > 50, "{} expiries", seen.expiries);
    assert!(seen.put_off > 100, "{} were put off", seen.put_off);
    assert!(seen.back_in_time > 10, "{} went back", seen.back_in_time);
    assert!(seen.short > 10, "{} were short", seen.short);
}

#[test]
fn readers_miss_nothing_and_see_nothing_twice_while_generations_leave_memory() {
    let mut seen = Seen::default();
    for seed in 1..=16 {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let rows = [5, 20, 100, 500][seed as usize % 4];
        let shards = 1 + (seed / 4) as u32 % 4;
        run(
            seed,
            2_000,
            executor(Some(dir.path()), shards, rows),
            &mut seen,
        );
    }
    assert!(seen.events > 3_000, "{} events", seen.events);
    assert!(seen.expiries > 50, "{} expiries", seen.expiries);
    assert!(seen.put_off > 100, "{} were put off", seen.put_off);
    assert!(seen.back_in_time > 10, "{} went back", seen.back_in_time);
    assert!(seen.short > 10, "{} were short", seen.short);
}
