//! What happened: a hash of all of it, and the last of it for reading.

use std::collections::VecDeque;
use std::fmt::Write as _;

use giro_base::hash::fold;

/// The story of a run.
pub struct Trace {
    hash: u64,
    count: u64,
    last: VecDeque<Line>,
    kept_max: usize,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
struct Line {
    at_us: u64,
    what: &'static str,
    numbers: [u64; 4],
}

impl Trace {
    /// An empty one that keeps so many lines.
    #[must_use]
    pub fn new(kept_max: usize) -> Self {
        Self {
            hash: 0x51a7,
            count: 0,
            last: VecDeque::new(),
            kept_max,
        }
    }

    /// Adds a line.
    pub fn note(&mut self, at_us: u64, what: &'static str, numbers: [u64; 4]) {
        self.count += 1;
        self.hash = fold(self.hash ^ at_us, 0x9e37_79b9_7f4a_7c15 ^ what.len() as u64);
        for number in numbers {
            self.hash = fold(self.hash ^ number, 0xa076_1d64_78bd_642f).wrapping_add(number);
        }
        for byte in what.bytes() {
            self.hash = self.hash.rotate_left(7) ^ u64::from(byte);
        }
        self.last.push_back(Line {
            at_us,
            what,
            numbers,
        });
        if self.last.len() > self.kept_max {
            self.last.pop_front();
        }
    }

    /// Of everything.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Lines in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last lines, one below the other.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.last {
            let (at, what) = (line.at_us, line.what);
            let [a, b, c, d] = line.numbers;
            let _ = writeln!(
                text,
                "{:>10.3} ms  {what:<24} {a} {b} {c} {d}",
                at as f64 / 1e3
            );
        }
        text
    }
}
