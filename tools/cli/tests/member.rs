//! The directories of a group's members, seen through `giro verify` and `giro inspect`.

mod support;

use serde_json::Value;
use support::load::{Load, open_accounts};
use support::trio::Trio;
use support::{Said, refused, run};

/// A group that had several leaders and a new member, and does not run any more.
async fn group() -> Trio {
    let mut trio = Trio::format(3);
    trio.flags = vec!["--generation-rows=16384", "--log-kept-mib=4"];
    trio.start_all(3);
    trio.leader();
    let client = trio.connect().await;
    open_accounts(&client).await;
    let mut made = 0;
    while made < 48_000 {
        support::load::pay_many(&client, &mut made).await;
    }
    let load = Load::start(&client);
    load.more(30).await;
    let leader = trio.leader();
    trio.kill(leader);
    load.more(30).await;
    trio.start(leader);
    trio.format_one(3, 3);
    trio.start(3);
    let peer = trio.peer(3);
    let add = ["add", "--replica", "3", "--peer", &peer];
    trio.cluster(trio.leader(), &add).unwrap();
    load.more(30).await;
    load.audit_behind(&client, made).await;
    drop(client);
    trio.assert_same_state(&[0, 1, 2, 3]);
    trio.until("all have a checkpoint", || {
        let has = |replica| {
            let pieces = trio.dir(replica).join("history/checkpoints");
            std::fs::read_dir(pieces).is_ok_and(|names| names.count() > 0)
        };
        (0..4).all(has)
    });
    (0..4).for_each(|replica| trio.stop(replica));
    trio
}

fn json(said: &Said) -> Value {
    assert!(said.succeeded, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

fn lines(said: &Said) -> Vec<Value> {
    assert!(said.succeeded, "{said:?}");
    let line = |line| serde_json::from_str(line).unwrap();
    said.out.lines().map(line).collect()
}

#[tokio::test]
async fn members_are_verified_and_shown() {
    let trio = group().await;
    verify_finds_the_same_state(&trio);
    inspect_shows_records_and_members(&trio);
}

fn verify_finds_the_same_state(trio: &Trio) {
    let found = (0..4).map(|replica| json(&run(&["verify", "--json"], &trio.dir(replica))));
    let found: Vec<Value> = found.collect();
    let known = found.iter().map(|found| found["ops"].as_u64().unwrap());
    let lowest = known.clone().min().unwrap();
    // They know of each other's last entries, but perhaps not that they are committed.
    assert!(known.max().unwrap() <= lowest + 2, "{found:?}");
    let at = format!("--op={lowest}");
    let first = json(&run(&["verify", "--json", &at], &trio.dir(0)));
    let digest = first["digest"].as_str().unwrap();
    for (replica, found) in (0..4).zip(&found) {
        let dir = trio.dir(replica);
        let same = run(&["verify", &at, "--digest", digest], &dir);
        assert!(same.succeeded, "{same:?}");
        assert!(same.out.contains("is in order"), "{same:?}");
        assert_eq!(found["replica"], replica);
        assert_eq!(found["members"].as_array().unwrap().len(), 4);
        assert_eq!(found["members"][3]["kind"], "learner");
        let history = &found["history"];
        assert!(history["transfers"].as_u64().unwrap() > 0, "{found}");
        assert!(
            history["compared_with_log"].as_u64().unwrap() > 0,
            "{found}"
        );
        let log = &found["log"];
        let number = |name: &str| log[name].as_u64().unwrap();
        assert!(number("commit") <= number("last_entry"), "{log}");
        assert!(number("checkpoint_entry") < number("commit"), "{log}");
        assert!(number("term") >= 2, "{log}");
    }
    let wrong = ["verify", "--digest", "00"];
    refused(&wrong, &trio.dir(1), &["expected was 00", "differ"]);
    let late = ["verify", "--op=999999"];
    refused(
        &late,
        &trio.dir(1),
        &["op 999999 is not known to be committed"],
    );
    let early = ["verify", "--op=1"];
    refused(&early, &trio.dir(1), &["op 1 is before the checkpoint"]);
}

fn inspect_shows_records_and_members(trio: &Trio) {
    let dir = trio.dir(0);
    let log = lines(&run(&["inspect", "log", "--json"], &dir));
    let records = log.iter().filter(|line| !line["record"].is_null());
    let records: Vec<&Value> = records.collect();
    let of_kind = |kind: &str| records.iter().filter(|line| line["kind"] == kind).count();
    assert!(of_kind("ops") > 0 && of_kind("ops") < records.len());
    assert!(of_kind("no_ops") > 0, "the leaders' first entries");
    for record in &records {
        let number = |name: &str| record[name].as_u64().unwrap();
        assert!(number("entry_term") <= number("term"), "{record}");
        let has_entry = number("entry") > 0;
        assert_eq!(record["fate"].is_null(), !has_entry, "{record}");
    }
    let committed = records.iter().filter(|line| line["fate"] == "committed");
    assert!(committed.count() > records.len() / 2);
    // The new member's directory has it from the beginning, and what made it one.
    let theirs = lines(&run(&["inspect", "log", "--json"], &trio.dir(3)));
    let change = theirs.iter().find(|line| line["change"] == "add_learner");
    let installed = theirs
        .iter()
        .any(|line| line["kind"] == "checkpoint_installed");
    assert!(installed || change.is_some_and(|change| change["replica"] == 3));
    let people = run(&["inspect", "log"], &dir).out;
    assert!(people.contains("kind=ops") && people.contains("fate=committed"));

    let members = lines(&run(&["inspect", "members", "--json"], &dir));
    assert_eq!(members[0]["own_replica"], 0);
    let kinds = members[1..]
        .iter()
        .map(|line| line["kind"].as_str().unwrap());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["voter", "voter", "voter", "learner"]
    );
    assert_eq!(members[4]["peer"], trio.peer(3));
    assert_eq!(members[1]["incarnation"], members[0]["own_incarnation"]);
    let sessions = lines(&run(&["inspect", "sessions", "--json"], &dir));
    assert!(!sessions.is_empty());
    let checkpoint = lines(&run(&["inspect", "checkpoint", "--json"], &dir));
    let at = checkpoint[0]["group"]["entry"].as_u64().unwrap();
    assert_eq!(members[0]["checkpoint_entry"], at);
    let history = lines(&run(&["inspect", "history", "--json"], &dir));
    assert_eq!(history.last().unwrap()["total"], "history");
}

#[test]
fn a_ledger_alone_has_no_members_and_is_verified_as_a_whole() {
    let dir = support::folder();
    support::format(dir.path());
    refused(&["inspect", "members"], dir.path(), &["no group"]);
    refused(&["verify", "--op=3"], dir.path(), &["members of a group"]);
}
