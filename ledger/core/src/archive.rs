//! What execution needs of the history on disk: whether an id from before the window may be
//! there, and, when it may, what it stands for.

use giro_base::{Timestamp, Transfer};

use crate::batch::Events;
use crate::phase::Phase;
use crate::place::ASK;
use crate::scratch::Found;

/// The history's filters. Answers come from memory, at once.
pub trait Archive: Sync {
    /// Hints that this id will be asked for soon.
    fn prefetch(&self, hash: u64, id: u128);

    /// The same once more, a little later: what was asked for first says where to go on.
    fn prefetch_again(&self, _hash: u64, _id: u128) {}

    /// Whether the history may know the id. False is certain.
    fn may_hold(&self, hash: u64, id: u128) -> bool;

    /// Largest id that the history may know; 0 if there is none.
    fn id_max(&self) -> u128;

    /// Whether a transfer of the history may have this timestamp. False is certain.
    fn may_hold_timestamp(&self, timestamp: Timestamp) -> bool;
}

/// Something resolve could not settle from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The event.
    pub event: usize,
    /// What is asked.
    pub subject: Subject,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The event's own id.
    Id(u128),
    /// The id of the pending transfer it names.
    PendingId(u128),
    /// An imported account's timestamp: does a transfer have it?
    Timestamp(Timestamp),
}

/// What the history says.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// It knows nothing of it.
    Nothing,
    /// The id is burned, or the timestamp taken.
    Taken,
    /// The transfer.
    Transfer(Past),
}

/// A transfer of the history.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Its row.
    pub row: u64,
    /// The transfer.
    pub transfer: Transfer,
    /// Where it stands as far as the history knows: a pending transfer that the window closed is
    /// still pending there.
    pub phase: Phase,
}

/// What [`Found`] asks of the history, for these events.
pub(crate) fn questions(found: &Found, events: Events<'_>, questions: &mut Vec<Question>) {
    questions.clear();
    if !found.has_asked() {
        return;
    }
    let mut push = |event, subject| questions.push(Question { event, subject });
    match events {
        Events::Accounts(accounts) => {
            for (event, account) in accounts.iter().enumerate() {
                if found.at(event).pending.get() == ASK {
                    push(event, Subject::Timestamp(account.timestamp));
                }
            }
        }
        Events::Transfers(_) | Events::Branches(..) => {
            for (event, transfer) in events.transfers().iter().enumerate() {
                if found.at(event).existing.get() == ASK {
                    push(event, Subject::Id(transfer.id));
                }
                if found.at(event).pending.get() == ASK {
                    push(event, Subject::PendingId(transfer.pending_id));
                }
            }
        }
    }
}
