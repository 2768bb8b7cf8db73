//! Members of a group as commands show them: by their replicas' numbers.

use giro_replication::{Member, Members, NodeId};
use serde_json::{Value, json};

/// A replica's number by its id in the group; none for nobody.
pub(crate) fn replica_of(id: NodeId) -> Option<u64> {
    id.checked_sub(1)
}

/// What a member is.
pub(crate) fn kind_of(members: &Members, id: NodeId) -> &'static str {
    if members.voters.contains(&id) {
        "voter"
    } else if members.is_learner(id) {
        "learner"
    } else {
        "leaving"
    }
}

/// A member, for programs.
pub(crate) fn found_member(members: &Members, member: &Member) -> Value {
    json!({
        "replica": replica_of(member.id), "kind": kind_of(members, member.id),
        "incarnation": format!("{:016x}", member.incarnation), "peer": member.name,
    })
}
