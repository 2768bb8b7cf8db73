//! Checkpoints: for peers that need entries the log no longer has, and from them.

use raft::SnapshotStatus;
use raft::eraftpb::Message;

use super::Group;
use super::types::{Checkpoint, Install};
use crate::NodeId;
use crate::codec::decode_description;
use crate::limits::MANIFEST_BYTES_MAX;

impl Group {
    /// There is a newer checkpoint, durable.
    ///
    /// # Panics
    /// When it has what is not executed, or its manifest is too long.
    pub fn set_checkpoint(&mut self, checkpoint: Checkpoint) {
        assert!(checkpoint.index <= self.executed);
        assert!(checkpoint.manifest.len() <= MANIFEST_BYTES_MAX);
        self.raw.mut_store().set_checkpoint(checkpoint);
    }

    /// The log gave up the entries below `first`.
    ///
    /// # Panics
    /// When the checkpoint does not have them.
    pub fn compact(&mut self, first: u64) {
        let checkpoint = self.raw.store().checkpoint().map_or(0, |c| c.index);
        assert!(first <= checkpoint + 1, "only what the checkpoint has");
        self.compacted = first;
        self.give_up_compacted();
    }

    /// Gives up what the log has given up, as far as the library is with it.
    pub(super) fn give_up_compacted(&mut self) {
        let first = self.compacted.min(self.library_handed + 1);
        self.raw.mut_store().compact(first);
    }

    /// A leader offers a checkpoint: it is fetched first, and then the offer counts as received.
    pub(super) fn take_offer(&mut self, message: Message) {
        let description = &message.get_snapshot().data;
        let checkpoint = decode_description(description).expect("validated where it came in");
        if message.term < self.raw.raft.term || checkpoint.index <= self.raw.raft.raft_log.committed
        {
            // The library's own answer says what this node has.
            self.step_fetched(message);
            return;
        }
        let offered = |offer: &Message| offer.get_snapshot().get_metadata().index;
        if self.offer.as_ref().map(offered) == Some(checkpoint.index) {
            // The same again: the one that is being fetched gets the newer term.
            self.offer = Some(message);
            return;
        }
        let from = message.from;
        self.offer = Some(message);
        self.installs.push(Install { from, checkpoint });
    }

    /// The checkpoint at this index was fetched and checked, or could not be.
    pub fn checkpoint_fetched(&mut self, index: u64, is_whole: bool) {
        let wanted = |offer: &mut Message| offer.get_snapshot().get_metadata().index == index;
        let Some(offer) = self.offer.take_if(wanted) else {
            return;
        };
        if is_whole {
            self.step_fetched(offer);
        }
    }

    /// The transfer of a checkpoint to a peer ended. To be called for every offer: the peer gets
    /// nothing else meanwhile.
    pub fn checkpoint_sent(&mut self, peer: NodeId, is_whole: bool) {
        let status = if is_whole {
            SnapshotStatus::Finish
        } else {
            SnapshotStatus::Failure
        };
        self.raw.report_snapshot(peer, status);
        self.after_call();
    }
}
