//! The highest rate that a target bears, found by trying.

use serde::{Deserialize, Serialize};

/// How close the highest rate that was borne has to come to the lowest that was not.
const CLOSE: f64 = 1.05;
/// What is tried above a rate that was borne, while none is known that was not.
const STRIDE: f64 = 1.5;
/// A target that bears less than this part of the first rate is given up.
const LEAST: f64 = 1e-3;

/// A rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Transfers or payments a second.
    pub rate: f64,
    /// What stood against it; none when it was borne.
    pub failed: Option<String>,
    /// One request in a hundred took longer (ms).
    pub p99: f64,
}

/// What was tried, in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// The bound on the 99th percentile (ms).
    pub p99_below: f64,
    /// The last one is the highest rate that was borne, unless the search ended early.
    pub probes: Vec<Probe>,
}

/// Which rate to try next: up in strides, then between the highest that was borne and the lowest
/// that was not. The one that is found has to be borne a second time. If it is not, it counts as
/// one that was not borne, and the search goes on below it.
#[derive(Clone, Debug)]
pub struct Search {
    first: f64,
    /// Rates that were borne, rising, all below `failed`.
    borne: Vec<f64>,
    /// The lowest that was not.
    failed: Option<f64>,
    is_found: bool,
}

impl Search {
    /// From this rate on.
    #[must_use]
    pub fn new(first: f64) -> Self {
        Self {
            first,
            borne: Vec::new(),
            failed: None,
            is_found: false,
        }
    }

    /// The rate to try; none when it is found, or nothing is borne.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        if self.is_found {
            return None;
        }
        match (self.borne(), self.failed) {
            (None, None) => Some(self.first),
            (Some(borne), None) => Some(borne * STRIDE),
            (None, Some(failed)) => {
                let lower = failed / STRIDE;
                (lower > self.first * LEAST).then_some(lower)
            }
            (Some(borne), Some(_)) if self.is_close() => Some(borne),
            (Some(borne), Some(failed)) => Some((borne * failed).sqrt()),
        }
    }

    /// The highest rate that was borne, as often as it was tried.
    #[must_use]
    pub fn borne(&self) -> Option<f64> {
        self.borne.last().copied()
    }

    /// Whether the highest rate that was borne is what is sought, if it is borne again.
    fn is_close(&self) -> bool {
        let bounds = self.borne().zip(self.failed);
        bounds.is_some_and(|(borne, failed)| failed <= borne * CLOSE)
    }

    /// What came of the rate that [`next`](Self::next) named.
    pub fn tell(&mut self, is_borne: bool) {
        let Some(rate) = self.next() else {
            return;
        };
        let is_second = self.is_close();
        match (is_borne, is_second) {
            (true, true) => self.is_found = true,
            (true, false) => self.borne.push(rate),
            (false, _) => {
                self.failed = Some(rate);
                if is_second {
                    // It was luck.
                    self.borne.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_highest_rate_is_found_within_a_twentieth(
            first in 1e3..1e6_f64,
            share in 0.01..100.0_f64,
        ) {
            let bears = first * share;
            let mut search = Search::new(first);
            let (mut tried, mut last) = (0, 0.0);
            while let Some(rate) = search.next() {
                search.tell(rate <= bears);
                (tried, last) = (tried + 1, rate);
            }
            prop_assert!(last <= bears && last * CLOSE >= bears * 0.999, "{last} of {bears}");
            prop_assert!(tried < 60, "{tried}");
        }
    }

    /// A search of a target that answers like this, knowing the rate and how often it was asked
    /// for the same before: what was found, and how many rates were tried.
    fn found(bears: impl Fn(f64, usize) -> bool) -> (Option<f64>, Vec<f64>) {
        let mut search = Search::new(100.0);
        let mut tried: Vec<f64> = Vec::new();
        while let Some(rate) = search.next() {
            let before = tried.iter().filter(|tried| **tried == rate).count();
            search.tell(bears(rate, before));
            tried.push(rate);
            assert!(tried.len() < 2000, "it does not end: {tried:?}");
        }
        (search.borne(), tried)
    }

    #[test]
    fn a_rate_that_was_borne_by_luck_gives_way_to_one_that_is_borne_twice() {
        let (found, tried) = found(|rate, before| rate <= 90.0 || (rate < 140.0 && before == 0));
        let found = found.unwrap();
        assert!(found <= 90.0 && found * CLOSE * CLOSE > 90.0, "{found}");
        let count = tried.iter().filter(|tried| **tried == found).count();
        assert_eq!(count, 2, "{tried:?}");
        assert_eq!(tried.last(), Some(&found), "its figures are the last ones");
    }

    #[test]
    fn who_was_lucky_once_and_bears_nothing_is_given_up() {
        let (nothing, tried) = found(|rate, before| rate == 100.0 && before == 0);
        assert_eq!(nothing, None);
        assert!((10..60).contains(&tried.len()), "{tried:?}");
        // Even one that is lucky once with each rate.
        assert_eq!(found(|rate, before| rate < 140.0 && before == 0).0, None);
    }

    #[test]
    fn a_rate_that_was_refuted_is_not_the_highest_that_was_borne() {
        let mut search = Search::new(100.0);
        search.tell(true);
        search.tell(false);
        while !search.is_close() {
            search.tell(true);
        }
        let lucky = search.next().unwrap();
        assert_eq!(search.borne(), Some(lucky));
        search.tell(false);
        assert!(search.borne().unwrap() < lucky);
    }

    #[test]
    fn who_bears_nothing_is_given_up() {
        let mut search = Search::new(1000.0);
        let mut tried = 0;
        while search.next().is_some() {
            search.tell(false);
            tried += 1;
        }
        assert!((10..40).contains(&tried), "{tried}");
    }
}
