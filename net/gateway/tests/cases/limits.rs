//! Slow, endless and oversized requests, and connections beyond the most.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::World;

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.http).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// All that comes until the gateway ends the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            // It has gone while more was on its way to it.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the gateway keeps the connection: {error}"),
        }
    }
    String::from_utf8(bytes).unwrap()
}

const HEAD: &str = "POST /transfers HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";

#[test]
fn slow_heads_and_slow_bodies_are_cut_off() {
    let world = World::with(|options| {
        options.header_timeout = Duration::from_millis(300);
        options.body_timeout = Duration::from_millis(300);
    });
    let began = Instant::now();
    let mut slow_head = connect(&world);
    slow_head.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let quiet = connect(&world);
    let mut slow_body = connect(&world);
    slow_body
        .write_all(format!("{HEAD}content-length: 100\r\n\r\n[").as_bytes())
        .unwrap();
    let answer = rest(slow_body);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(!rest(slow_head).starts_with("HTTP/1.1 200"));
    assert!(!rest(quiet).starts_with("HTTP/1.1 200"));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(world.get("/readyz").status, 200);
}

#[test]
fn endless_and_oversized_bodies_are_cut_off() {
    let world = World::with(|options| options.body_bytes_max = 1 << 16);
    let mut oversized = connect(&world);
    oversized
        .write_all(format!("{HEAD}content-length: 65537\r\n\r\n").as_bytes())
        .unwrap();
    let answer = rest(oversized);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let mut endless = connect(&world);
    endless
        .write_all(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes())
        .unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let mut sent = 0;
    while sent < 64 << 20 && endless.write_all(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "an endless body is taken");
    assert_eq!(world.get("/readyz").status, 200);
}

#[test]
fn memory_for_bodies_is_bounded() {
    let world = World::with(|options| options.bodies_bytes_max = 1 << 16);
    let mut holder = connect(&world);
    let spaces = " ".repeat(0xffff);
    let most = format!("{HEAD}content-length: 65536\r\n\r\n{spaces}");
    holder.write_all(most.as_bytes()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = world.post("/query/accounts", &json!({}));
        if answer.status == 503 {
            assert_eq!(answer.json()["error"], "busy");
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
    }
    drop(holder);
    while world.post("/query/accounts", &json!({})).status != 200 {
        assert!(Instant::now() < deadline, "the room is not given back");
    }
}

#[test]
fn whoever_announces_much_and_sends_little_takes_no_room_from_others() {
    let world = World::with(|options| options.bodies_bytes_max = 1 << 16);
    let announced = [
        "content-length: 65536\r\n\r\n[",
        "transfer-encoding: chunked\r\n\r\n1\r\n[\r\n",
    ];
    let holders: Vec<_> = (0..20)
        .map(|number| {
            let mut holder = connect(&world);
            let head = format!("{HEAD}{}", announced[number % 2]);
            holder.write_all(head.as_bytes()).unwrap();
            holder
        })
        .collect();
    // Until the gateway has surely seen what they sent.
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        let answer = world.post("/query/accounts", &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    drop(holders);
}

/// Transfers enough for an answer of some megabytes, which no buffer of a socket holds.
fn many_transfers(world: &World) {
    world.accounts();
    let transfer = |id: u32| {
        json!({
            "id": id, "debit_account_id": 1, "credit_account_id": 2,
            "amount": 1, "ledger": 1, "code": 1,
        })
    };
    let transfers: Vec<_> = (1..=8000).map(transfer).collect();
    let answer = world.post("/transfers", &json!(transfers));
    assert_eq!(answer.status, 200, "{answer:?}");
}

const LARGE: &str = "/accounts/1/transfers?limit=8000";

/// That the gateway has cut a connection off, within a time.
fn until_cut(world: &World) {
    let deadline = Instant::now() + Duration::from_secs(15);
    let cut = "giro_http_connections_cut_total 1";
    while !world.get("/metrics").text.contains(cut) {
        assert!(Instant::now() < deadline, "the gateway waits on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_client_that_does_not_take_its_answers_is_cut_off() {
    let world = World::with(|options| options.answer_timeout = Duration::from_millis(500));
    many_transfers(&world);
    assert_eq!(world.get(LARGE).status, 200, "who reads is answered");
    let mut reader = connect(&world);
    let head = format!("GET {LARGE} HTTP/1.1\r\nhost: a\r\n\r\n");
    // One answer alone may fit the buffers of the two sockets.
    for _ in 0..20 {
        reader.write_all(head.as_bytes()).unwrap();
    }
    until_cut(&world);
    // A few bytes now and then do not help.
    let mut byte = [0];
    assert_eq!(reader.read(&mut byte).unwrap(), 1, "some had come");
    assert_eq!(world.get("/readyz").status, 200);
}

#[test]
fn a_client_that_gives_no_window_is_cut_off() {
    let world = World::with(|options| options.answer_timeout = Duration::from_millis(500));
    many_transfers(&world);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _held = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(world.http).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let task = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let uri = format!("http://{}{LARGE}", world.http);
        let request = ureq::http::Request::get(uri).body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        // The body comes as far as the window goes, and is not read.
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let waited = tokio::time::timeout(Duration::from_secs(15), task).await;
        assert!(waited.is_ok(), "the gateway waits on");
        response
    });
    until_cut(&world);
}

#[test]
fn idle_connections_of_both_versions_are_closed() {
    let world = World::with(|options| options.header_timeout = Duration::from_millis(300));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(world.http).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let task = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let uri = format!("http://{}/healthz", world.http);
        let request = ureq::http::Request::get(uri).body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        let closed = tokio::time::timeout(Duration::from_secs(15), task).await;
        assert!(closed.is_ok(), "HTTP/2 stays open");
    });
    let mut used = connect(&world);
    used.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert!(rest(used).starts_with("HTTP/1.1 200"));
    // Not even the version is known of these.
    assert_eq!(rest(connect(&world)), "");
    let mut begun = connect(&world);
    begun.write_all(b"PRI * HTTP").unwrap();
    assert_eq!(rest(begun), "");
}

#[test]
fn a_connection_beyond_the_most_is_answered_503() {
    // The test's own client keeps one.
    let world = World::with(|options| options.connections_max = 2);
    let mut second = connect(&world);
    second
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut head = [0; 12];
    second.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let answer = rest(connect(&world));
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"),
        "{answer}"
    );
}
