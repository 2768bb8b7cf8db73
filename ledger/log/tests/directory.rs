//! A ledger's directory: whose it is, and who is kept out.

mod support;

use std::fs;
use std::path::Path;

use giro_log::storage::Storage;
use giro_log::{DirLock, Identity, LogError, format, read_identity};
use support::IDENTITY;
use tempfile::TempDir;

fn formatted() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    format(dir.path(), &IDENTITY).unwrap();
    dir
}

#[test]
fn a_formatted_directory_has_its_identity_and_one_segment() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    format(&dir, &IDENTITY).unwrap();
    assert_eq!(read_identity(&dir).unwrap(), IDENTITY);
    let segment = fs::read(dir.join("log/0000000000000001.log")).unwrap();
    assert_eq!(segment.len() as u64, IDENTITY.segment_bytes);
    assert!(segment.iter().all(|&byte| byte == 0));
}

#[test]
fn either_copy_of_the_identity_is_enough() {
    let dir = formatted();
    let path = dir.path().join("giro.format");
    let good = fs::read(&path).unwrap();
    for at in [0, 20, 50, 72, 4095, 4096, 8191] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert_eq!(read_identity(dir.path()).unwrap(), IDENTITY, "byte {at}");
    }
}

#[test]
fn a_directory_without_identity_is_refused() {
    let dir = formatted();
    let path = dir.path().join("giro.format");
    let good = fs::read(&path).unwrap();
    for bad in [
        vec![],
        vec![0; 8192],
        good[..4000].to_vec(),
        [&good[1..], &[0]].concat(),
    ] {
        fs::write(&path, &bad).unwrap();
        let refused = read_identity(dir.path()).unwrap_err();
        assert!(refused.to_string().contains("giro.format"), "{refused}");
        assert!(matches!(refused, LogError::BadIdentity { .. }));
    }
    fs::remove_file(&path).unwrap();
    let refused = read_identity(dir.path()).unwrap_err();
    assert!(matches!(refused, LogError::NotFormatted { .. }));
    assert!(refused.to_string().contains("giro format"), "{refused}");
}

#[test]
fn an_identity_of_a_newer_version_is_refused() {
    let dir = formatted();
    let path = dir.path().join("giro.format");
    let mut block = fs::read(&path).unwrap()[..4096].to_vec();
    block[72] = 2;
    let checksum = giro_base::checksum(&block[16..]);
    block[..16].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &block).unwrap();
    assert!(
        read_identity(dir.path())
            .unwrap_err()
            .to_string()
            .contains("newer Giro")
    );
}

#[test]
fn formatting_over_a_ledger_is_refused() {
    let dir = formatted();
    let again = format(dir.path(), &IDENTITY).unwrap_err();
    assert!(
        matches!(&again, LogError::AlreadyFormatted { .. }),
        "{again}"
    );
    // A log with records is a ledger, even without its identity.
    fs::remove_file(dir.path().join("giro.format")).unwrap();
    let segment = dir.path().join("log/0000000000000001.log");
    let empty = fs::read(&segment).unwrap();
    let mut used = empty.clone();
    used[80] = 1;
    fs::write(&segment, &used).unwrap();
    let again = format(dir.path(), &IDENTITY).unwrap_err();
    assert!(
        again.to_string().contains("0000000000000001.log"),
        "{again}"
    );
    // A format that was interrupted may be done again.
    fs::write(&segment, &empty).unwrap();
    format(dir.path(), &IDENTITY).unwrap();
    assert_eq!(read_identity(dir.path()).unwrap(), IDENTITY);
}

#[test]
fn impossible_values_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bad = [
        Identity {
            segment_bytes: 4096,
            ..IDENTITY
        },
        Identity {
            segment_bytes: IDENTITY.segment_bytes + 1,
            ..IDENTITY
        },
        Identity {
            segment_bytes: u64::MAX / 4096 * 4096,
            ..IDENTITY
        },
        Identity {
            replica: 1,
            ..IDENTITY
        },
        Identity {
            replica_count: 0,
            ..IDENTITY
        },
        Identity {
            replica_count: 0,
            incarnation: 7,
            ..IDENTITY
        },
        Identity {
            replica_count: 3,
            ..IDENTITY
        },
    ];
    for identity in bad {
        let refused = format(dir.path(), &identity).unwrap_err();
        assert!(matches!(refused, LogError::BadIdentity { .. }), "{refused}");
    }
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}

#[test]
fn a_replica_keeps_its_number_and_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    // The last one joined later.
    for replica in [0, 2, 3] {
        let identity = Identity {
            replica,
            replica_count: 3,
            incarnation: 0xabcd_ef01_2345_6789,
            ..IDENTITY
        };
        let dir = dir.path().join(replica.to_string());
        format(&dir, &identity).unwrap();
        assert_eq!(read_identity(&dir).unwrap(), identity);
    }
}

#[test]
fn a_second_process_is_refused() {
    let dir = formatted();
    let lock = DirLock::take(dir.path()).unwrap();
    // A lock belongs to an open file, so a second one of this process stands for another process.
    let refused = DirLock::take(dir.path()).unwrap_err();
    assert!(matches!(&refused, LogError::Locked { path } if *path == dir.path().join("lock")));
    assert!(refused.to_string().contains("another process"), "{refused}");
    drop(lock);
    DirLock::take(dir.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    // No permission stops root here, but this file system does.
    let refused = DirLock::take(Path::new("/proc")).unwrap_err();
    assert!(refused.to_string().contains("/proc/lock"), "{refused}");
    let refused = format(Path::new("/proc/ledger"), &IDENTITY).unwrap_err();
    assert!(refused.to_string().contains("/proc/ledger"), "{refused}");
    let refused = DirLock::take(Path::new("/nowhere")).unwrap_err();
    assert!(matches!(refused, LogError::NotFormatted { .. }));
}

#[test]
fn formatting_on_a_full_disk_says_how_much_is_needed() {
    let model = support::model::Model::default();
    model.set_free(Some(1000));
    let dir = Path::new(support::DIR);
    let storage = support::shared(&model);
    let full = giro_log::directory::format_on(&storage, dir, &IDENTITY).unwrap_err();
    assert!(matches!(full, LogError::DiskFull { bytes, .. } if bytes == IDENTITY.segment_bytes));
    let left = model.list(&dir.join("log")).unwrap();
    assert!(left.is_empty(), "what was begun is removed: {left:?}");
    model.set_free(None);
    giro_log::directory::format_on(&storage, dir, &IDENTITY).unwrap();
}
