//! Queries that are long on their way, and payments meanwhile.

use std::time::{Duration, Instant};

use giro::{Account, Operation, ReadTurn, Transfer};
use giro_base::filter::QueryFilter;
use tempfile::TempDir;
use zerocopy::FromZeros;

use super::life::{Life, Query, archived};

/// Rows of a generation.
const ROWS: usize = 500;
/// Transfers that come while a query is on its way: many more than memory holds.
const TRANSFERS: u128 = 20_000;
/// Transfers of a request.
const BATCH: u128 = 100;
const ACCOUNTS: u128 = 100;
/// What no transfer and no account has.
const NOBODYS: u64 = u64::MAX;

/// A ledger with accounts, of which payments are made.
struct Payments {
    life: Life,
    made: u128,
    accounts: u128,
    now: u64,
    _dir: TempDir,
}

impl Payments {
    fn new(turn: ReadTurn) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut life = Life::new(archived(dir.path(), ROWS));
        life.engine.set_read_turn(turn);
        let mut payments = Self {
            life,
            made: 0,
            accounts: 0,
            now: 1 << 40,
            _dir: dir,
        };
        payments.open_accounts(ACCOUNTS);
        payments
    }

    fn open_accounts(&mut self, count: u128) {
        let ids = self.accounts + 1..=self.accounts + count;
        let accounts: Vec<Account> = ids
            .map(|id| Account {
                id,
                ledger: 1,
                code: 1,
                user_data_64: id as u64,
                ..Account::default()
            })
            .collect();
        self.accounts += count;
        self.execute(&Query::events(Operation::CreateAccounts, &accounts));
    }

    fn pay(&mut self) {
        let ids = self.made + 1..=self.made + BATCH;
        let transfers: Vec<Transfer> = ids
            .map(|id| Transfer {
                id,
                debit_account_id: id % ACCOUNTS + 1,
                credit_account_id: (id + 1) % ACCOUNTS + 1,
                amount: 1,
                ledger: 1,
                code: 1,
                ..Transfer::default()
            })
            .collect();
        self.made += BATCH;
        self.execute(&Query::events(Operation::CreateTransfers, &transfers));
    }

    fn execute(&mut self, request: &Query) {
        self.now += 1 << 20;
        let (operation, body) = (request.operation, request.bytes());
        self.life.execute(self.now, operation, body);
    }

    /// Makes payments until there were so many.
    fn pay_up_to(&mut self, count: u128) {
        while self.made < count {
            self.life.wait_for_room();
            self.pay();
        }
    }

    /// Makes payments while a query is on its way, a turn for each request.
    fn pay_during(&mut self, query: &Query) {
        while self.made < TRANSFERS {
            self.life.wait_for_room();
            self.pay();
            assert!(!self.life.prepare(1, query), "it would not be in the way");
        }
    }
}

fn filter(change: impl FnOnce(&mut QueryFilter)) -> QueryFilter {
    let mut filter = QueryFilter::new_zeroed();
    filter.limit = 1;
    change(&mut filter);
    filter
}

fn turn(rows: usize) -> ReadTurn {
    let pages = 1 << 16;
    ReadTurn { pages, rows }
}

#[test]
fn payments_go_on_during_a_query_of_many_filters() {
    let mut payments = Payments::new(turn(ROWS));
    let nothing = filter(|filter| {
        filter.user_data_64 = NOBODYS;
        filter.flags = QueryFilter::REVERSED;
    });
    let query = Query::new(Operation::QueryTransfers, &[nothing; 4000]);
    payments.pay_up_to(4 * ROWS as u128);
    payments.pay_during(&query);
}

#[test]
fn payments_go_on_during_a_query_of_accounts() {
    let mut payments = Payments::new(turn(1));
    payments.open_accounts(1000);
    let nothing = filter(|filter| filter.user_data_64 = NOBODYS);
    let query = Query::new(Operation::QueryAccounts, &[nothing]);
    payments.pay_during(&query);
}

#[test]
fn payments_go_on_while_two_clients_poll() {
    const WAIT_MAX: Duration = Duration::from_secs(10);
    // Some ten turns for what is in memory.
    let mut payments = Payments::new(turn(ROWS / 4));
    let nothing = filter(|filter| filter.user_data_64 = NOBODYS);
    let query = Query::new(Operation::QueryTransfers, &[nothing]);
    let (mut keys, mut next_key) = ([1, 2], 3);
    let (mut done, mut paid_at) = (0, Instant::now());
    while payments.made < TRANSFERS {
        if payments.life.has_room() {
            payments.pay();
            paid_at = Instant::now();
        } else {
            assert!(paid_at.elapsed() < WAIT_MAX, "payments are held up");
            let life = &mut payments.life;
            life.engine.flush(&mut life.disk).unwrap();
        }
        for key in &mut keys {
            if payments.life.prepare(*key, &query) {
                payments.life.read(*key, &query);
                *key = next_key;
                next_key += 1;
                done += 1;
            }
        }
    }
    assert!(done > 10, "{done} polls were answered");
}

#[test]
fn accounts_made_meanwhile_are_looked_at_in_turns() {
    const TURN: usize = 10;
    let mut payments = Payments::new(turn(TURN));
    let of = |code: u16, flags: u32| {
        filter(|filter| (filter.code, filter.flags, filter.limit) = (code, flags, 2000))
    };
    let filters = [of(1, 0), of(2, 0), of(1, QueryFilter::REVERSED)];
    let query = Query::new(Operation::QueryAccounts, &filters);
    // The first filter is done, and the second one on its way.
    for _ in 0..ACCOUNTS as usize / TURN + 3 {
        assert!(!payments.life.prepare(1, &query));
        payments.life.engine.begin_turn().unwrap();
    }
    const MADE: u128 = 1000;
    payments.open_accounts(MADE);
    let mut turns = 0;
    while !payments.life.prepare(1, &query) {
        payments.life.engine.begin_turn().unwrap();
        turns += 1;
    }
    let looked_at = 3 * MADE as usize;
    assert!(turns > looked_at / TURN, "{turns} turns");
    let found = payments.life.read(1, &query);
    assert!(
        found == payments.life.read(2, &query),
        "one moment, its end"
    );
}

#[test]
fn a_query_of_accounts_that_is_full_looks_at_no_newer_ones() {
    let mut payments = Payments::new(turn(10));
    let last = filter(|filter| filter.user_data_64 = ACCOUNTS as u64);
    let query = Query::new(Operation::QueryAccounts, &[filter(|_| ()), last]);
    assert!(!payments.life.prepare(1, &query));
    payments.open_accounts(1000);
    let mut turns = 0;
    while !payments.life.prepare(1, &query) {
        payments.life.engine.begin_turn().unwrap();
        turns += 1;
    }
    assert!(turns < 20, "{turns} turns");
}
