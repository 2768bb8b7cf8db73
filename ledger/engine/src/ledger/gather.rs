//! Requests about branches that come at the same time share an operation: many callers, each with
//! a branch, cost little more than one with many.

use giro_base::Operation;
use giro_base::branch::{
    BranchBodyError, BranchKey, BranchResult, ConfirmBranch, TryBranch, encode,
};
use giro_base::limits::{BODY_BYTES_MAX, BRANCH_EVENTS_MAX, BRANCHES_MAX, EVENTS_MAX_UNBATCHED};

use super::driver::Answer;
use crate::error::Error;

/// What is asked about branches.
pub(crate) enum Asked {
    Try(Vec<TryBranch>),
    Confirm(Vec<ConfirmBranch>),
    Cancel(Vec<BranchKey>),
}

/// Operations that are gathered for, in the order they go to the ledger: one that tries a branch
/// and goes on without waiting has its confirm or cancel behind the try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Try,
    Confirm,
    Cancel,
}

/// The most bytes of one leg and of one branch besides, in a body.
const LEG_BYTES: usize = 96;
const BRANCH_BYTES: usize = 64;
/// Bytes that a gathered operation is kept below.
const GATHERED_BYTES_MAX: usize = BODY_BYTES_MAX / 2;
/// Branches of a gathered confirm or cancel: however many legs they have, they fit.
const SETTLED_MAX: usize = EVENTS_MAX_UNBATCHED / BRANCH_EVENTS_MAX;

/// Branches from which on a request shares its operation with no other.
const LARGE_MIN: usize = 64;

/// Requests of one kind.
struct Queue<T> {
    branches: Vec<T>,
    events: usize,
    bytes: usize,
    /// How many branches each caller has, and who it is.
    answers: Vec<(usize, Answer)>,
}

/// Requests of all kinds.
#[derive(Default)]
pub(super) struct Gathered {
    tries: Queue<TryBranch>,
    confirms: Queue<ConfirmBranch>,
    cancels: Queue<BranchKey>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            branches: Vec::new(),
            events: 0,
            bytes: 0,
            answers: Vec::new(),
        }
    }
}

/// How much room something takes.
#[derive(Clone, Copy)]
struct Size {
    branches: usize,
    events: usize,
    bytes: usize,
}

impl Asked {
    /// Checks that the ledger takes it.
    pub(crate) fn check(&self) -> Result<(), BranchBodyError> {
        let size = self.size()?;
        if size.branches > BRANCHES_MAX {
            return Err(BranchBodyError::Branches {
                branches: size.branches,
            });
        }
        if size.events > EVENTS_MAX_UNBATCHED {
            return Err(BranchBodyError::Events {
                events: size.events,
            });
        }
        // What is counted is the most that it can be.
        if size.bytes > BODY_BYTES_MAX {
            let bytes = self.encoded().1.len();
            if bytes > BODY_BYTES_MAX {
                return Err(BranchBodyError::Bytes { bytes });
            }
        }
        Ok(())
    }

    /// Whether it is an operation of its own.
    pub(crate) fn is_large(&self) -> bool {
        let branches = match self {
            Self::Try(tries) => tries.len(),
            Self::Confirm(confirms) => confirms.len(),
            Self::Cancel(keys) => keys.len(),
        };
        branches == 0 || branches >= LARGE_MIN
    }

    /// The operation of all of it.
    pub(crate) fn encoded(&self) -> (Operation, Vec<u8>) {
        match self {
            Self::Try(tries) => (Operation::TryBranches, encode(tries)),
            Self::Confirm(confirms) => (Operation::ConfirmBranches, encode(confirms)),
            Self::Cancel(keys) => (Operation::CancelBranches, encode(keys)),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Try(_) => Kind::Try,
            Self::Confirm(_) => Kind::Confirm,
            Self::Cancel(_) => Kind::Cancel,
        }
    }

    fn size(&self) -> Result<Size, BranchBodyError> {
        let mut size = Size {
            branches: 0,
            events: 0,
            bytes: 0,
        };
        let mut add = |key: &BranchKey, legs: usize, events: usize| {
            size.branches += 1;
            size.events += events;
            size.bytes += BRANCH_BYTES + key.gid.len() + key.branch_id.len() + legs * LEG_BYTES;
        };
        match self {
            Self::Try(tries) => {
                for branch in tries {
                    add(&branch.key, branch.legs.len(), branch.check()?);
                }
            }
            Self::Confirm(confirms) => {
                for branch in confirms {
                    add(&branch.key, branch.amounts.len(), branch.check()?);
                }
            }
            Self::Cancel(keys) => {
                for key in keys {
                    key.check()?;
                    add(key, 0, 0);
                }
            }
        }
        Ok(size)
    }
}

impl<T> Queue<T> {
    fn has_room(&self, size: Size, branches_max: usize) -> bool {
        self.branches.is_empty()
            || self.branches.len() + size.branches <= branches_max
                && self.events + size.events <= EVENTS_MAX_UNBATCHED
                && self.bytes + size.bytes <= GATHERED_BYTES_MAX
    }

    fn add(&mut self, mut branches: Vec<T>, size: Size, answer: Answer) {
        self.events += size.events;
        self.bytes += size.bytes;
        self.answers.push((branches.len(), answer));
        if self.branches.is_empty() {
            self.branches = branches;
        } else {
            self.branches.append(&mut branches);
        }
    }

    /// Everything, and who answers it.
    fn take(&mut self) -> (Vec<T>, Answer) {
        let Self {
            branches, answers, ..
        } = std::mem::take(self);
        let answer = move |reply: Result<&[u8], Error>| {
            let Ok(mut reply) = reply else {
                // Those who wait are told that nothing is known when their channel is dropped.
                return;
            };
            for (count, answer) in answers {
                let (own, rest) = reply.split_at(count * size_of::<BranchResult>());
                reply = rest;
                answer(Ok(own));
            }
        };
        (branches, Box::new(answer))
    }

    fn refuse(&mut self) {
        for (_, answer) in std::mem::take(self).answers {
            answer(Err(Error::Full));
        }
    }
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The kind that goes to the ledger first.
    pub(super) fn first(&self) -> Option<Kind> {
        if !self.tries.answers.is_empty() {
            Some(Kind::Try)
        } else if !self.confirms.answers.is_empty() {
            Some(Kind::Confirm)
        } else if !self.cancels.answers.is_empty() {
            Some(Kind::Cancel)
        } else {
            None
        }
    }

    /// Whether this fits the operation of its kind.
    pub(super) fn has_room(&self, asked: &Asked) -> bool {
        let Ok(size) = asked.size() else {
            return true;
        };
        match asked.kind() {
            Kind::Try => self.tries.has_room(size, BRANCHES_MAX),
            Kind::Confirm => self.confirms.has_room(size, SETTLED_MAX),
            Kind::Cancel => self.cancels.has_room(size, SETTLED_MAX),
        }
    }

    pub(super) fn add(&mut self, asked: Asked, answer: Answer) {
        let size = asked.size().expect("the handle has checked it");
        match asked {
            Asked::Try(branches) => self.tries.add(branches, size, answer),
            Asked::Confirm(branches) => self.confirms.add(branches, size, answer),
            Asked::Cancel(keys) => self.cancels.add(keys, size, answer),
        }
    }

    /// The operation of a kind: its body, and who answers it.
    pub(super) fn take(&mut self, kind: Kind) -> (Operation, Vec<u8>, Answer) {
        match kind {
            Kind::Try => {
                let (branches, answer) = self.tries.take();
                (Operation::TryBranches, encode(&branches), answer)
            }
            Kind::Confirm => {
                let (branches, answer) = self.confirms.take();
                (Operation::ConfirmBranches, encode(&branches), answer)
            }
            Kind::Cancel => {
                let (keys, answer) = self.cancels.take();
                (Operation::CancelBranches, encode(&keys), answer)
            }
        }
    }

    /// Tells all of a kind that the ledger is full.
    pub(super) fn refuse(&mut self, kind: Kind) {
        match kind {
            Kind::Try => self.tries.refuse(),
            Kind::Confirm => self.confirms.refuse(),
            Kind::Cancel => self.cancels.refuse(),
        }
    }
}
