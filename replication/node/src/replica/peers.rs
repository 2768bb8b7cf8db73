//! What comes from other nodes.

use bytes::Bytes;
use giro::check_ops;
use giro_log::LogError;
use giro_replication::codec::{Incoming, Kind, decode_with};
use giro_replication::{Entry, EntryKind, NodeId};

use super::Replica;
use crate::aligned::into_aligned;
use crate::error::{NodeError, ReceiveError, Refused};
use crate::old::{OldEntries, OldEntriesError};

impl Replica {
    /// A tick of time passed (20 ms).
    ///
    /// # Errors
    /// When this node must end.
    pub fn tick(&mut self) -> Result<(), NodeError> {
        self.group.tick();
        if let Some(gate) = &mut self.gate {
            gate.tick(self.engine.commit_op());
        }
        self.look_for_relief();
        self.poll()
    }

    /// The process stood still for longer than the ticks say that it is given.
    pub fn stood_still(&mut self) {
        self.group.stood_still();
    }

    /// The connection to a peer broke: what was on its way may be lost.
    pub fn unreachable(&mut self, peer: NodeId) {
        self.group.unreachable(peer);
    }

    /// Takes a frame as it came from a peer. Its entries are checked before the group and the log
    /// see them: they can be executed, and follow those before them.
    ///
    /// # Errors
    /// [`ReceiveError::Refused`]: it was not taken, close the connection. [`ReceiveError::Stop`]:
    /// this node must end.
    pub fn receive(&mut self, frame: &Bytes) -> Result<(), ReceiveError> {
        let incoming = decode_with(frame, into_aligned)?;
        self.check(&incoming)?;
        self.group.receive_decoded(incoming)?;
        self.poll()?;
        Ok(())
    }

    fn check(&self, incoming: &Incoming) -> Result<(), Refused> {
        let header = &incoming.header;
        if header.kind() != Some(Kind::Append) {
            return Ok(());
        }
        let mut last = self.wal.places.last_op_of(header.index, header.log_term);
        for entry in incoming.entries() {
            if entry.kind == EntryKind::Ops {
                let checked = check_ops(&entry.payload.bytes, last);
                last = checked.map_err(|reason| Refused::Ops {
                    from: header.from,
                    index: entry.index,
                    reason,
                })?;
            }
        }
        Ok(())
    }

    /// Whether the group has had something to say since [`settle_down`](Self::settle_down): a role,
    /// frames, answers, fetches, offers or installs may wait to be taken.
    #[must_use]
    pub fn is_stirred(&self) -> bool {
        self.is_stirred
    }

    /// All that was there to be taken is.
    pub fn settle_down(&mut self) {
        self.is_stirred = false;
    }

    /// Readers for entries that peers need and that are only on disk: each is to be
    /// [read](OldEntries::read), on a thread of its own where that is wanted, and what came of it
    /// is for [`fetched`](Self::fetched).
    pub fn fetches(&mut self) -> Vec<OldEntries> {
        let fetches = std::mem::take(&mut self.fetches);
        let reader = |fetch: giro_replication::Fetch| {
            let records = (fetch.low..fetch.high).map_while(|index| self.wal.places.get(index));
            OldEntries {
                storage: std::sync::Arc::clone(&self.storage),
                dir: self.dir.clone(),
                identity: self.identity,
                number: fetch.number,
                low: fetch.low,
                records: records.map(|place| place.record).collect(),
                bytes_max: fetch.bytes_max,
            }
        };
        fetches.into_iter().map(reader).collect()
    }

    /// Entries that were read back.
    ///
    /// # Errors
    /// When what this node's log must still have cannot be read: it must end, and another one lead.
    pub fn fetched(
        &mut self,
        number: u64,
        entries: Result<Vec<Entry>, OldEntriesError>,
    ) -> Result<(), NodeError> {
        match entries {
            Ok(entries) => self.group.fetched(number, &entries),
            Err(OldEntriesError::Node(error)) if self.is_damage(&error) => return Err(error),
            Err(error) => {
                tracing::warn!("entries for a peer cannot be read: {error}");
                self.group.fetch_failed(number);
            }
        }
        Ok(())
    }

    /// Whether a failure to read the log is damage: one that was given up meanwhile looks like it.
    fn is_damage(&self, error: &NodeError) -> bool {
        let log = &self.wal.log;
        let held = log.first_index()..=log.positions().durable;
        match error {
            NodeError::Log(LogError::Corrupt { index, .. }) => held.contains(index),
            other => other.must_leave(),
        }
    }
}
