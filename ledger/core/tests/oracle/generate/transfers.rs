//! Requests that create transfers.

use giro_base::{Transfer, TransferFlags};
use rand::Rng;

use crate::model::{Phase, State};
use crate::request::{Action, Request};

use super::profile::IdStyle;
use super::times::ImportTimes;
use super::{Generator, account_id};

impl Generator {
    pub(super) fn create_transfers(&mut self, state: &State) -> Request {
        let form = self.form();
        let sizes = self.sizes(form);
        let events: usize = sizes.iter().sum();
        let timestamp = self.advance(events as u64);
        let mut end = timestamp - events as u64;
        let mut batches = Vec::new();
        for size in sizes {
            end += size as u64;
            let mut times = ImportTimes::of_transfers(state, end);
            let is_imported = self.chance(self.profile.imported);
            let make = |_| self.transfer(state, is_imported, &mut times);
            batches.push((0..size).map(make).collect());
        }
        Request {
            timestamp,
            action: Action::CreateTransfers(form, batches),
        }
    }

    fn transfer(&mut self, state: &State, is_imported: bool, times: &mut ImportTimes) -> Transfer {
        let resolving = if self.chance(self.profile.resolve) {
            self.resolving_transfer(state)
        } else {
            None
        };
        let mut t = resolving.unwrap_or_else(|| self.plain_transfer(state));
        if self.is_linked() {
            t.flags |= TransferFlags::LINKED;
        }
        if is_imported {
            t.flags |= TransferFlags::IMPORTED;
            self.touch_newest_account(state, &mut t);
            let accounts = [t.debit_account_id, t.credit_account_id].map(|id| state.account(id));
            t.timestamp = self.import_time(state, times, accounts);
            if self.chance(90) {
                t.timeout = 0;
            }
        }
        if self.chance(self.profile.repeat) {
            t = self.earlier_transfer(is_imported).unwrap_or(t);
            if self.chance(70) {
                self.change_transfer(&mut t);
            }
        }
        while self.chance(self.profile.wrong / 2) {
            self.change_transfer(&mut t);
        }
        self.meddle_with_branches(&mut t);
        self.history.add_transfer(t);
        t
    }

    /// Sometimes names the newest account, which alone may be newer than the newest transfer.
    fn touch_newest_account(&mut self, state: &State, t: &mut Transfer) {
        let newest = state.account_times().values().next_back();
        let newest = newest.and_then(|id| state.account(*id));
        if let Some(newest) = newest
            && self.chance(20)
        {
            t.ledger = newest.ledger;
            if self.chance(50) {
                t.debit_account_id = newest.id;
            } else {
                t.credit_account_id = newest.id;
            }
        }
    }

    /// One that was sent before, of a batch of the same kind.
    fn earlier_transfer(&mut self, is_imported: bool) -> Option<Transfer> {
        (0..6).find_map(|_| {
            let t = self.history.transfer(&mut self.rng)?;
            ((t.flags & TransferFlags::IMPORTED != 0) == is_imported).then_some(t)
        })
    }

    pub(super) fn plain_transfer(&mut self, state: &State) -> Transfer {
        let ledgers = self.profile.ledgers;
        let (mut debit, mut credit) = (0, 0);
        for _ in 0..6 {
            debit = self.rng.random_range(1..=self.accounts);
            credit = self.rng.random_range(1..=self.accounts);
            if self.chance(90) {
                // The next number of the debit account's ledger.
                credit += (debit % ledgers + ledgers - credit % ledgers) % ledgers;
            }
            if credit == debit {
                credit += ledgers;
            }
            let is_there = |n| state.account(account_id(n)).is_some();
            if is_there(debit) && is_there(credit) || self.chance(4) {
                break;
            }
        }
        let mut flags = 0;
        let mut timeout = 0;
        if self.chance(self.profile.pending) {
            flags |= TransferFlags::PENDING;
            if self.chance(self.profile.timeout) {
                timeout = self.one_of(&[1, 1, 1, 2, 5, 3600, 20_000_000, u32::MAX]);
            }
            if self.chance(self.profile.closing) {
                flags |= self.one_of(&[
                    TransferFlags::CLOSING_DEBIT,
                    TransferFlags::CLOSING_CREDIT,
                    TransferFlags::CLOSING_DEBIT | TransferFlags::CLOSING_CREDIT,
                ]);
            }
        }
        if self.chance(self.profile.balancing) {
            flags |= self.one_of(&[
                TransferFlags::BALANCING_DEBIT,
                TransferFlags::BALANCING_CREDIT,
                TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT,
            ]);
        }
        Transfer {
            debit_account_id: account_id(debit),
            credit_account_id: account_id(credit),
            amount: self.amount(),
            timeout,
            ledger: self.ledger_of(debit),
            code: self.rng.random_range(1..4),
            flags,
            ..self.blank_transfer()
        }
    }

    /// A post or a void of some pending transfer, if any is worth it.
    fn resolving_transfer(&mut self, state: &State) -> Option<Transfer> {
        let p = (0..8).find_map(|_| {
            let p = self.history.pending(&mut self.rng)?;
            let is_likely = match state.phase(p.id) {
                Some(Phase::Pending) => true,
                Some(_) => self.chance(20),
                // Perhaps an earlier event of this request.
                None => self.chance(10),
            };
            is_likely.then_some(p)
        })?;
        let stored = state.transfer(p.id).map_or(p.amount, |p| p.amount);
        let is_void = self.chance(40);
        let all = if is_void { 0 } else { u128::MAX };
        let amount = match self.rng.random_range(0..10) {
            0..4 => all,
            4..7 => stored,
            _ => self.amount_near(stored),
        };
        let repeats_fields = self.chance(40);
        Some(Transfer {
            pending_id: p.id,
            amount,
            debit_account_id: if repeats_fields {
                p.debit_account_id
            } else {
                0
            },
            credit_account_id: if repeats_fields {
                p.credit_account_id
            } else {
                0
            },
            ledger: if repeats_fields { p.ledger } else { 0 },
            code: if repeats_fields { p.code } else { 0 },
            flags: if is_void {
                TransferFlags::VOID_PENDING_TRANSFER
            } else {
                TransferFlags::POST_PENDING_TRANSFER
            },
            ..self.blank_transfer()
        })
    }

    /// A transfer with a new id and user data.
    fn blank_transfer(&mut self) -> Transfer {
        self.transfer_count += 1;
        let n = u128::from(self.transfer_count);
        let id = match self.profile.ids {
            IdStyle::Rising => n,
            IdStyle::Falling => (1 << 100) - n,
            IdStyle::Scattered => n.wrapping_mul(0xd134_2543_de82_ef95_2545_f491_4f6c_dd1d),
        };
        Transfer {
            id,
            user_data_128: self.user_data().into(),
            user_data_64: self.user_data(),
            user_data_32: self.user_data() as u32,
            ..Transfer::default()
        }
    }
}
