//! The client with the real ledger on disk: money, lost answers, restarts.

#[path = "../../server/tests/common/mod.rs"]
mod common;
mod support;

use std::time::Duration;

use common::Running;
use giro_client::{
    Account, AccountFilter, AccountFlags, CallError, ChangeEvent, ChangeEventsFilter, ChangeKind,
    Client, ClientOptions, CreateAccountStatus, CreateTransferStatus, Fate, Position, QueryFilter,
    Transfer, TransferFlags, Uncertainty, new_id,
};
use giro_log::{Identity, SEGMENT_BYTES_MIN, format};
use support::Relay;

/// Threads of the port in these tests.
const REACTORS: usize = 3;

/// A new ledger. Below the build's folder, because a file system in memory has no direct I/O.
fn ledger() -> tempfile::TempDir {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let identity = Identity {
        cluster: 0,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [1, 2],
        segment_bytes: SEGMENT_BYTES_MIN.max(8 << 20),
    };
    format(directory.path(), &identity).unwrap();
    directory
}

fn account(id: u128) -> Account {
    Account {
        id,
        ledger: 1,
        code: 1,
        flags: AccountFlags::HISTORY,
        ..Account::default()
    }
}

/// From account 1 to account 2.
fn transfer(id: u128, amount: u128) -> Transfer {
    Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount,
        ledger: 1,
        code: 7,
        ..Transfer::default()
    }
}

async fn client_of(address: std::net::SocketAddr) -> Client {
    let options = ClientOptions {
        deadline: Duration::from_secs(30),
        ..ClientOptions::default()
    };
    let client = Client::connect(&address.to_string(), options)
        .await
        .unwrap();
    let created = client
        .create_accounts(&[account(1), account(2)])
        .await
        .unwrap();
    let fine = [CreateAccountStatus::Created, CreateAccountStatus::Exists];
    assert!(created.iter().all(|result| fine.contains(&result.status)));
    client
}

async fn posted(client: &Client) -> u128 {
    let accounts = client.lookup_accounts(&[1, 2]).await.unwrap();
    assert_eq!(accounts[0].debits_posted, accounts[1].credits_posted);
    accounts[0].debits_posted
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_has_its_answer() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let client = client_of(server.address).await;
    let pending = Transfer {
        flags: TransferFlags::PENDING,
        ..transfer(11, 5)
    };
    let poor = Transfer {
        credit_account_id: 99,
        ..transfer(12, 1)
    };
    let batch = [transfer(10, 30), pending, poor];
    let results = client.create_transfers(&batch).await.unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result.status).collect();
    use CreateTransferStatus as Status;
    let expected = [
        Status::Created,
        Status::Created,
        Status::CreditAccountNotFound,
    ];
    assert_eq!(statuses, expected);

    let accounts = client.lookup_accounts(&[2, 99, 1]).await.unwrap();
    assert_eq!(accounts.iter().map(|a| a.id).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(
        (accounts[1].debits_posted, accounts[1].debits_pending),
        (30, 5)
    );
    let found = client.lookup_transfers(&[10, 12, 11]).await.unwrap();
    assert_eq!(found.iter().map(|t| t.id).collect::<Vec<_>>(), [10, 11]);
    assert_eq!(found[0].timestamp, results[0].timestamp);

    let filter = AccountFilter {
        account_id: 1,
        limit: 10,
        flags: AccountFilter::DEBITS | AccountFilter::CREDITS | AccountFilter::REVERSED,
        ..AccountFilter::default()
    };
    let found = client.get_account_transfers(filter).await.unwrap();
    assert_eq!(found.iter().map(|t| t.id).collect::<Vec<_>>(), [11, 10]);
    let balances = client.get_account_balances(filter).await.unwrap();
    assert_eq!(balances.len(), 2);
    assert_eq!(
        (balances[1].debits_posted, balances[1].debits_pending),
        (30, 0)
    );
    let filter = QueryFilter {
        code: 7,
        limit: 1,
        ..QueryFilter::default()
    };
    let found = client.query_transfers(filter).await.unwrap();
    assert_eq!(found.iter().map(|t| t.id).collect::<Vec<_>>(), [10]);
    let filter = QueryFilter {
        ledger: 1,
        limit: u32::MAX,
        ..QueryFilter::default()
    };
    assert_eq!(client.query_accounts(filter).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_keep_their_chains_and_results_apart() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let client = client_of(server.address).await;
    let calls: Vec<_> = (0..500_u128)
        .map(|call| {
            let client = client.clone();
            tokio::spawn(async move {
                let first = 1000 + call * 10;
                let linked = Transfer {
                    flags: TransferFlags::LINKED,
                    ..transfer(first, 1)
                };
                // In every other call the chain breaks, and only that call's.
                let credit_account_id = if call % 2 == 0 { 2 } else { 99 };
                let last = Transfer {
                    credit_account_id,
                    ..transfer(first + 1, 1)
                };
                let results = client.create_transfers(&[linked, last]).await.unwrap();
                let created = CreateTransferStatus::Created;
                assert_eq!(results.len(), 2);
                assert_eq!(results[0].status == created, call % 2 == 0);
                assert_eq!(results[1].status == created, call % 2 == 0);
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(posted(&client).await, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_and_the_money_moves_once() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let relay = Relay::to(server.address).await;
    let client = client_of(relay.address).await;
    let before = server.handle.counters().replies;
    relay.mute_server(true);
    let asked = {
        let client = client.clone();
        tokio::spawn(async move { client.create_transfers(&[transfer(10, 30)]).await })
    };
    server.until(|seen| seen.replies > before);
    relay.cut();
    relay.mute_server(false);
    let results = asked.await.unwrap().unwrap();
    assert_eq!(results[0].status, CreateTransferStatus::Created);
    assert_eq!(posted(&client).await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_transfer_that_happened_is_found() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let relay = Relay::to(server.address).await;
    let client = client_of(relay.address).await;
    let before = server.handle.counters().replies;
    relay.mute_server(true);
    let hasty = client.with_deadline(Duration::from_millis(300));
    let unknown = hasty.create_transfers(&[transfer(10, 30)]).await;
    let late = CallError::Unknown(Uncertainty::Deadline);
    assert_eq!(unknown, Err(late));
    server.until(|seen| seen.replies > before);
    relay.cut();
    relay.mute_server(false);
    let fates = client.resolve(&[10, 11]).await.unwrap();
    assert!(matches!(fates[0], Fate::Done(found) if found.amount == 30));
    assert_eq!(fates[1], Fate::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_transfer_that_did_not_happen_never_will() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let relay = Relay::to(server.address).await;
    let client = client_of(relay.address).await;
    relay.mute_client(true);
    let hasty = client.with_deadline(Duration::from_millis(100));
    let unknown = hasty.create_transfers(&[transfer(10, 30)]).await;
    assert!(unknown.is_err_and(|error| error.is_unknown()));
    relay.cut();
    relay.mute_client(false);
    assert_eq!(client.resolve(&[10]).await, Ok(vec![Fate::Absent]));
    // Nothing in this client sends it after all.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(posted(&client).await, 0);
    let again = client.create_transfers(&[transfer(10, 30)]).await.unwrap();
    assert_eq!(again[0].status, CreateTransferStatus::Created);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_page_of_change_events_fills_a_message() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let client = client_of(server.address).await;
    let batch: Vec<_> = (10..5010).map(|id| transfer(id, 1)).collect();
    client.create_transfers(&batch).await.unwrap();
    let filter = ChangeEventsFilter {
        limit: u32::MAX,
        ..ChangeEventsFilter::default()
    };
    let first = client.get_change_events(filter).await.unwrap();
    assert_eq!(first.len(), 2730);
    assert_eq!(first[2729].debit_account.debits_posted, 2730);
    let filter = ChangeEventsFilter {
        timestamp_min: first[2729].timestamp + 1,
        ..filter
    };
    let second = client.get_change_events(filter).await.unwrap();
    assert_eq!(second.len(), 5000 - 2730);
    let after = client.get_changes_after(Position::START, 3).await.unwrap();
    assert_eq!(after, first[..3]);
    let nonsense = ChangeEventsFilter {
        limit: 0,
        ..ChangeEventsFilter::default()
    };
    assert_eq!(client.get_change_events(nonsense).await, Ok(Vec::new()));
}

/// A reader that keeps nothing but its position is stopped again and again, while payers pay,
/// reservations expire, and the server restarts.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_feed_misses_nothing_over_restarts() {
    const PAYMENTS: u128 = 300;
    let directory = ledger();
    let mut server = Running::on_disk(directory.path());
    let relay = Relay::to(server.address).await;
    let client = client_of(relay.address).await;
    let payer = tokio::spawn({
        let client = client.clone();
        async move {
            for id in 10..10 + PAYMENTS {
                let reserves = id % 3 == 0;
                let payment = Transfer {
                    flags: if reserves { TransferFlags::PENDING } else { 0 },
                    timeout: u32::from(reserves),
                    ..transfer(id, 1)
                };
                client.create_transfers(&[payment]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    });
    let expected = (PAYMENTS + PAYMENTS / 3) as usize;
    let (mut read, mut position) = (Vec::<ChangeEvent>::new(), Position::START);
    let mut restarted = 0;
    while read.len() < expected {
        let mut changes = client
            .changes(position)
            .with_page(1 + read.len() as u32 % 7);
        for _ in 0..1 + read.len() % 23 {
            let next = tokio::time::timeout(Duration::from_millis(20), changes.follow());
            let Ok(change) = next.await else { break };
            let change = change.unwrap();
            read.push(change.event);
            position = change.position;
        }
        if read.len() > expected / 4 * (restarted + 1) && restarted < 3 {
            restarted += 1;
            server.stop();
            server = Running::on_disk(directory.path());
            relay.point_at(server.address);
            relay.cut();
        }
    }
    payer.await.unwrap();
    assert_eq!(restarted, 3);
    let mut all = client.changes(Position::START);
    let mut at = 0;
    while let Some(change) = all.next().await.unwrap() {
        assert_eq!(change.event, read[at]);
        at += 1;
    }
    assert_eq!((at, read.len()), (expected, expected));
    assert_eq!(all.position(), position);
    let expired = |event: &&ChangeEvent| event.kind == u8::from(ChangeKind::TwoPhaseExpired);
    assert_eq!(read.iter().filter(expired).count(), PAYMENTS as usize / 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_and_cuts_under_load_lose_nothing_and_repeat_nothing() {
    const PAYERS: usize = 20;
    const PAYMENTS: usize = 50;
    let directory = ledger();
    let mut server = Running::on_disk(directory.path());
    let relay = Relay::to(server.address).await;
    let client = client_of(relay.address).await;
    let payers: Vec<_> = (0..PAYERS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..PAYMENTS {
                    let results = client.create_transfers(&[transfer(new_id(), 1)]).await;
                    assert_eq!(results.unwrap()[0].status, CreateTransferStatus::Created);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if round % 2 == 0 {
            relay.mute_server(true);
            tokio::time::sleep(Duration::from_millis(10)).await;
        } else {
            server.stop();
            server = Running::on_disk(directory.path());
            relay.point_at(server.address);
        }
        relay.cut();
        relay.mute_server(false);
    }
    for payer in payers {
        payer.await.unwrap();
    }
    assert_eq!(posted(&client).await, (PAYERS * PAYMENTS) as u128);
}
