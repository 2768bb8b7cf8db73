//! The change feed of the library: readers that are stopped at any event and go on from its
//! position, while others write, transfers expire, generations leave memory and the ledger is
//! opened again.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use giro::{
    Account, AccountFlags, ChangeEvent, ChangeEventsFilter, ChangeKind, CreateTransferStatus,
    Ledger, Options, Position, Transfer, TransferFlags,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ACCOUNTS: u128 = 8;

fn options(archive: bool) -> Options {
    Options {
        accounts_max: 1 << 16,
        // More than the writers make in their time on any machine.
        transfers_max: 1 << 22,
        archive,
        generation_rows: 300,
        buffers: 16,
        sessions_max: 16,
        ..Options::default()
    }
}

fn open_accounts(ledger: &Ledger) {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        user_data_32: id as u32,
        flags: AccountFlags::HISTORY,
        ..Account::default()
    };
    let accounts: Vec<_> = (1..=ACCOUNTS).map(account).collect();
    ledger.create_accounts(&accounts).wait().unwrap();
}

/// Random transfers, some pending for a second, some that post or void; returns how many there
/// are when it is told to stop.
fn write(ledger: &Ledger, seed: u64, first_id: u128, stop: &AtomicBool) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut id, mut open, mut created) = (first_id, Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let mut batch = Vec::new();
        for _ in 0..rng.random_range(1..40) {
            id += 1;
            let debit = rng.random_range(1..=ACCOUNTS);
            let mut transfer = Transfer {
                id,
                debit_account_id: debit,
                credit_account_id: debit % ACCOUNTS + 1,
                amount: rng.random_range(1..100),
                ledger: 1,
                code: 1,
                ..Transfer::default()
            };
            match rng.random_range(0..4) {
                0 => {
                    transfer.flags = TransferFlags::PENDING;
                    transfer.timeout = rng.random_range(0..2);
                    open.push(id);
                }
                1 if !open.is_empty() => {
                    let post = rng.random_bool(0.5);
                    let flag = if post {
                        TransferFlags::POST_PENDING_TRANSFER
                    } else {
                        TransferFlags::VOID_PENDING_TRANSFER
                    };
                    let pending_id = open.swap_remove(rng.random_range(0..open.len()));
                    transfer = Transfer {
                        id,
                        pending_id,
                        amount: if post { u128::MAX } else { 0 },
                        flags: flag,
                        ..Transfer::default()
                    };
                }
                _ => {}
            }
            batch.push(transfer);
        }
        let results = ledger.create_transfers(&batch).wait().unwrap();
        let is_created =
            |result: &&giro::ledger::TransferResult| result.status == CreateTransferStatus::Created;
        created += results.iter().filter(is_created).count();
    }
    created
}

/// Reads for a while, as somebody who is stopped at any event and begins again.
fn read_on(
    ledger: &Ledger,
    rng: &mut ChaCha8Rng,
    position: &mut Position,
    read: &mut Vec<ChangeEvent>,
) {
    let page = [1, 7, 100, 2730][rng.random_range(0..4)];
    let stop_after = rng.random_range(1..1000);
    let changes = ledger.changes(*position).with_page(page);
    for change in changes.take(stop_after) {
        let change = change.unwrap();
        read.push(change.event);
        *position = change.position;
    }
}

/// Balances add up from one event to the next.
fn check_balances(events: &[ChangeEvent]) {
    let mut accounts = HashMap::<u128, [u128; 4]>::new();
    let mut pending = HashMap::<u128, u128>::new();
    for event in events {
        let kind = ChangeKind::try_from(event.kind).unwrap();
        let amount = event.transfer_amount;
        let released = match kind {
            ChangeKind::TwoPhasePosted | ChangeKind::TwoPhaseVoided => {
                pending.remove(&event.transfer_pending_id).unwrap()
            }
            ChangeKind::TwoPhaseExpired => pending.remove(&event.transfer_id).unwrap(),
            ChangeKind::SinglePhase | ChangeKind::TwoPhasePending => 0,
        };
        for (account, place) in [(event.debit_account, 0), (event.credit_account, 2)] {
            let balances = accounts.entry(account.id).or_default();
            balances[place] -= released;
            match kind {
                ChangeKind::SinglePhase | ChangeKind::TwoPhasePosted => {
                    balances[place + 1] += amount;
                }
                ChangeKind::TwoPhasePending => balances[place] += amount,
                ChangeKind::TwoPhaseVoided | ChangeKind::TwoPhaseExpired => {}
            }
            let shown = [
                account.debits_pending,
                account.debits_posted,
                account.credits_pending,
                account.credits_posted,
            ];
            assert_eq!(*balances, shown, "{event:?}");
            assert_eq!(u128::from(account.user_data_32), account.id);
        }
        if kind == ChangeKind::TwoPhasePending {
            pending.insert(event.transfer_id, amount);
        }
    }
}

fn follow_while_it_is_written(archive: bool) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(archive));
    let (mut position, mut read, mut created) = (Position::START, Vec::new(), 0);
    for round in 0..3 {
        let ledger = Ledger::open(dir.path(), options(archive)).unwrap();
        open_accounts(&ledger);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (ledger, stop) = (&ledger, &stop);
            let first_id = 1_000_000 * (round + 1);
            let writer = scope.spawn(move || write(ledger, round as u64, first_id, stop));
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_millis(1500) {
                read_on(ledger, &mut rng, &mut position, &mut read);
            }
            stop.store(true, Ordering::Relaxed);
            created += writer.join().unwrap();
        });
    }
    let ledger = Ledger::open(dir.path(), options(archive)).unwrap();
    // What is still pending with a timeout is due now; then the feed stands still.
    std::thread::sleep(Duration::from_millis(1500));
    for change in ledger.changes(position) {
        read.push(change.unwrap().event);
    }
    let all: Result<Vec<_>, _> = ledger.changes(Position::START).collect();
    let all: Vec<_> = all
        .unwrap()
        .into_iter()
        .map(|change| change.event)
        .collect();
    assert_eq!(read.len(), all.len());
    assert!(read == all);
    let expired = |event: &&ChangeEvent| event.kind == ChangeKind::TwoPhaseExpired as u8;
    let expiries = all.iter().filter(expired).count();
    // How many there are depends on how fast the machine is just now.
    assert!(expiries > 3, "{expiries} expired");
    assert!(created > 2_000, "{created} transfers");
    assert_eq!(all.len(), created + expiries);
    check_balances(&all);
    // Nothing was imported, so that both orders are the same.
    let mut by_time = Vec::new();
    loop {
        let from: Option<&ChangeEvent> = by_time.last();
        let filter = ChangeEventsFilter {
            timestamp_min: from.map_or(0, |event| event.timestamp + 1),
            limit: u32::MAX,
            ..ChangeEventsFilter::default()
        };
        let events = ledger.get_change_events(filter).wait().unwrap();
        if events.is_empty() {
            break;
        }
        by_time.extend(events);
    }
    assert!(by_time == all);
}

#[test]
fn a_reader_stopped_anywhere_misses_nothing_in_memory() {
    follow_while_it_is_written(false);
}

#[test]
fn a_reader_stopped_anywhere_misses_nothing_while_transfers_leave_memory() {
    follow_while_it_is_written(true);
}

#[test]
fn who_follows_waits_for_what_comes() {
    let ledger = Ledger::in_memory(options(false)).unwrap();
    open_accounts(&ledger);
    let follower = std::thread::spawn({
        let mut changes = ledger.changes(Position::START);
        move || changes.follow().unwrap()
    });
    std::thread::sleep(Duration::from_millis(50));
    let transfer = Transfer {
        id: 5,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 3,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    };
    let results = ledger.create_transfers(&[transfer]).wait().unwrap();
    let change = follower.join().unwrap();
    assert_eq!(change.event.transfer_id, 5);
    assert_eq!(change.event.timestamp, results[0].timestamp);
    assert_eq!(change.position.transfers, results[0].timestamp);
}
