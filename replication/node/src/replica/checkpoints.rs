//! Checkpoints: what the log need not keep, and what peers are offered.

use std::sync::Arc;

use bytes::Bytes;
use giro_replication::{Checkpoint, Install, NodeId};

use super::Replica;
use crate::transfer::{Fetcher, Pinned};

impl Replica {
    /// Takes note of checkpoints that the engine's history has made durable.
    pub(super) fn take_durable_checkpoint(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        let needed = self.engine.needed_record();
        let mut newest = None;
        while self.marks.front().is_some_and(|mark| mark.0 <= needed) {
            newest = self.marks.pop_front();
        }
        let Some((_, mark)) = newest.filter(|(_, mark)| mark.index > 0) else {
            return;
        };
        self.set_checkpoint(Checkpoint {
            index: mark.index,
            term: mark.term,
            members: mark.members,
            manifest: Bytes::new(),
        });
    }

    /// There is a newer checkpoint, durable: peers that lag are offered it, and the log gives up
    /// what it has. The engine's own history calls this itself.
    pub fn set_checkpoint(&mut self, checkpoint: Checkpoint) {
        let index = checkpoint.index;
        self.group.set_checkpoint(checkpoint);
        let first = self.wal.release(index, self.options.kept_bytes);
        self.group.compact(first.min(index + 1));
    }

    /// Whether a peer needs a checkpoint that is newer than the newest.
    pub fn wants_checkpoint(&mut self) -> bool {
        std::mem::take(&mut self.wants_checkpoint)
    }

    /// Checkpoints that this node needs, and who has them.
    pub fn installs(&mut self) -> Vec<Install> {
        std::mem::take(&mut self.installs)
    }

    /// A checkpoint was fetched, checked, and is durable beside the state; or it could not be. It
    /// counts once its record is durable, see [`is_superseded`](Self::is_superseded).
    pub fn checkpoint_fetched(&mut self, index: u64, is_whole: bool) {
        self.group.checkpoint_fetched(index, is_whole);
    }

    /// Peers that were offered the checkpoint at this entry.
    pub fn offers(&mut self) -> Vec<(NodeId, u64)> {
        std::mem::take(&mut self.offers)
    }

    /// The files of the checkpoint at this entry, if it is still the newest: to be
    /// [sent](Pinned::send), on a thread of its own.
    pub fn pin_checkpoint(&mut self, index: u64) -> Option<Pinned> {
        let catalog = self.engine.catalog()?;
        catalog.checkpoint()?;
        Some(Pinned { catalog, index })
    }

    /// What [fetches](Fetcher::fetch) this checkpoint, on a thread of its own; what comes of it is
    /// for [`checkpoint_fetched`](Self::checkpoint_fetched).
    #[must_use]
    pub fn fetcher(&self, checkpoint: &Checkpoint) -> Fetcher {
        Fetcher {
            storage: Arc::clone(&self.storage),
            dir: self.dir.clone(),
            identity: self.identity,
            index: checkpoint.index,
            term: checkpoint.term,
        }
    }

    /// Has a checkpoint made after the next op, for a peer that [wants](Self::wants_checkpoint)
    /// one.
    pub fn make_checkpoint(&mut self) {
        self.engine.want_checkpoint();
    }

    /// The transfer of a checkpoint to a peer ended. To be called for every offer.
    pub fn checkpoint_sent(&mut self, peer: NodeId, is_whole: bool) {
        self.group.checkpoint_sent(peer, is_whole);
    }
}
