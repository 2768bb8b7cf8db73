//! Finding the leader of a group, whatever else the client's list of addresses has.

#[path = "../../server/tests/common/mod.rs"]
mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::Running;
use giro_client::{Client, ClientOptions, Transfer};
use giro_wire::{Message, PongHeader, RefusalHeader, RefusalReason, parse_header};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zerocopy::IntoBytes;

/// Threads of the port in these tests.
const REACTORS: usize = 1;
const HEADER_BYTES: usize = 256;
/// A connection that is not answered, and one that is not spoken on, take 750 ms each, some twice.
const SOON: Duration = Duration::from_secs(5);

/// Nobody listens there.
fn dead() -> SocketAddr {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    closed.local_addr().unwrap()
}

/// Whose machine is gone: an attempt to connect is never answered. The sockets keep it so.
fn gone() -> (SocketAddr, Vec<Socket>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    // The system drops what comes when as many wait to be accepted as may.
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap();
    let mut sockets = vec![socket];
    loop {
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connected = other.connect_timeout(&address, Duration::from_millis(100));
        let is_full = connected.is_err_and(|error| error.kind() == ErrorKind::TimedOut);
        sockets.push(other);
        if is_full {
            return (address.as_socket().unwrap(), sockets);
        }
        assert!(sockets.len() < 10, "the queue has an end");
    }
}

/// Serves each connection with `serve`, as long as the test runs.
async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Something else that ends every connection.
async fn rude() -> SocketAddr {
    serve(|stream| async move { drop(stream) }).await
}

/// Takes everything and says nothing.
async fn silent() -> SocketAddr {
    serve(|mut stream| async move {
        let mut bytes = [0; 4096];
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    })
    .await
}

/// A replica that does not lead, and says so with this view.
async fn follower(view: u32) -> SocketAddr {
    serve(move |stream| async move {
        // The client goes elsewhere.
        let _ = send_away(stream, view).await;
    })
    .await
}

async fn send_away(mut stream: TcpStream, view: u32) -> std::io::Result<()> {
    let mut bytes = [0; HEADER_BYTES];
    loop {
        stream.read_exact(&mut bytes).await?;
        match parse_header(&bytes, 0).expect("the client sends what a server takes") {
            Message::Ping(ping) => {
                stream
                    .write_all(PongHeader::build(ping, view).as_bytes())
                    .await?;
            }
            Message::Request(request) => {
                let mut body = vec![0; request.frame.body_bytes()];
                stream.read_exact(&mut body).await?;
                let refusal = RefusalHeader::build(request, view, RefusalReason::NotLeader);
                stream.write_all(refusal.as_bytes()).await?;
            }
            other => panic!("a client does not send {other:?}"),
        }
    }
}

/// Pays with a client of that list; how long it took.
async fn pay(addresses: &[SocketAddr]) -> Duration {
    let started = Instant::now();
    let list: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    let connected = Client::connect(&list.join(","), ClientOptions::default()).await;
    let client = connected.unwrap_or_else(|error| panic!("{list:?}: {error}"));
    let paid = client.create_transfers(&[Transfer::default()]).await;
    assert_eq!(paid.unwrap().len(), 1);
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_replica_in_the_list_does_not_keep_the_leader_from_being_found() {
    let leader = Running::start(|_| {});
    // Replicas 1, 2 and 3 vote, and 3 leads: view 20 names the last of three. Of four addresses it
    // names the removed replica 0.
    let (one, two) = (follower(20).await, follower(20).await);
    for removed in [dead(), follower(17).await, follower(0).await] {
        let took = pay(&[removed, one, two, leader.address]).await;
        assert!(took < SOON, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_found_whatever_the_list_has_and_in_whatever_order() {
    let leader = Running::start(|_| {});
    let (gone, _sockets) = gone();
    let mut list = vec![
        follower(20).await,
        rude().await,
        dead(),
        silent().await,
        gone,
        follower(23).await,
        leader.address,
    ];
    for _ in 0..list.len() {
        list.rotate_left(1);
        let took = pay(&list).await;
        assert!(took < SOON, "{took:?}");
        list.reverse();
        let took = pay(&list).await;
        assert!(took < SOON, "{took:?}");
        list.reverse();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_voters_in_order_a_follower_sends_the_client_straight_to_the_leader() {
    let leader = Running::start(|_| {});
    // Whoever goes there waits for 500 ms.
    let (gone, _sockets) = gone();
    let took = pay(&[follower(20).await, gone, leader.address]).await;
    assert!(took < Duration::from_millis(400), "{took:?}");
}
