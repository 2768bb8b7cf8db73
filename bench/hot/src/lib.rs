//! The hot structures, each alone: what a transfer passes on its way, on inputs that are always the
//! same. Criterion times them (`benches/hot.rs`); callgrind counts their instructions, which do not
//! depend on what else the machine does (`cargo xtask instructions`).

mod bytes;
mod index;
mod machine;
mod work;

use std::hint::black_box;

/// One thing to be measured. Each pass has its own input; making that is not part of it.
pub trait Case {
    /// Makes the next pass's input.
    fn prepare(&mut self);

    /// Works on it.
    fn pass(&mut self);
}

/// A case by its name.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What it is called, here and in the list of recorded counts.
    pub name: &'static str,
    /// What one unit is.
    pub unit: &'static str,
    /// Units of a pass.
    pub units: usize,
    make: fn() -> Box<dyn Case>,
}

impl Entry {
    /// A fresh one, always the same.
    #[must_use]
    pub fn make(&self) -> Box<dyn Case> {
        (self.make)()
    }
}

/// All of them, in the order a transfer meets them.
#[must_use]
pub fn entries() -> Vec<Entry> {
    [bytes::entries(), index::entries(), machine::entries()].concat()
}

/// A pass, under a name that callgrind can be told to count.
#[inline(never)]
pub fn measured_pass(case: &mut dyn Case) {
    black_box(case).pass();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_and_has_a_name_of_its_own() {
        let mut names = Vec::new();
        for entry in entries() {
            let mut case = entry.make();
            for _ in 0..2 {
                case.prepare();
                measured_pass(&mut *case);
            }
            names.push(entry.name);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
