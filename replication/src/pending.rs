//! Who waits for an answer.

use std::collections::VecDeque;

use crate::limits::{READ_RETRY_TICKS, READS_ASKED_MAX};

/// Proposals of this leader that are not committed yet, in the order of their entries.
#[derive(Default)]
pub(crate) struct Proposals {
    queue: VecDeque<Proposal>,
}

struct Proposal {
    index: u64,
    term: u64,
    ticket: u64,
}

impl Proposals {
    pub(crate) fn push(&mut self, index: u64, term: u64, ticket: u64) {
        let in_order = self.queue.back().is_none_or(|last| last.index < index);
        assert!(in_order, "proposals get rising indexes");
        self.queue.push_back(Proposal {
            index,
            term,
            ticket,
        });
    }

    /// The ticket of the entry committed at `index`, if it was proposed here in that very term.
    pub(crate) fn commit(&mut self, index: u64, term: u64) -> Option<u64> {
        let front = self.queue.front()?;
        if front.index != index {
            assert!(front.index > index, "entries are committed in order");
            return None;
        }
        let proposal = self.queue.pop_front()?;
        (proposal.term == term).then_some(proposal.ticket)
    }

    /// Nobody knows what becomes of them.
    pub(crate) fn give_up(&mut self, unknown: &mut Vec<u64>) {
        unknown.extend(self.queue.drain(..).map(|proposal| proposal.ticket));
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

/// Reads: first they wait for a question, then for its answer, then for execution.
#[derive(Default)]
pub(crate) struct Reads {
    waiting: Vec<u64>,
    asked: VecDeque<Asked>,
    answered: VecDeque<(u64, Vec<u64>)>,
    name: u64,
}

struct Asked {
    name: u64,
    at: u64,
    tickets: Vec<u64>,
}

impl Reads {
    /// Whether none waits for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty() && self.answered.is_empty()
    }

    pub(crate) fn push(&mut self, ticket: u64) {
        self.waiting.push(ticket);
    }

    /// The name of a question for all that wait, if one should be asked now (ticks).
    pub(crate) fn ask(&mut self, now: u64) -> Option<u64> {
        if self.waiting.is_empty() || self.asked.len() >= READS_ASKED_MAX {
            return None;
        }
        self.name += 1;
        self.asked.push_back(Asked {
            name: self.name,
            at: now,
            tickets: std::mem::take(&mut self.waiting),
        });
        Some(self.name)
    }

    /// A majority still followed when `index` was committed.
    pub(crate) fn answer(&mut self, name: u64, index: u64) {
        // Its tickets wait for a newer question when this one was given up.
        let place = self.asked.iter().position(|asked| asked.name == name);
        if let Some(asked) = place.and_then(|place| self.asked.remove(place)) {
            self.answered.push_back((index, asked.tickets));
        }
    }

    /// Asks again what got no answer: a question is lost without a word.
    pub(crate) fn retry(&mut self, now: u64) {
        while let Some(oldest) = self.asked.front() {
            if oldest.at + READ_RETRY_TICKS > now {
                break;
            }
            let oldest = self.asked.pop_front().expect("looked at it above");
            self.waiting.extend(oldest.tickets);
        }
    }

    /// Tickets whose state is executed.
    pub(crate) fn release(&mut self, executed: u64, out: &mut Vec<u64>) {
        self.answered.retain_mut(|(index, tickets)| {
            let is_ready = *index <= executed;
            if is_ready {
                out.append(tickets);
            }
            !is_ready
        });
    }

    /// This node leads no more: who was not answered must ask elsewhere.
    pub(crate) fn give_up(&mut self, refused: &mut Vec<u64>) {
        refused.append(&mut self.waiting);
        for asked in self.asked.drain(..) {
            refused.extend(asked.tickets);
        }
    }
}
