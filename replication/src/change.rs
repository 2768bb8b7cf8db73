//! Changes of membership, in our own encoding.

use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};

use crate::NodeId;
use crate::codec::pieces::{Reader, Writer};
use crate::members::Member;

/// A change of membership. An entry carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Ends a joint change.
    Leave,
    /// A new node, which counts for nothing yet.
    AddLearner(Member),
    /// A learner becomes a voter.
    Promote(NodeId),
    /// A learner takes a voter's place.
    Replace {
        /// The learner.
        promote: NodeId,
        /// The voter.
        remove: NodeId,
    },
    /// A node leaves for good.
    Remove(NodeId),
    /// Whose incarnation was not known when the group began or the node was added: this one's. The
    /// leader proposes it when it hears of the node for the first time.
    Bind {
        /// The node.
        id: NodeId,
        /// Its incarnation, not 0.
        incarnation: u64,
        /// It is a learner; it stays what it is.
        is_learner: bool,
    },
}

impl Change {
    /// The library's form.
    pub(crate) fn to_raft(&self) -> ConfChangeV2 {
        use ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
        let mut change = ConfChangeV2::default();
        let singles = match self {
            Self::Leave => vec![],
            Self::AddLearner(member) => vec![single(AddLearnerNode, member.id)],
            Self::Promote(id) => vec![single(AddNode, *id)],
            Self::Replace { promote, remove } => {
                vec![single(AddNode, *promote), single(RemoveNode, *remove)]
            }
            Self::Remove(id) => vec![single(RemoveNode, *id)],
            // To the library: the node becomes what it is.
            Self::Bind { id, is_learner, .. } => {
                let kind = if *is_learner { AddLearnerNode } else { AddNode };
                vec![single(kind, *id)]
            }
        };
        if matches!(self, Self::Promote(_) | Self::Replace { .. }) {
            // Joint: at no moment does a majority of only one of the two sets decide.
            change.set_transition(ConfChangeTransition::Implicit);
        }
        change.set_changes(singles.into());
        change
    }

    /// The bytes of an entry. None at all for [`Self::Leave`], which the library makes itself.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer(&mut out);
        match self {
            Self::Leave => {}
            Self::AddLearner(member) => {
                writer.u16(1);
                member.encode(&mut writer);
            }
            Self::Promote(id) => {
                writer.u16(2);
                writer.u64(*id);
            }
            Self::Replace { promote, remove } => {
                writer.u16(3);
                writer.u64(*promote);
                writer.u64(*remove);
            }
            Self::Remove(id) => {
                writer.u16(4);
                writer.u64(*id);
            }
            Self::Bind {
                id,
                incarnation,
                is_learner,
            } => {
                writer.u16(5);
                writer.u64(*id);
                writer.u64(*incarnation);
                writer.u16(u16::from(*is_learner));
            }
        }
        out
    }

    /// The change in these bytes, if they are one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::Leave);
        }
        let mut reader = Reader(bytes);
        let change = match reader.u16()? {
            1 => Self::AddLearner(Member::decode(&mut reader)?),
            2 => Self::Promote(reader.u64()?),
            3 => Self::Replace {
                promote: reader.u64()?,
                remove: reader.u64()?,
            },
            4 => Self::Remove(reader.u64()?),
            5 => Self::Bind {
                id: reader.u64()?,
                incarnation: Some(reader.u64()?).filter(|incarnation| *incarnation != 0)?,
                is_learner: match reader.u16()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
            },
            _ => return None,
        };
        let ids: &[NodeId] = match &change {
            Self::Leave => &[],
            Self::AddLearner(member) => &[member.id],
            Self::Promote(id) | Self::Remove(id) | Self::Bind { id, .. } => &[*id],
            Self::Replace { promote, remove } => &[*promote, *remove],
        };
        (reader.is_empty() && !ids.contains(&0)).then_some(change)
    }
}

fn single(kind: ConfChangeType, id: NodeId) -> ConfChangeSingle {
    let mut single = ConfChangeSingle::default();
    single.set_change_type(kind);
    single.node_id = id;
    single
}
