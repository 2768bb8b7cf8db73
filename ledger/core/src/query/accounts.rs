//! Accounts by their fields.

use std::collections::VecDeque;
use std::ops::Range;

use giro_base::Account;

use super::Rows;
use super::filters::{Query, matches_account};
use crate::machine::StateMachine;

/// A scan over all accounts. It finds them by fields that never change, and shows them as they are
/// at its end; accounts made on the way are looked at last.
pub struct AccountScan {
    query: Query,
    /// Slots to be looked at, of the accounts there were when it began.
    left: Range<usize>,
    /// Slot of the first account made since that was not looked at.
    next_new: usize,
    /// Slots, in the order asked for.
    selected: VecDeque<u32>,
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
            next_new: accounts.len(),
            selected: VecDeque::new(),
        }
    }

    /// True when it has looked at all there are now. It goes on if there are more later.
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
                self.selected.push_back(slot as u32);
            }
        }
        self.look_at_new_ones(accounts, work)
    }

    /// Those made since it began are the newest: first where the newest are wanted, last otherwise.
    fn look_at_new_ones(&mut self, accounts: &[Account], work: &mut usize) -> bool {
        let Query {
            filter,
            bounds,
            limit,
            reversed,
        } = &self.query;
        while self.next_new < accounts.len() {
            if !reversed && self.selected.len() == *limit {
                break;
            }
            if *work == 0 {
                return false;
            }
            *work -= 1;
            let (slot, account) = (self.next_new, &accounts[self.next_new]);
            if account.timestamp > bounds.timestamp_max {
                // Timestamps rise: so are all behind it.
                break;
            }
            self.next_new += 1;
            if account.timestamp < bounds.timestamp_min || !matches_account(filter, account) {
                continue;
            }
            if *reversed {
                self.selected.push_front(slot as u32);
                self.selected.truncate(*limit);
            } else {
                self.selected.push_back(slot as u32);
            }
        }
        self.next_new = accounts.len();
        true
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
