//! Writes and reads mixed: each request is one or the other.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::accounts::Accounts;
use super::tcc::{Tcc, TccOptions};
use super::transfers::{TransferOptions, Transfers};
use super::{JobKind, Step, WorkloadOptions};

/// What requests are, drawn one by one; what is neither a read nor payments creates transfers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MixOptions {
    /// Part of the requests that reads: half of them balances, a quarter transfers by their ids, a
    /// quarter an account's newest transfers.
    pub reads: f64,
    /// Part of the requests that is payments.
    pub payments: f64,
    /// Most rows of a read.
    pub page: u32,
    /// Of those that create transfers.
    pub transfers: TransferOptions,
    /// Of payments.
    pub tcc: TccOptions,
}

impl MixOptions {
    /// All of one kind: payments, or transfers.
    pub(super) fn of(transfers: &TransferOptions, tcc: Option<&TccOptions>) -> Self {
        Self {
            reads: 0.0,
            payments: if tcc.is_some() { 1.0 } else { 0.0 },
            page: 1,
            transfers: transfers.clone(),
            tcc: tcc.cloned().unwrap_or_default(),
        }
    }
}

pub(super) struct Mix {
    options: MixOptions,
    transfers: Transfers,
    tcc: Tcc,
}

impl Mix {
    pub(super) fn new(options: &MixOptions, workload: &WorkloadOptions) -> Self {
        Self {
            options: options.clone(),
            transfers: Transfers::new(&options.transfers, workload),
            tcc: Tcc::new(&options.tcc, workload),
        }
    }

    /// Transfers only, whatever the shares.
    pub(super) fn transfers(&mut self) -> &mut Transfers {
        &mut self.transfers
    }

    /// Payments only.
    pub(super) fn payments(&mut self) -> &mut Tcc {
        &mut self.tcc
    }

    pub(super) fn steps(&mut self, accounts: &mut Accounts, batch: usize) -> (JobKind, Vec<Step>) {
        let lot: f64 = accounts.rng().random();
        let page = self.options.page;
        let read = lot / self.options.reads;
        if read < 0.5 {
            let ids = (0..page).map(|_| accounts.pair().1).collect();
            return (JobKind::Balances, vec![Step::Accounts(ids)]);
        }
        if read < 0.75
            && let Some(ids) = self.transfers.some_made(accounts.rng(), page)
        {
            return (JobKind::LookUp, vec![Step::LookUp(ids)]);
        }
        if read < 1.0 {
            let step = Step::Statement(accounts.pair().1, page);
            return (JobKind::Statement, vec![step]);
        }
        if lot < self.options.reads + self.options.payments {
            return (JobKind::Payments, self.tcc.steps(accounts, batch));
        }
        (JobKind::Transfers, self.transfers.steps(accounts, batch))
    }
}
