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
    /// Index and term of entries that were overwritten, and the term in which they were.
    overwritten: BTreeMap<(u64, u64), u64>,
}

impl DurableView {
    /// A record is durable.
    pub fn take(&mut self, hard: Hard, content: &Content) {
        self.hard = hard;
        match content {
            Content::State | Content::Roll(_) => {}
            Content::Entry(entry) => {
                if self.entries.is_empty() {
                    // Entries before it were released behind a checkpoint.
                    self.base = self.base.max(entry.index - 1);
                }
                // The first entry that is left may be overwritten from further down.
                self.base = self.base.min(entry.index - 1);
                self.void_from(entry.index, hard.term);
                let sum = entry.payload.checksum();
                self.entries.insert(entry.index, (entry.term, sum));
            }
            Content::Installed { index, .. } => {
                self.void_from(0, hard.term);
                self.base = *index;
            }
        }
    }

    fn void_from(&mut self, index: u64, term: u64) {
        for (index, (written, _)) in self.entries.split_off(&index) {
            self.overwritten.insert((index, written), term);
        }
    }

    /// Whether the entry is durable, or was in this term of the node's: another leader may have
    /// overwritten it since, when an answer leaves late.
    #[must_use]
    pub fn had(&self, (index, written): (u64, u64), term: u64) -> bool {
        let voided = self.overwritten.get(&(index, written));
        self.has(index, written) || voided.is_some_and(|in_term| *in_term > term)
    }

    /// Whether this is what a disk has that had `other`, but for what was released.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let from = self.base + 1;
        self.hard == other.hard
            && self.last() == other.last()
            && self.entries.range(from..).eq(other.entries.range(from..))
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

    /// Whether a record has an entry in the place of one that is durable.
    #[must_use]
    pub fn overwrites(&self, record: u64, view: &DurableView) -> bool {
        let mut records = self.records.iter();
        let found = records.find(|found| found.0 == record);
        found.is_some_and(
            |found| matches!(&found.2, Content::Entry(entry) if entry.index <= view.last()),
        )
    }

    /// Moves the oldest record to the view, whether the disk has it or not. False: there is none.
    pub fn pass(&mut self, view: &mut DurableView) -> bool {
        let record = self.records.pop_front();
        if let Some((_, hard, content, _)) = &record {
            view.take(*hard, content);
        }
        record.is_some()
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
