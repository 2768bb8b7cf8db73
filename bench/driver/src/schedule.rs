//! When requests are due: known before the run, whatever the target does.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How arrivals lie around their rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// As those of many independent callers: gaps are exponential.
    Poisson,
    /// Evenly.
    Constant,
}

/// A stretch of time whose rate goes evenly from one figure to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// How long (s).
    pub seconds: f64,
    /// Requests a second at its beginning.
    pub from: f64,
    /// And at its end.
    pub to: f64,
}

impl Stretch {
    /// A steady rate.
    #[must_use]
    pub fn steady(seconds: f64, rate: f64) -> Self {
        Self {
            seconds,
            from: rate,
            to: rate,
        }
    }

    /// Requests due in it.
    fn count(&self) -> f64 {
        self.seconds * f64::midpoint(self.from, self.to)
    }

    /// When so many of its requests are due, in seconds from its beginning.
    fn time_of(&self, count: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        // The root of count = from * t + slope / 2 * t^2, in a form that bears a slope of 0.
        let root = (self.from * self.from + 2.0 * slope * count)
            .max(0.0)
            .sqrt();
        2.0 * count / (self.from + root)
    }
}

/// Rates over the time of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// One after the other.
    pub stretches: Vec<Stretch>,
    /// Around these rates.
    pub arrivals: Arrivals,
    /// Draws the gaps of [`Arrivals::Poisson`].
    pub seed: u64,
}

impl Schedule {
    /// Calm and ramp of [`double_eleven`](Self::double_eleven) (s).
    pub const BEFORE_THE_PEAK: f64 = 6.0;

    /// Midnight of a shopping festival, with so many requests a second at the peak: calm at a
    /// hundredth of it, up to all of it within a second, the plateau, and a tail.
    #[must_use]
    pub fn double_eleven(peak: f64, plateau_seconds: f64, arrivals: Arrivals, seed: u64) -> Self {
        let stretch = |seconds, from: f64, to: f64| Stretch {
            seconds,
            from: from * peak,
            to: to * peak,
        };
        Self {
            stretches: vec![
                stretch(5.0, 0.01, 0.01),
                stretch(1.0, 0.01, 1.0),
                stretch(plateau_seconds, 1.0, 1.0),
                stretch(plateau_seconds / 2.0, 1.0, 0.2),
                stretch(5.0, 0.2, 0.1),
            ],
            arrivals,
            seed,
        }
    }

    /// How long it is (s).
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.stretches.iter().map(|stretch| stretch.seconds).sum()
    }

    /// The times at which requests are due, in seconds from the beginning, rising.
    #[must_use]
    pub fn times(&self) -> Times<'_> {
        Times {
            schedule: self,
            rng: ChaCha8Rng::seed_from_u64(self.seed),
            stretch: 0,
            began: 0.0,
            count: 0.0,
        }
    }
}

/// See [`Schedule::times`].
pub struct Times<'a> {
    schedule: &'a Schedule,
    rng: ChaCha8Rng,
    stretch: usize,
    /// When the stretch began (s).
    began: f64,
    /// Requests of it that are due so far; with Poisson arrivals not a whole number.
    count: f64,
}

impl Iterator for Times<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        // In time stretched by the rate, arrivals of any rate are alike.
        self.count += match self.schedule.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => -(1.0 - self.rng.random::<f64>()).ln(),
        };
        loop {
            let stretch = self.schedule.stretches.get(self.stretch)?;
            let all = stretch.count();
            if self.count <= all {
                return Some(self.began + stretch.time_of(self.count));
            }
            self.count -= all;
            self.began += stretch.seconds;
            self.stretch += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(stretches: Vec<Stretch>, arrivals: Arrivals, seed: u64) -> Schedule {
        Schedule {
            stretches,
            arrivals,
            seed,
        }
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced() {
        let even = schedule(vec![Stretch::steady(2.0, 4.0)], Arrivals::Constant, 0);
        let times: Vec<f64> = even.times().collect();
        assert_eq!(times, [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]);
    }

    #[test]
    fn a_ramp_has_a_quarter_of_its_requests_in_its_first_half() {
        let ramp = Stretch {
            seconds: 10.0,
            from: 0.0,
            to: 2000.0,
        };
        let ramp = schedule(vec![ramp], Arrivals::Constant, 0);
        let times: Vec<f64> = ramp.times().collect();
        assert!((9_999..=10_000).contains(&times.len()));
        let early = times.iter().filter(|time| **time <= 5.0).count();
        assert!((2_499..=2_501).contains(&early), "{early}");
    }

    #[test]
    fn double_eleven_is_a_hundred_times_the_calm_within_a_second() {
        let schedule = Schedule::double_eleven(10_000.0, 4.0, Arrivals::Poisson, 3);
        let times: Vec<f64> = schedule.times().collect();
        let between = |from: f64, to: f64| {
            let inside = times.iter().filter(|time| (from..to).contains(time));
            inside.count() as f64
        };
        assert!((400.0..600.0).contains(&between(0.0, 5.0)));
        assert!((9_600.0..10_400.0).contains(&between(7.0, 8.0)));
        assert_eq!(schedule.seconds(), 17.0);
    }

    proptest! {
        #[test]
        fn times_rise_and_are_as_many_as_the_rate_says(
            rates in proptest::collection::vec((0.0..2_000.0_f64, 0.0..2_000.0_f64), 1..4),
            is_poisson: bool,
            seed: u64,
        ) {
            let stretch = |(from, to)| Stretch { seconds: 3.0, from, to };
            let stretches: Vec<Stretch> = rates.into_iter().map(stretch).collect();
            let due: f64 = stretches.iter().map(Stretch::count).sum();
            let arrivals = if is_poisson { Arrivals::Poisson } else { Arrivals::Constant };
            let schedule = schedule(stretches, arrivals, seed);
            let times: Vec<f64> = schedule.times().collect();
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|time| *time <= schedule.seconds() + 1e-9));
            // Seven standard deviations.
            let slack = if is_poisson { 7.0 * due.sqrt() + 7.0 } else { 1.0 };
            prop_assert!((times.len() as f64 - due).abs() <= slack, "{} of {due}", times.len());
            prop_assert_eq!(times, schedule.times().collect::<Vec<f64>>());
        }
    }
}
