//! The client protocol's view number.

use crate::NodeId;

/// The view in which clients find this leader: it rises with the term, and `view % nodes.len()` is
/// the leader's place in the configured order. None when the leader is not listed, or the
/// protocol's 32 bits are exhausted.
#[must_use]
pub fn view(term: u64, leader: NodeId, nodes: &[NodeId]) -> Option<u32> {
    let place = nodes.iter().position(|id| *id == leader)? as u64;
    let view = term.checked_mul(nodes.len() as u64)?.checked_add(place)?;
    u32::try_from(view).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_names_the_leader_and_rises_with_the_term() {
        let nodes = [7, 3, 9];
        assert_eq!(view(4, 3, &nodes), Some(13));
        assert_eq!(nodes[13 % 3], 3);
        assert!(view(5, 7, &nodes) > view(4, 9, &nodes));
        assert_eq!(view(4, 8, &nodes), None);
        assert_eq!(view(1 << 31, 3, &nodes), None);
    }
}
