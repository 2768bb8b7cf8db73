//! A group of which one replica's disk refuses a write to the log: it is gone, or has no room where
//! it had promised some, as disks that share their room with others may.

mod support;

use std::io::Write;
use std::path::Path;

use giro_client::Client;
use rustix::fs::{FallocateFlags, fallocate};
use support::disk::Disk;
use support::load::{Load, open_accounts};
use support::trio::Trio;
use support::{assert_says, namespace, segments};

/// Behind what the log has by the time that it loses its room.
const KEPT: u64 = 1 << 20;

/// Three replicas that run. Replica 0, whose place was made before, leads or follows.
async fn run(mut trio: Trio, leads: bool) -> (Trio, Client) {
    (0..3).for_each(|replica| trio.format_one(replica, 3));
    trio.flags = vec!["--log-spares=1"];
    trio.start_all(3);
    trio.make_lead(usize::from(!leads));
    let client = trio.connect().await;
    open_accounts(&client).await;
    (trio, client)
}

/// It says why, stops, and has promised nothing that it does not keep.
fn assert_ended(trio: &mut Trio, why: &str) {
    let said = trio.ended(0);
    assert_says(&said, &["stops serving", "writing record", why]);
    assert_says(&said, &["check the disk, then start again"]);
    assert!(
        !said.contains("recover") && !said.contains("panicked"),
        "{said}"
    );
}

/// With the disk whole again, replica 0 is as good as any.
async fn audit(mut trio: Trio, client: &Client, load: Load) {
    assert!(!trio.dir(0).join("giro.leave").exists());
    trio.start(0);
    load.more(20).await;
    trio.make_lead(0);
    load.more(20).await;
    load.audit(client).await;
    trio.assert_same_state(&[0, 1, 2]);
}

async fn loses_its_disk(leads: bool) {
    let trio = Trio::unformatted(3);
    let disk = Disk::mount(&trio.dir(0));
    let (mut trio, client) = run(trio, leads).await;
    let load = Load::start(&client);
    load.more(50).await;
    disk.pull();
    assert_ended(&mut trio, "Input/output error");
    assert_ne!(trio.leader(), 0);
    load.more(50).await;
    disk.put_back();
    audit(trio, &client, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_loses_its_disk_ends_and_comes_after_when_it_has_it_again() {
    const NAME: &str = "a_leader_that_loses_its_disk_ends_and_comes_after_when_it_has_it_again";
    if namespace::enter_with_disks(NAME) {
        loses_its_disk(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_loses_its_disk_ends_and_comes_after_when_it_has_it_again() {
    const NAME: &str = "a_follower_that_loses_its_disk_ends_and_comes_after_when_it_has_it_again";
    if namespace::enter_with_disks(NAME) {
        loses_its_disk(false).await;
    }
}

/// Takes away the room that the log's last segment has behind what is written, and all other.
fn use_up(dir: &Path) {
    let segment = segments(dir).pop().unwrap();
    let segment = std::fs::File::options().write(true).open(segment).unwrap();
    let bytes = segment.metadata().unwrap().len();
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&segment, hole, KEPT, bytes - KEPT).unwrap();
    let mut filler = std::fs::File::create(dir.join("filler")).unwrap();
    let full = loop {
        if let Err(error) = filler.write_all(&[1; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

async fn loses_its_room(leads: bool) {
    let trio = Trio::unformatted(3);
    std::fs::create_dir(trio.dir(0)).unwrap();
    namespace::mount(&["-t", "tmpfs", "-o", "size=200m", "none"], &trio.dir(0));
    let (mut trio, client) = run(trio, leads).await;
    let load = Load::start(&client);
    load.more(50).await;
    use_up(&trio.dir(0));
    load.more(KEPT / 4096).await;
    assert_ended(&mut trio, "No space left on device");
    assert_ne!(trio.leader(), 0);
    load.more(50).await;
    std::fs::remove_file(trio.dir(0).join("filler")).unwrap();
    audit(trio, &client, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_log_loses_its_room_ends_and_comes_after_when_there_is_some() {
    const NAME: &str = "a_leader_whose_log_loses_its_room_ends_and_comes_after_when_there_is_some";
    if namespace::enter(NAME) {
        loses_its_room(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_log_loses_its_room_ends_and_comes_after_when_there_is_some() {
    const NAME: &str =
        "a_follower_whose_log_loses_its_room_ends_and_comes_after_when_there_is_some";
    if namespace::enter(NAME) {
        loses_its_room(false).await;
    }
}
