//! The roll call: the first voters of a group agree on who they are before any of them votes.
//!
//! A directory that is made anew has forgotten what it promised, and has another incarnation. A
//! group that knows its members' incarnations does not take it back; one that did not know them yet
//! could be led by those who have forgotten. So each first voter says that it is there until it has
//! heard all others, makes the list of their incarnations durable, the roll, once and never another
//! one, and begins when all have the same, or when one that has begun knows it.
//!
//! Two rolls that were both begun with have no incarnation in common, since none ever agrees to a
//! second one: all directories were made anew between them, and by whoever wanted a new group.

use giro_base::checksum;
use zerocopy::IntoBytes;

use crate::limits::HEARD_TICKS_MAX;
use crate::{NodeId, replica_number};

/// What a node says in a roll call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is there, and has agreed to no roll.
    Calls,
    /// It has a roll with this checksum, durably.
    Agreed(u128),
    /// Its group has begun, and knows the receiver by this incarnation; 0 is by none.
    Begun(u64),
}

/// Why a group has not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollStatus {
    /// First voters that were not heard of lately, or have not agreed yet.
    pub waits_for: Vec<NodeId>,
    /// First voters whose directories were made anew since this one agreed with them: unless
    /// another one has begun, all of them have to be made anew.
    pub made_anew: Vec<NodeId>,
    /// First voters that have agreed to another list than this one would: to a directory that was
    /// made anew since.
    pub disagree: Vec<NodeId>,
    /// The group began with another directory of this number than this one.
    pub is_late: bool,
}

impl RollStatus {
    /// Whether the group does not begin before somebody does something.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        self.is_late || !self.made_anew.is_empty() || !self.disagree.is_empty()
    }
}

/// For people, who give nodes the numbers of replicas.
impl std::fmt::Display for RollStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = |ids: &[NodeId]| {
            let numbers: Vec<_> = ids
                .iter()
                .map(|id| replica_number(*id).to_string())
                .collect();
            numbers.join(", ")
        };
        if self.is_late {
            return f.write_str(
                "this replica takes no part: its group began with another directory of this \
                 number, which is used up; format another replica with the next number, and let \
                 it take this one's place (giro cluster recover)",
            );
        }
        if !self.made_anew.is_empty() {
            return write!(
                f,
                "the group has not begun: replica {} was formatted anew after this one had agreed \
                 with it; unless another replica has begun, format all of them anew, since \
                 nothing was acknowledged",
                numbers(&self.made_anew)
            );
        }
        if !self.disagree.is_empty() {
            return write!(
                f,
                "the group has not begun: replica {} has agreed with one that was formatted anew \
                 since; unless another replica has begun, format all of them anew, since nothing \
                 was acknowledged",
                numbers(&self.disagree)
            );
        }
        if self.waits_for.is_empty() {
            return f.write_str("the group is about to begin");
        }
        write!(
            f,
            "the group has not begun: it needs all its first replicas once, and waits for \
             replica {}",
            numbers(&self.waits_for)
        )
    }
}

/// One node's part in the roll call.
#[derive(Debug)]
pub(crate) struct RollCall {
    own: NodeId,
    incarnation: u64,
    /// The first voters, ascending.
    voters: Vec<NodeId>,
    /// What each of them said last.
    heard: Vec<Option<Heard>>,
    /// The incarnation of each, when all were heard.
    roll: Option<Vec<u64>>,
    is_durable: bool,
    has_begun: bool,
    /// When it was last told that the group began without this node (ticks).
    late_at: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    incarnation: u64,
    word: Word,
    /// When (ticks).
    at: u64,
}

impl RollCall {
    /// For a node that has nothing in its log, but maybe the roll that it agreed to. None when it
    /// cannot have agreed to that.
    pub(crate) fn new(
        (own, incarnation): (NodeId, u64),
        voters: Vec<NodeId>,
        roll: Option<Vec<u64>>,
    ) -> Option<Self> {
        let place = voters.binary_search(&own).ok()?;
        let is_own =
            |roll: &Vec<u64>| roll.len() == voters.len() && roll.get(place) == Some(&incarnation);
        if !roll.as_ref().is_none_or(is_own) {
            return None;
        }
        Some(Self {
            own,
            incarnation,
            heard: vec![None; voters.len()],
            voters,
            is_durable: roll.is_some(),
            roll,
            has_begun: false,
            late_at: None,
        })
    }

    /// Whom to call.
    pub(crate) fn others(&self) -> impl Iterator<Item = NodeId> + use<'_> {
        self.voters.iter().copied().filter(|id| *id != self.own)
    }

    /// What this node says.
    pub(crate) fn word(&self) -> Word {
        match &self.roll {
            Some(roll) if self.is_durable => Word::Agreed(sum_of(roll)),
            _ => Word::Calls,
        }
    }

    /// A node said something. Whether this one has something new to say.
    pub(crate) fn hear(&mut self, from: NodeId, incarnation: u64, word: Word, now: u64) -> bool {
        if let Word::Begun(known) = word {
            let is_own = known == self.incarnation;
            // Who is known has agreed. If it does not know that, its log was lost.
            self.has_begun |= is_own && self.is_durable;
            // A node that lags behind may not know yet whose the number of one that agreed is.
            if !self.has_begun && (known != 0 || !self.is_durable) {
                self.late_at = Some(now);
            }
            return false;
        }
        let Ok(place) = self.voters.binary_search(&from) else {
            return false;
        };
        let before = self.heard[place].map(|heard| heard.incarnation);
        self.heard[place] = Some(Heard {
            incarnation,
            word,
            at: now,
        });
        self.has_begun |= self.have_all_agreed();
        before != Some(incarnation)
    }

    /// Whether all first voters were heard lately, and none has agreed to others.
    pub(crate) fn can_agree(&self, now: u64) -> bool {
        self.heard_now(now)
            .is_some_and(|roll| self.who_disagrees(&roll).next().is_none())
    }

    /// The incarnations of all first voters, when they are to be made durable.
    pub(crate) fn agree(&mut self, now: u64) -> Option<Vec<u64>> {
        if self.can_agree(now) {
            self.roll = self.heard_now(now);
            return self.roll.clone();
        }
        None
    }

    /// The incarnations of all first voters, if it has not agreed and heard all lately.
    fn heard_now(&self, now: u64) -> Option<Vec<u64>> {
        if self.roll.is_some() || self.is_late(now) {
            return None;
        }
        let heard = self.voters.iter().zip(&self.heard);
        let incarnation = |(id, heard): (&NodeId, &Option<Heard>)| match heard {
            _ if *id == self.own => Some(self.incarnation),
            Some(heard) if heard.at + HEARD_TICKS_MAX >= now => Some(heard.incarnation),
            _ => None,
        };
        heard.map(incarnation).collect()
    }

    /// Who has agreed to another roll.
    fn who_disagrees(&self, roll: &[u64]) -> impl Iterator<Item = NodeId> + use<'_> {
        let sum = sum_of(roll);
        let heard = self.voters.iter().zip(&self.heard);
        let differs = move |heard: &Option<Heard>| match heard.map(|heard| heard.word) {
            Some(Word::Agreed(theirs)) => theirs != sum,
            _ => false,
        };
        heard
            .filter(move |(_, heard)| differs(heard))
            .map(|(id, _)| *id)
    }

    fn is_late(&self, now: u64) -> bool {
        self.late_at.is_some_and(|at| at + HEARD_TICKS_MAX >= now)
    }

    /// Time passed that nobody counted: what was heard may be old.
    pub(crate) fn forget_heard(&mut self) {
        self.heard.fill(None);
    }

    /// The roll is durable.
    pub(crate) fn written(&mut self) {
        self.is_durable = true;
        self.has_begun |= self.have_all_agreed();
    }

    /// Whether the node may vote and take entries.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Each first voter with its incarnation, once this node has agreed.
    pub(crate) fn roll(&self) -> Option<Vec<(NodeId, u64)>> {
        let roll = self.roll.as_ref().filter(|_| self.is_durable)?;
        Some(self.voters.iter().copied().zip(roll.clone()).collect())
    }

    fn have_all_agreed(&self) -> bool {
        self.is_durable && (0..self.voters.len()).all(|place| self.has_agreed(place))
    }

    fn has_agreed(&self, place: usize) -> bool {
        let Some(roll) = &self.roll else { return false };
        let agrees = |heard: &Heard| {
            heard.incarnation == roll[place] && heard.word == Word::Agreed(sum_of(roll))
        };
        self.voters[place] == self.own || self.heard[place].as_ref().is_some_and(agrees)
    }

    /// Why it has not begun.
    pub(crate) fn status(&self, now: u64) -> RollStatus {
        let is_late = |heard: &Heard| heard.at + HEARD_TICKS_MAX < now;
        let lacks = |place: &usize| match &self.heard[*place] {
            _ if self.voters[*place] == self.own => false,
            None => true,
            Some(heard) => is_late(heard) || (self.roll.is_some() && !self.has_agreed(*place)),
        };
        let is_another = |place: &usize| match (&self.heard[*place], &self.roll) {
            (Some(heard), Some(roll)) => heard.incarnation != roll[*place],
            _ => false,
        };
        let heard_now = self.heard_now(now).unwrap_or_default();
        let disagree = self.who_disagrees(&heard_now);
        let disagree = disagree.filter(|_| !heard_now.is_empty()).collect();
        let places = 0..self.voters.len();
        let ids = |place: usize| self.voters[place];
        RollStatus {
            waits_for: places.clone().filter(lacks).map(ids).collect(),
            made_anew: places.filter(is_another).map(ids).collect(),
            disagree,
            is_late: self.is_late(now),
        }
    }
}

fn sum_of(roll: &[u64]) -> u128 {
    checksum(roll.as_bytes())
}

#[cfg(test)]
#[path = "roll_tests.rs"]
mod tests;
