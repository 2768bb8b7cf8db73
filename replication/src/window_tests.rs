use raft::storage::{GetEntriesContext, Storage};
use raft::{Error, StorageError};

use super::*;
use crate::members::{Member, Members};

fn entry(index: u64, term: u64) -> Entry {
    let mut entry = Entry::default();
    (entry.index, entry.term) = (index, term);
    entry.data = vec![7; 100].into();
    entry
}

fn members() -> Members {
    let (id, incarnation, name) = (1, 1, String::new());
    Members::of_voters(vec![Member {
        id,
        incarnation,
        name,
    }])
}

/// Entries 1 to `last`, two of each term.
fn window(last: u64) -> Window {
    let mut window = Window::new(WindowStart {
        hard: Hard::default(),
        checkpoint: None,
        conf: members().conf_state(),
        terms: vec![(0, 0)],
        first: 1,
        entries: Vec::new(),
        last: 0,
        bytes_max: 1000,
    });
    let entries: Vec<_> = (1..=last)
        .map(|index| entry(index, index.div_ceil(2)))
        .collect();
    window.append(entries);
    window
}

fn indexes(window: &Window, low: u64, high: u64, max: Option<u64>) -> Vec<u64> {
    let context = GetEntriesContext::empty(false);
    let entries = window.entries(low, high, max, context).unwrap();
    entries.iter().map(|entry| entry.index).collect()
}

fn store_error<T>(result: raft::Result<T>) -> StorageError {
    match result {
        Err(Error::Store(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is there"),
    }
}

#[test]
fn entries_and_terms_are_those_appended() {
    let window = window(6);
    assert_eq!(indexes(&window, 2, 5, None), [2, 3, 4]);
    assert_eq!((window.first_index(), window.last_index()), (Ok(1), Ok(6)));
    let terms: Vec<_> = (0..=6).map(|index| window.term(index).unwrap()).collect();
    assert_eq!(terms, [0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(store_error(window.term(7)), StorageError::Unavailable);
}

#[test]
fn a_size_bounds_what_comes_but_one_always_comes() {
    let window = window(6);
    assert_eq!(indexes(&window, 2, 7, Some(0)), [2]);
    let two = 2 * size_of_entry(&entry(1, 1)) as u64;
    assert_eq!(indexes(&window, 2, 7, Some(two)), [2, 3]);
}

#[test]
fn an_overwrite_voids_what_is_above_it() {
    let mut window = window(6);
    window.append(vec![entry(4, 9)]);
    assert_eq!(window.last_index(), Ok(4));
    assert_eq!((window.term(3), window.term(4)), (Ok(2), Ok(9)));
    assert_eq!(store_error(window.term(5)), StorageError::Unavailable);
    assert_eq!(indexes(&window, 1, 5, None), [1, 2, 3, 4]);
}

#[test]
fn what_left_memory_is_asked_for_and_comes_from_what_was_fetched() {
    let mut window = window(6);
    window.trim(5);
    let resident = window.resident();
    assert!(resident > 2, "the window is smaller than the log");
    let context = GetEntriesContext::empty(true);
    let absent = window.entries(1, 7, None, context);
    assert_eq!(store_error(absent), StorageError::LogTemporarilyUnavailable);
    let wanted = window.take_wanted();
    assert_eq!((wanted[0].low, wanted[0].high), (1, resident));
    window.set_fetched((1..resident).map(|index| entry(index, 1)).collect());
    let fetched = indexes(&window, 1, 7, None);
    assert_eq!(fetched, (1..resident).collect::<Vec<_>>());
    assert_eq!(window.term(1), Ok(1), "terms never leave");
}

#[test]
fn what_is_not_executed_stays_in_memory() {
    let mut window = window(50);
    window.trim(3);
    assert_eq!(window.resident(), 3);
}

#[test]
fn what_was_given_up_is_compacted() {
    let mut window = window(6);
    window.compact(4);
    assert_eq!(window.first_index(), Ok(4));
    assert_eq!(window.term(3), Ok(2), "the term before the first is kept");
    assert_eq!(store_error(window.term(2)), StorageError::Compacted);
    let context = GetEntriesContext::empty(false);
    let gone = window.entries(3, 5, None, context);
    assert_eq!(store_error(gone), StorageError::Compacted);
    window.compact(2);
    assert_eq!(window.first_index(), Ok(4), "it does not go back");
}

#[test]
fn an_installed_checkpoint_leaves_nothing_of_the_log() {
    let mut window = window(6);
    let none = window.snapshot(1, 2);
    assert_eq!(
        store_error(none),
        StorageError::SnapshotTemporarilyUnavailable
    );
    window.install(Checkpoint {
        index: 40,
        term: 9,
        members: members(),
        manifest: bytes::Bytes::new(),
    });
    assert_eq!(
        (window.first_index(), window.last_index()),
        (Ok(41), Ok(40))
    );
    assert_eq!(window.term(40), Ok(9));
    assert!(window.take_wants_checkpoint());
    let snapshot = window.snapshot(40, 1).unwrap();
    assert_eq!(snapshot.get_metadata().index, 40);
    assert!(!window.take_wants_checkpoint());
    let stranger = window.snapshot(40, 2);
    assert_eq!(
        store_error(stranger),
        StorageError::SnapshotTemporarilyUnavailable,
        "a node that joined later would refuse it"
    );
    assert!(window.take_wants_checkpoint());
    let newer = window.snapshot(41, 1);
    assert_eq!(
        store_error(newer),
        StorageError::SnapshotTemporarilyUnavailable
    );
    window.append(vec![entry(41, 10)]);
    assert_eq!(indexes(&window, 41, 42, None), [41]);
}

/// As the library has it when it was proposed without its bytes.
fn bare(index: u64, term: u64) -> Entry {
    let payload = crate::Payload::lent(Bytes::new());
    let kind = crate::EntryKind::Ops;
    let entry = crate::Entry {
        index,
        term,
        kind,
        payload,
    };
    entry.to_raft()
}

#[test]
fn what_is_lent_leaves_when_it_is_executed_with_all_before_it() {
    let mut window = window(4);
    window.append(vec![bare(5, 3), bare(6, 3), entry(7, 3)]);
    let ops = Bytes::from_static(b"some ops");
    window.lend(5, 3, ops.clone());
    window.lend(6, 3, ops.clone());
    assert_eq!(window.entries[5].data, ops);
    window.trim(6);
    assert_eq!(indexes(&window, 6, 8, None), [6, 7]);
    window.trim(7);
    assert_eq!(indexes(&window, 7, 8, None), [7]);
    // There is room for what is not lent.
    window.trim(8);
    assert_eq!(indexes(&window, 7, 8, None), [7]);
    assert_eq!(window.bytes, size_of_entry(&entry(7, 3)));
    assert_eq!(window.term_of(5), Some(3));
    let context = GetEntriesContext::empty(true);
    let error = store_error(window.entries(5, 8, None, context));
    assert_eq!(error, StorageError::LogTemporarilyUnavailable);
    let wanted = window.take_wanted();
    assert_eq!((wanted[0].low, wanted[0].high), (5, 7));
}

#[test]
fn bytes_of_an_entry_that_lost_its_place_are_not_taken() {
    let mut window = window(2);
    window.append(vec![bare(3, 2), bare(4, 2)]);
    window.append(vec![entry(3, 5)]);
    let bytes = window.bytes;
    let ops = Bytes::from_static(b"some ops");
    window.lend(3, 2, ops.clone());
    window.lend(4, 2, ops.clone());
    window.lend(3, 5, ops);
    assert_eq!(window.entries.back(), Some(&entry(3, 5)));
    assert_eq!(window.bytes, bytes);
    window.trim(4);
    assert_eq!(indexes(&window, 1, 4, None), [1, 2, 3]);
}
