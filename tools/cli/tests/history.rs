//! A ledger with a history, seen through `giro verify`, `giro inspect`, `giro backup` and
//! `giro restore`.

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::server::Server;
use support::{Said, folder, format, giro, giro_with_few_files, refused, run, segments};

const PATIENCE: Duration = Duration::from_secs(20);
/// Transfers in a generation.
const ROWS: &str = "--generation-rows=5000";

/// A ledger of 45,000 transfers, most of them in its history.
fn ledger() -> tempfile::TempDir {
    let dir = folder();
    format(dir.path());
    let server = Server::start_with(dir.path(), &["--archive=true", ROWS]);
    let mut client = server.connect();
    client.register(1).open_accounts();
    for at in 0..9 {
        client.pay(1 + at * 5000..1 + (at + 1) * 5000);
    }
    // The history's threads are done with most of it when the log's first segment is given up.
    let deadline = Instant::now() + PATIENCE;
    while segments(dir.path())[0].ends_with("0000000000000001.log") {
        assert!(Instant::now() < deadline, "the log is not released");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.stop();
    dir
}

fn verified(dir: &Path) -> Value {
    serde_json::from_str(&run(&["verify", "--json"], dir).out).unwrap()
}

fn files(dir: &Path, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("history").join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

#[test]
fn verify_goes_through_history_checkpoint_and_log() {
    let dir = ledger();
    let found = verified(dir.path());
    assert_eq!(found["transfers"], 45_000);
    let history = &found["history"];
    let in_history = history["transfers"].as_u64().unwrap();
    assert!((5_000..45_000).contains(&in_history), "{found}");
    assert_eq!(history["checkpoint_accounts"], found["accounts"]);
    // Of the log before the checkpoint a part is left.
    assert!(
        history["compared_with_log"].as_u64().unwrap() > 0,
        "{found}"
    );
    let said = run(&["verify"], dir.path()).out;
    assert!(
        said.contains("history, indexes, checkpoint, log and books are in order"),
        "{said}"
    );
    assert!(
        said.contains(&found["digest"].as_str().unwrap().to_owned()),
        "{said}"
    );
    // Looking changes nothing.
    assert_eq!(verified(dir.path()), found);
}

#[test]
fn a_changed_byte_anywhere_in_the_history_is_named_by_verify() {
    let dir = ledger();
    for folder in ["", "ids", "checkpoints"] {
        let path = files(dir.path(), folder)[0].clone();
        let file = std::fs::File::options().read(true).write(true).open(&path);
        let file = file.unwrap();
        let pages = file.metadata().unwrap().len() / 4096;
        for page in [0, 1, pages / 2, pages - 1] {
            let (offset, mut byte) = (page * 4096 + 77, [0]);
            file.read_exact_at(&mut byte, offset).unwrap();
            file.write_all_at(&[byte[0] ^ 0x20], offset).unwrap();
            let place = format!("offset {}", page * 4096);
            refused(&["verify"], dir.path(), &[path.to_str().unwrap(), &place]);
            file.write_all_at(&byte, offset).unwrap();
        }
    }
    verified(dir.path());
}

#[test]
fn inspect_shows_what_the_history_consists_of() {
    let dir = ledger();
    let lines = run(&["inspect", "history", "--json"], dir.path()).out;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = |name| lines.iter().filter(|line| line.get(name).is_some()).count();
    let total = lines.last().unwrap();
    let generations = total["generations"].as_u64().unwrap();
    // A stop in the middle of a generation leaves files that do not count.
    let files = |folder| {
        let mut files = files(dir.path(), folder);
        let number = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            u64::from_str_radix(&name[..16], 16).unwrap()
        };
        files.retain(|path| number(path) < generations);
        files
    };
    assert_eq!(count("segment"), files("").len());
    assert_eq!(count("id_run"), files("ids").len());
    assert_eq!(count("piece"), files("checkpoints").len());
    let on_disk = ["", "ids", "checkpoints"].map(|folder| {
        let sizes = files(folder).into_iter();
        sizes
            .map(|path| path.metadata().unwrap().len())
            .sum::<u64>()
    });
    assert_eq!(total["bytes"].as_u64(), Some(on_disk.iter().sum()));
    assert_eq!(
        total["transfers"],
        verified(dir.path())["history"]["transfers"]
    );
    let checkpoint = run(&["inspect", "checkpoint", "--json"], dir.path()).out;
    let checkpoint: Value = serde_json::from_str(&checkpoint).unwrap();
    assert_eq!(checkpoint["transfers"], total["transfers"]);
    // The log that is left begins behind what was released, and reaches the checkpoint.
    let log = run(&["inspect", "log", "--json"], dir.path()).out;
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let first = first["record"].as_u64().unwrap();
    assert!(first > 1 && first <= checkpoint["log_record"].as_u64().unwrap());
}

#[test]
fn a_ledger_without_history_says_so() {
    let dir = folder();
    format(dir.path());
    refused(&["inspect", "history"], dir.path(), &["has no history"]);
}

#[test]
fn a_running_ledger_is_backed_up_and_restored() {
    let (dir, copies) = (folder(), folder());
    format(dir.path());
    let server = Server::start_with(dir.path(), &["--archive=true", ROWS]);
    let mut client = server.connect();
    client.register(1).open_accounts();
    for at in 0..9 {
        client.pay(1 + at * 5000..1 + (at + 1) * 5000);
    }
    let (backup, restored) = (copies.path().join("backup"), copies.path().join("restored"));
    let copy = |command, from: &Path, to: &Path| -> Value {
        let said = giro(&[command, "--json"]).arg(from).arg(to).output();
        let said: Said = said.unwrap().into();
        assert!(said.succeeded, "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    };
    let first = copy("backup", dir.path(), &backup);
    // Everything acknowledged is in it: a register, accounts, nine batches.
    assert_eq!(
        (&first["op"], &first["transfers"]),
        (&11.into(), &45_000.into())
    );
    client.pay(45_001..45_101);
    server.stop();
    let second = copy("restore", &backup, &restored);
    assert_eq!(
        (&second["op"], &second["digest"]),
        (&first["op"], &first["digest"])
    );
    assert_eq!(verified(&restored)["digest"], first["digest"]);
    // It runs, and knows nothing of what came after the backup.
    let server = Server::start_with(&restored, &["--archive=true", ROWS]);
    let mut client = server.connect();
    client.register(2).pay(45_001..45_002);
    server.stop();
    assert_eq!(verified(&restored)["transfers"], 45_001);
    let said: Said = giro(&["restore"])
        .arg(&backup)
        .arg(&restored)
        .output()
        .unwrap()
        .into();
    assert!(
        !said.succeeded && said.error.contains("is not empty"),
        "{said:?}"
    );
}

/// Many systems give a process 1,024 files unless it asks for more; a history can have more.
#[test]
fn every_command_opens_as_many_files_as_it_may() {
    let dir = ledger();
    let copies = folder();
    let (copy, restored) = (copies.path().join("copy"), copies.path().join("restored"));
    let commands: [(&[&str], [&Path; 2]); 4] = [
        (&["verify"], [dir.path(), Path::new("")]),
        (&["inspect", "history"], [dir.path(), Path::new("")]),
        (&["backup"], [dir.path(), &copy]),
        (&["restore"], [&copy, &restored]),
    ];
    for (arguments, paths) in commands {
        let mut command = giro_with_few_files(20, arguments);
        command.args(paths.iter().filter(|path| !path.as_os_str().is_empty()));
        let said = Said::from(command.output().unwrap());
        assert!(said.succeeded, "{arguments:?}: {said:?}");
    }
}
