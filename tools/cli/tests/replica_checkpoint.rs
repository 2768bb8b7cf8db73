//! A replica that needs a checkpoint, and cannot connect to the one that offered it.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::load::{FORGETFUL, outgrow, running};

/// From the moment that it can connect: the longest pause between attempts, the transfer, and a
/// busy machine. Its offer stands for ten seconds.
const FETCHED_MAX: Duration = Duration::from_secs(6);

/// Passes on what one side of a connection sends, to its end.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Takes a connection, and makes it one to this address.
fn connect(listener: &TcpListener, address: &str) {
    let (one, _) = listener.accept().unwrap();
    let other = TcpStream::connect(address).unwrap();
    pass_on(one.try_clone().unwrap(), other.try_clone().unwrap());
    pass_on(other, one);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_connect_for_a_checkpoint_gets_it_soon_after_it_can() {
    let (mut trio, client) = running(&FORGETFUL).await;
    let leader = trio.leader();
    let away = (leader + 1) % 3;
    trio.stop(away);
    let mut made = 0;
    outgrow(&trio, &client, leader, &mut made).await;

    // The way to the leader is by this port: open for what the group says, and then for nobody.
    let gate = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gate.local_addr().unwrap().port();
    trio.start_looking_at(away, leader, port);
    connect(&gate, &trio.peer(leader));
    drop(gate);
    trio.until("it was offered one", || {
        trio.log(away).contains("fetches a checkpoint")
    });
    // In vain at first.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(trio.leader(), leader);
    let gate = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (address, opened) = (trio.peer(leader), Instant::now());
    std::thread::spawn(move || {
        loop {
            connect(&gate, &address);
        }
    });
    trio.until("it has it", || {
        trio.log(away).contains("opening the directory again")
    });
    let took = opened.elapsed();
    assert!(took < FETCHED_MAX, "{took:?}\n{}", trio.log(away));
    trio.assert_same_state(&[0, 1, 2]);
}
