//! Transfers.

use giro_base::{Transfer, TransferFlags};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::accounts::{Accounts, LEDGER};
use super::{Step, WorkloadOptions};

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
}

impl Transfers {
    pub(super) fn new(options: &TransferOptions, workload: &WorkloadOptions) -> Self {
        Self {
            options: options.clone(),
            run: workload.run,
            next: 0,
        }
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
