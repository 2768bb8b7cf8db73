//! The client against the port, in front of a ledger that can be full, stuck or forgetful.

#[path = "../../server/tests/common/mod.rs"]
mod common;
mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::Running;
use giro_client::{
    CallError, Client, ClientOptions, ConnectError, CreateTransferStatus, EvictionReason,
    QueryFilter, Refusal, Transfer, Uncertainty,
};
use giro_wire::RefusalReason;
use support::Relay;

/// Threads of the port in these tests.
const REACTORS: usize = 1;

const CALLS: usize = 1000;

async fn connect(address: std::net::SocketAddr, options: ClientOptions) -> Client {
    let connected = Client::connect(&address.to_string(), options).await;
    connected.expect("the server is there")
}

fn one_session() -> ClientOptions {
    ClientOptions {
        sessions_max: 1,
        ..ClientOptions::default()
    }
}

fn transfers(count: usize) -> Vec<Transfer> {
    vec![Transfer::default(); count]
}

async fn is_created(client: &Client, count: usize) -> bool {
    let results = client.create_transfers(&transfers(count)).await.unwrap();
    let created = |result: &giro_client::TransferResult| {
        result.status == CreateTransferStatus::Created && result.timestamp > 0
    };
    results.len() == count && results.iter().all(created)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_comes_without_the_penalty_of_other_clients() {
    let server = Running::start(|_| {});
    let started = Instant::now();
    let client = connect(server.address, ClientOptions::default()).await;
    assert!(is_created(&client, 1).await);
    // Others take 600 ms, whatever the server does.
    assert!(started.elapsed() < Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_every_size_are_answered() {
    let server = Running::start(|_| {});
    let client = connect(server.address, ClientOptions::default()).await;
    for count in [0, 1, 30, 700, 8189] {
        assert!(is_created(&client, count).await, "{count}");
    }
    let too_large = Refusal::TooLarge {
        events: 8190,
        events_max: 8189,
    };
    assert_eq!(
        client.create_transfers(&transfers(8190)).await,
        Err(CallError::Refused(too_large))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_share_a_request() {
    let server = Running::start(|_| {});
    let client = connect(server.address, one_session()).await;
    server.gate.stuck.store(true, Ordering::SeqCst);
    let ask = |count| {
        let client = client.clone();
        tokio::spawn(async move { is_created(&client, count).await })
    };
    let mut calls = vec![ask(1)];
    server.until(|seen| seen.requests == 2);
    calls.extend((0..CALLS).map(|index| ask(1 + index % 3)));
    // They all reach the queue while the only session waits.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.gate.open();
    for call in calls {
        assert!(call.await.unwrap());
    }
    let executed = server.gate.executed.load(Ordering::SeqCst);
    assert!(
        executed <= 5,
        "{executed} requests, the register among them"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_work_at_once_on_one_connection() {
    let server = Running::with_buffers(16, |_| {});
    let options = ClientOptions {
        sessions_max: 8,
        ..ClientOptions::default()
    };
    let client = connect(server.address, options).await;
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { is_created(&client, 4500).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    let seen = server.handle.counters();
    assert_eq!((seen.accepted, seen.open), (1, 1));
    // No two calls fit one message, so whatever is beyond them are registers.
    let sessions = seen.requests - 64;
    assert!((2..=8).contains(&sessions), "{sessions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_refuses_and_nothing_happens() {
    let server = Running::start(|options| {
        options.request_deadline = Duration::from_millis(50);
    });
    let client = connect(server.address, ClientOptions::default()).await;
    server.gate.full.store(true, Ordering::SeqCst);
    let refused = client.create_transfers(&transfers(3)).await;
    let busy = Refusal::Busy(RefusalReason::Busy);
    assert_eq!(refused, Err(CallError::Refused(busy)));
    server.gate.open();
    assert!(is_created(&client, 2).await);
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 2);
}

/// With several addresses the client goes on to the next one when a server says nothing for a
/// while; a busy one has said so by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_of_several_refuses_before_another_one_is_asked() {
    let (server, client) = (giro_server::Options::default(), ClientOptions::default());
    let most = server.request_deadline + Duration::from_millis(200);
    assert!(client.silence_max > most, "unless the way is long");
    let server = Running::start(|options| {
        options.request_deadline = Duration::from_millis(200);
    });
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = format!("{},{}", server.address, nobody.local_addr().unwrap());
    let client = Client::connect(&addresses, one_session()).await.unwrap();
    server.gate.full.store(true, Ordering::SeqCst);
    let refused = client.create_transfers(&transfers(3)).await;
    let busy = Refusal::Busy(RefusalReason::Busy);
    assert!(matches!(refused, Err(CallError::Refused(found)) if found == busy));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_without_an_end_are_bounded() {
    let server = Running::start(|_| {});
    let options = ClientOptions {
        deadline: Duration::MAX,
        resend_interval: Duration::MAX,
        ping_interval: Duration::MAX,
        silence_max: Duration::MAX,
        reconnect_delay_max: Duration::MAX,
        ..ClientOptions::default()
    };
    let addresses = format!("{0},{0}", server.address);
    let client = Client::connect(&addresses, options).await.unwrap();
    assert!(is_created(&client, 1).await);
    assert!(is_created(&client.with_deadline(Duration::MAX), 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_unknown_for_writes_and_refused_for_reads() {
    let server = Running::start(|_| {});
    let relay = Relay::to(server.address).await;
    let client = connect(relay.address, ClientOptions::default()).await;
    let hasty = client.with_deadline(Duration::from_millis(100));
    relay.mute_client(true);
    let late = CallError::Unknown(Uncertainty::Deadline);
    assert_eq!(hasty.create_transfers(&transfers(1)).await, Err(late));
    assert!(late.is_unknown());
    let refused = CallError::Refused(Refusal::Deadline);
    assert_eq!(hasty.lookup_accounts(&[1]).await, Err(refused));
    assert_eq!(hasty.resolve(&[1]).await, Err(late), "not while it is mute");
    relay.mute_client(false);
    relay.cut();
    assert!(is_created(&client, 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_is_refused() {
    let server = Running::start(|_| {});
    let client = connect(server.address, ClientOptions::default()).await;
    assert!(is_created(&client, 1).await);
    server.stop();
    // The end of the connection is noticed at once, or the call is sent into it and lost.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let hasty = client.with_deadline(Duration::from_millis(100));
    let refused = CallError::Refused(Refusal::Deadline);
    assert_eq!(hasty.create_transfers(&transfers(1)).await, Err(refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_the_server_lacks_is_refused_and_the_client_goes_on() {
    let server = Running::start(|_| {});
    let client = connect(server.address, ClientOptions::default()).await;
    let refused = client.query_accounts(QueryFilter::default()).await;
    let reason = EvictionReason::InvalidRequestOperation;
    let evicted = CallError::Refused(Refusal::Evicted(reason));
    assert_eq!(refused, Err(evicted));
    assert!(is_created(&client, 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgot_its_sessions_gets_new_ones() {
    let first = Running::start(|_| {});
    let relay = Relay::to(first.address).await;
    let client = connect(relay.address, ClientOptions::default()).await;
    assert!(is_created(&client, 1).await);
    let second = Running::start(|_| {});
    relay.point_at(second.address);
    relay.cut();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(is_created(&client, 1).await);
    assert_eq!(second.gate.executed.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_sign_of_life_is_replaced() {
    let server = Running::start(|_| {});
    let relay = Relay::to(server.address).await;
    let options = ClientOptions {
        ping_interval: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    let client = connect(relay.address, options).await;
    relay.mute_server(true);
    let asked = {
        let client = client.clone();
        tokio::spawn(async move { is_created(&client, 1).await })
    };
    // The answer is lost. The pings notice long before the time to ask again.
    let started = Instant::now();
    server.until(|seen| seen.accepted >= 2);
    assert!(started.elapsed() < Duration::from_secs(1));
    relay.mute_server(false);
    assert!(asked.await.unwrap());
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_says_what_is_wrong() {
    let options = ClientOptions {
        deadline: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let error = Client::connect(&address, options.clone()).await.err();
    let error = error.expect("nobody listens").to_string();
    assert!(error.contains(&address), "{error}");
    let error = Client::connect("nonsense:x", options.clone()).await.err();
    assert!(matches!(error, Some(ConnectError::Address(_))));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = Client::connect(&address, options).await.err();
    let error = error.expect("nobody answers").to_string();
    assert!(error.contains("does not answer"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_address_is_tried_when_the_first_is_dead() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = closed.local_addr().unwrap();
    drop(closed);
    let server = Running::start(|_| {});
    let addresses = format!("{dead}, {}", server.address);
    let client = Client::connect(&addresses, ClientOptions::default()).await;
    assert!(is_created(&client.unwrap(), 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_ends_with_the_last_handle() {
    let server = Running::start(|_| {});
    let client = connect(server.address, ClientOptions::default()).await;
    let other = client.clone();
    drop(client);
    assert!(is_created(&other, 1).await);
    drop(other);
    server.until(|seen| seen.open == 0);
}
