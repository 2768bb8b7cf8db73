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
    /// The last one is the highest rate that was borne, unless the search was interrupted.
    pub probes: Vec<Probe>,
}

/// Which rate to try next: up in strides, then between the highest that was borne and the lowest
/// that was not. The one that is found has to be borne a second time; if it is not, one a little
/// below it.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    first: f64,
    borne: Option<f64>,
    failed: Option<f64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Searching,
    Confirming,
    Found,
}

impl Search {
    /// From this rate on.
    #[must_use]
    pub fn new(first: f64) -> Self {
        Self {
            first,
            borne: None,
            failed: None,
            state: State::Searching,
        }
    }

    /// The rate to try; none when it is found, or nothing is borne.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        match (self.state, self.borne, self.failed) {
            (State::Found, ..) => None,
            (State::Confirming, borne, _) => borne,
            (State::Searching, None, None) => Some(self.first),
            (State::Searching, Some(borne), None) => Some(borne * STRIDE),
            (State::Searching, None, Some(failed)) => {
                let lower = failed / STRIDE;
                (lower > self.first * LEAST).then_some(lower)
            }
            (State::Searching, Some(borne), Some(failed)) => Some((borne * failed).sqrt()),
        }
    }

    /// What came of the rate that [`next`](Self::next) named.
    pub fn tell(&mut self, is_borne: bool) {
        let Some(rate) = self.next() else {
            return;
        };
        if self.state == State::Confirming {
            if is_borne {
                self.state = State::Found;
                return;
            }
            // It was luck.
            self.failed = Some(rate);
            self.borne = Some(rate / CLOSE);
            return;
        }
        if is_borne {
            self.borne = Some(rate);
        } else {
            self.failed = Some(rate);
        }
        if let (Some(borne), Some(failed)) = (self.borne, self.failed)
            && failed <= borne * CLOSE
        {
            self.state = State::Confirming;
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

    #[test]
    fn a_rate_that_is_not_borne_again_gives_way_to_a_lower_one() {
        let mut search = Search::new(100.0);
        search.tell(true);
        search.tell(false);
        while search.state == State::Searching {
            search.tell(true);
        }
        let lucky = search.next().unwrap();
        search.tell(false);
        let lower = search.next().unwrap();
        assert!((lower - lucky / CLOSE).abs() < 1e-9);
        search.tell(true);
        assert_eq!(search.next(), None);
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
