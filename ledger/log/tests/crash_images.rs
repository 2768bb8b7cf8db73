//! Crashes at every kind of moment: while a ledger is formatted, recovered, written and its
//! segments are recycled. After each, a legal disk image is made at random, and the log must have
//! everything that was reported durable, nothing that was never appended, and must go on.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use giro_log::directory::{format_on, found_group_on, read_identity_on};
use giro_log::{Identity, Log, LogError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::model::{Model, ModelDisk};
use support::*;

/// Time for all seeds together; at least [`SEED_COUNT_MIN`] run in any case.
const TIME: Duration = Duration::from_secs(8);
const SEED_COUNT_MIN: u64 = 20;
const GENERATION_COUNT: usize = 12;

/// What must be true after a crash.
struct World {
    rng: ChaCha8Rng,
    model: Model,
    /// Every record appended, from 1; those behind the durable ones may be lost.
    truth: Vec<Bodies>,
    /// Reported durable.
    durable: u64,
    /// Held by a checkpoint.
    checkpointed: u64,
}

/// The note of a moment: what was durable and checkpointed then.
fn note(durable: u64, checkpointed: u64) -> u64 {
    durable << 32 | checkpointed
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            model: formatted(),
            truth: Vec::new(),
            durable: 0,
            checkpointed: 0,
        }
    }

    /// One life of the process: recovery, work, a crash somewhere in between.
    fn generation(&mut self) {
        let moment = match self.rng.random_range(0..3) {
            0 => self.rng.random_range(1..20),
            1 => self.rng.random_range(1..200),
            _ => u64::MAX,
        };
        self.model.set_note(note(self.durable, self.checkpointed));
        self.model.keep_moment(moment);
        let before = self.truth.clone();
        let mut log = self.recover();
        // A crash until here may bring back what this recovery has dropped.
        let recovered_in = self.model.changes_left();
        let work = self.rng.random_range(0..60);
        self.work(&mut log, work);
        drop(log);
        let (model, note) = self.model.crash(&mut self.rng);
        self.model = model;
        (self.durable, self.checkpointed) = (note >> 32, note & u64::from(u32::MAX));
        if recovered_in == 0 {
            self.truth = before;
        }
    }

    /// Recovers and checks what came out.
    fn recover(&mut self) -> Log {
        let first = self.checkpointed as usize;
        let (found, log) = recover_from(&self.model, self.checkpointed + 1).unwrap();
        let last = first + found.len();
        assert!(
            last as u64 >= self.durable,
            "{} durable, {last} found",
            self.durable
        );
        assert!(
            last <= self.truth.len(),
            "{} appended, {last} found",
            self.truth.len()
        );
        assert!(self.truth[first..last] == found, "other records came back");
        self.truth.truncate(last);
        self.durable = last as u64;
        self.model.set_note(note(self.durable, self.checkpointed));

        let copy = self.model.copy();
        let (again, _) = recover_from(&copy, self.checkpointed + 1).unwrap();
        assert!(again == found, "a second recovery differs");
        log
    }

    fn work(&mut self, log: &mut Log, steps: usize) {
        let mut disk = ModelDisk::new(&self.model);
        for _ in 0..steps {
            match self.rng.random_range(0..10) {
                0..=4 if log.can_append() => {
                    let bodies = random_bodies(&mut self.rng);
                    self.truth.push(bodies);
                    let last = self.truth.last().unwrap();
                    let index = append(log, &mut disk, last).unwrap();
                    assert_eq!(index, self.truth.len() as u64);
                }
                5..=8 if disk.in_flight() > 0 => {
                    let which = self.rng.random_range(0..disk.in_flight());
                    let write = disk.complete(which);
                    self.durable = log.on_write(write.index, Ok(write.bytes)).unwrap();
                }
                9 => self.checkpoint(log),
                _ => {}
            }
            self.model.set_note(note(self.durable, self.checkpointed));
        }
    }

    fn checkpoint(&mut self, log: &mut Log) {
        log.advance_committed(self.durable);
        log.advance_executed(self.durable);
        let index = self.rng.random_range(self.checkpointed..=self.durable);
        log.advance_checkpointed(index);
        self.checkpointed = index;
        self.model.set_note(note(self.durable, self.checkpointed));
        log.release(index);
    }
}

#[test]
fn no_crash_loses_a_durable_record_or_makes_one_up() {
    let start = Instant::now();
    let mut seed = 0;
    while seed < SEED_COUNT_MIN || start.elapsed() < TIME && seed < 2_000 {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..GENERATION_COUNT {
                world.generation();
            }
        });
        assert!(result.is_ok(), "seed {seed} failed");
        seed += 1;
    }
    println!("{seed} seeds, {} crashes", seed * GENERATION_COUNT as u64);
}

#[test]
fn a_crash_while_formatting_leaves_a_ledger_or_none() {
    let dir = Path::new(DIR);
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = Model::default();
        model.keep_moment(rng.random_range(1..16));
        format_on(&shared(&model), dir, &IDENTITY).unwrap();
        let (model, _) = model.crash(&mut rng);
        match read_identity_on(&model, dir) {
            Ok(identity) => assert_eq!(identity, IDENTITY),
            Err(LogError::NotFormatted { .. }) => {
                format_on(&shared(&model), dir, &IDENTITY).unwrap();
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
        assert!(recover(&model).unwrap().0.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_crash_while_a_group_is_begun_leaves_a_ledger_alone_or_the_groups_first_replica() {
    let dir = Path::new(DIR);
    let (mut alone, mut founded) = (0, 0);
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = formatted();
        model.keep_moment(rng.random_range(1..8));
        let founder = found_group_on(&model, dir, 99).unwrap();
        let (model, _) = model.crash(&mut rng);
        let found = read_identity_on(&model, dir).unwrap();
        if found == IDENTITY {
            alone += 1;
            assert_eq!(found_group_on(&model, dir, 99).unwrap(), founder);
        } else {
            founded += 1;
            let expected = Identity {
                incarnation: 99,
                ..IDENTITY
            };
            assert_eq!(found, expected, "seed {seed}");
            let again = found_group_on(&model, dir, 100).unwrap_err();
            assert!(matches!(again, LogError::InGroup { replica: 0, .. }));
        }
        assert!(recover(&model).unwrap().0.is_empty(), "seed {seed}");
    }
    assert!(alone > 20 && founded > 20, "{alone} and {founded}");
}
