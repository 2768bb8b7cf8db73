//! Groups of three replicas, each a process, with clients that know all of them.

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::load::{ACCOUNTS, FORGETFUL, Load, open_accounts, outgrow, payment};
use support::trio::Trio;

fn running(trio: &mut Trio) {
    trio.start_all(3);
    trio.leader();
}

/// The members of a status, and what they are. What is said beside that changes with the load.
fn kinds(status: &serde_json::Value) -> Vec<(serde_json::Value, serde_json::Value)> {
    let members = status["members"].as_array().unwrap().iter();
    let kind = |member: &serde_json::Value| (member["replica"].clone(), member["kind"].clone());
    members.map(kind).collect()
}

#[tokio::test]
async fn three_replicas_take_payments_and_agree() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    load.more(200).await;
    load.audit(&client).await;
    drop(client);
    trio.assert_same_state(&[0, 1, 2]);
}

/// Before that, those that are there could be a majority beside another one that has forgotten.
#[tokio::test]
async fn a_group_begins_once_all_its_replicas_were_started() {
    let mut trio = Trio::format(3);
    trio.start_all(2);
    let beginning = |trio: &Trio, replica| {
        let status = trio.status(replica)?;
        Some(status["beginning"].as_str()?.to_owned())
    };
    for replica in 0..2 {
        trio.until("it waits for the third only", || {
            let why = beginning(&trio, replica);
            why.is_some_and(|why| why.ends_with("once, and waits for replica 2"))
        });
        assert_eq!(trio.status(replica).unwrap()["last"], 0);
        trio.until("it says that it waits", || {
            trio.log(replica).contains("waits for replica 2")
        });
    }
    // Whoever is stopped meanwhile has nothing to lose.
    trio.stop(1);
    trio.start(1);
    trio.start(2);
    trio.leader();
    let client = trio.connect().await;
    open_accounts(&client).await;
    for replica in 0..3 {
        trio.until("it has begun", || beginning(&trio, replica).is_none());
    }
    // The other one was stopped meanwhile, and may not have said that it waits.
    trio.until("it says that it has begun", || {
        trio.log(0).contains("the group has begun")
    });
    trio.stop(2);
    let load = Load::start(&client);
    load.more(20).await;
    load.audit(&client).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    for _ in 0..5 {
        load.more(50).await;
        let leader = trio.leader();
        trio.kill(leader);
        load.more(20).await;
        trio.start(leader);
    }
    load.audit(&client).await;
    drop(client);
    trio.leader();
    trio.assert_same_state(&[0, 1, 2]);
}

#[tokio::test]
async fn a_leader_that_stands_still_is_replaced() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    load.more(20).await;
    let leader = trio.leader();
    trio.signal(leader, Signal::STOP);
    load.more(20).await;
    trio.signal(leader, Signal::CONT);
    load.more(20).await;
    load.audit(&client).await;
    drop(client);
    trio.assert_same_state(&[0, 1, 2]);
}

#[tokio::test]
async fn a_rolling_restart_fails_no_request() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    for replica in 0..3 {
        load.more(30).await;
        trio.stop(replica);
        load.more(30).await;
        trio.start(replica);
        trio.until("it follows", || {
            let status = trio.status(replica);
            status.is_some_and(|status| !status["leader"].is_null())
        });
    }
    load.audit(&client).await;
}

#[tokio::test]
async fn a_lost_replica_is_replaced_by_a_new_one() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    load.more(50).await;
    let leader = trio.leader();
    let lost = (leader + 1) % 3;
    trio.kill(lost);
    std::fs::remove_dir_all(trio.dir(lost)).unwrap();
    trio.format_one(3, 3);
    trio.start(3);
    let status = trio.recover(lost, 3);
    let members = status["members"].as_array().unwrap();
    let voters = members.iter().filter(|member| member["kind"] == "voter");
    let mut voters: Vec<_> = voters
        .map(|member| member["replica"].as_u64().unwrap())
        .collect();
    voters.sort_unstable();
    let mut expected: Vec<u64> = [0, 1, 2, 3]
        .into_iter()
        .filter(|n| *n != lost as u64)
        .collect();
    expected.sort_unstable();
    assert_eq!(voters, expected);
    // Given again, the order finds that nothing is left to do.
    assert_eq!(kinds(&trio.recover(lost, 3)), kinds(&status));
    // The number is never given again.
    let again = trio
        .cluster(leader, &["add", "--replica", &lost.to_string()])
        .unwrap_err();
    assert!(again.contains("never given twice"), "{again}");
    load.more(20).await;
    load.audit(&client).await;
}

/// The highest view that these replicas tell: what an official client believes. The replica that it
/// sends its requests to.
fn believed(trio: &Trio, replicas: &[usize], voters: &[usize]) -> usize {
    let views = replicas.iter().map(|replica| trio.told_view(*replica));
    let view = views.max().expect("there are some") as usize;
    voters[view % voters.len()]
}

#[tokio::test]
async fn clients_are_led_to_a_leader_whose_place_a_replacement_has_moved() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    trio.make_lead(2);
    trio.until("all say so", || {
        [0, 1, 2].map(|replica| believed(&trio, &[replica], &[0, 1, 2])) == [2; 3]
    });
    trio.kill(0);
    // It runs, and the others have heard of it, before it is made anew and joins.
    trio.format_one(3, 3);
    trio.start(3);
    trio.until("it connects", || trio.log(3).contains("connected"));
    std::thread::sleep(Duration::from_millis(200));
    trio.kill(3);
    std::fs::remove_dir_all(trio.dir(3)).unwrap();
    trio.format_one(3, 3);
    trio.start(3);
    trio.recover(0, 3);
    assert_eq!(trio.leader(), 2, "nobody else was elected");
    // Each of them told the view from before to somebody; what the newcomer tells counts as well.
    for replicas in [&[1][..], &[2], &[3], &[1, 2, 3]] {
        trio.until("they lead to it", || {
            believed(&trio, replicas, &[1, 2, 3]) == 2
        });
    }
    let client = trio.connect_to(&[1, 2, 3]).await;
    let load = Load::start(&client);
    load.more(10).await;
}

#[tokio::test]
async fn a_majority_is_needed_and_enough() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let leader = trio.leader();
    let others: Vec<usize> = (0..3).filter(|replica| *replica != leader).collect();
    for other in &others {
        trio.kill(*other);
    }
    let quick = client.with_deadline(Duration::from_secs(3));
    quick.create_transfers(&[payment(1)]).await.unwrap_err();
    quick.lookup_accounts(&[1]).await.unwrap_err();
    trio.start(others[0]);
    let load = Load::start(&client);
    load.more(10).await;
    load.stop.store(true, Ordering::Relaxed);
    load.task.await.unwrap();
}

#[test]
fn orders_that_would_harm_the_group_are_refused() {
    let mut trio = Trio::format(3);
    running(&mut trio);
    let leader = trio.leader();
    let other = (leader + 1) % 3;
    let refused =
        |replica: usize, arguments: &[&str]| trio.cluster(replica, arguments).unwrap_err();
    let number = leader.to_string();
    let elsewhere = refused(other, &["remove", "--replica", &number]);
    assert!(
        elsewhere.contains(&format!("directory of replica {leader}")),
        "{elsewhere}"
    );
    let itself = refused(leader, &["remove", "--replica", &number]);
    assert!(itself.contains("hand leadership over first"), "{itself}");
    let unknown = refused(leader, &["promote", "--replica", "7"]);
    assert!(unknown.contains("no learner"), "{unknown}");
}

#[tokio::test]
async fn replicas_that_lack_what_the_log_gave_up_come_back_through_a_checkpoint() {
    let mut trio = Trio::format(3);
    trio.flags = FORGETFUL.to_vec();
    running(&mut trio);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let leader = trio.leader();
    let (away, lost) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.stop(away);
    let mut made = 0;
    outgrow(&trio, &client, leader, &mut made).await;
    // One that was away for long. At first it can be heard, and nothing can be sent to it: what it
    // is offered is lost. It is offered something if the leader is still that of its term.
    trio.start_unreachable(away);
    let heard = Instant::now();
    trio.until("it was heard for long enough", || {
        let is_offered = trio.log(leader).contains("a checkpoint is offered");
        is_offered || heard.elapsed() > Duration::from_secs(3)
    });
    trio.kill(away);
    assert!(!trio.log(away).contains("fetches a checkpoint"));
    trio.start(away);
    let started = Instant::now();
    trio.until("it fetches a checkpoint", || {
        trio.log(away).contains("fetches a checkpoint")
    });
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    trio.assert_same_state(&[0, 1, 2]);
    assert!(
        trio.log(away).contains("opening the directory again"),
        "{}",
        trio.log(away)
    );
    // One that is lost for good, and another one in its place.
    trio.kill(lost);
    std::fs::remove_dir_all(trio.dir(lost)).unwrap();
    trio.format_one(3, 3);
    trio.start(3);
    // Nobody asks for anything meanwhile, and the newest checkpoint is of before it was a member.
    trio.recover(lost, 3);
    let load = Load::start(&client);
    load.more(20).await;
    load.stop.store(true, Ordering::Relaxed);
    made += load.task.await.unwrap().len() as u64;
    trio.assert_same_state(&[leader, away, 3]);
    // It carries its part: with the one that was away it is a majority.
    let leader = trio.leader();
    trio.kill(leader);
    let client = trio.connect_to(&[0, 1, 2, 3]).await;
    let ids: Vec<u128> = (1..=ACCOUNTS).collect();
    let accounts = client.lookup_accounts(&ids).await.unwrap();
    let debits: u128 = accounts.iter().map(|account| account.debits_posted).sum();
    assert_eq!(debits, u128::from(made));
}
