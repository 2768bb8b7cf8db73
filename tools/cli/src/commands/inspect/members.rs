//! `giro inspect members`, and what a checkpoint says of the group.

use anyhow::bail;
use giro::open::take_lock;
use giro_log::read_identity;
use giro_node::GroupMark;
use serde_json::{Value, json};

use super::{Target, member_files, print};
use crate::commands::members::found_member;
use crate::commands::verify::found_standing;

/// Prints how far the member's log has come, then each member that it knows of.
pub(super) fn show(target: &Target) -> anyhow::Result<()> {
    let _lock = take_lock(&target.dir)?;
    let identity = read_identity(&target.dir)?;
    if identity.incarnation == 0 {
        bail!(
            "{} is a ledger alone: it has no group",
            target.dir.display()
        );
    }
    let files = member_files(target, &identity)?;
    let mut own = found_standing(files.standing());
    own["own_replica"] = identity.replica.into();
    own["own_incarnation"] = format!("{:016x}", identity.incarnation).into();
    print(target, &own)?;
    let members = files.members()?;
    for member in &members.known {
        print(target, &found_member(&members, member))?;
    }
    Ok(())
}

/// What a checkpoint's part of the group says.
pub(super) fn of_mark(bytes: &[u8]) -> Value {
    let Some(mark) = GroupMark::decode(bytes) else {
        return "not known to this release".into();
    };
    let members = mark.members.known.iter();
    let members: Vec<Value> = members.map(|m| found_member(&mark.members, m)).collect();
    json!({
        "entry": mark.index, "entry_term": mark.term,
        "made_by": format!("{:016x}", mark.incarnation), "members": members,
    })
}
