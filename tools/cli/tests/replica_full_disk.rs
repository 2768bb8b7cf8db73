//! A group whose leader has no room left on its disk.

mod support;

use std::io::Write;
use std::path::Path;

use support::load::{Load, open_accounts, pay_many};
use support::trio::Trio;
use support::{assert_says, namespace};

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for piece in [1 << 20, 4096] {
        while file.write_all(&vec![1; piece]).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_is_full_gives_way_and_comes_after_when_there_is_room() {
    const NAME: &str = "a_leader_whose_disk_is_full_gives_way_and_comes_after_when_there_is_room";
    if !namespace::enter(NAME) {
        return;
    }
    let mut trio = Trio::unformatted(3);
    std::fs::create_dir(trio.dir(0)).unwrap();
    namespace::mount(&["-t", "tmpfs", "-o", "size=256m", "none"], &trio.dir(0));
    (0..3).for_each(|replica| trio.format_one(replica, 3));
    trio.flags = vec!["--log-spares=1"];
    trio.start_all(3);
    let leader = trio.leader();
    if leader != 0 {
        trio.cluster(leader, &["transfer", "--replica=0"]).unwrap();
    }
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    load.more(20).await;
    assert_eq!(trio.leader(), 0);
    let filler = trio.dir(0).join("filler");
    fill(&filler);
    // More than what is left of two segments. Every request is answered, by whoever leads.
    let mut made = 0;
    while made < 160 * 8000 {
        pay_many(&client, &mut made).await;
    }
    assert_ne!(trio.leader(), 0);
    assert_says(&trio.log(0), &["no room", "hands leadership over"]);
    load.more(20).await;
    std::fs::remove_file(&filler).unwrap();
    load.audit_behind(&client, made).await;
    trio.assert_same_state(&[0, 1, 2]);
}
