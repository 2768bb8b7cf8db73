//! Queries that are worked on in turns, with operations in between and generations that leave
//! memory meanwhile: the answer is what an engine that keeps all in memory gave as the query began.
#![cfg(not(loom))]

#[allow(dead_code)]
#[path = "../../core/tests/oracle/generate/mod.rs"]
mod generate;
#[path = "reads_in_turns/life.rs"]
mod life;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/model/mod.rs"]
mod model;
#[path = "reads_in_turns/payments.rs"]
mod payments;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/request.rs"]
mod request;

use giro::{Engine, Operation, ReadTurn};
use giro_base::filter::{AccountFilter, QueryFilter};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::FromZeros;

use generate::Generator;
use life::{Life, Query, archived, options};
use model::Model;
use request::{Action, body};

/// A random query; most find something.
fn query(rng: &mut ChaCha8Rng, accounts: &[u128], times: &[u64]) -> Query {
    let filters = rng.random_range(1..4);
    let time = |rng: &mut ChaCha8Rng| match rng.random_range(0..3) {
        0 if !times.is_empty() => times[rng.random_range(0..times.len())],
        _ => 0,
    };
    let limit = |rng: &mut ChaCha8Rng| [1, 3, 20, 1000, 2000][rng.random_range(0..5)];
    let account = |rng: &mut ChaCha8Rng| {
        let mut filter = AccountFilter::new_zeroed();
        filter.account_id = accounts[rng.random_range(0..accounts.len())];
        filter.timestamp_min = time(rng);
        filter.timestamp_max = time(rng);
        filter.limit = limit(rng);
        filter.flags = rng.random_range(0..8);
        filter
    };
    let other = |rng: &mut ChaCha8Rng| {
        let mut filter = QueryFilter::new_zeroed();
        filter.timestamp_min = time(rng);
        filter.timestamp_max = time(rng);
        filter.limit = limit(rng);
        filter.code = rng.random_range(0..3);
        filter.flags = rng.random_range(0..2);
        filter
    };
    match rng.random_range(0..4) {
        0 => {
            let filters: Vec<_> = (0..filters).map(|_| account(rng)).collect();
            Query::new(Operation::GetAccountTransfers, &filters)
        }
        1 => {
            let filters: Vec<_> = (0..filters).map(|_| account(rng)).collect();
            Query::new(Operation::GetAccountBalances, &filters)
        }
        2 => {
            let filters: Vec<_> = (0..filters).map(|_| other(rng)).collect();
            Query::new(Operation::QueryTransfers, &filters)
        }
        _ => {
            let filters: Vec<_> = (0..filters).map(|_| other(rng)).collect();
            Query::new(Operation::QueryAccounts, &filters)
        }
    }
}

/// What came of the queries of a run.
#[derive(Debug, Default)]
struct Seen {
    done: usize,
    in_turns: usize,
    bytes: usize,
}

fn check_seed(seed: u64, seen: &mut Seen) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rows = [40, 150, 1000][seed as usize % 3];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut plain = Life::new(Engine::in_memory(&options(false, 1)).unwrap());
    let mut turned = Life::new(archived(dir.path(), rows));
    turned.engine.set_read_turn(ReadTurn {
        pages: rng.random_range(1..6),
        rows: rng.random_range(1..60),
    });
    let mut generator = Generator::new(seed, false);
    let mut state = Model::default();
    // Key, query, what it must come to, and whether it took more than a turn.
    let mut waiting: Vec<(u128, Query, Vec<u8>, bool)> = Vec::new();
    let (mut events, mut key) = (0, 0);
    while events < 5_000 || !waiting.is_empty() {
        let goes_on = events < 5_000;
        if goes_on {
            turned.wait_for_room();
            let request = generator.next(state.state());
            state.execute(&request);
            let (operation, body) = match &request.action {
                Action::CreateAccounts(form, batches) => (form.accounts(), body(*form, batches)),
                Action::CreateTransfers(form, batches) => (form.transfers(), body(*form, batches)),
                Action::Branches(asked) => (asked.operation(), asked.body()),
                Action::Pulse => (Operation::Pulse, Vec::new()),
                _ => continue,
            };
            events += request.event_count().max(1);
            plain.execute(request.timestamp, operation, &body);
            turned.execute(request.timestamp, operation, &body);
        } else {
            turned.engine.flush(&mut turned.disk).unwrap();
        }
        let known = state.state();
        let accounts: Vec<u128> = known.account_times().values().copied().collect();
        // More would not be begun at once, and show what they find then.
        let has_room = waiting.len() < 12;
        if goes_on && has_room && !accounts.is_empty() && rng.random_bool(0.5) {
            let times: Vec<u64> = known.transfer_times().keys().copied().collect();
            let query = query(&mut rng, &accounts, &times);
            let expected = plain.read(0, &query);
            key += 1;
            waiting.push((key, query, expected, false));
        }
        for place in (0..waiting.len()).rev() {
            let (key, query, expected, is_slow) = &mut waiting[place];
            if !turned.prepare(*key, query) {
                *is_slow = true;
                continue;
            }
            let found = turned.read(*key, query);
            if query.operation == Operation::QueryAccounts {
                // Accounts are shown as they are at its end.
                *expected = plain.read(0, query);
            }
            let operation = query.operation;
            assert!(
                found == *expected,
                "seed {seed} key {key} {operation:?} in turns: {is_slow}"
            );
            seen.done += 1;
            seen.in_turns += usize::from(*is_slow);
            seen.bytes += found.len();
            waiting.remove(place);
        }
    }
}

#[test]
fn a_query_in_turns_shows_the_ledger_as_it_began() {
    let mut seen = Seen::default();
    for seed in 0..6 {
        check_seed(seed, &mut seen);
    }
    println!("{seen:?}");
    assert!(seen.in_turns > 100 && seen.bytes > 1 << 20, "{seen:?}");
}
