//! Who is in the group.

use raft::eraftpb::ConfState;

use crate::NodeId;
use crate::change::Change;
use crate::codec::pieces::{Reader, Writer};
use crate::limits::{MEMBERS_MAX, NAME_BYTES_MAX};

/// A node that the group knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// Drawn when its directory was made: a directory made anew has another one. 0 until the group
    /// knows.
    pub incarnation: u64,
    /// Where it is, as `host:port`; resolved at each connection.
    pub name: String,
}

/// The members after some entry. Equal on all nodes after equal entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Whose storage counts.
    pub voters: Vec<NodeId>,
    /// Who gets everything and counts for nothing.
    pub learners: Vec<NodeId>,
    /// During a joint change: the voters before it, who must agree as well.
    pub outgoing: Vec<NodeId>,
    /// During a joint change: outgoing voters that become learners.
    pub learners_next: Vec<NodeId>,
    /// The joint change ends by itself.
    pub auto_leave: bool,
    /// All of the above, ascending by id.
    pub known: Vec<Member>,
    /// The highest id that was ever given.
    pub id_max: NodeId,
}

impl Members {
    /// A new group of these voters.
    ///
    /// # Panics
    /// When there is none, an id is 0, or one comes twice.
    #[must_use]
    pub fn of_voters(mut voters: Vec<Member>) -> Self {
        voters.sort_by_key(|member| member.id);
        let members = Self {
            voters: voters.iter().map(|member| member.id).collect(),
            id_max: voters.last().expect("a group has a voter").id,
            known: voters,
            ..Self::default()
        };
        assert!(members.is_sound(), "{members:?}");
        members
    }

    /// The voters that a group begins with: as many as this, whose incarnations and names are not
    /// known yet.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn first(count: u64) -> Self {
        let first = (1..=count).map(|id| Member {
            id,
            incarnation: 0,
            name: String::new(),
        });
        Self::of_voters(first.collect())
    }

    /// The node with this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Member> {
        let place = self.known.binary_search_by_key(&id, |member| member.id);
        place.ok().and_then(|place| self.known.get(place))
    }

    /// Whether the node is a member whose incarnation the group does not know yet.
    #[must_use]
    pub fn is_unbound(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|member| member.incarnation == 0)
    }

    /// Whether the node's vote counts now.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether the node is a learner.
    #[must_use]
    pub fn is_learner(&self, id: NodeId) -> bool {
        self.learners.contains(&id)
    }

    /// Whether the node was a member and is none any more.
    #[must_use]
    pub fn is_removed(&self, id: NodeId) -> bool {
        id <= self.id_max && self.get(id).is_none()
    }

    /// How far the group has come: a learner that became a voter is one step, a node that left is
    /// two, a number that was passed over counts as one that left. It rises with every change of
    /// who votes and never falls, and is equal on all nodes after equal entries.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let count = |ids: usize| ids as u64;
        // Each member is at step 0 or 1, all other numbers that were ever given are at 2.
        self.id_max.saturating_mul(2) - count(self.known.len()) - count(self.learners.len())
    }

    /// Whether this node is the only one, and votes.
    #[must_use]
    pub fn is_only(&self, id: NodeId) -> bool {
        self.voters == [id] && self.known.len() == 1 && !self.is_joint()
    }

    /// Whether a joint change is under way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    pub(crate) fn conf_state(&self) -> ConfState {
        let mut conf = ConfState::default();
        conf.set_voters(self.voters.clone());
        conf.set_learners(self.learners.clone());
        conf.set_voters_outgoing(self.outgoing.clone());
        conf.set_learners_next(self.learners_next.clone());
        conf.auto_leave = self.auto_leave;
        conf
    }

    /// The members after a committed change, for whoever reads a log without taking part in the
    /// group. None when it cannot follow these: the log is not this group's.
    #[must_use]
    pub fn after(&self, change: &Change) -> Option<Self> {
        let mut conf = self.conf_state();
        let without = |ids: &[NodeId], id: NodeId| -> Vec<NodeId> {
            ids.iter().copied().filter(|other| *other != id).collect()
        };
        if self.is_joint() != matches!(change, Change::Leave) {
            return None;
        }
        match change {
            Change::Leave => {
                conf.learners.extend(self.learners_next.iter());
                conf.set_learners_next(Vec::new());
                conf.set_voters_outgoing(Vec::new());
                conf.auto_leave = false;
            }
            Change::AddLearner(member) => {
                if self.get(member.id).is_some() {
                    return None;
                }
                conf.learners.push(member.id);
            }
            Change::Promote(id) | Change::Replace { promote: id, .. } => {
                if !self.is_learner(*id) {
                    return None;
                }
                conf.set_voters_outgoing(self.voters.clone());
                conf.auto_leave = true;
                conf.set_learners(without(&self.learners, *id));
                conf.voters.push(*id);
            }
            Change::Remove(_) => {}
            Change::Bind { id, .. } => {
                self.get(*id)?;
            }
        }
        if let Change::Remove(id) | Change::Replace { remove: id, .. } = change {
            self.get(*id)?;
            conf.set_voters(without(conf.get_voters(), *id));
            conf.set_learners(without(conf.get_learners(), *id));
        }
        if conf.get_voters().is_empty() {
            return None;
        }
        let mut after = self.clone();
        after.apply(change, &conf);
        Some(after)
    }

    /// The members after a change, which the library has worked out.
    pub(crate) fn apply(&mut self, change: &Change, conf: &ConfState) {
        let sorted = |ids: &[u64]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        self.voters = sorted(conf.get_voters());
        self.learners = sorted(conf.get_learners());
        self.outgoing = sorted(conf.get_voters_outgoing());
        self.learners_next = sorted(conf.get_learners_next());
        self.auto_leave = conf.auto_leave;
        if let Change::AddLearner(member) = change {
            self.id_max = self.id_max.max(member.id);
            self.known.push(member.clone());
            self.known.sort_by_key(|member| member.id);
        }
        if let Change::Bind {
            id, incarnation, ..
        } = change
            && let Some(member) = self.known.iter_mut().find(|member| member.id == *id)
            && member.incarnation == 0
        {
            member.incarnation = *incarnation;
        }
        let everybody = [
            &self.voters,
            &self.learners,
            &self.outgoing,
            &self.learners_next,
        ];
        self.known
            .retain(|member| everybody.iter().any(|ids| ids.contains(&member.id)));
        assert!(self.is_sound(), "{self:?}");
    }

    /// Ids are known, not 0, ascending, and in one role.
    fn is_sound(&self) -> bool {
        let ascends = |ids: &[NodeId]| ids.is_sorted_by(|a, b| a < b);
        let lists = [
            &self.voters,
            &self.learners,
            &self.outgoing,
            &self.learners_next,
        ];
        let mut ids: Vec<NodeId> = lists.iter().flat_map(|ids| ids.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        !self.voters.is_empty()
            && self.known.len() <= MEMBERS_MAX
            && lists.iter().all(|ids| ascends(ids))
            && ids.first() != Some(&0)
            && ids.last().is_some_and(|last| *last <= self.id_max)
            && self.known.iter().map(|member| member.id).eq(ids)
            && !self
                .learners
                .iter()
                .any(|id| self.voters.contains(id) || self.outgoing.contains(id))
            && self
                .learners_next
                .iter()
                .all(|id| self.outgoing.contains(id) && !self.voters.contains(id))
            && self
                .known
                .iter()
                .all(|member| member.name.len() <= NAME_BYTES_MAX)
    }

    /// The bytes of the checkpoint and of its description.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer(out);
        let lists = [
            &self.voters,
            &self.learners,
            &self.outgoing,
            &self.learners_next,
        ];
        for ids in lists {
            writer.u16(ids.len() as u16);
            ids.iter().for_each(|id| writer.u64(*id));
        }
        writer.u16(u16::from(self.auto_leave));
        writer.u64(self.id_max);
        writer.u16(self.known.len() as u16);
        for member in &self.known {
            member.encode(&mut writer);
        }
    }

    /// The members in these bytes; none when there are other bytes, too, or they make no sense.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let mut ids = || -> Option<Vec<NodeId>> {
            let count = usize::from(reader.u16()?);
            if count > MEMBERS_MAX {
                return None;
            }
            (0..count).map(|_| reader.u64()).collect()
        };
        let (voters, learners, outgoing, learners_next) = (ids()?, ids()?, ids()?, ids()?);
        let auto_leave = match reader.u16()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let id_max = reader.u64()?;
        let count = usize::from(reader.u16()?);
        if count > MEMBERS_MAX {
            return None;
        }
        let known = (0..count).map(|_| Member::decode(&mut reader));
        let members = Self {
            voters,
            learners,
            outgoing,
            learners_next,
            auto_leave,
            known: known.collect::<Option<_>>()?,
            id_max,
        };
        (reader.is_empty() && members.is_sound()).then_some(members)
    }
}

impl Member {
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.u64(self.id);
        writer.u64(self.incarnation);
        writer.text(&self.name);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: reader.u64()?,
            incarnation: reader.u64()?,
            name: reader.text(NAME_BYTES_MAX)?,
        })
    }
}
