//! The client protocol's view number.

use crate::NodeId;
use crate::limits::MEMBERS_MAX;
use crate::members::Members;

/// Numbers that a term has for itself: at least one for each voter, however many there are.
const STEP: u64 = MEMBERS_MAX as u64;

/// The view in which clients find this leader: `view % voters` is its place among the voters,
/// ascending by id. None when it is none of them, or the protocol's 32 bits are exhausted.
///
/// Clients believe the highest view they have seen, so it rises with whatever moves the leader's
/// place: with the term, and within a term with every change of who votes. It is worked out from
/// nothing else, so all nodes tell the same, and one that knows less tells less.
#[must_use]
pub fn view(term: u64, leader: NodeId, members: &Members) -> Option<u32> {
    let voters = &members.voters;
    let place = voters.iter().position(|id| *id == leader)? as u64;
    let count = voters.len() as u64;
    let from = term.checked_add(members.steps())?.checked_mul(STEP)?;
    // The first number from there on that names the place.
    let view = from + (place + count - from % count) % count;
    u32::try_from(view).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use crate::members::Member;

    fn after(members: &Members, change: &Change) -> Members {
        members.after(change).expect("it follows")
    }

    fn learner(id: NodeId) -> Change {
        Change::AddLearner(Member {
            id,
            incarnation: 0,
            name: String::new(),
        })
    }

    fn place(view: u32, members: &Members) -> NodeId {
        members.voters[view as usize % members.voters.len()]
    }

    #[test]
    fn a_view_names_the_leader_and_rises_with_the_term() {
        let members = Members::first(3);
        let mut last = 0;
        for term in 2..200 {
            let leader = 3 - term % 3;
            let view = view(term, leader, &members).unwrap();
            assert_eq!(place(view, &members), leader);
            assert!(view > last);
            last = view;
        }
        assert_eq!(view(4, 8, &members), None);
        assert_eq!(view(1 << 31, 3, &members), None);
        assert_eq!(view(u64::MAX, 3, &members), None);
    }

    #[test]
    fn a_view_rises_when_a_replacement_moves_the_leaders_place() {
        let first = Members::first(3);
        let before = view(7, 3, &first).unwrap();
        let added = after(&first, &learner(4));
        assert_eq!(view(7, 3, &added), Some(before), "nobody else votes");
        let replace = Change::Replace {
            promote: 4,
            remove: 1,
        };
        let joint = after(&added, &replace);
        let left = after(&joint, &Change::Leave);
        assert_eq!(left.voters, [2, 3, 4]);
        let views = [&joint, &left].map(|members| view(7, 3, members).unwrap());
        assert!(before < views[0] && views[0] < views[1], "{views:?}");
        assert_eq!(place(views[1], &left), 3);
        for leader in [2, 4] {
            let next = view(8, leader, &left).unwrap();
            assert!(next > views[1], "a new leader's counts");
        }
    }

    #[test]
    fn a_view_rises_when_there_are_fewer_voters() {
        let mut members = Members::first(5);
        let mut last = view(10, 5, &members).unwrap();
        for id in [1, 2] {
            members = after(&members, &Change::Remove(id));
            let view = view(10, 5, &members).unwrap();
            assert_eq!(place(view, &members), 5);
            assert!(view > last);
            last = view;
        }
        assert!(view(11, 3, &members).unwrap() > last);
    }

    #[test]
    fn a_view_rises_when_there_are_more_voters() {
        let mut members = Members::first(1);
        let mut last = view(2, 1, &members).unwrap();
        for id in [2, 3] {
            members = after(&members, &learner(id));
            for change in [Change::Promote(id), Change::Leave] {
                members = after(&members, &change);
                let view = view(2, 1, &members).unwrap();
                assert_eq!(place(view, &members), 1);
                assert!(view >= last);
                last = view;
            }
        }
    }
}
