//! What a checkpoint has to say of the group.
//!
//! ```text
//! version 2 | zeros 6 | incarnation 8 | index 8 | term 8 | members
//! ```

use giro_replication::Members;

/// Version of the layout.
pub const MARK_VERSION: u16 = 1;
const FIXED_BYTES: usize = 32;
/// Term of all entries of a ledger alone.
const LONE_TERM: u64 = 1;

/// Where a checkpoint is in the group's log. The state has entries up to `index`, and perhaps some
/// ops of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMark {
    /// Of the node that made it.
    pub incarnation: u64,
    /// The last entry that the state has as a whole.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The members behind it.
    pub members: Members,
}

impl GroupMark {
    /// The bytes in the checkpoint.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&u64::from(MARK_VERSION).to_le_bytes());
        for number in [self.incarnation, self.index, self.term] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.members.encode(&mut out);
        out
    }

    /// What these bytes say, if they are a mark.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, members) = bytes.split_at_checked(FIXED_BYTES)?;
        let mut numbers = fixed.as_chunks().0.iter().map(|n| u64::from_le_bytes(*n));
        if numbers.next()? != u64::from(MARK_VERSION) {
            return None;
        }
        Some(Self {
            incarnation: numbers.next()?,
            index: numbers.next()?,
            term: numbers.next()?,
            members: Members::decode(members)?,
        })
    }

    /// That of a checkpoint of a ledger alone, in which this record has its last op: it is before
    /// the entry that the record is.
    pub(crate) fn of_alone(record: u64, incarnation: u64, first: &Members) -> Self {
        let index = record.saturating_sub(1);
        Self {
            incarnation,
            index,
            term: if index == 0 { 0 } else { LONE_TERM },
            members: first.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use giro_replication::Member;

    use super::*;

    fn members() -> Members {
        let member = |id| Member {
            id,
            incarnation: id + 7,
            name: format!("node{id}:3000"),
        };
        Members::of_voters((1..=3).map(member).collect())
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = GroupMark {
            incarnation: u64::MAX,
            index: 12,
            term: 3,
            members: members(),
        };
        let bytes = mark.encode();
        assert_eq!(GroupMark::decode(&bytes), Some(mark));
        for end in 0..bytes.len() {
            assert_eq!(GroupMark::decode(&bytes[..end]), None, "{end} bytes");
        }
        let newer = [&[2], &bytes[1..]].concat();
        assert_eq!(GroupMark::decode(&newer), None);
    }

    #[test]
    fn the_mark_of_a_ledger_alone_is_before_its_record() {
        let mark = GroupMark::of_alone(5, 7, &members());
        assert_eq!((mark.index, mark.term), (4, 1));
        let mark = GroupMark::of_alone(1, 7, &members());
        assert_eq!((mark.index, mark.term), (0, 0));
    }
}
