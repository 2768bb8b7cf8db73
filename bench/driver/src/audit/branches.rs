//! What the steps of a job make of its branches.

use std::collections::HashMap;

use giro_client::{BranchKey, BranchState, BranchStatus, Leg};

use crate::workload::{Job, Step};

/// A branch of a job.
pub(super) struct Branch<'a> {
    pub(super) key: &'a BranchKey,
    /// What its try reserves; nothing before.
    pub(super) legs: &'a [Leg],
    pub(super) state: BranchState,
}

/// All branches of a job, as its first steps leave them.
pub(super) struct Branches<'a> {
    all: Vec<Branch<'a>>,
    places: HashMap<&'a BranchKey, usize>,
}

impl<'a> Branches<'a> {
    /// Before the first step.
    pub(super) fn of(job: &'a Job) -> Self {
        let mut branches = Self {
            all: Vec::new(),
            places: HashMap::new(),
        };
        for step in &job.steps {
            match step {
                Step::Try(some, _) => some.iter().for_each(|one| branches.add(&one.key)),
                Step::Confirm(some, _) => some.iter().for_each(|one| branches.add(&one.key)),
                Step::Cancel(keys, _) => keys.iter().for_each(|key| branches.add(key)),
                _ => {}
            }
        }
        branches
    }

    fn add(&mut self, key: &'a BranchKey) {
        let all = &mut self.all;
        self.places.entry(key).or_insert_with(|| {
            all.push(Branch {
                key,
                legs: &[],
                state: BranchState::None,
            });
            all.len() - 1
        });
    }

    /// A step takes effect. One that must not be answered `done` has none.
    pub(super) fn take(&mut self, step: &'a Step) {
        match step {
            Step::Try(some, BranchStatus::Done) => {
                for one in some {
                    let branch = self.get(&one.key);
                    branch.state = BranchState::Tried;
                    branch.legs = &one.legs;
                }
            }
            Step::Confirm(some, BranchStatus::Done) => {
                for one in some {
                    self.get(&one.key).state = BranchState::Confirmed;
                }
            }
            Step::Cancel(keys, BranchStatus::Done) => {
                for key in keys {
                    let branch = self.get(key);
                    branch.state = match branch.state {
                        BranchState::None => BranchState::Suspended,
                        _ => BranchState::Cancelled,
                    };
                }
            }
            _ => {}
        }
    }

    fn get(&mut self, key: &BranchKey) -> &mut Branch<'a> {
        let place = self.places[key];
        &mut self.all[place]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Branch<'a>> {
        self.all.iter()
    }

    pub(super) fn keys(&self) -> Vec<BranchKey> {
        self.iter().map(|branch| branch.key.clone()).collect()
    }

    /// Whether all stand so, in their order.
    pub(super) fn are(&self, states: &[BranchState]) -> bool {
        self.iter().map(|branch| &branch.state).eq(states)
    }
}
