use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::make::Maker;
use super::*;

fn sieve_of(hashes: &[(u64, u64)]) -> Sieve {
    let generation = hashes.first().map_or(0, |(_, generation)| *generation);
    let mut hashes: Vec<u64> = hashes.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    let mut maker = Maker::new(vec![(generation, generation)], 0, hashes.len());
    hashes.iter().for_each(|hash| maker.push(key(*hash), 0));
    maker.finish()
}

fn random(generation: u64, count: usize, rng: &mut ChaCha8Rng) -> Vec<(u64, u64)> {
    (0..count).map(|_| (rng.random(), generation)).collect()
}

fn suspects(sieve: &Sieve, (hash, generation): (u64, u64)) -> bool {
    let mut found = sieve.suspects(hash);
    found.any(|(first, last)| (first..=last).contains(&generation))
}

#[test]
fn a_sieve_knows_all_it_was_made_of() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for count in [0, 1, 2, 15, 16, 17, 1000, 100_000, 700_000] {
        let hashes = random(7, count, &mut rng);
        let sieve = sieve_of(&hashes);
        assert_eq!(sieve.len(), count);
        for hash in &hashes {
            assert!(sieve.may_hold(hash.0) && suspects(&sieve, *hash), "{count}");
        }
    }
}

#[test]
fn hashes_that_are_not_spread_are_known_too() {
    for hashes in [
        (0..1000)
            .map(|n| (7 << 40 | n << 20, 0))
            .collect::<Vec<_>>(),
        vec![(0, 0); 100],
        vec![(u64::MAX, 0); 100],
    ] {
        let sieve = sieve_of(&hashes);
        assert!(hashes.iter().all(|(hash, _)| sieve.may_hold(*hash)));
        assert!(!sieve.may_hold(1 << 63));
    }
}

#[test]
fn a_merged_sieve_knows_what_both_knew_and_from_which_generation() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut all = Vec::new();
    let mut sieves: Vec<Arc<Sieve>> = Vec::new();
    // More generations than a byte counts, with gaps, some without ids, of any size.
    for step in 0..700 {
        let generation = 3 + step * 2 - step % 2;
        let count = rng.random_range(0..300);
        let hashes = random(generation, count, &mut rng);
        if count > 0 {
            sieves.push(Arc::new(sieve_of(&hashes)));
        }
        all.extend(hashes);
        while let Some(younger) = mergeable(&sieves) {
            let merged = merge(&sieves[younger - 1], &sieves[younger]);
            assert!(merged.covers_all_of(&sieves[younger]));
            sieves.splice(younger - 1..=younger, [Arc::new(merged)]);
        }
    }
    assert!(sieves.len() < 8, "{} sieves", sieves.len());
    assert!(
        sieves.iter().any(|sieve| sieve.shift > 0),
        "a byte was enough"
    );
    all.shuffle(&mut rng);
    for hash in &all {
        assert!(sieves.iter().any(|sieve| suspects(sieve, *hash)));
        assert!(sieves.iter().any(|sieve| sieve.covers(hash.1, hash.1)));
    }
    assert_eq!(all.len(), sieves.iter().map(|s| s.len()).sum::<usize>());
    let strangers = (0..1_000_000).filter(|_| {
        let hash: u64 = rng.random();
        sieves.iter().any(|sieve| sieve.may_hold(hash))
    });
    // Of 48 bits nothing was lost: 100,000 hashes of 2.8 * 10^14 are there.
    assert_eq!(strangers.count(), 0);
}

#[test]
fn what_is_covered_has_gaps() {
    let sieve = |first, last| Sieve {
        covered: vec![(first, last)],
        ..sieve_of(&[])
    };
    let merged = merge(&merge(&sieve(4, 7), &sieve(8, 8)), &sieve(10, 12));
    assert_eq!((merged.first(), merged.last()), (4, 12));
    assert!(merged.covers(4, 8) && merged.covers(10, 10) && merged.covers(11, 12));
    assert!(!merged.covers(3, 4) && !merged.covers(8, 9) && !merged.covers(8, 10));
    assert!(!merged.covers(9, 9) && !merged.covers(12, 13));
    assert!(merged.covers_all_of(&sieve(5, 8)) && !sieve(5, 8).covers_all_of(&merged));
}

#[test]
fn a_sieve_takes_six_bytes_a_hash_at_most() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for count in [500_000, 524_288, 700_000, 1_000_000] {
        let bytes = sieve_of(&random(0, count, &mut rng)).bytes() as f64 / count as f64;
        println!("{count}: {bytes:.2} bytes a hash");
        assert!(bytes < 6.0);
    }
}
