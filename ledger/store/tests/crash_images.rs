//! Crashes with everything a disk may do to what was not flushed: after each a legal image is made
//! at random, and the history must have every generation that was reported, whole, and go on.

#[allow(dead_code)] // The log's tests use all of it.
#[path = "../../log/tests/support/model.rs"]
mod model;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use giro_core::generation::Generation;
use giro_store::verify::verify;
use giro_store::{StoreError, mergeable};
use model::Model;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{Bench, IDENTITY, World};

/// Time for all seeds together; at least [`SEED_COUNT_MIN`] run in any case.
const TIME: Duration = Duration::from_secs(8);
const SEED_COUNT_MIN: u64 = 20;
const LIVES: usize = 6;
/// So many pieces of the checkpoint are merged.
const PIECES: usize = 3;

fn dir() -> &'static Path {
    Path::new("/ledger")
}

/// One life: opens, writes some generations, merges. The model keeps a moment of it.
fn live(model: &Model, generations: &[Arc<Generation>], count: usize) -> Result<(), StoreError> {
    let mut bench = Bench::reopen(Arc::new(model.clone()), dir());
    let catalog = bench.catalog();
    let (mut runs, mut pieces) = (catalog.runs, catalog.pieces);
    let start = catalog.segments.len();
    for generation in generations.iter().skip(start).take(count) {
        let made = bench.try_write(generation)?;
        model.set_note(generation.number + 1);
        runs.push(made.run);
        pieces.push(made.piece);
        if pieces.len() == PIECES {
            let merged = bench.workshop.merge_pieces(&mut bench.reader, &pieces)?;
            pieces = vec![merged];
        }
        while let Some(range) = mergeable(&runs) {
            let merged = bench
                .workshop
                .merge(&mut bench.reader, &runs[range.clone()])?;
            runs.splice(range, [merged]);
        }
    }
    Ok(())
}

fn check_seed(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::new(seed, 4);
    let generations: Vec<_> = (0..30)
        .map(|_| {
            let steps = [0, 3, 30, 150][world.rng.random_range(0..4)];
            world.generation(steps)
        })
        .collect();
    let mut model = Model::default();
    drop(Bench::on(Arc::new(model.clone()), dir()));
    let mut reported = 0;
    for _ in 0..LIVES {
        model.set_note(reported);
        model.keep_moment(rng.random_range(1..150));
        let count = rng.random_range(1..12);
        live(&model, &generations, count).unwrap();
        let (image, note) = model.crash(&mut rng);
        model = image;
        let mut bench = Bench::reopen(Arc::new(model.clone()), dir());
        let catalog = bench.catalog();
        let found = catalog.generations();
        assert!(found >= note, "seed {seed}: {found} of {note} generations");
        verify(&catalog, &mut bench.reader, IDENTITY, |_| {}).unwrap();
        let rows = generations[..found as usize]
            .last()
            .map_or(0, |g| g.end_row());
        assert_eq!(catalog.end_row(), rows, "seed {seed}");
        for row in 0..rows {
            let found = catalog.transfer_at(&mut bench.reader, row).unwrap();
            assert_eq!(found, Some(world.rows[row as usize]), "seed {seed}");
        }
        reported = found;
    }
}

#[test]
fn every_generation_reported_survives_every_crash() {
    let start = Instant::now();
    let mut seeds = 0;
    while seeds < SEED_COUNT_MIN || start.elapsed() < TIME {
        check_seed(seeds);
        seeds += 1;
    }
    println!("{seeds} seeds, {LIVES} crashes each");
}
