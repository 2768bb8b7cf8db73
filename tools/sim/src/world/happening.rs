//! What happens at some moment.

use bytes::Bytes;
use giro::RequestMeta;
use giro_replication::NodeId;

use super::beginning::Early;
use crate::client::Answer;
use crate::workload::Request;

/// What happens at some moment.
pub(super) enum Happening {
    Tick(NodeId, u64),
    Frame {
        from: NodeId,
        to: NodeId,
        epoch: u64,
        bytes: Bytes,
        is_garbage: bool,
    },
    Written(NodeId, u64, u64),
    Saved(NodeId, u64),
    Fetched {
        node: NodeId,
        life: u64,
        index: u64,
        from: NodeId,
    },
    Sent {
        node: NodeId,
        life: u64,
        peer: NodeId,
    },
    Unreachable {
        node: NodeId,
        life: u64,
        peer: NodeId,
    },
    Stop(NodeId, u64),
    Restart(NodeId),
    Early(Early),
    Request(NodeId, usize, Box<(RequestMeta, Request)>),
    Answer(usize, Answer),
    Wake(usize, u64),
    Fault,
    Operate,
}

impl Happening {
    /// The process that it happens to.
    pub(super) fn node(&self) -> Option<NodeId> {
        match self {
            Self::Tick(id, _)
            | Self::Frame { to: id, .. }
            | Self::Written(id, ..)
            | Self::Saved(id, _)
            | Self::Fetched { node: id, .. }
            | Self::Sent { node: id, .. }
            | Self::Unreachable { node: id, .. }
            | Self::Request(id, ..) => Some(*id),
            Self::Stop(..)
            | Self::Restart(_)
            | Self::Early(_)
            | Self::Answer(..)
            | Self::Wake(..)
            | Self::Fault
            | Self::Operate => None,
        }
    }

    /// Who made it happen to a process.
    pub(super) fn source(&self) -> u64 {
        match self {
            Self::Frame { from, .. } => *from,
            Self::Request(_, client, _) => 1000 + *client as u64,
            _ => 0,
        }
    }
}
