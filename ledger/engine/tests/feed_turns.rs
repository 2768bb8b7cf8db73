//! How much of the change feed is worked on at a time: the way to an answer, and the answer.
#![cfg(not(loom))]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use giro::{Executor, FeedTurn, Past};
use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::limits::CHANGE_EVENTS_MAX;
use giro_base::operation::Kind;
use giro_base::time::{NS_PER_S, TIMESTAMP_MAX};
use giro_base::{
    Account, ChangeEvent, ChangeKind, Operation, Position, Transfer, TransferFlags as Flags,
};
use giro_core::{Batch, Options, StateMachine};
use giro_log::storage::RealStorage;
use giro_store::{History, Mark};
use zerocopy::{FromBytes, IntoBytes};

const KEY: [u64; 2] = [3, 4];
const ROWS: usize = 1000;

struct Case {
    executor: Executor,
    op: u64,
    timestamp: u64,
    next_id: u128,
}

impl Case {
    fn new(dir: Option<&Path>) -> Self {
        let options = Options {
            hash_key: KEY,
            accounts_max: 16,
            transfers_max: 1 << 16,
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
            Past::new(history, KEY, Some(ROWS)).unwrap()
        });
        let machine = StateMachine::new(&options).unwrap();
        let mut case = Self {
            executor: Executor::new(machine, past, 1, false).unwrap(),
            op: 0,
            timestamp: NS_PER_S,
            next_id: 1,
        };
        let account = |id| Account {
            id,
            ledger: 1,
            code: 1,
            ..Account::default()
        };
        let accounts = [1, 2, 3, 4].map(account);
        case.execute(Operation::CreateAccountsUnbatched, accounts.as_bytes());
        case
    }

    fn execute(&mut self, operation: Operation, body: &[u8]) {
        self.op += 1;
        self.timestamp += 1_000_000;
        let batch = Batch::parse(operation, self.timestamp, body).unwrap();
        let mut out = vec![0; 1 << 18];
        let failed = self.executor.execute(self.op, &batch, &mut out).unwrap();
        assert_eq!(failed, 0);
        self.turn_over();
    }

    fn turn_over(&mut self) {
        let turned = self.executor.turn_over((0, 0), |_| Mark::default());
        turned.unwrap();
    }

    fn create(&mut self, count: usize, change: impl Fn(&mut Transfer)) {
        let mut transfers = Vec::new();
        for _ in 0..count {
            let mut transfer = Transfer {
                id: self.next_id,
                debit_account_id: 1,
                credit_account_id: 2,
                amount: 1,
                ledger: 1,
                code: 1,
                ..Transfer::default()
            };
            self.next_id += 1;
            change(&mut transfer);
            transfers.push(transfer);
        }
        self.execute(Operation::CreateTransfersUnbatched, transfers.as_bytes());
    }

    /// A pending transfer that is over by time.
    fn create_expiry(&mut self) {
        self.create(1, |transfer| {
            transfer.flags = Flags::PENDING;
            transfer.timeout = 1;
        });
        self.timestamp += 2 * NS_PER_S;
        self.executor.expire(self.timestamp);
        self.turn_over();
    }

    /// Waits until only the generation being filled is in memory.
    fn settle(&mut self) {
        while self.executor.machine().tables().window.sealed_count() > 0 {
            std::thread::sleep(Duration::from_millis(1));
            self.executor.keep_up().unwrap();
        }
    }

    fn pages_read(&mut self) -> u64 {
        let past = self.executor.past();
        past.map_or(0, |past| past.history().reader().pages_read())
    }

    fn is_prepared(&mut self, kind: Kind, filter: &[u8]) -> bool {
        let executor = &mut self.executor;
        executor
            .prepare_change_events(kind, filter, CHANGE_EVENTS_MAX)
            .unwrap()
    }

    fn answer(&mut self, kind: Kind, filter: &[u8]) -> Vec<ChangeEvent> {
        let mut out = vec![0; CHANGE_EVENTS_MAX * size_of::<ChangeEvent>()];
        let executor = &mut self.executor;
        let count = executor.change_events(kind, filter, CHANGE_EVENTS_MAX, &mut out);
        let events = out.chunks_exact(size_of::<ChangeEvent>());
        let events = events.map(|bytes| ChangeEvent::read_from_bytes(bytes).unwrap());
        events.take(count.unwrap()).collect()
    }
}

/// Reads all expiries as one who says that it has all transfers; the answers, and the most pages
/// that a call read.
fn read_expiries(case: &mut Case, limit: u32) -> (Vec<Vec<ChangeEvent>>, u64) {
    let mut position = Position {
        transfers: TIMESTAMP_MAX,
        expiries: 0,
    };
    let (mut answers, mut pages_max) = (Vec::new(), 0);
    loop {
        let filter = ChangesAfter {
            position,
            limit,
            reserved: [0; 44],
        };
        let (kind, filter) = (Kind::GetChangesAfter, filter.as_bytes());
        let mut before = case.pages_read();
        while !case.is_prepared(kind, filter) {
            pages_max = pages_max.max(case.pages_read() - before);
            before = case.pages_read();
        }
        let before = case.pages_read();
        let events = case.answer(kind, filter);
        pages_max = pages_max.max(case.pages_read() - before);
        let Some(last) = events.last() else {
            return (answers, pages_max);
        };
        position = position.behind(last);
        answers.push(events);
    }
}

#[test]
fn a_reader_who_lacks_only_expiries_does_not_have_the_history_read_in_one_turn() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut case = Case::new(Some(dir.path()));
    for _ in 0..20 {
        case.create(ROWS, |_| {});
        case.create_expiry();
        case.settle();
    }
    case.executor.set_feed_turn(FeedTurn {
        pages: 8,
        changes: 64,
    });
    let (answers, pages_max) = read_expiries(&mut case, CHANGE_EVENTS_MAX as u32);
    assert_eq!(answers.iter().flatten().count(), 20);
    assert!(answers.len() > 4, "{} answers", answers.len());
    // Rows of an answer and of a turn, and what belongs to them.
    assert!(pages_max < 150, "{pages_max} pages at once");
}

#[test]
fn a_reader_who_lacks_only_expiries_does_not_have_memory_read_in_one_turn() {
    let mut case = Case::new(None);
    for _ in 0..20 {
        case.create(300, |_| {});
        case.create_expiry();
    }
    case.executor.set_feed_turn(FeedTurn {
        pages: 8,
        changes: 64,
    });
    let (answers, _) = read_expiries(&mut case, 4);
    assert!(answers.iter().all(|events| events.len() == 1));
    assert_eq!(answers.len(), 20);
}

/// It knew the accounts up to a place, and went over more changes than those to it.
#[test]
fn a_reader_who_lacks_only_expiries_goes_over_accounts_that_came_meanwhile() {
    let mut case = Case::new(None);
    case.create(300, |_| {});
    case.create_expiry();
    case.create(5, |_| {});
    let mut filter = ChangesAfter {
        position: Position {
            transfers: TIMESTAMP_MAX,
            expiries: 0,
        },
        limit: 1,
        reserved: [0; 44],
    };
    let first = case.answer(Kind::GetChangesAfter, filter.as_bytes());
    filter.position = filter.position.behind(&first[0]);
    case.create(10, |transfer| {
        transfer.debit_account_id = 3;
        transfer.credit_account_id = 4;
    });
    case.create_expiry();
    assert!(case.is_prepared(Kind::GetChangesAfter, filter.as_bytes()));
    let second = case.answer(Kind::GetChangesAfter, filter.as_bytes());
    assert_eq!(second[0].timestamp, case.timestamp);
    assert_eq!(second[0].debit_account.debits_posted, 305);
}

/// Imports may bear times before an expiry's: who wants what is later has to go over them.
#[test]
fn an_answer_by_time_is_whole_and_goes_over_imports_in_turns() {
    for archived in [false, true] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut case = Case::new(archived.then_some(dir.path()));
        case.create_expiry();
        let expired_at = case.timestamp;
        let imported_at = std::cell::Cell::new(expired_at - NS_PER_S);
        for _ in 0..6 {
            case.create(500, |transfer| {
                transfer.flags = Flags::IMPORTED;
                imported_at.set(imported_at.get() + 1);
                transfer.timestamp = imported_at.get();
            });
        }
        case.create(2, |_| {});
        if archived {
            case.settle();
        }
        case.executor.set_feed_turn(FeedTurn {
            pages: 2,
            changes: 64,
        });
        let filter = ChangeEventsFilter {
            timestamp_min: expired_at,
            limit: 10,
            ..ChangeEventsFilter::default()
        };
        let (kind, filter) = (Kind::GetChangeEvents, filter.as_bytes());
        let mut turns = 0;
        while !case.is_prepared(kind, filter) {
            turns += 1;
            // What comes meanwhile belongs to the answer, too.
            if turns <= 5 {
                case.create(1, |_| {});
            }
        }
        assert!(turns > 5, "{turns} turns");
        case.create(1, |_| {});
        let events = case.answer(kind, filter);
        let expiry = ChangeKind::TwoPhaseExpired.into();
        let kinds: Vec<u8> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [expiry, 0, 0, 0, 0, 0, 0, 0, 0]);
        let rises = |pair: &[ChangeEvent]| pair[0].timestamp < pair[1].timestamp;
        assert!(events.windows(2).all(rises));
    }
}
