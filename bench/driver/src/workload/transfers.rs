//! Transfers.

use giro_base::{Transfer, TransferFlags};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::accounts::{Accounts, LEDGER};
use super::{Kind, Step, WorkloadOptions};

/// Kinds of transfers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransferOptions {
    /// Part that is pending, and stays so.
    pub pending: f64,
    /// Part that the ledger must reject, because payer and payee are one account.
    pub rejected: f64,
    /// Ids in no order; else they rise.
    pub random_ids: bool,
}

pub(super) struct Transfers {
    options: TransferOptions,
    run: u32,
    next: u64,
    /// Ids of some that were made; with ids in no order they cannot be made again one by one.
    made: Vec<u128>,
    keeps_made: bool,
}

/// So many ids are kept for reads.
const MADE: usize = 100_000;

impl Transfers {
    pub(super) fn new(options: &TransferOptions, workload: &WorkloadOptions) -> Self {
        Self {
            options: options.clone(),
            run: workload.run,
            next: 0,
            made: Vec::new(),
            keeps_made: matches!(&workload.kind, Kind::Mix(mix) if mix.reads > 0.0),
        }
    }

    /// Keeps an id, as likely as any other before it.
    fn keep(&mut self, id: u128) {
        if self.made.len() < MADE {
            self.made.push(id);
            return;
        }
        let lot = self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let place = (lot * self.next) >> 32;
        if let Some(one) = self.made.get_mut(place as usize) {
            *one = id;
        }
    }

    /// Ids of so many transfers that were made before; none when there are too few.
    pub(super) fn some_made(&self, rng: &mut impl Rng, count: u32) -> Option<Vec<u128>> {
        let made = &self.made;
        let is_enough = made.len() > count as usize;
        is_enough.then(|| {
            (0..count)
                .map(|_| made[rng.random_range(0..made.len())])
                .collect()
        })
    }

    pub(super) fn steps(&mut self, accounts: &mut Accounts, batch: usize) -> Vec<Step> {
        let transfers = (0..batch).map(|_| self.transfer(accounts)).collect();
        vec![Step::Transfers(transfers)]
    }

    fn transfer(&mut self, accounts: &mut Accounts) -> Transfer {
        let (debit, credit) = accounts.pair();
        let rng = accounts.rng();
        let is_rejected = rng.random_bool(self.options.rejected);
        let is_pending = rng.random_bool(self.options.pending);
        self.next += 1;
        let id = if self.options.random_ids {
            // Of this run all the same: as good as never the same as another.
            rng.random::<u128>() >> 1 | 1
        } else {
            1 << 127 | u128::from(self.run) << 64 | u128::from(self.next)
        };
        if self.keeps_made {
            self.keep(id);
        }
        Transfer {
            id,
            debit_account_id: debit,
            credit_account_id: if is_rejected { debit } else { credit },
            amount: rng.random_range(1..=10_000),
            ledger: LEDGER,
            code: 1,
            flags: if is_pending {
                TransferFlags::PENDING
            } else {
                0
            },
            ..Transfer::default()
        }
    }
}
