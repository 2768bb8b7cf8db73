//! Whether the random requests reach what they are meant to reach.

use std::collections::BTreeMap;

use crate::model::{Answer, CREATED};
use crate::request::{Action, Request};

/// Counts of what has been seen.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Events by status, of `create_accounts` and of `create_transfers`.
    pub(crate) accounts: BTreeMap<u32, u64>,
    pub(crate) transfers: BTreeMap<u32, u64>,
    /// Branches by operation and status.
    pub(crate) branches: BTreeMap<(&'static str, u16), u64>,
    /// Other things worth reaching, by name.
    pub(crate) features: BTreeMap<&'static str, u64>,
}

/// The features that every long enough run reaches.
pub(crate) const FEATURES: [&str; 8] = [
    "a chain of several events that holds",
    "a broken chain after an event that succeeded",
    "a post of a part",
    "a transfer of a balanced amount",
    "several batches in a request",
    "an imported transfer",
    "a pulse that expires several",
    "a query with rows",
];

impl Coverage {
    /// Takes note of a request and its answer.
    pub(crate) fn add(&mut self, request: &Request, answer: &Answer) {
        let statuses = match &request.action {
            Action::CreateAccounts(..) => &mut self.accounts,
            Action::CreateTransfers(..) => &mut self.transfers,
            _ => &mut BTreeMap::new(),
        };
        for outcome in answer.outcomes.iter().flatten() {
            *statuses.entry(outcome.status).or_default() += 1;
        }
        if let Action::Branches(asked) = &request.action {
            let name = asked.operation().into();
            for outcome in &answer.branches {
                *self.branches.entry((name, outcome.status)).or_default() += 1;
            }
        }
        match &request.action {
            Action::CreateTransfers(_, batches) => self.add_transfers(batches, answer),
            Action::Pulse => self.count(FEATURES[6], answer.expired > 1),
            Action::QueryTransfers(..) | Action::AccountTransfers(..) => {
                self.count(FEATURES[7], answer.reply.len() > 128);
            }
            _ => {}
        }
    }

    fn add_transfers(&mut self, batches: &[Vec<giro_base::Transfer>], answer: &Answer) {
        self.count(FEATURES[4], batches.len() > 1);
        for (events, outcomes) in batches.iter().zip(&answer.outcomes) {
            let mut was_linked = false;
            for (event, outcome) in events.iter().zip(outcomes) {
                let created = outcome.status == CREATED;
                let is_linked = event.flags & 1 != 0;
                self.count(FEATURES[0], was_linked && !is_linked && created);
                self.count(
                    FEATURES[1],
                    was_linked && ![1, 2].contains(&outcome.status) && !created,
                );
                self.count(
                    FEATURES[2],
                    event.flags & 4 != 0 && created && event.amount < 1 << 90,
                );
                self.count(
                    FEATURES[3],
                    event.flags & (16 | 32) != 0 && created && event.amount > 9,
                );
                self.count(FEATURES[5], event.flags & 256 != 0 && created);
                was_linked = is_linked;
            }
        }
    }

    fn count(&mut self, feature: &'static str, seen: bool) {
        *self.features.entry(feature).or_default() += u64::from(seen);
    }
}
