use std::sync::Arc;
use std::time::{Duration, Instant};

use giro_core::generation::Generation;
use giro_log::storage::RealStorage;
use giro_store::{History, Offer, Options, StoreError};

use crate::ids::check_ids;
use crate::support::faults::Faults;
use crate::support::witness::Witness;
use crate::support::{IDENTITY, World, mark_of};

fn offer(generation: Arc<Generation>) -> Offer {
    let mark = mark_of(&generation);
    Offer { generation, mark }
}

#[test]
fn generations_offered_come_to_be_on_disk_in_order_and_are_there_after_a_restart() {
    let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let storage = Arc::new(RealStorage);
    History::create(&*storage, keep.path()).unwrap();
    let again = History::create(&*storage, keep.path());
    assert!(again.is_ok(), "an empty history can be made again");
    let mut world = World::new(21, 5);
    let open = || History::open(storage.clone(), keep.path(), IDENTITY, Options::default());
    let mut history = open().unwrap();
    let mut built = 0;
    for _ in 0..20 {
        let mut offer = offer(world.generation(150));
        while let Err(back) = history.offer(offer) {
            offer = back;
            let Some(done) = history.poll_for(Duration::from_secs(20)).unwrap() else {
                panic!("nothing was written for 20 s");
            };
            assert_eq!(done.number, built);
            built += 1;
        }
    }
    while built < 20 {
        let done = history.poll_for(Duration::from_secs(20)).unwrap().unwrap();
        assert_eq!(done.number, built);
        built += 1;
    }
    assert_eq!(history.end_row(), world.rows.len() as u64);
    let catalog = Arc::clone(history.catalog());
    check_ids(&catalog, history.reader(), &mut world);
    drop(history);
    let mut history = open().unwrap();
    assert_eq!(history.generations(), 20);
    let catalog = Arc::clone(history.catalog());
    check_ids(&catalog, history.reader(), &mut world);
    let last = world.rows.last().unwrap().timestamp;
    assert!(history.has_timestamp(last).unwrap());
    assert!(!history.has_timestamp(last + 1).unwrap());
    let refused = History::create(&*storage, keep.path());
    assert!(matches!(refused, Err(StoreError::AlreadyThere { .. })));
}

/// Closing the last descriptor of a removed file frees its blocks, which takes as long as the disk
/// takes.
#[test]
fn files_that_were_merged_are_closed_by_the_merger() {
    let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let witness = Witness::default();
    History::create(&witness, keep.path()).unwrap();
    let mut world = World::new(25, 5);
    // Nothing but files is merged.
    world.rising = true;
    let storage = Arc::new(witness.clone());
    let mut history = History::open(storage, keep.path(), IDENTITY, Options::default()).unwrap();
    let start = Instant::now();
    // Pieces of the checkpoint are merged all the time.
    while witness.closed().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "none was closed");
        if history.offer(offer(world.generation(50))).is_err() {
            panic!("each was written before the next came");
        }
        history.poll_for(Duration::from_secs(20)).unwrap().unwrap();
        // The merger steps back for everybody.
        std::thread::sleep(Duration::from_millis(10));
    }
    let own = std::thread::current().id();
    assert!(!witness.closed().contains(&own), "payments had to wait");
}

#[test]
fn a_full_disk_passes_by_itself() {
    let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let faults = Faults::new();
    History::create(&faults, keep.path()).unwrap();
    let mut world = World::new(22, 5);
    let storage = Arc::new(faults.clone());
    let mut history = History::open(storage, keep.path(), IDENTITY, Options::default()).unwrap();
    faults.set_free(30_000);
    history
        .offer(offer(world.generation(900)))
        .map_err(|_| "full")
        .unwrap();
    let error = history.poll_for(Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(error.is_passing());
    // Reads go on, and what was begun takes no room.
    assert_eq!(history.generations(), 0);
    faults.set_free(u64::MAX);
    let built = loop {
        match history.poll_for(Duration::from_secs(20)) {
            Ok(built) => break built,
            Err(error) => assert!(error.is_passing()),
        }
    };
    assert_eq!(built.unwrap().end_row, world.rows.len() as u64);
    let catalog = Arc::clone(history.catalog());
    check_ids(&catalog, history.reader(), &mut world);
}

/// Wherever it meets the writer: making a file, or opening one that it has made.
#[test]
fn a_limit_of_open_files_passes_by_itself() {
    for openable in 0..6 {
        let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let faults = Faults::new();
        History::create(&faults, keep.path()).unwrap();
        let mut world = World::new(24, 5);
        let storage = Arc::new(faults.clone());
        let options = Options::default();
        let mut history = History::open(storage, keep.path(), IDENTITY, options).unwrap();
        faults.set_openable(openable);
        let offered = history.offer(offer(world.generation(50)));
        offered.map_err(|_| "full").unwrap();
        let error = history.poll_for(Duration::from_secs(20)).unwrap_err();
        assert!(matches!(error, StoreError::TooManyFiles { .. }), "{error}");
        assert!(error.is_passing());
        faults.set_openable(i64::MAX);
        let built = history.poll_for(Duration::from_secs(20)).unwrap();
        assert_eq!(built.unwrap().end_row, world.rows.len() as u64);
        let catalog = Arc::clone(history.catalog());
        check_ids(&catalog, history.reader(), &mut world);
    }
}

#[test]
fn a_disk_that_fails_is_final() {
    let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let faults = Faults::new();
    History::create(&faults, keep.path()).unwrap();
    let mut world = World::new(23, 5);
    let storage = Arc::new(faults.clone());
    let mut history = History::open(storage, keep.path(), IDENTITY, Options::default()).unwrap();
    faults.stop_after(3);
    history
        .offer(offer(world.generation(50)))
        .map_err(|_| "full")
        .unwrap();
    let error = history.poll_for(Duration::from_secs(20)).unwrap_err();
    assert!(
        !error.is_passing() && error.to_string().contains("history"),
        "{error}"
    );
    assert!(matches!(history.poll(), Err(StoreError::Stopped)));
}
