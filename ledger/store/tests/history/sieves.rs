//! Sieves as the history's threads make them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use giro_log::storage::RealStorage;
use giro_store::{History, Offer, Options, Question};
use rand::Rng;

use crate::ids::check_ids;
use crate::support::{IDENTITY, RISE, World, mark_of};

const PATIENCE: Duration = Duration::from_secs(30);

struct Place {
    dir: tempfile::TempDir,
    history: History,
}

fn open(dir: &tempfile::TempDir) -> History {
    let storage = Arc::new(RealStorage);
    History::open(storage, dir.path(), IDENTITY, Options::default()).unwrap()
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        History::create(&RealStorage, dir.path()).unwrap();
        let history = open(&dir);
        Self { dir, history }
    }

    fn write(&mut self, world: &mut World, steps: usize) {
        let generation = world.generation(steps);
        let mark = mark_of(&generation);
        let offer = Offer { generation, mark };
        assert!(self.history.offer(offer).is_ok(), "one at a time");
        assert!(self.history.poll_for(PATIENCE).unwrap().is_some());
    }

    /// Lets the background work until it is so.
    fn wait(&mut self, what: impl Fn(&History) -> bool) {
        let start = Instant::now();
        while !what(&self.history) {
            let catalog = self.history.catalog();
            let (runs, sieves) = (catalog.runs.len(), catalog.sieves().len());
            let unsieved = catalog.unsieved().count();
            let waits = start.elapsed() < PATIENCE;
            assert!(
                waits,
                "{runs} runs, {unsieved} of them in none of {sieves} sieves"
            );
            self.history.poll_for(Duration::from_millis(10)).unwrap();
        }
    }

    fn ask(&mut self, id: u128) {
        let mut questions = [Question::new(IDENTITY.hasher().hash(id), id)];
        self.history.find(&mut questions).unwrap();
    }
}

/// All ids are in sieves, and these are few.
fn is_sifted(history: &History) -> bool {
    let catalog = history.catalog();
    catalog.unsieved().next().is_none() && catalog.sieves().len() <= 4
}

fn holds(history: &History, id: u128) -> bool {
    history.may_hold(IDENTITY.hasher().hash(id), id)
}

#[test]
fn ids_out_of_order_are_in_few_sieves_also_after_a_restart() {
    let mut world = World::new(31, 5);
    let mut place = Place::new();
    for _ in 0..20 {
        place.write(&mut world, 150);
        // At once: nobody waits for a filter to be read.
        assert!(place.history.catalog().unsieved().next().is_none());
    }
    for _ in 0..2 {
        place.wait(is_sifted);
        let catalog = Arc::clone(place.history.catalog());
        assert!(catalog.runs.iter().all(|run| run.filter_bytes() == 0));
        check_ids(&catalog, place.history.reader(), &mut world);
        let strangers = (0..100_000).filter(|_| holds(&place.history, world.rng.random()));
        assert_eq!(strangers.count(), 0);
        let Place { dir, history } = place;
        drop(history);
        place = Place {
            history: open(&dir),
            dir,
        };
    }
}

#[test]
fn a_range_in_which_many_ids_are_missed_gets_a_sieve() {
    let mut world = World::new(32, 5);
    world.rising = true;
    let mut place = Place::new();
    for _ in 0..3 {
        place.write(&mut world, 500);
    }
    assert_eq!(place.history.catalog().unsieved().count(), 3);
    // An id between two that are there: its range lets it pass.
    let between = RISE * 300 + 1;
    assert!(holds(&place.history, between));
    for _ in 0..=1024 {
        place.ask(between);
    }
    place.wait(|history| history.catalog().unsieved().count() == 2);
    assert!(!holds(&place.history, between));
    let catalog = Arc::clone(place.history.catalog());
    check_ids(&catalog, place.history.reader(), &mut world);
}

#[test]
fn runs_that_are_merged_stay_in_their_sieves() {
    let mut world = World::new(33, 3);
    let mut place = Place::new();
    for _ in 0..260 {
        place.write(&mut world, 20);
    }
    place.wait(|history| history.catalog().runs.len() <= 256 && is_sifted(history));
    let catalog = Arc::clone(place.history.catalog());
    assert!(catalog.runs.iter().all(|run| run.filter_bytes() == 0));
    check_ids(&catalog, place.history.reader(), &mut world);
}
