//! A group of which one replica's disk hangs: what writes to it waits, and no error tells. Later it
//! goes on as if nothing had been.

mod support;

use std::time::{Duration, Instant};

use giro_client::Client;
use rustix::process::Signal;
use support::disk::Disk;
use support::load::{Load, open_accounts};
use support::trio::Trio;
use support::{assert_says, namespace, run};

/// From the moment the leader's disk hangs until another one has made some payments: a second of
/// patience, the change itself, and a busy machine.
const HANDED_OVER_MAX: Duration = Duration::from_secs(8);
/// Payments during which a disk hangs.
const SOME: u64 = 200;
/// What a replica lacks in the end: more entries than one append has.
const LAG: u64 = 1100;

/// Three replicas that run, of which replica 0 has a disk of its own.
async fn with_disk() -> (Trio, Disk, Client) {
    let mut trio = Trio::unformatted(3);
    let disk = Disk::mount(&trio.dir(0));
    (0..3).for_each(|replica| trio.format_one(replica, 3));
    trio.flags = vec!["--log-spares=1"];
    trio.start_all(3);
    let client = trio.connect().await;
    open_accounts(&client).await;
    (trio, disk, client)
}

/// How many entries replica 0 lacks.
fn lag(trio: &Trio) -> u64 {
    trio.member(0).unwrap()["lag"].as_u64().unwrap()
}

/// All payments are there once, on all replicas, and replica 0 is as good as any.
async fn audit(mut trio: Trio, client: &Client, load: Load) {
    load.more(20).await;
    trio.make_lead(0);
    trio.kill(1);
    load.more(20).await;
    trio.start(1);
    load.audit(client).await;
    trio.assert_same_state(&[0, 1, 2]);
    (0..3).for_each(|replica| trio.stop(replica));
    let said = run(&["verify"], &trio.dir(0));
    assert!(said.succeeded, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_hangs_hands_leadership_over_and_comes_after() {
    const NAME: &str = "a_leader_whose_disk_hangs_hands_leadership_over_and_comes_after";
    if !namespace::enter_with_disks(NAME) {
        return;
    }
    let (trio, disk, client) = with_disk().await;
    trio.make_lead(0);
    let load = Load::start(&client);
    load.more(50).await;
    assert_eq!(trio.leader(), 0);

    let (frozen, hung) = (disk.freeze(), Instant::now());
    load.more(20).await;
    let handed_over = hung.elapsed();
    assert!(handed_over < HANDED_OVER_MAX, "{handed_over:?}");
    assert_ne!(trio.leader(), 0);
    assert_says(
        &trio.log(0),
        &["this disk does not write: hands leadership over"],
    );
    // It answers, and says what it waits for.
    load.more(SOME).await;
    let said = trio.status(0).unwrap();
    assert!(said["stalled_ms"].as_u64() > Some(1000), "{said}");
    assert!(lag(&trio) >= SOME);

    drop(frozen);
    audit(trio, &client, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_disk_hangs_does_not_hold_the_group_up_and_comes_after() {
    const NAME: &str = "a_follower_whose_disk_hangs_does_not_hold_the_group_up_and_comes_after";
    if !namespace::enter_with_disks(NAME) {
        return;
    }
    let (trio, disk, client) = with_disk().await;
    trio.make_lead(1);
    let load = Load::start(&client);
    load.more(50).await;
    let began = Instant::now();
    load.more(SOME).await;
    let before = began.elapsed();

    let (frozen, hung) = (disk.freeze(), Instant::now());
    load.more(SOME).await;
    let beside = hung.elapsed();
    // A busy machine may take its time, and change its leader; waiting for the disk would take for
    // ever.
    let most = 3 * before + Duration::from_secs(2);
    assert!(beside < most, "{before:?}, then {beside:?}");
    assert_ne!(trio.leader(), 0);
    // Behind every time-out that a group has.
    std::thread::sleep(Duration::from_secs(4).saturating_sub(hung.elapsed()));
    while lag(&trio) < LAG {
        load.more(50).await;
    }
    assert_ne!(trio.leader(), 0);
    assert!(trio.status(0).unwrap()["stalled_ms"].as_u64() > Some(1000));

    drop(frozen);
    audit(trio, &client, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_while_its_disk_hangs_comes_after() {
    const NAME: &str = "a_replica_that_is_killed_while_its_disk_hangs_comes_after";
    if !namespace::enter_with_disks(NAME) {
        return;
    }
    let (mut trio, disk, client) = with_disk().await;
    trio.make_lead(0);
    let load = Load::start(&client);
    load.more(50).await;
    let frozen = disk.freeze();
    // Some writes hang, and are among what the others have.
    load.more(20).await;
    // It ends when its writes do, and not before.
    trio.signal(0, Signal::KILL);
    load.more(SOME).await;
    drop(frozen);
    trio.kill(0);
    load.more(20).await;
    trio.start(0);
    audit(trio, &client, load).await;
}
