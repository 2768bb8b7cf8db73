//! What is durable, as an onlooker knows it, whatever a node believes.

use std::collections::{BTreeMap, VecDeque};

use giro_replication::{Content, Hard};

/// What a disk has.
#[derive(Clone, Debug, Default)]
pub struct DurableView {
    /// Term and checksum of each entry.
    pub entries: BTreeMap<u64, (u64, u128)>,
    /// The newest.
    pub hard: Hard,
    /// The installed checkpoint, if there is one: entries up to it count as there.
    pub base: u64,
    /// The last entry that it ever had in each term.
    reached: BTreeMap<u64, u64>,
}

impl DurableView {
    /// A record is durable.
    pub fn take(&mut self, hard: Hard, content: &Content) {
        self.hard = hard;
        match content {
            Content::State => {}
            Content::Entry(entry) => {
                if self.entries.is_empty() {
                    // Entries before it were released behind a checkpoint.
                    self.base = self.base.max(entry.index - 1);
                }
                self.entries.split_off(&entry.index);
                let sum = entry.payload.checksum();
                self.entries.insert(entry.index, (entry.term, sum));
            }
            Content::Installed { index, .. } => {
                self.entries.clear();
                self.base = *index;
            }
        }
        let last = self.last();
        let reached = self.reached.entry(hard.term).or_default();
        *reached = (*reached).max(last);
    }

    /// Whether there were entries up to this one in a term: another leader may have overwritten
    /// them since, when an answer leaves late.
    #[must_use]
    pub fn had(&self, index: u64, term: u64) -> bool {
        self.reached.get(&term).is_some_and(|last| index <= *last)
    }

    /// The last durable entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        let last = self.entries.keys().next_back();
        last.copied().unwrap_or(self.base)
    }

    /// Whether the entry is durable with this term.
    #[must_use]
    pub fn has(&self, index: u64, term: u64) -> bool {
        index <= self.base
            || self
                .entries
                .get(&index)
                .is_some_and(|entry| entry.0 == term)
    }
}

/// Records that were given to the disk and are not all durable, in order.
#[derive(Default)]
pub struct UnderWay {
    records: VecDeque<(u64, Hard, Content, bool)>,
}

impl UnderWay {
    /// The disk was given a record.
    pub fn start(&mut self, record: u64, hard: Hard, content: Content) {
        self.records.push_back((record, hard, content, false));
    }

    /// The disk has a record. It counts with all before it.
    pub fn complete(&mut self, record: u64, view: &mut DurableView) {
        let found = self.records.iter_mut().find(|found| found.0 == record);
        found.expect("it was started").3 = true;
        while self.records.front().is_some_and(|front| front.3) {
            let (_, hard, content, _) = self.records.pop_front().expect("looked at it above");
            view.take(hard, &content);
        }
    }
}
