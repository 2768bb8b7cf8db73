//! Where branches stand: the open ones from memory, the others from what their ids stand for.

use giro_base::branch::{BranchId, BranchInfo, Branches};
use giro_base::operation::Kind;
use giro_base::{Transfer, TransferFlags};
use giro_core::branches::{Known, PROBES, further_legs, probes, settled_info};
use zerocopy::IntoBytes;

use crate::error::Error;
use crate::executor::Executor;

/// Writes what there is to say of each branch of a body to `out`, and returns how many bytes.
pub(super) fn lookup(executor: &mut Executor, body: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    let branches = Branches::parse(Kind::LookupBranches, body);
    let branches = branches.expect("validated where it came in");
    let ids = (0..branches.len()).map(|branch| {
        let key = branches.key(branch);
        BranchId::of(key.gid.as_str(), key.branch_id.as_str())
    });
    let ids: Vec<BranchId> = ids.collect();
    let open = ids
        .iter()
        .map(|id| executor.machine().open_branch_info(*id));
    let open: Vec<Option<BranchInfo>> = open.collect();
    let settled = ids.iter().zip(&open).filter(|(_, open)| open.is_none());
    let settled: Vec<BranchId> = settled.map(|(id, _)| *id).collect();
    let mut settled = settled_infos(executor, &settled)?.into_iter();
    let rows = out.chunks_exact_mut(size_of::<BranchInfo>());
    let infos = open.into_iter().map(|open| {
        let mut settled = || settled.next().expect("one for each that is not open");
        open.unwrap_or_else(&mut settled)
    });
    let written = rows.zip(infos).map(|(row, info)| {
        row.copy_from_slice(info.as_bytes());
        size_of::<BranchInfo>()
    });
    Ok(written.sum())
}

fn settled_infos(executor: &mut Executor, ids: &[BranchId]) -> Result<Vec<BranchInfo>, Error> {
    let asked: Vec<u128> = ids.iter().flat_map(|id| probes(*id)).collect();
    let known = executor.known(&asked)?;
    let known = known.chunks_exact(PROBES);
    let mut infos = Vec::with_capacity(ids.len());
    for (id, known) in ids.iter().zip(known) {
        let further = match further_legs(*id, known[0]) {
            None => 0,
            Some(legs) => {
                let legs = executor.known(&legs.collect::<Vec<_>>())?;
                let is_leg =
                    |known: &&Known| matches!(known, Known::Transfer(leg) if is_of_branch(leg));
                legs.iter().take_while(is_leg).count()
            }
        };
        infos.push(settled_info(*id, known, further));
    }
    Ok(infos)
}

fn is_of_branch(transfer: &Transfer) -> bool {
    transfer.flags & TransferFlags::BRANCH != 0
}
