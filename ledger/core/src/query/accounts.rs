//! Accounts by their fields.

use std::ops::Range;

use giro_base::Account;

use super::Rows;
use super::filters::{Query, matches_account};
use crate::machine::StateMachine;

/// A scan over all accounts. It finds them by fields that never change, and shows them as they are
/// at its end; accounts made on the way are looked at last.
pub struct AccountScan {
    query: Query,
    /// Slots to be looked at.
    left: Range<usize>,
    /// Accounts there were when it began.
    count: usize,
    selected: Vec<u32>,
}

impl AccountScan {
    pub(super) fn new(machine: &StateMachine, query: Query) -> Self {
        let accounts = &machine.tables().accounts;
        let left = query
            .bounds
            .range(accounts.len(), |slot| accounts[slot].timestamp);
        Self {
            query,
            left,
            count: accounts.len(),
            selected: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, machine: &StateMachine, work: &mut usize) -> bool {
        let accounts = &machine.tables().accounts;
        while self.selected.len() < self.query.limit && !self.left.is_empty() {
            if *work == 0 {
                return false;
            }
            *work -= 1;
            let next = if self.query.reversed {
                self.left.next_back()
            } else {
                self.left.next()
            };
            let slot = next.expect("it is not empty");
            if matches_account(&self.query.filter, &accounts[slot]) {
                self.selected.push(slot as u32);
            }
        }
        self.look_at_new_ones(machine);
        true
    }

    /// Those made since it began are the newest: first where the newest are wanted, last otherwise.
    fn look_at_new_ones(&mut self, machine: &StateMachine) {
        let accounts = &machine.tables().accounts;
        let wanted = |slot: &usize| {
            let account = &accounts[*slot];
            self.query.bounds.contains(account.timestamp)
                && matches_account(&self.query.filter, account)
        };
        let made = self.count..accounts.len();
        self.count = accounts.len();
        let made = made.filter(wanted).map(|slot| slot as u32);
        if self.query.reversed {
            let newest: Vec<u32> = made.rev().collect();
            self.selected.splice(0..0, newest);
        } else {
            self.selected.extend(made);
        }
        self.selected.truncate(self.query.limit);
    }

    pub(super) fn write(&self, machine: &StateMachine, rows: &mut Rows<'_>) {
        for slot in &self.selected {
            rows.push(&Account {
                reserved: 0,
                ..machine.tables().accounts[*slot as usize]
            });
        }
    }
}
