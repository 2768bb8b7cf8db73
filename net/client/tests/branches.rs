//! Branches over the wire, with the real ledger on disk.

#[path = "../../server/tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::Running;
use giro_client::{
    Account, BranchKey, BranchState, BranchStatus, CallError, Client, ClientOptions, ConfirmBranch,
    CreateTransferStatus, Leg, OpenBranchesFilter, Refusal, TryBranch,
};
use giro_log::{Identity, SEGMENT_BYTES_MIN, format};

const REACTORS: usize = 3;

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

async fn client_of(server: &Running) -> Client {
    let options = ClientOptions {
        deadline: Duration::from_secs(30),
        ..ClientOptions::default()
    };
    let address = server.address.to_string();
    let client = Client::connect(&address, options).await.unwrap();
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let accounts = [account(1), account(2), account(3)];
    client.create_accounts(&accounts).await.unwrap();
    client
}

fn key(gid: &str, n: usize) -> BranchKey {
    BranchKey::new(gid, format!("{n:02}"))
}

/// 5 from account 1 to 2, and 3 from 2 to 3.
fn branch(key: BranchKey) -> TryBranch {
    let leg = |debit, amount| Leg {
        debit_account_id: debit,
        credit_account_id: debit + 1,
        amount,
        ledger: 1,
        code: 1,
        ..Leg::default()
    };
    TryBranch {
        key,
        timeout: 0,
        legs: [leg(1, 5), leg(2, 3)].into_iter().collect(),
    }
}

async fn money(client: &Client) -> [u128; 4] {
    let accounts = client.lookup_accounts(&[1, 3]).await.unwrap();
    let (first, last) = (accounts[0], accounts[1]);
    [
        first.debits_pending,
        first.debits_posted,
        last.credits_pending,
        last.credits_posted,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_settled_once_across_a_restart() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let client = client_of(&server).await;
    let tries: Vec<_> = (0..300).map(|n| branch(key("g", n))).collect();
    for expected in [BranchStatus::Done, BranchStatus::DoneBefore] {
        let answers = client.try_branches(&tries).await.unwrap();
        assert_eq!(answers.len(), 300);
        assert!(answers.iter().all(|answer| answer.status == expected));
    }
    assert_eq!(money(&client).await, [1500, 0, 900, 0]);
    let confirms = (0..100).map(|n| ConfirmBranch::whole(key("g", n)));
    let confirms: Vec<_> = confirms.collect();
    let answers = client.confirm_branches(&confirms).await.unwrap();
    assert!(answers.iter().all(|answer| answer.status.is_ok()));
    let keys: Vec<_> = (50..150).map(|n| key("g", n)).collect();
    let answers = client.cancel_branches(&keys).await.unwrap();
    let statuses = answers.iter().map(|answer| answer.status);
    let anomalies = statuses.filter(|status| *status == BranchStatus::Confirmed);
    assert_eq!(anomalies.count(), 50);
    drop(client);
    server.stop();

    let server = Running::on_disk(directory.path());
    let client = client_of(&server).await;
    assert_eq!(money(&client).await, [750, 500, 450, 300]);
    let keys = vec![key("g", 0), key("g", 120), key("g", 200), key("h", 0)];
    let infos = client.lookup_branches(&keys).await.unwrap();
    let states: Vec<u8> = infos.iter().map(|info| info.state).collect();
    let expected = [
        BranchState::Confirmed,
        BranchState::Cancelled,
        BranchState::Tried,
        BranchState::None,
    ];
    assert_eq!(states, expected.map(u8::from));
    assert!(infos[..3].iter().all(|info| info.legs == 2));
    let mut filter = OpenBranchesFilter {
        limit: 64,
        ..OpenBranchesFilter::default()
    };
    let mut open = Vec::new();
    loop {
        let page = client.list_branches(filter).await.unwrap();
        let Some(last) = page.last() else { break };
        (filter.after, filter.after_tried_at) = (last.id, last.tried_at);
        open.extend(page.iter().map(|row| row.key().1.to_owned()));
    }
    let expected: Vec<_> = (150..300).map(|n| n.to_string()).collect();
    assert_eq!(open, expected);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_the_same_time_share_messages_and_get_their_own_answers() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let client = client_of(&server).await;
    let tasks = (0..200).map(|n| {
        let client = client.clone();
        tokio::spawn(async move {
            let gid = format!("gid-{n}");
            let tries: Vec<_> = (0..1 + n % 5).map(|b| branch(key(&gid, b))).collect();
            let answers = client.try_branches(&tries).await.unwrap();
            assert_eq!(answers.len(), tries.len());
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.status == BranchStatus::Done)
            );
            if n % 2 == 0 {
                let keys = tries.iter().map(|branch| branch.key.clone());
                let confirms: Vec<_> = keys.map(ConfirmBranch::whole).collect();
                let answers = client.confirm_branches(&confirms).await.unwrap();
                assert!(answers.iter().all(|answer| answer.status.is_ok()));
            } else {
                let keys: Vec<_> = tries.iter().map(|branch| branch.key.clone()).collect();
                let answers = client.cancel_branches(&keys).await.unwrap();
                assert!(answers.iter().all(|answer| answer.status.is_ok()));
            }
            let other = branch(key(&gid, 0));
            let answers = client.try_branches(&vec![other]).await.unwrap();
            let expected = if n % 2 == 0 {
                BranchStatus::DoneBefore
            } else {
                BranchStatus::Cancelled
            };
            assert_eq!(answers[0].status, expected);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let branches: u128 = (0..200).filter(|n| n % 2 == 0).map(|n| 1 + n % 5).sum();
    assert_eq!(money(&client).await, [0, 5 * branches, 0, 3 * branches]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_server_takes_is_not_sent() {
    let directory = ledger();
    let server = Running::on_disk(directory.path());
    let client = client_of(&server).await;
    let empty = client.try_branches(&vec![branch(key("", 0))]).await;
    let is_branches = |error| matches!(error, Err(CallError::Refused(Refusal::Branches(_))));
    assert!(is_branches(empty));
    let mut wide = branch(key("g", 0));
    wide.legs = vec![wide.legs[0]; 65].into();
    assert!(is_branches(client.try_branches(&vec![wide]).await));
    let keys = vec![key("g", 0); 4096];
    let too_many = client.cancel_branches(&keys).await;
    let expected = Refusal::TooLarge {
        events: 4096,
        events_max: 4095,
    };
    assert_eq!(too_many, Err(CallError::Refused(expected)));
    // As many as a request takes, with texts that make it too long.
    let long = |n| branch(key(&"g".repeat(100), n));
    let tries: Vec<_> = (0..4095).map(long).collect();
    assert!(is_branches(client.try_branches(&tries).await));
    let keys: Vec<_> = tries.iter().map(|branch| branch.key.clone()).collect();
    let answers = client.cancel_branches(&keys).await.unwrap();
    assert_eq!(answers.len(), 4095, "without legs they fit");
    let many = ConfirmBranch {
        amounts: vec![1; 64].into(),
        ..ConfirmBranch::whole(key("g", 1))
    };
    let too_many = client.confirm_branches(&vec![many; 130]).await;
    let expected = Refusal::TooLarge {
        events: 130 * 65,
        events_max: 8190,
    };
    assert_eq!(too_many, Err(CallError::Refused(expected)));
    assert_eq!(client.try_branches(&Vec::new()).await, Ok(Vec::new()));
    // What a server refuses comes as an answer.
    let mut unknown = branch(key("g", 1));
    unknown.legs[1].credit_account_id = 99;
    let answers = client.try_branches(&vec![unknown]).await.unwrap();
    assert_eq!(answers[0].status, BranchStatus::LegRefused);
    assert_eq!(answers[0].leg, Some(1));
    let status = CreateTransferStatus::CreditAccountNotFound;
    assert_eq!(answers[0].leg_status, Some(status));
    server.stop();
}
