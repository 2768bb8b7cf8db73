//! A group whose leader has no room left on its disk.

mod support;

use support::load::{Load, open_accounts, pay_many};
use support::trio::Trio;
use support::{assert_says, namespace};

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_is_full_gives_way_and_comes_after_when_there_is_room() {
    const NAME: &str = "a_leader_whose_disk_is_full_gives_way_and_comes_after_when_there_is_room";
    if !namespace::enter(NAME) {
        return;
    }
    let mut trio = Trio::unformatted(3);
    std::fs::create_dir(trio.dir(0)).unwrap();
    // Room for two segments of the log, and not for a third.
    namespace::mount(&["-t", "tmpfs", "-o", "size=160m", "none"], &trio.dir(0));
    (0..3).for_each(|replica| trio.format_one(replica, 3));
    trio.flags = vec!["--log-spares=1"];
    trio.start_all(3);
    trio.until("replica 0 leads", || {
        let leader = trio.leader();
        // It is given up when replica 0 lags a little; then it is asked for again.
        leader == 0 || {
            let _ = trio.cluster(leader, &["transfer", "--replica=0", "--wait=2"]);
            false
        }
    });
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    load.more(20).await;
    assert_eq!(trio.leader(), 0);
    // More than two segments. Every request is answered, by whoever leads.
    let mut made = 0;
    while made < 160 * 8000 {
        pay_many(&client, &mut made).await;
    }
    assert_ne!(trio.leader(), 0);
    assert_says(&trio.log(0), &["no room", "hands leadership over"]);
    load.more(20).await;
    namespace::mount(&["-o", "remount,size=2g"], &trio.dir(0));
    load.audit_behind(&client, made).await;
    trio.assert_same_state(&[0, 1, 2]);
}
