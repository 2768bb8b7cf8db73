//! The library as a service uses it: many threads, restarts, one process a directory.

use std::time::Duration;

use giro::{Account, CreateAccountStatus, CreateTransferStatus, Error, Ledger, Options, Transfer};
use giro_base::AccountFlags;
use giro_base::filter::{AccountFilter, QueryFilter};

fn small() -> Options {
    Options {
        accounts_max: 1 << 20,
        transfers_max: 1 << 20,
        buffers: 16,
        sessions_max: 16,
        ..Options::default()
    }
}

fn account(id: u128) -> Account {
    Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    }
}

fn transfer(id: u128, amount: u128) -> Transfer {
    Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    }
}

fn open_accounts(ledger: &Ledger) {
    let results = ledger
        .create_accounts(&[account(1), account(2)])
        .wait()
        .unwrap();
    assert!(
        results
            .iter()
            .all(|result| result.status == CreateAccountStatus::Created)
    );
}

/// Eight threads with sixteen requests in flight each.
fn pay_from_many_threads(ledger: &Ledger) -> u128 {
    let threads: Vec<_> = (0..8_u128)
        .map(|thread| {
            let ledger = ledger.clone();
            std::thread::spawn(move || {
                let pending: Vec<_> = (0..16_u128)
                    .map(|i| ledger.create_transfers(&[transfer(1000 + thread * 16 + i, 1)]))
                    .collect();
                for result in pending {
                    assert_eq!(
                        result.wait().unwrap()[0].status,
                        CreateTransferStatus::Created
                    );
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    8 * 16
}

#[test]
fn many_threads_share_a_ledger_and_a_restart_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), small()).unwrap();
    open_accounts(&ledger);
    let paid = pay_from_many_threads(&ledger);
    let before = ledger.digest().wait().unwrap();
    drop(ledger);

    let ledger = Ledger::open(dir.path(), small()).unwrap();
    assert_eq!(ledger.digest().wait().unwrap(), before);
    let accounts = ledger.lookup_accounts(&[2, 1, 3]).wait().unwrap();
    assert_eq!(accounts.len(), 2);
    assert_eq!(accounts[0].credits_posted, paid);
    assert_eq!(accounts[1].debits_posted, paid);
    let again = ledger
        .create_transfers(&[transfer(1000, 1), transfer(1001, 2)])
        .wait()
        .unwrap();
    assert_eq!(again[0].status, CreateTransferStatus::Exists);
    assert_eq!(
        again[1].status,
        CreateTransferStatus::ExistsWithDifferentAmount
    );
    assert_eq!(
        ledger
            .lookup_transfers(&[1000, 7, 1001])
            .wait()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_ledger_in_memory_works_the_same_without_a_directory() {
    for shards in [1, 3] {
        let ledger = Ledger::in_memory(Options { shards, ..small() }).unwrap();
        open_accounts(&ledger);
        pay_from_many_threads(&ledger);
        let batch: Vec<_> = (0..8189).map(|i| transfer(1 << 20 | i, 1)).collect();
        let results = ledger.create_transfers(&batch).wait().unwrap();
        assert!(
            results
                .iter()
                .all(|result| result.status == CreateTransferStatus::Created)
        );
        assert_eq!(
            ledger.lookup_accounts(&[1]).wait().unwrap()[0].debits_posted,
            128 + 8189
        );
    }
}

#[test]
fn a_second_ledger_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Ledger::open(dir.path(), small()).unwrap();
    let second = Ledger::open(dir.path(), small())
        .err()
        .expect("the directory is taken");
    let text = second.to_string();
    assert!(
        text.contains("another process") && text.contains("lock"),
        "{text}"
    );
}

#[test]
fn too_many_events_and_a_full_ledger_are_refused_and_change_nothing() {
    let options = Options {
        transfers_max: 20_000,
        ..small()
    };
    let ledger = Ledger::in_memory(options).unwrap();
    open_accounts(&ledger);
    let batch: Vec<_> = (0..8190).map(|i| transfer(100 + i, 1)).collect();
    let refused = ledger.create_transfers(&batch).wait();
    assert!(matches!(
        refused,
        Err(Error::TooManyEvents {
            events: 8190,
            events_max: 8189
        })
    ));
    let mut taken = 0;
    let full = loop {
        let first = 1 << 32 | taken;
        let batch: Vec<_> = (first..first + 4000).map(|id| transfer(id, 1)).collect();
        match ledger.create_transfers(&batch).wait() {
            Ok(_) => taken += 4000,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::Full), "{full}");
    assert_eq!(
        ledger.lookup_accounts(&[1]).wait().unwrap()[0].debits_posted,
        taken
    );
}

#[test]
fn pending_transfers_expire_without_any_request() {
    let ledger = Ledger::in_memory(small()).unwrap();
    open_accounts(&ledger);
    let flags = giro::TransferFlags::PENDING;
    let pending = Transfer {
        timeout: 1,
        flags,
        ..transfer(5, 70)
    };
    ledger.create_transfers(&[pending]).wait().unwrap();
    let reserved = || ledger.lookup_accounts(&[1]).wait().unwrap()[0].debits_pending;
    assert_eq!(reserved(), 70);
    let start = std::time::Instant::now();
    while reserved() != 0 {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "it should have expired"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() > Duration::from_millis(500));
}

#[test]
fn results_can_be_awaited() {
    let ledger = Ledger::in_memory(small()).unwrap();
    open_accounts(&ledger);
    let mut pending = Box::pin(ledger.create_transfers(&[transfer(9, 3)]));
    let woken = std::sync::Arc::new(Flag::default());
    let waker = std::task::Waker::from(std::sync::Arc::clone(&woken));
    let mut context = std::task::Context::from_waker(&waker);
    let results = loop {
        if let std::task::Poll::Ready(results) = pending.as_mut().poll(&mut context) {
            break results.unwrap();
        }
        woken.wait();
    };
    assert_eq!(results[0].status, CreateTransferStatus::Created);
}

/// A waker for a thread that blocks.
#[derive(Default)]
struct Flag {
    set: std::sync::Mutex<bool>,
    changed: std::sync::Condvar,
}

impl Flag {
    fn wait(&self) {
        let mut set = self
            .changed
            .wait_while(self.set.lock().unwrap(), |set| !*set)
            .unwrap();
        *set = false;
    }
}

impl std::task::Wake for Flag {
    fn wake(self: std::sync::Arc<Self>) {
        *self.set.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

#[test]
fn queries_answer_as_they_do_over_the_network() {
    let ledger = Ledger::in_memory(small()).unwrap();
    let with_history = Account {
        flags: AccountFlags::HISTORY,
        ..account(1)
    };
    ledger
        .create_accounts(&[with_history, account(2)])
        .wait()
        .unwrap();
    let transfers: Vec<Transfer> = (1..=5).map(|id| transfer(id, id)).collect();
    ledger.create_transfers(&transfers).wait().unwrap();
    let newest = AccountFilter {
        account_id: 1,
        limit: 2,
        flags: AccountFilter::DEBITS | AccountFilter::REVERSED,
        ..AccountFilter::default()
    };
    let found = ledger.get_account_transfers(newest).wait().unwrap();
    let ids: Vec<u128> = found.iter().map(|transfer| transfer.id).collect();
    assert_eq!(ids, [5, 4]);
    let balances = ledger.get_account_balances(newest).wait().unwrap();
    let posted: Vec<u128> = balances.iter().map(|after| after.debits_posted).collect();
    assert_eq!(posted, [15, 10]);
    let all = QueryFilter {
        ledger: 1,
        limit: 10,
        ..QueryFilter::default()
    };
    assert_eq!(ledger.query_accounts(all).wait().unwrap().len(), 2);
    assert_eq!(ledger.query_transfers(all).wait().unwrap().len(), 5);
    // A limit of 0 is not valid, and answers nothing.
    let none = QueryFilter { limit: 0, ..all };
    assert_eq!(ledger.query_transfers(none).wait().unwrap(), []);
}
