use std::fs;

use giro_store::checkpoint::format::PiecePart;
use giro_store::verify::verify;
use giro_store::{StoreError, page};
use rand::Rng;

use crate::support::{Bench, IDENTITY, World};

fn history(seed: u64) -> (World, Bench) {
    let mut world = World::new(seed, 5);
    let mut bench = Bench::real();
    for steps in [300, 0, 40, 700, 5, 20, 30, 200, 60] {
        bench.write(&world.generation(steps));
    }
    bench.merge_all();
    (world, bench)
}

#[test]
fn a_whole_history_is_verified_to_the_last_page() {
    let (world, mut bench) = history(51);
    let catalog = bench.catalog();
    let mut last = None;
    let verified = verify(&catalog, &mut bench.reader, IDENTITY, |progress| {
        assert!(last.is_none_or(|last: giro_store::verify::VerifyProgress| {
            last.pages_done < progress.pages_done
        }));
        last = Some(progress);
    })
    .unwrap();
    assert_eq!(verified.rows, world.rows.len() as u64);
    assert_eq!(verified.burned, world.burned.len() as u64);
    let expiries = world.events.iter().filter(|event| event.expiry).count();
    assert_eq!(verified.expiries, expiries as u64);
    assert_eq!((verified.segments, verified.runs), (9, 2));
    let last = last.unwrap();
    assert_eq!(
        (last.pages_done, last.pages),
        (verified.pages, verified.pages)
    );
}

#[test]
fn every_page_is_looked_at() {
    let (mut world, mut bench) = history(52);
    let catalog = bench.catalog();
    let segments = catalog.segments.iter().map(|s| s.file().path().to_owned());
    let runs = catalog.runs.iter().map(|r| r.file().path().to_owned());
    let pieces = catalog.pieces.iter().map(|p| p.file().path().to_owned());
    for path in segments.chain(runs).chain(pieces).collect::<Vec<_>>() {
        let whole = fs::read(&path).unwrap();
        for page in 1..whole.len() / 4096 {
            let mut bytes = whole.clone();
            bytes[page * 4096 + world.rng.random_range(0..4096)] ^= 4;
            fs::write(&path, &bytes).unwrap();
            let outcome = giro_store::History::read(&bench.workshop, &mut bench.reader)
                .and_then(|catalog| verify(&catalog, &mut bench.reader, IDENTITY, |_| {}));
            let StoreError::Damaged {
                path: named,
                offset,
                ..
            } = outcome.unwrap_err()
            else {
                panic!("no damage found in page {page} of {}", path.display());
            };
            assert_eq!((named, offset), (path.clone(), page as u64 * 4096));
        }
        fs::write(&path, &whole).unwrap();
    }
}

/// What a wrong program would have written: whole pages that do not say what they should.
#[test]
fn pages_that_are_whole_and_wrong_are_found() {
    let (mut world, mut bench) = history(53);
    let catalog = bench.catalog();
    let mut sum = Forged::default();
    for segment in &catalog.segments {
        let path = segment.file().path().to_owned();
        let number = segment.number();
        let tag = page::FileTag::new(IDENTITY.cluster, page::Kind::Segment, number, number);
        let pages = 1..segment.file().pages();
        forge(&mut sum, &mut world, &mut bench, &path, tag, pages);
    }
    for run in &catalog.runs {
        let path = run.file().path().to_owned();
        let (first, last) = (run.first(), run.last());
        let tag = page::FileTag::new(IDENTITY.cluster, page::Kind::Run, first, last);
        let pages = 1..run.file().pages();
        forge(&mut sum, &mut world, &mut bench, &path, tag, pages);
    }
    for piece in &catalog.pieces {
        let path = piece.file().path().to_owned();
        let (first, last) = (piece.first(), piece.last());
        let tag = page::FileTag::new(IDENTITY.cluster, page::Kind::Checkpoint, first, last);
        // What a session was answered is known nowhere else.
        for part in [PiecePart::Changes, PiecePart::Opened, PiecePart::Closed] {
            let section = piece.section(part);
            let pages = section.page..section.page + section.pages;
            forge(&mut sum, &mut world, &mut bench, &path, tag, pages);
        }
    }
    // Bits of a filter that no id uses, and fields that nothing else repeats, are not known better
    // anywhere: nearly all others are.
    println!("{sum:?}");
    assert!(sum.pages > 150 && sum.found * 10 > sum.pages * 8, "{sum:?}");
}

#[derive(Debug, Default)]
struct Forged {
    pages: usize,
    found: usize,
}

fn forge(
    sum: &mut Forged,
    world: &mut World,
    bench: &mut Bench,
    path: &std::path::Path,
    tag: page::FileTag,
    pages: std::ops::Range<u64>,
) {
    let whole = fs::read(path).unwrap();
    for number in pages {
        let mut bytes = whole.clone();
        let start = number as usize * 4096;
        // Unused ends of pages may hold anything: they say nothing.
        let used = bytes[start..start + 4080]
            .iter()
            .rposition(|byte| *byte != 0);
        let Some(used) = used else {
            continue;
        };
        bytes[start + world.rng.random_range(0..=used)] ^= 1 << world.rng.random_range(0..8);
        let sealed: &mut page::Page = (&mut bytes[start..start + 4096]).try_into().unwrap();
        page::seal(sealed, tag, number);
        fs::write(path, &bytes).unwrap();
        let outcome = giro_store::History::read(&bench.workshop, &mut bench.reader)
            .and_then(|catalog| verify(&catalog, &mut bench.reader, IDENTITY, |_| {}));
        sum.pages += 1;
        sum.found += usize::from(outcome.is_err());
    }
    fs::write(path, &whole).unwrap();
}
