use giro_store::{Answer, Catalog, Question, Reader};
use rand::Rng;

use crate::support::{Bench, IDENTITY, RISE, World};

/// Asks for everything that is there, and for ids that are not.
pub(crate) fn check_ids(catalog: &Catalog, reader: &mut Reader, world: &mut World) {
    let hasher = IDENTITY.hasher();
    let on_disk = &world.rows[..catalog.end_row() as usize];
    let mut ids: Vec<u128> = on_disk.iter().map(|t| t.id).collect();
    ids.extend(&world.burned);
    for id in &ids {
        assert!(catalog.may_hold(hasher.hash(*id), *id));
    }
    let strangers: Vec<u128> = (0..50).map(|_| world.rng.random()).collect();
    ids.extend(&strangers);
    let mut questions: Vec<Question> = ids
        .iter()
        .map(|id| Question::new(hasher.hash(*id), *id))
        .collect();
    catalog.find(reader, &mut questions).unwrap();
    for (row, question) in questions.iter().take(on_disk.len()).enumerate() {
        let expected = Answer::Transfer {
            row: row as u64,
            transfer: on_disk[row],
            fate: world.fate(row as u64),
        };
        assert_eq!(question.answer, expected, "row {row}");
    }
    let rest = &questions[on_disk.len()..];
    let (burned, strangers) = rest.split_at(world.burned.len());
    assert!(burned.iter().all(|q| q.answer == Answer::Burned));
    assert!(strangers.iter().all(|q| q.answer == Answer::Nothing));
}

fn check_rows(catalog: &Catalog, reader: &mut Reader, world: &World) {
    assert_eq!(catalog.end_row(), world.rows.len() as u64);
    let end = world.rows.last().map_or(0, |t| t.timestamp);
    for timestamp in 0..end + 2 {
        let row = world.rows.partition_point(|t| t.timestamp < timestamp);
        let expected = (row < world.rows.len()).then_some(row as u64);
        let found = catalog.row_at_or_after(reader, timestamp).unwrap();
        assert_eq!(found, expected, "timestamp {timestamp}");
    }
    let mut rows: Vec<u64> = (0..world.rows.len() as u64 + 3).rev().collect();
    rows.push(0);
    let found = catalog.transfers_at(reader, &rows).unwrap();
    for (row, found) in rows.iter().zip(found) {
        assert_eq!(found, world.rows.get(*row as usize).copied());
    }
    for (row, transfer) in world.rows.iter().enumerate() {
        let found = catalog.transfer_at(reader, row as u64).unwrap();
        assert_eq!(found.as_ref(), Some(transfer));
    }
    assert_eq!(
        catalog.transfer_at(reader, catalog.end_row()).unwrap(),
        None
    );
}

#[test]
fn every_id_is_found_with_its_fate_before_and_after_merges() {
    for seed in 0..8 {
        let mut world = World::new(seed, 6);
        world.rising = seed % 2 == 1;
        let mut bench = Bench::real();
        for number in 0..20 {
            let steps = [0, 1, 40, 300, 900][world.rng.random_range(0..5)];
            bench.write(&world.generation(steps));
            if number % 7 == 6 {
                bench.merge_all();
            }
        }
        let catalog = bench.catalog();
        check_ids(&catalog, &mut bench.reader, &mut world);
        bench.merge_all();
        let catalog = bench.catalog();
        assert!(catalog.runs.len() < 9);
        assert_eq!(catalog.generations(), 20);
        check_ids(&catalog, &mut bench.reader, &mut world);
        // Once more with filters that are loaded now.
        check_ids(&catalog, &mut bench.reader, &mut world);
    }
}

#[test]
fn rows_are_found_by_number_and_time() {
    for seed in 0..4 {
        let mut world = World::new(seed, 3);
        let mut bench = Bench::real();
        for steps in [0, 200, 0, 1, 35, 0] {
            bench.write(&world.generation(steps));
        }
        check_rows(&bench.catalog(), &mut bench.reader, &world);
    }
}

#[test]
fn an_empty_history_knows_nothing() {
    let mut bench = Bench::real();
    let catalog = bench.catalog();
    assert_eq!((catalog.generations(), catalog.end_row()), (0, 0));
    assert!(!catalog.may_hold(1, 1));
    let mut questions = [Question::new(1, 1)];
    catalog.find(&mut bench.reader, &mut questions).unwrap();
    assert_eq!(questions[0].answer, Answer::Nothing);
    assert_eq!(catalog.row_at_or_after(&mut bench.reader, 0).unwrap(), None);
}

#[test]
fn ids_that_rise_need_no_filter() {
    let mut world = World::new(3, 4);
    world.rising = true;
    let mut bench = Bench::real();
    for _ in 0..9 {
        bench.write(&world.generation(500));
    }
    let catalog = bench.catalog();
    let hasher = IDENTITY.hasher();
    let next = world.rows.len() as u128 + world.burned.len() as u128 + 1;
    for id in RISE * next..RISE * next + 1000 {
        assert!(!catalog.may_hold(hasher.hash(id), id));
    }
    assert!(catalog.runs.iter().all(|run| run.filter_bytes() == 0));
}

#[test]
fn a_hash_that_two_ids_share_is_told_apart() {
    // The hash is an argument, so that a shared one can be made: the second id asks with the
    // first one's.
    let mut world = World::new(4, 4);
    let mut bench = Bench::real();
    bench.write(&world.generation(300));
    let catalog = bench.catalog();
    let transfer = world.rows[10];
    let hash = IDENTITY.hasher().hash(transfer.id);
    let mut questions = [
        Question::new(hash, transfer.id ^ 1),
        Question::new(hash, transfer.id),
    ];
    catalog.find(&mut bench.reader, &mut questions).unwrap();
    assert_eq!(questions[0].answer, Answer::Nothing);
    let fate = world.fate(10);
    assert_eq!(
        questions[1].answer,
        Answer::Transfer {
            row: 10,
            transfer,
            fate
        }
    );
}

#[test]
fn random_ids_that_are_not_there_pass_a_filter_once_in_a_million() {
    let mut world = World::new(5, 4);
    let mut bench = Bench::real();
    for _ in 0..3 {
        bench.write(&world.generation(2000));
    }
    let catalog = bench.catalog();
    for run in &catalog.runs {
        run.load_filters(&mut bench.reader).unwrap();
    }
    let asked = 10_000_000;
    let wrong = (0..asked)
        .filter(|_| {
            let id: u128 = world.rng.random();
            catalog.may_hold(IDENTITY.hasher().hash(id), id)
        })
        .count();
    println!("{wrong} of {asked} ids that are not there passed one of three filters");
    // 28 are expected, with 16 of 16 million possible hashes in a bucket.
    assert!((4..70).contains(&wrong), "{wrong}");
}

#[test]
fn filters_stay_in_memory_once_one_was_needed_and_new_runs_have_a_sieve() {
    let mut world = World::new(6, 4);
    let mut bench = Bench::real();
    bench.write(&world.generation(300));
    let catalog = bench.catalog();
    assert_eq!(catalog.runs[0].filter_bytes(), 0);
    // Without the filter the answer is perhaps.
    let stranger = u128::MAX / 2;
    let hash = IDENTITY.hasher().hash(stranger);
    assert!(catalog.may_hold(hash, stranger));
    let mut questions = [Question::new(hash, stranger)];
    catalog.find(&mut bench.reader, &mut questions).unwrap();
    assert!(catalog.runs[0].filter_bytes() > 0);
    assert!(!catalog.may_hold(hash, stranger));
    let generation = world.generation(300);
    let written = bench.try_write(&generation).unwrap();
    assert_eq!(written.run.filter_bytes(), 0);
    let sieve = written.sieve.expect("its ids are out of order");
    assert_eq!(sieve.len() as u64, written.run.entries());
    let hash = |id: u128| IDENTITY.hasher().hash(id);
    let transfers = &generation.transfers;
    assert!(transfers.iter().all(|t| sieve.may_hold(hash(t.id))));
}
