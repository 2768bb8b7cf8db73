use std::sync::Arc;

use giro_core::generation::Generation;
use giro_store::{StoreError, mergeable};

use crate::ids::check_ids;
use crate::support::faults::Faults;
use crate::support::{Bench, World};

/// So many pieces of the checkpoint are merged.
const PIECES: usize = 3;

/// Tries until there is room, as the history's threads do.
fn insist<T>(mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    loop {
        match attempt() {
            Err(error) if error.is_passing() => {}
            outcome => return outcome,
        }
    }
}

/// Writes generations and merges until a change fails.
fn work(bench: &mut Bench, generations: &[Arc<Generation>]) -> Result<u64, (u64, StoreError)> {
    let mut written = 0;
    let (mut runs, mut pieces) = (Vec::new(), Vec::new());
    for generation in generations {
        let outcome = insist(|| bench.try_write(generation));
        let made = outcome.map_err(|error| (written, error))?;
        written += 1;
        runs.push(made.run);
        pieces.push(made.piece);
        if pieces.len() == PIECES {
            let merged = insist(|| bench.workshop.merge_pieces(&mut bench.reader, &pieces));
            pieces = vec![merged.map_err(|error| (written, error))?];
        }
        while let Some(range) = mergeable(&runs) {
            let merged = insist(|| {
                let runs = &runs[range.clone()];
                bench.workshop.merge(&mut bench.reader, runs)
            });
            runs.splice(range, [merged.map_err(|error| (written, error))?]);
        }
    }
    Ok(written)
}

#[test]
fn a_stop_between_any_two_changes_leaves_whole_generations() {
    let mut world = World::new(11, 4);
    let generations: Vec<_> = [30, 0, 200, 10, 40, 0, 90, 20, 60]
        .map(|steps| world.generation(steps))
        .into();
    let mut stops = 0;
    for changes in 0.. {
        let faults = Faults::new();
        let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut bench = Bench::on(Arc::new(faults.clone()), keep.path());
        faults.stop_after(changes);
        let outcome = work(&mut bench, &generations);
        if !faults.has_stopped() {
            assert_eq!(outcome.map_err(|(_, error)| error).unwrap(), 9);
            break;
        }
        stops += 1;
        let (written, _) = outcome.unwrap_err();
        faults.stop_after(i64::MAX);
        let mut bench = Bench::reopen(Arc::new(faults), keep.path());
        let catalog = bench.catalog();
        // The last one may be whole although its writer did not live to say so.
        let found = catalog.generations();
        assert!(
            found == written || found == written + 1,
            "{found}, {written}"
        );
        let mut seen = World::new(11, 4);
        for steps in [30, 0, 200, 10, 40, 0, 90, 20, 60]
            .iter()
            .take(found as usize)
        {
            seen.generation(*steps);
        }
        check_ids(&catalog, &mut bench.reader, &mut seen);
        // It goes on where it stopped.
        for generation in &generations[found as usize..] {
            bench.write(generation);
        }
        bench.merge_all();
        let catalog = bench.catalog();
        assert_eq!(catalog.generations(), 9);
        let left: Vec<String> = std::fs::read_dir(keep.path().join("history/ids"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left.len(), catalog.runs.len(), "{left:?}");
        check_ids(&catalog, &mut bench.reader, &mut world);
    }
    assert!(stops > 60, "{stops} stops were tried");
}

#[test]
fn a_disk_that_is_full_for_any_one_change_passes_by_itself() {
    let steps = [30, 0, 200, 10];
    let mut world = World::new(11, 4);
    let generations: Vec<_> = steps.map(|steps| world.generation(steps)).into();
    for changes in 0.. {
        let faults = Faults::new();
        let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut bench = Bench::on(Arc::new(faults.clone()), keep.path());
        faults.full_after(changes);
        let outcome = work(&mut bench, &generations);
        assert_eq!(outcome.map_err(|(_, error)| error).unwrap(), 4, "{changes}");
        if !faults.has_been_full() {
            assert!(changes > 40, "{changes} changes were tried");
            break;
        }
        let mut bench = Bench::reopen(Arc::new(faults), keep.path());
        assert_eq!(bench.catalog().generations(), 4);
    }
}

#[test]
fn a_history_whose_making_was_cut_short_can_be_made_again() {
    let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let storage = giro_log::storage::RealStorage;
    // The directory of the segments is made first, and a crash comes before that of the ids.
    std::fs::create_dir(keep.path().join("history")).unwrap();
    giro_store::History::create(&storage, keep.path()).unwrap();
    let mut bench = Bench::reopen(Arc::new(storage), keep.path());
    assert_eq!(bench.catalog().generations(), 0);
}
