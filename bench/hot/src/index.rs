//! The index of ids.

use std::hint::black_box;

use giro_base::hash::IdHasher;
use giro_core::index::IdIndex;

use crate::{Case, Entry};

/// Ids of a pass.
const IDS: usize = 8192;
/// Ids it has before.
const FILLED: u32 = 100_000;

pub(crate) fn entries() -> Vec<Entry> {
    let entry = |name, make: fn() -> Box<dyn Case>| Entry {
        name,
        unit: "id",
        units: IDS,
        make,
    };
    vec![
        entry("index_find", || Box::new(Find::new(0))),
        entry("index_miss", || Box::new(Find::new(u128::from(FILLED)))),
        entry("index_insert", || Box::new(Insert::new())),
    ]
}

struct Filled {
    index: IdIndex,
    hasher: IdHasher,
}

impl Filled {
    fn new() -> Self {
        let hasher = IdHasher::new([1, 2]);
        let expected = 2 * FILLED as usize;
        let mut index = IdIndex::new(expected).expect("address space");
        for place in 0..FILLED {
            index.insert(hasher.hash(u128::from(place)), place);
        }
        Self { index, hasher }
    }

    fn hashes(&self, first: u128) -> Vec<u64> {
        let ids = (0..IDS as u128).map(|number| first + number * 11 % u128::from(FILLED));
        ids.map(|id| self.hasher.hash(id)).collect()
    }
}

/// Looks up ids; with an offset, such as are not there.
struct Find {
    filled: Filled,
    hashes: Vec<u64>,
}

impl Find {
    fn new(first: u128) -> Self {
        let filled = Filled::new();
        let hashes = filled.hashes(first);
        Self { filled, hashes }
    }
}

impl Case for Find {
    fn prepare(&mut self) {}

    fn pass(&mut self) {
        for hash in &self.hashes {
            black_box(self.filled.index.find(*hash, |_| true));
        }
    }
}

/// Adds ids that are not there.
struct Insert {
    filled: Filled,
    first: u128,
    hashes: Vec<u64>,
}

impl Insert {
    fn new() -> Self {
        let filled = Filled::new();
        Self {
            filled,
            first: 0,
            hashes: Vec::new(),
        }
    }
}

impl Case for Insert {
    fn prepare(&mut self) {
        // An index that goes on growing would be another case each time.
        if self.first == 0 {
            self.filled = Filled::new();
            self.first = u128::from(FILLED);
        }
        let first = self.first;
        let hash = |number| self.filled.hasher.hash(first + number);
        self.hashes = (0..IDS as u128).map(hash).collect();
        self.first = (first + IDS as u128) % (2 * u128::from(FILLED) - 2 * IDS as u128);
        if self.first < u128::from(FILLED) {
            self.first = 0;
        }
    }

    fn pass(&mut self) {
        for (place, hash) in self.hashes.iter().enumerate() {
            self.filled.index.insert(*hash, FILLED + place as u32);
        }
    }
}
