//! Comparing state digests at equal entries.

use std::collections::VecDeque;

use crate::limits::{DIGEST_EVERY, DIGESTS_KEPT};
use crate::members::Members;
use crate::{NodeId, replica_number};

/// This node's state is not the others'. It must stop: its memory or its code cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the state after entry {index} differs: this replica has digest {ours:032x}, replica {} and \
     others have {theirs:032x}",
    replica_number(*.other)
)]
pub struct Diverged {
    /// The entry.
    pub index: u64,
    /// This node's digest.
    pub ours: u128,
    /// The one that counts.
    pub theirs: u128,
    /// A node that has it.
    pub other: NodeId,
}

/// What is known of states.
pub(crate) struct Digests {
    node: NodeId,
    ours: VecDeque<(u64, u128)>,
    /// Node, entry, digest; the newest ones.
    theirs: VecDeque<(NodeId, u64, u128)>,
}

impl Digests {
    pub(crate) fn new(node: NodeId) -> Self {
        let (ours, theirs) = (VecDeque::new(), VecDeque::new());
        Self { node, ours, theirs }
    }

    /// The newest note, for frames.
    pub(crate) fn newest(&self) -> (u64, u128) {
        self.ours.back().copied().unwrap_or_default()
    }

    /// Takes note of this node's own digest.
    pub(crate) fn note(&mut self, index: u64, digest: u128) -> bool {
        if !index.is_multiple_of(DIGEST_EVERY) {
            return false;
        }
        self.ours.push_back((index, digest));
        if self.ours.len() > DIGESTS_KEPT {
            self.ours.pop_front();
        }
        true
    }

    /// Takes note of another node's digest; whether it is news.
    pub(crate) fn hear(&mut self, node: NodeId, index: u64, digest: u128) -> bool {
        let known = |heard: &(NodeId, u64, u128)| heard.0 == node && heard.1 == index;
        if index == 0 || !index.is_multiple_of(DIGEST_EVERY) || self.theirs.iter().any(known) {
            return false;
        }
        self.theirs.push_back((node, index, digest));
        if self.theirs.len() > DIGESTS_KEPT {
            self.theirs.pop_front();
        }
        true
    }

    /// Forgets what came before a checkpoint.
    pub(crate) fn restart(&mut self) {
        self.ours.clear();
    }

    /// Compares the state after `index`.
    pub(crate) fn compare(
        &self,
        index: u64,
        members: &Members,
        leader: NodeId,
    ) -> Result<(), Diverged> {
        let Some((_, ours)) = self.ours.iter().find(|(at, _)| *at == index) else {
            return Ok(());
        };
        let heard = || self.theirs.iter().filter(|heard| heard.1 == index);
        let majority = members.voters.len() / 2 + 1;
        let count = |digest: u128| {
            let voters = heard().filter(|heard| members.voters.contains(&heard.0));
            let others = voters.filter(|heard| heard.2 == digest).count();
            let me = *ours == digest && members.voters.contains(&self.node);
            others + usize::from(me)
        };
        for &(other, _, theirs) in heard().filter(|heard| heard.2 != *ours) {
            let outvoted = count(theirs) >= majority;
            let misled = other == leader && self.node != leader && count(*ours) < majority;
            if outvoted || misled {
                let ours = *ours;
                return Err(Diverged {
                    index,
                    ours,
                    theirs,
                    other,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Member;

    fn members(voters: u64) -> Members {
        let member = |id| Member {
            id,
            incarnation: id,
            name: String::new(),
        };
        Members::of_voters((1..=voters).map(member).collect())
    }

    fn digests(node: NodeId, ours: u128, theirs: &[(NodeId, u128)]) -> Digests {
        let mut digests = Digests::new(node);
        assert!(digests.note(DIGEST_EVERY, ours));
        for (node, digest) in theirs {
            assert!(digests.hear(*node, DIGEST_EVERY, *digest));
        }
        digests
    }

    #[test]
    fn the_one_that_differs_from_a_majority_stops() {
        let outvoted = digests(1, 5, &[(2, 6), (3, 6)]);
        let diverged = outvoted.compare(DIGEST_EVERY, &members(3), 1);
        let diverged = diverged.unwrap_err();
        assert_eq!((diverged.index, diverged.ours, diverged.theirs), (16, 5, 6));
        assert!(diverged.to_string().contains("entry 16"));
    }

    #[test]
    fn a_majority_goes_on_even_against_its_leader() {
        let right = digests(2, 6, &[(1, 5), (3, 6)]);
        assert_eq!(right.compare(DIGEST_EVERY, &members(3), 1), Ok(()));
    }

    #[test]
    fn without_a_majority_the_leader_counts() {
        let follower = digests(2, 6, &[(1, 5)]);
        assert!(follower.compare(DIGEST_EVERY, &members(3), 1).is_err());
        let leader = digests(1, 5, &[(2, 6)]);
        assert_eq!(leader.compare(DIGEST_EVERY, &members(3), 1), Ok(()));
    }

    #[test]
    fn a_learner_is_not_counted_but_stops() {
        let learner = digests(9, 6, &[(1, 5)]);
        assert!(learner.compare(DIGEST_EVERY, &members(3), 1).is_err());
        let voter = digests(1, 5, &[(9, 6), (8, 6)]);
        assert_eq!(voter.compare(DIGEST_EVERY, &members(3), 1), Ok(()));
    }
}
