//! Which life of a ledger its checkpoint is of.
//!
//! A ledger that was alone has records of version 1, and its checkpoints say nothing of a group. A
//! copy of a member is such a ledger, too, but has the member's history, which speaks of the group
//! that the member was in. When it begins a group of its own, that says nothing any more.

use std::path::Path;
use std::sync::Arc;

use giro::CheckpointPlace;
use giro_base::{Buffer, BufferPool};
use giro_log::storage::Storage;
use giro_log::{Identity, LogError, LogOptions, Mark, RecordHeader, Recovery};

use crate::error::NodeError;
use crate::found::KIND_INSTALLED;
use crate::mark::GroupMark;
use crate::options::ReplicaOptions;

/// Reads the next record of a log that nobody writes, or of one that its owner writes meanwhile.
pub(crate) type NextRecord =
    fn(&mut Recovery, &mut Buffer) -> Result<Option<RecordHeader>, LogError>;

/// What a log says of its node's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// The entry of the last checkpoint that was installed.
    pub(crate) installed: Option<u64>,
    /// The first and the last record that a ledger alone wrote.
    alone: Option<(u64, u64)>,
}

impl Life {
    /// Reads the log in `dir` to its end.
    pub(crate) fn read(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        identity: &Identity,
        next: NextRecord,
    ) -> Result<Self, NodeError> {
        let options = LogOptions {
            first_index: Recovery::oldest_index(storage, dir, identity)?,
            ..LogOptions::default()
        };
        let mut recovery = Recovery::open_on(Arc::clone(storage), dir, identity, &options)?;
        let pool = BufferPool::new(1).map_err(|source| giro::Error::Memory {
            what: "a message buffer",
            source,
        })?;
        let mut buffer = pool.take().expect("a new pool has a buffer");
        let mut life = Self::default();
        while let Some(header) = next(&mut recovery, &mut buffer)? {
            life.take(&header);
        }
        Ok(life)
    }

    fn take(&mut self, header: &RecordHeader) {
        if header.mark == Mark::default() {
            let (first, _) = self.alone.unwrap_or((header.index, 0));
            self.alone = Some((first, header.index));
        } else if header.mark.kind == KIND_INSTALLED {
            self.installed = Some(header.mark.entry);
        }
    }

    /// Whether a checkpoint that names this record as its own was there when the ledger was alone.
    /// One that was fetched names a record of another node, and the log says that it was installed.
    fn was_alone_at(&self, record: u64) -> bool {
        let within = |(first, last): (u64, u64)| (first..=last).contains(&record);
        self.installed.is_none() && self.alone.is_some_and(within)
    }
}

/// Where a checkpoint is in the group's log. `life` is asked where the checkpoint speaks of a group
/// and another node made it.
///
/// # Errors
/// When what it says of the group cannot be read; those of `life`.
pub(crate) fn mark_of(
    place: &CheckpointPlace,
    options: &ReplicaOptions,
    life: impl FnOnce() -> Result<Life, NodeError>,
) -> Result<GroupMark, NodeError> {
    let alone = || GroupMark::of_alone(place.record, options.incarnation, &options.members);
    if place.group.is_empty() {
        return Ok(alone());
    }
    let mark = GroupMark::decode(&place.group).ok_or(NodeError::Mark)?;
    if mark.incarnation != options.incarnation && life()?.was_alone_at(place.record) {
        return Ok(alone());
    }
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use giro_replication::Members;

    use super::*;

    fn alone(first: u64, last: u64) -> Life {
        let mut life = Life::default();
        (first..=last).for_each(|index| {
            life.take(&RecordHeader {
                index,
                ..zerocopy::FromZeros::new_zeroed()
            });
        });
        life
    }

    #[test]
    fn what_a_copy_says_of_the_group_it_came_from_does_not_count() {
        let options = ReplicaOptions::new(1, 70, Members::first(1));
        let old = GroupMark {
            incarnation: 9,
            index: 3,
            term: 8,
            members: Members::first(3),
        };
        let place = CheckpointPlace {
            op: 40,
            record: 12,
            group: old.encode(),
        };
        let found = |life: Life| mark_of(&place, &options, || Ok(life)).unwrap();
        let mark = found(alone(12, 15));
        assert_eq!((mark.index, mark.term), (11, 1));
        assert_eq!(mark.members, Members::first(1));
        // Where no ledger alone wrote that record, or one was fetched since, it counts.
        assert_eq!(found(alone(13, 15)), old);
        assert_eq!(found(Life::default()), old);
        let installed = Some(3);
        assert_eq!(
            found(Life {
                installed,
                ..alone(1, 15)
            }),
            old
        );
    }

    #[test]
    fn what_the_node_itself_says_counts_and_the_log_is_not_asked() {
        let options = ReplicaOptions::new(1, 9, Members::first(1));
        let own = GroupMark {
            incarnation: 9,
            index: 3,
            term: 8,
            members: Members::first(1),
        };
        let mut place = CheckpointPlace {
            op: 40,
            record: 12,
            group: own.encode(),
        };
        let asked = || panic!("the log is asked");
        assert_eq!(mark_of(&place, &options, asked).unwrap(), own);
        place.group.clear();
        assert_eq!(mark_of(&place, &options, asked).unwrap().index, 11);
    }
}
