use std::fs;
use std::path::{Path, PathBuf};

use giro_store::{History, Question, Reader, StoreError};
use rand::Rng;

use crate::support::{Bench, IDENTITY, World};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in ["history", "history/ids", "history/checkpoints"].map(|name| dir.join(name)) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_changed_header_is_named_when_the_history_is_opened() {
    let mut world = World::new(31, 5);
    let mut bench = Bench::real();
    bench.write(&world.generation(100));
    for path in files(&bench.dir) {
        for offset in (0..600).step_by(7).chain([4080, 4095]) {
            flip(&path, offset);
            let error = History::read(&bench.workshop, &mut bench.reader)
                .err()
                .unwrap();
            let StoreError::Damaged {
                path: named,
                offset: at,
                ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!((named, *at), (&path, 0));
            flip(&path, offset);
        }
        bench.catalog();
    }
}

#[test]
fn a_changed_row_is_named_and_not_returned() {
    let mut world = World::new(32, 5);
    let mut bench = Bench::real();
    bench.write(&world.generation(300));
    let path = bench.workshop.names.segment(0);
    let catalog = bench.catalog();
    let section = *catalog.segments[0].section(giro_store::format::Part::Rows);
    for _ in 0..40 {
        let row = world.rng.random_range(0..world.rows.len());
        let page = section.page as usize + row / 31;
        let offset = page * 4096 + world.rng.random_range(0..4096);
        flip(&path, offset);
        let hash = IDENTITY.hasher().hash(world.rows[row].id);
        let mut questions = [Question::new(hash, world.rows[row].id)];
        for error in [
            catalog
                .transfer_at(&mut bench.reader, row as u64)
                .err()
                .unwrap(),
            catalog
                .find(&mut bench.reader, &mut questions)
                .err()
                .unwrap(),
        ] {
            let StoreError::Damaged {
                path: named,
                offset: at,
                ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!((named, *at), (&path, page as u64 * 4096));
        }
        flip(&path, offset);
        assert!(catalog.transfer_at(&mut bench.reader, row as u64).is_ok());
    }
}

#[test]
fn a_page_in_the_wrong_place_is_damage() {
    let mut world = World::new(33, 5);
    let mut bench = Bench::real();
    bench.write(&world.generation(300));
    bench.write(&world.generation(300));
    let [first, second] = [0, 1].map(|number| bench.workshop.names.segment(number));
    let [from, to] = [&first, &second].map(|path| fs::read(path).unwrap());
    // A page of the other file, in its place, and another page of the same file.
    for copied in [&from[4096..8192], &to[8192..12288]] {
        let mut bytes = to.clone();
        bytes[4096..8192].copy_from_slice(copied);
        fs::write(&second, bytes).unwrap();
        let catalog = bench.catalog();
        let row = catalog.segments[1].first_row();
        let error = catalog.transfer_at(&mut bench.reader, row).err().unwrap();
        assert!(
            matches!(error, StoreError::Damaged { offset: 4096, .. }),
            "{error}"
        );
    }
}

#[test]
fn random_pages_and_lengths_never_end_the_process() {
    let mut world = World::new(34, 5);
    let mut bench = Bench::real();
    bench.write(&world.generation(200));
    for path in files(&bench.dir) {
        let whole = fs::read(&path).unwrap();
        for _ in 0..30 {
            let mut bytes = whole.clone();
            let page = world.rng.random_range(0..bytes.len() / 4096) * 4096;
            world.rng.fill(&mut bytes[page..page + 4096]);
            bytes.truncate(world.rng.random_range(0..=bytes.len()));
            fs::write(&path, &bytes).unwrap();
            let mut reader = Reader::new().unwrap();
            let Ok(catalog) = History::read(&bench.workshop, &mut reader) else {
                continue;
            };
            for row in 0..catalog.end_row() {
                if let Ok(found) = catalog.transfer_at(&mut reader, row) {
                    assert_eq!(found, Some(world.rows[row as usize]));
                }
            }
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn missing_files_are_named() {
    let mut world = World::new(35, 5);
    let mut bench = Bench::real();
    for _ in 0..4 {
        bench.write(&world.generation(20));
    }
    let names = bench.workshop.names.clone();
    for path in files(&bench.dir) {
        let aside = bench.dir.join("aside");
        fs::rename(&path, &aside).unwrap();
        if path == names.piece(3, 3) {
            // As a crash leaves it: run and segment without a piece are removed.
            let others = [names.run(3, 3), names.segment(3)];
            let copies = others.clone().map(|path| fs::read(path).unwrap());
            assert_eq!(bench.catalog().generations(), 3);
            for (path, copy) in others.iter().zip(copies) {
                assert!(!path.exists());
                fs::write(path, copy).unwrap();
            }
        } else {
            let error = History::read(&bench.workshop, &mut bench.reader)
                .err()
                .unwrap();
            assert!(matches!(error, StoreError::Missing { .. }), "{error}");
            let number = path.file_name().unwrap().to_str().unwrap();
            let number = number[..16].trim_start_matches('0');
            assert!(error.to_string().contains(number), "{error}");
        }
        fs::rename(&aside, &path).unwrap();
    }
    fs::remove_dir_all(bench.dir.join("history/ids")).unwrap();
    let error = History::read(&bench.workshop, &mut bench.reader)
        .err()
        .unwrap();
    assert!(error.to_string().contains("ids"), "{error}");
}

#[test]
fn another_ledgers_files_are_refused() {
    let mut world = World::new(36, 5);
    let mut bench = Bench::real();
    bench.write(&world.generation(20));
    let mut other = Bench::reopen(bench.workshop.storage.clone(), &bench.dir);
    other.workshop.identity.hash_key = [9, 9];
    let error = History::read(&other.workshop, &mut other.reader)
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    other.workshop.identity.cluster = 1;
    let error = History::read(&other.workshop, &mut other.reader)
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}
