use std::sync::Arc;

use giro_base::filter::{AccountFilter, QueryFilter};
use giro_base::{Position, Transfer, time};
use giro_core::changes::What;
use giro_store::cursor::{
    BalanceCursor, BalanceRow, ChangeCursor, Progress, Row, Select, TransferCursor, Walk, Window,
};
use giro_store::replay::AccountState;
use giro_store::{Catalog, Reader};
use rand::Rng;

use crate::support::{Bench, Event, State, World, account_id};

fn state(after: AccountState) -> State {
    State {
        balances: after.balances,
        flags: after.flags,
    }
}

/// What the lists say a query must give, with the account's state after each row.
fn expected(
    world: &World,
    select: &Select,
    window: Window,
    limit: usize,
) -> Vec<(u64, Transfer, State)> {
    let rows = world.events.iter().filter(|event| !event.expiry);
    let mut found: Vec<_> = rows
        .filter(|event| (window.min..=window.max).contains(&event.timestamp))
        .filter_map(|event| {
            let t = world.rows[event.row as usize];
            let side = match select.account {
                Some(a) if a.debits && t.debit_account_id == a.id => 0,
                Some(a) if a.credits && t.credit_account_id == a.id => 1,
                Some(_) => return None,
                None => 0,
            };
            let equal = |asked: u128, stored: u128| asked == 0 || asked == stored;
            let wanted = equal(select.user_data_128, t.user_data_128)
                && equal(select.user_data_64.into(), t.user_data_64.into())
                && equal(select.user_data_32.into(), t.user_data_32.into())
                && equal(select.code.into(), t.code.into())
                && equal(select.ledger.into(), t.ledger.into());
            wanted.then_some((event.row, t, event.after[side]))
        })
        .collect();
    if window.reversed {
        found.reverse();
    }
    found.truncate(limit);
    found
}

fn segments_in_order(catalog: &Catalog, reversed: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..catalog.segments.len()).collect();
    if reversed {
        order.reverse();
    }
    order
}

fn transfers(
    world: &mut World,
    catalog: &Catalog,
    reader: &mut Reader,
    (select, window, limit): (Select, Window, usize),
) -> Vec<Row> {
    let mut found = Vec::new();
    for place in segments_in_order(catalog, window.reversed) {
        let segment = catalog.segments[place].clone();
        let mut cursor = TransferCursor::new(segment, select, window);
        loop {
            let pages = world.rng.random_range(1..80);
            // A limit below the query's must not lose rows.
            let limit_now = limit.min(found.len() + world.rng.random_range(1..90));
            let before = reader.pages_read();
            let progress = cursor.step(reader, pages, limit_now, &mut found).unwrap();
            assert!(reader.pages_read() - before < 4 * pages as u64 + 60);
            if progress == Progress::Done || found.len() >= limit {
                break;
            }
        }
    }
    found
}

fn balances(
    world: &mut World,
    catalog: &Catalog,
    reader: &mut Reader,
    (select, window, limit): (Select, Window, usize),
) -> Vec<BalanceRow> {
    let mut found = Vec::new();
    for place in segments_in_order(catalog, window.reversed) {
        let segment = catalog.segments[place].clone();
        let mut cursor = BalanceCursor::new(segment, select, window).unwrap();
        loop {
            let pages = world.rng.random_range(1..80);
            let limit_now = limit.min(found.len() + world.rng.random_range(1..90));
            let progress = cursor.step(reader, pages, limit_now, &mut found).unwrap();
            if progress == Progress::Done || found.len() >= limit {
                break;
            }
        }
    }
    found
}

/// A value that a transfer has, or 0, or one that none may have.
fn value<T: Copy + Default + From<u8>>(
    world: &mut World,
    odds: f64,
    of: impl Fn(&Transfer) -> T,
) -> T {
    if world.rows.is_empty() || !world.rng.random_bool(odds) {
        return T::default();
    }
    if world.rng.random_bool(0.05) {
        return T::from(251);
    }
    let row = world.rng.random_range(0..world.rows.len());
    of(&world.rows[row])
}

fn window(world: &mut World) -> (u64, u64) {
    let end = world
        .events
        .iter()
        .map(|event| event.timestamp)
        .max()
        .unwrap_or(1);
    let mut bound = || match world.rng.random_range(0..4) {
        1 => world.rng.random_range(1..=end + 5),
        2 if !world.events.is_empty() => {
            let event = world.rng.random_range(0..world.events.len());
            world.events[event].timestamp
        }
        _ => 0,
    };
    let (min, max) = (bound(), bound());
    if max != 0 && min > max {
        (max, min)
    } else {
        (min, max)
    }
}

fn random_query(world: &mut World) -> (Select, Window, usize) {
    let (timestamp_min, timestamp_max) = window(world);
    let limit = [1, 5, 60, 8189][world.rng.random_range(0..4)];
    let reversed = u32::from(world.rng.random_bool(0.5));
    let user_data_128 = value(world, 0.2, |t| t.user_data_128);
    let user_data_64 = value(world, 0.2, |t| t.user_data_64);
    let user_data_32 = value(world, 0.2, |t| t.user_data_32);
    let code = value(world, 0.3, |t| t.code);
    if world.rng.random_bool(0.5) {
        let slot = world.rng.random_range(0..world.accounts.len() as u32);
        let filter = AccountFilter {
            account_id: account_id(slot),
            user_data_128,
            user_data_64,
            user_data_32,
            code,
            timestamp_min,
            timestamp_max,
            limit: limit as u32,
            flags: world.rng.random_range(1..4) | (reversed * AccountFilter::REVERSED),
            ..AccountFilter::default()
        };
        let window = Window::of_account_filter(&filter);
        return (Select::of_account_filter(&filter, slot), window, limit);
    }
    let filter = QueryFilter {
        user_data_128,
        user_data_64,
        user_data_32,
        code,
        ledger: value(world, 0.3, |t| t.ledger),
        timestamp_min,
        timestamp_max,
        limit: limit as u32,
        flags: reversed * QueryFilter::REVERSED,
        ..QueryFilter::default()
    };
    let window = Window::of_query_filter(&filter);
    (Select::of_query_filter(&filter), window, limit)
}

fn check_query(
    world: &mut World,
    catalog: &Catalog,
    reader: &mut Reader,
    query: (Select, Window, usize),
) -> usize {
    let expected = expected(world, &query.0, query.1, query.2);
    let found = transfers(world, catalog, reader, query);
    let found: Vec<_> = found.iter().map(|row| (row.row, row.transfer)).collect();
    let rows: Vec<_> = expected.iter().map(|(row, t, _)| (*row, *t)).collect();
    assert_eq!(found, rows, "{query:?}");
    check_walks(catalog, reader, query, &rows);
    if query.0.account.is_some() {
        let found = balances(world, catalog, reader, query);
        let found: Vec<_> = found
            .iter()
            .map(|b| (b.row.row, b.row.transfer, state(b.after)))
            .collect();
        assert_eq!(found, expected, "{query:?}");
    }
    expected.len()
}

/// The same over the whole history, and over its first generations.
fn check_walks(
    catalog: &Catalog,
    reader: &mut Reader,
    (select, window, limit): (Select, Window, usize),
    expected: &[(u64, Transfer)],
) {
    let catalog = Arc::new(catalog.clone());
    let mut found = Vec::new();
    let mut walk = Walk::transfers(catalog.clone(), select, window, 0..catalog.generations());
    while found.len() < limit && walk.step(reader, 20, limit, &mut found).unwrap() == Progress::More
    {
    }
    let found: Vec<_> = found.iter().map(|row| (row.row, row.transfer)).collect();
    assert_eq!(found, expected);
    if select.account.is_some() {
        let mut found = Vec::new();
        let walk = Walk::balances(catalog.clone(), select, window, 0..catalog.generations());
        let mut walk = walk.unwrap();
        while found.len() < limit
            && walk.step(reader, 20, limit, &mut found).unwrap() == Progress::More
        {}
        let found: Vec<_> = found.iter().map(|b| (b.row.row, b.row.transfer)).collect();
        assert_eq!(found, expected);
    }
    let mut found = Vec::new();
    let mut walk = Walk::transfers(catalog.clone(), select, window, 0..1);
    while walk.step(reader, 20, usize::MAX, &mut found).unwrap() == Progress::More {}
    assert!(
        found
            .iter()
            .all(|row| row.row < catalog.segments[0].end_row())
    );
}

#[test]
fn queries_give_what_a_scan_of_plain_lists_gives() {
    let mut rows_found = 0;
    for seed in 0..12 {
        let accounts = [2, 3, 40][seed as usize % 3];
        let mut world = World::new(seed, accounts);
        let mut bench = Bench::real();
        for _ in 0..4 {
            let steps = [0, 30, 600, 2000][world.rng.random_range(0..4)];
            bench.write(&world.generation(steps));
        }
        let catalog = bench.catalog();
        for _ in 0..60 {
            let query = random_query(&mut world);
            rows_found += check_query(&mut world, &catalog, &mut bench.reader, query);
        }
    }
    assert!(rows_found > 10_000, "{rows_found}");
}

#[test]
fn change_events_show_both_accounts_right_after_each() {
    let mut imported = 0;
    for seed in 0..8 {
        let mut world = World::new(seed, 3 + seed as usize * 4);
        let mut bench = Bench::real();
        for _ in 0..4 {
            let steps = [0, 3, 600, 2000][world.rng.random_range(0..4)];
            bench.write(&world.generation(steps));
        }
        let earlier = |pair: &&[Event]| pair[0].timestamp > pair[1].timestamp;
        imported += world.events.windows(2).filter(earlier).count();
        let catalog = bench.catalog();
        for _ in 0..6 {
            let (from, to) = window(&mut world);
            check_changes(&mut world, &catalog, &mut bench.reader, (from, to));
        }
    }
    assert!(imported > 20, "{imported} imports were behind an expiry");
}

fn check_changes(
    world: &mut World,
    catalog: &Catalog,
    reader: &mut Reader,
    (transfers, expiries): (u64, u64),
) {
    let after = Position {
        transfers,
        expiries,
    };
    let mut found = Vec::new();
    for segment in &catalog.segments {
        let mut cursor = ChangeCursor::new(segment.clone(), after);
        loop {
            let next = cursor.next_transfer_at(reader).unwrap();
            let (read, pages) = (found.len(), world.rng.random_range(1..40));
            let limit = found.len() + world.rng.random_range(1..300);
            let progress = cursor.step(reader, pages, limit, &mut found).unwrap();
            let transfer = found[read..].iter().find(|change| change.is_transfer());
            if let Some(transfer) = transfer {
                assert!(next.unwrap() <= transfer.timestamp);
            }
            if progress == Progress::Done {
                break;
            }
        }
    }
    let is_wanted = |event: &&Event| {
        let reached = if event.expiry { expiries } else { transfers };
        event.timestamp > reached
    };
    let expected: Vec<_> = world.events.iter().filter(is_wanted).collect();
    assert_eq!(found.len(), expected.len());
    for (change, event) in found.iter().zip(expected) {
        assert_eq!(change.timestamp, event.timestamp);
        assert_eq!(change.slots, event.slots);
        assert_eq!(change.after.map(state), event.after);
        let pending = world.rows[event.row as usize];
        let what = if event.expiry {
            What::Expiry {
                pending_row: event.row,
                pending_id: pending.id,
                amount: pending.amount,
            }
        } else {
            What::Transfer {
                row: event.row,
                transfer: pending,
            }
        };
        assert_eq!(change.what, what);
    }
}

#[test]
fn many_expiries_between_two_rows_are_kept_in_order() {
    let mut world = World::new(40, 3);
    let mut bench = Bench::real();
    world.patient = true;
    bench.write(&world.generation(2000));
    world.patient = false;
    let many = world.expiries_only(400);
    assert_eq!(many.expiries.len(), 400);
    bench.write(&many);
    bench.write(&world.generation(300));
    let catalog = bench.catalog();
    assert_eq!(catalog.segments[1].rows(), 0);
    check_changes(&mut world, &catalog, &mut bench.reader, (0, 0));
    let slot = 1;
    let filter = AccountFilter {
        account_id: account_id(slot),
        limit: 8189,
        flags: AccountFilter::DEBITS | AccountFilter::CREDITS,
        ..AccountFilter::default()
    };
    let query = (Select::of_account_filter(&filter, slot), Window::ALL, 8189);
    assert!(check_query(&mut world, &catalog, &mut bench.reader, query) > 500);
}

#[test]
fn a_query_for_a_rare_value_reads_few_pages() {
    let mut world = World::new(41, 4);
    let mut bench = Bench::real();
    bench.write(&world.generation(2000));
    let catalog = bench.catalog();
    let rare = world.rows.iter().find(|t| t.user_data_64 > 1000).unwrap();
    let select = Select {
        user_data_64: rare.user_data_64,
        code: rare.code,
        ..Select::default()
    };
    let window = Window {
        min: 1,
        max: time::TIMESTAMP_MAX,
        reversed: true,
    };
    let before = bench.reader.pages_read();
    let mut found = Vec::new();
    let mut cursor = TransferCursor::new(catalog.segments[0].clone(), select, window);
    let progress = cursor.step(&mut bench.reader, 100, 10, &mut found).unwrap();
    assert_eq!(progress, Progress::Done);
    assert_eq!(found[0].transfer, *rare);
    let pages = bench.reader.pages_read() - before;
    assert!(pages < 10, "{pages} pages were read");
}
