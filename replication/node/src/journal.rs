//! What an onlooker is told, step by step: simulators check every promise on it.

use giro_replication::{Commit, CommitContent, Content, Entry, Hard, Payload, RoleChange};

use crate::aligned::aligned;

/// Something that happened in a replica.
#[derive(Clone, Debug)]
pub enum Event {
    /// Role, term or leader changed.
    Role(RoleChange),
    /// An entry goes to the log.
    Write(Entry),
    /// A record with this number, hard state and content was given to the disk.
    Started(u64, Hard, Content),
    /// Everything up to this record is durable.
    Durable(u64),
    /// An entry is committed, and executed next.
    Commit(Commit),
    /// The state behind that entry has this digest.
    Executed(u64, u128),
}

impl Event {
    /// The same without memory that is lent: an onlooker may keep it as long as it likes.
    fn kept(mut self) -> Self {
        let Self::Commit(Commit {
            content: CommitContent::Ops(payload),
            ..
        }) = &mut self
        else {
            return self;
        };
        if payload.is_lent() {
            *payload = Payload::new(aligned(&payload.bytes));
        }
        self
    }
}

/// Collects events while somebody looks on.
#[derive(Default)]
pub(crate) struct Journal {
    is_read: bool,
    events: Vec<Event>,
}

impl Journal {
    /// Somebody looks on.
    pub(crate) fn open(&mut self) {
        self.is_read = true;
    }

    /// Notes what `event` makes, if somebody looks on.
    pub(crate) fn note(&mut self, event: impl FnOnce() -> Event) {
        if self.is_read {
            self.events.push(event().kept());
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
