//! A group of which one replica has no room left on its disk.

mod support;

use giro_client::Client;
use support::load::{Load, open_accounts, pay_many};
use support::trio::Trio;
use support::{assert_says, namespace};

/// How often an election may come before the disk is full, as on a busy machine.
const TRIES: usize = 4;
/// Payments that fill more than two segments of the log.
const MUCH: u64 = 160 * 8000;

/// Three replicas that run. Replica 0 has room for two segments, and not for a third.
async fn with_little_room() -> (Trio, Client) {
    let mut trio = Trio::unformatted(3);
    std::fs::create_dir(trio.dir(0)).unwrap();
    namespace::mount(&["-t", "tmpfs", "-o", "size=160m", "none"], &trio.dir(0));
    (0..3).for_each(|replica| trio.format_one(replica, 3));
    trio.flags = vec!["--log-spares=1"];
    trio.start_all(3);
    let client = trio.connect().await;
    open_accounts(&client).await;
    (trio, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_is_full_gives_way_and_comes_after_when_there_is_room() {
    const NAME: &str = "a_leader_whose_disk_is_full_gives_way_and_comes_after_when_there_is_room";
    if !namespace::enter(NAME) {
        return;
    }
    for _ in 0..TRIES {
        if fill_the_leader().await {
            return;
        }
    }
    panic!("each time another one led before the disk was full");
}

/// Fills the disk of the leader. Whether it led when the disk was full; the rest holds either way.
async fn fill_the_leader() -> bool {
    let (trio, client) = with_little_room().await;
    trio.make_lead(0);
    let load = Load::start(&client);
    load.more(20).await;
    // Every request is answered, by whoever leads.
    let mut made = 0;
    while made < MUCH {
        pay_many(&client, &mut made).await;
    }
    assert_ne!(trio.leader(), 0);
    let log = trio.log(0);
    assert_says(&log, &["no room"]);
    load.more(20).await;
    namespace::mount(&["-o", "remount,size=2g"], &trio.dir(0));
    load.audit_behind(&client, made).await;
    trio.assert_same_state(&[0, 1, 2]);
    log.contains("hands leadership over")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_disk_is_full_does_not_hold_the_group_up_and_comes_after() {
    const NAME: &str = "a_follower_whose_disk_is_full_does_not_hold_the_group_up_and_comes_after";
    if !namespace::enter(NAME) {
        return;
    }
    let (trio, client) = with_little_room().await;
    trio.make_lead(1);
    let load = Load::start(&client);
    load.more(20).await;
    let mut made = 0;
    while made < MUCH {
        pay_many(&client, &mut made).await;
    }
    load.more(20).await;
    assert_says(&trio.log(0), &["no room", "free some"]);
    trio.until("somebody else leads, and it lags", || {
        let said = trio.member(0);
        said.is_some_and(|said| said["lag"].as_u64() > Some(10))
    });
    namespace::mount(&["-o", "remount,size=2g"], &trio.dir(0));
    load.audit_behind(&client, made).await;
    trio.assert_same_state(&[0, 1, 2]);
}
