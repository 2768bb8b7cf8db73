//! The accounts of a run, and how they are chosen.

use giro_base::Account;
use rand::distr::Distribution;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::Zipf;
use serde::{Deserialize, Serialize};

use super::WorkloadOptions;

/// The ledger all accounts are in.
pub const LEDGER: u32 = 978;

/// How accounts are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// All alike.
    Uniform,
    /// Some far more often than others, with exponent 1: those who are paid.
    Zipf,
    /// One is paid by every transfer.
    Hot,
}

pub(super) struct Accounts {
    count: u32,
    first: u128,
    spread: Spread,
    zipf: Zipf<f64>,
    rng: ChaCha8Rng,
}

impl Accounts {
    pub(super) fn new(options: &WorkloadOptions) -> Self {
        let count = options.accounts.max(2);
        Self {
            count,
            first: u128::from(options.run) << 64 | 1,
            spread: options.spread,
            zipf: Zipf::new(f64::from(count), 1.0).expect("a count above 0"),
            rng: ChaCha8Rng::seed_from_u64(options.seed),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Account> {
        let first = self.first;
        (0..u128::from(self.count)).map(move |place| Account {
            id: first + place,
            ledger: LEDGER,
            code: 1,
            ..Account::default()
        })
    }

    pub(super) fn place(&self, account: u128) -> Option<usize> {
        let place = account.checked_sub(self.first)?;
        (place < u128::from(self.count)).then_some(place as usize)
    }

    /// Who pays, and who is paid: two accounts.
    pub(super) fn pair(&mut self) -> (u128, u128) {
        let paid = match self.spread {
            Spread::Uniform => self.rng.random_range(0..self.count),
            Spread::Zipf => self.zipf.sample(&mut self.rng) as u32 - 1,
            Spread::Hot => 0,
        };
        let payer = (paid + self.rng.random_range(1..self.count)) % self.count;
        let id = |place| self.first + u128::from(place);
        (id(payer), id(paid))
    }

    pub(super) fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }
}
