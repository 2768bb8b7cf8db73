//! A seeded maker of requests that mixes every feature of the state machine.
//!
//! Spaces of ids are small so that events meet, amounts sit at the edges of their range, and the
//! maker looks at the model's state so that chances are high to hit the interesting case.

mod accounts;
mod branches;
mod history;
mod odd;
mod profile;
mod queries;
mod times;
mod transfers;

use giro_base::Transfer;
use giro_base::limits::{BATCHES_MAX, BODY_BYTES_MAX};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::State;
use crate::request::{Action, Form, Request};

use self::history::History;
pub(crate) use self::profile::Profile;

/// Timestamps a pulse takes up, whatever it expires.
const PULSE_EVENTS: u64 = 8190;
/// Most events of a request.
const EVENTS_MAX: usize = 8189;

/// Makes one request after another.
pub(crate) struct Generator {
    rng: ChaCha8Rng,
    profile: Profile,
    /// Timestamp of the last request.
    last: u64,
    /// Transfers made so far, which number their ids.
    transfer_count: u64,
    /// Size of the space of account numbers; grows slowly.
    accounts: u64,
    history: History,
    in_chain: bool,
    /// The clock's next step, where it is not drawn (ns).
    pace: Option<u64>,
}

impl Generator {
    /// A generator of this seed's traffic. `is_large` asks for large batches.
    pub(crate) fn new(seed: u64, is_large: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut profile = Profile::draw(&mut rng);
        if is_large {
            profile = profile.with_large_batches(&mut rng);
        }
        Self {
            last: profile.start - 1,
            accounts: profile.accounts,
            transfer_count: 0,
            history: History::default(),
            in_chain: false,
            pace: None,
            rng,
            profile,
        }
    }

    /// The next request to a ledger in this state.
    pub(crate) fn next(&mut self, state: &State) -> Request {
        let due = state.due().first().map(|(at, ..)| *at);
        if due.is_some_and(|at| at <= self.last) && self.chance(60) {
            return self.pulse(state);
        }
        if let Some(due) = due
            && (self.last + 4..self.last + 100_000_000_000).contains(&due)
            && self.chance(10)
        {
            // The clock stops just before the next expiry, so that events fall on it.
            self.last = due - self.rng.random_range(2..=4);
            self.pace = Some(1);
        }
        if self.chance(2) {
            self.accounts += self.rng.random_range(1..=self.profile.accounts / 2 + 1);
        }
        if self.chance(self.profile.branches) {
            return self.branches(state);
        }
        let few_accounts = (state.accounts().len() as u64) < self.accounts / 2;
        match self.rng.random_range(0..100) {
            0..2 => self.pulse(state),
            2..12 => self.query(state),
            12..20 => self.create_accounts(state),
            20..50 if few_accounts => self.create_accounts(state),
            _ => self.create_transfers(state),
        }
    }

    fn pulse(&mut self, state: &State) -> Request {
        let timestamp = self.advance(PULSE_EVENTS);
        let later = state.due().range((timestamp, 0, 0)..).next();
        let timestamp = match later {
            // Right when something falls due.
            Some((due, ..)) if *due < timestamp + 100_000_000_000 && self.chance(30) => *due,
            _ => timestamp,
        };
        self.last = timestamp;
        Request {
            timestamp,
            action: Action::Pulse,
        }
    }

    /// Reads the clock, and takes up `events` timestamps.
    fn advance(&mut self, events: u64) -> u64 {
        if let Some(step) = self.pace.take() {
            self.last += step + events;
            return self.last;
        }
        let step = match self.rng.random_range(0..20) {
            0..8 => 1,
            8..18 => self.rng.random_range(1..=self.profile.step_max),
            18 => self.profile.step_max * 5,
            _ => 10_000,
        };
        self.last += step + events;
        self.last
    }

    /// Whether the event being made is linked: chains come in runs.
    fn is_linked(&mut self) -> bool {
        let of_100 = if self.in_chain {
            60
        } else {
            self.profile.linked
        };
        self.in_chain = self.chance(of_100);
        self.in_chain
    }

    fn form(&mut self) -> Form {
        match self.rng.random_range(0..10) {
            0..7 => Form::Dense,
            7..9 => Form::Sparse,
            _ => Form::Unbatched,
        }
    }

    /// How many events each batch of a request has.
    fn sizes(&mut self, form: Form) -> Vec<usize> {
        let every = self.profile.huge_batch_every;
        if every != 0 && self.rng.random_ratio(1, every) {
            return self.huge_sizes(form);
        }
        let batches = match self.rng.random_range(0..10) {
            0..8 => 1,
            _ => self.rng.random_range(1..=5),
        };
        let batches = if form.has_trailer() { batches } else { 1 };
        let max = self.profile.events_max;
        let mut size = || match self.rng.random_range(0..12) {
            0 => 0,
            1..3 => 1,
            _ => self.rng.random_range(1..=max),
        };
        (0..batches).map(|_| size()).collect()
    }

    /// One large batch, at times among as many empty ones as the body has room for.
    fn huge_sizes(&mut self, form: Form) -> Vec<usize> {
        let events = self.rng.random_range(1000..=EVENTS_MAX);
        let mut sizes = vec![events];
        if form.has_trailer() && self.chance(30) {
            let room = BODY_BYTES_MAX - events * size_of::<Transfer>();
            sizes.resize((room / 2 - 1).min(BATCHES_MAX), 0);
            let place = self.rng.random_range(0..sizes.len());
            sizes.swap(0, place);
        }
        sizes
    }

    fn chance(&mut self, of_100: u32) -> bool {
        self.rng.random_ratio(of_100, 100)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.random_range(..choices.len())]
    }
}

/// The id of account number `n`: ids of every shape.
fn account_id(n: u64) -> u128 {
    let n = u128::from(n);
    match n % 4 {
        0 => n,
        1 => n << 64,
        2 => u128::MAX - n,
        _ => n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
    }
}
