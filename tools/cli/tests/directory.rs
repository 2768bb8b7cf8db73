//! Directories that are no ledger, another's ledger, or cannot be written; and settings that
//! cannot be.

mod support;

use support::namespace;
use support::server::Server;
use support::{folder, format, giro, refused, run};

#[test]
fn starting_without_a_ledger_says_how_to_make_one() {
    let dir = folder();
    for command in [
        &["start"][..],
        &["verify"],
        &["inspect", "log"],
        &["inspect", "identity"],
    ] {
        let path = dir.path().to_str().unwrap();
        refused(command, dir.path(), &[path, "not a ledger", "giro format"]);
        let nowhere = dir.path().join("nowhere");
        refused(command, &nowhere, &["nowhere", "giro format"]);
    }
}

#[test]
fn formatting_twice_is_refused_and_changes_nothing() {
    let dir = folder();
    let flags = ["format", "--cluster=7", "--replica=0", "--replica-count=1"];
    let said = run(&flags, dir.path());
    assert!(said.succeeded && said.out.contains("cluster 7"), "{said:?}");
    let identity = std::fs::read(dir.path().join("giro.format")).unwrap();
    let parts = ["holds a ledger already", "another directory"];
    refused(&flags, dir.path(), &parts);
    refused(&["format", "--cluster=8"], dir.path(), &parts);
    let now = std::fs::read(dir.path().join("giro.format")).unwrap();
    assert_eq!(now, identity);
    let said = run(&["inspect", "identity", "--json"], dir.path());
    assert!(said.out.contains("\"cluster\":\"7\""), "{said:?}");
}

#[test]
fn replicas_are_formatted_with_one_secret_and_each_with_an_incarnation() {
    let dir = folder();
    let key = dir.path().join("cluster.key");
    let key = format!("--cluster-key={}", key.to_str().unwrap());
    let mut identities = Vec::new();
    for replica in 0..4_u8 {
        let number = format!("--replica={replica}");
        let flags = [
            "format",
            "--development",
            "--replica-count=3",
            &number,
            &key,
        ];
        let ledger = dir.path().join(&number);
        let said = run(&flags, &ledger);
        let named = format!("replica {replica}, group of 3");
        assert!(said.succeeded && said.out.contains(&named), "{said:?}");
        identities.push(giro_log::read_identity(&ledger).unwrap());
    }
    assert!(
        identities
            .iter()
            .all(|identity| identity.hash_key == identities[0].hash_key)
    );
    let mut incarnations: Vec<u64> = identities.iter().map(|i| i.incarnation).collect();
    incarnations.sort_unstable();
    incarnations.dedup();
    assert_eq!(incarnations.len(), 4);
}

#[test]
fn impossible_groups_are_refused_at_format() {
    let dir = folder();
    let ledger = dir.path().join("ledger");
    refused(
        &["format", "--replica-count=3"],
        &ledger,
        &["--cluster-key"],
    );
    refused(&["format", "--replica=1"], &ledger, &["--cluster-key"]);
    refused(&["format", "--replica-count=2"], &ledger, &["1, 3 or 5"]);
    let bad = dir.path().join("bad.key");
    std::fs::write(&bad, "not a secret").unwrap();
    let key = format!("--cluster-key={}", bad.to_str().unwrap());
    let flags = ["format", "--replica-count=3", &key];
    refused(&flags, &ledger, &["bad.key", "32 hexadecimal digits"]);
    assert!(!ledger.exists());
}

#[test]
fn a_second_process_on_the_ledger_is_refused() {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    for command in [&["start", "--addresses=0"][..], &["verify"], &["dev"]] {
        refused(command, dir.path(), &["another process", "lock", "stop it"]);
    }
    // The first one is not disturbed.
    server.connect().register(1).open_accounts();
    server.stop();
    assert!(run(&["verify"], dir.path()).succeeded);
}

#[test]
fn a_read_only_directory_is_refused_by_name() {
    if !namespace::enter("a_read_only_directory_is_refused_by_name") {
        return;
    }
    let dir = folder();
    format(dir.path());
    let path = dir.path().to_str().unwrap();
    namespace::mount(&["--bind", path], dir.path());
    namespace::mount(&["-o", "remount,bind,ro"], dir.path());
    let parts = [path, "Read-only", "must be able to write"];
    refused(&["start", "--addresses=0"], dir.path(), &parts);
    refused(&["format"], &dir.path().join("new"), &parts);
}

#[test]
fn unknown_settings_are_refused_with_their_place() {
    let dir = folder();
    format(dir.path());
    let config = dir.path().join("giro.toml");
    std::fs::write(&config, "shards = 1\nsharts = 2\n").unwrap();
    let parts = ["giro.toml", "line 2", "sharts"];
    refused(&["start", "--addresses=0"], dir.path(), &parts);
    std::fs::write(&config, "shards = \"many\"\n").unwrap();
    refused(&["start"], dir.path(), &["giro.toml", "line 1", "shards"]);
    std::fs::write(&config, "shards = 65\n").unwrap();
    refused(&["start"], dir.path(), &["shards is 65", "1 to 64"]);
    for (line, range) in [
        ("generation_rows = 0", "1000 to 16777216"),
        ("generation_rows = 20000000", "1000 to 16777216"),
        ("log_spares = 0", "1 to 16384"),
        ("log_kept_mib = 20000000", "0 to 16777216"),
        ("prefault_mib = 20000000", "0 to 16777216"),
        ("request_deadline_ms = 0", "1 to 86400000"),
    ] {
        std::fs::write(&config, line).unwrap();
        let said = line.replace(" =", " is");
        refused(&["start"], dir.path(), &[&said, range]);
    }
    std::fs::remove_file(&config).unwrap();
    refused(&["start", "--sharts=2"], dir.path(), &["--sharts"]);
    let said = giro(&["start"])
        .env("GIRO_SHARDS", "none")
        .arg(dir.path())
        .output();
    let error = String::from_utf8(said.unwrap().stderr).unwrap();
    assert!(
        error.contains("none") && error.contains("--shards"),
        "{error}"
    );
}

#[test]
fn addresses_that_cannot_be_listened_on_are_refused() {
    let dir = folder();
    format(dir.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--addresses={}", taken.local_addr().unwrap());
    let parts = ["cannot listen", "in use", "another server"];
    refused(&["start", &address], dir.path(), &parts);
    let unknown = "--addresses=no-such-host.invalid:1";
    refused(&["start", unknown], dir.path(), &["no-such-host.invalid"]);
    let wrong = "--addresses=127.0.0.1:99999";
    refused(&["start", wrong], dir.path(), &["99999"]);
}
