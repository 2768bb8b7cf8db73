//! Verifying the checkpoint: it stands where the segments lead.

use giro_base::Transfer;

use super::ledger::Accounts;
use crate::checkpoint::Whole;
use crate::checkpoint::format::{PendingRecord, PiecePart};
use crate::error::StoreError;
use crate::history::Catalog;
use crate::reader::Reader;

/// Pending transfers whose rows are read together.
const PENDINGS_AT_ONCE: usize = 4096;

/// Checks that accounts and open pending transfers are what the segments' rows come to; says how
/// many there are of each.
pub(super) fn verify(
    catalog: &Catalog,
    whole: Whole<'_>,
    reader: &mut Reader,
    accounts: &Accounts,
) -> Result<(u64, u64), StoreError> {
    let mut slot = 0;
    let different = whole.damaged(
        PiecePart::Accounts,
        "an account does not stand as its transfers left it",
    );
    let mut wrong = false;
    whole.accounts(reader, |account| {
        wrong |= !accounts.is_as(slot, account);
        slot += 1;
        Ok(())
    })?;
    if wrong || accounts.slots_end() > slot {
        return Err(different);
    }
    let mut pendings = Vec::new();
    whole.pendings(reader, |pending| {
        pendings.push(*pending);
        Ok(())
    })?;
    let is_open = |pending: &PendingRecord| accounts.open().contains(&pending.row);
    if pendings.len() != accounts.open().len() || !pendings.iter().all(is_open) {
        let reason = "other pending transfers are open than those that nothing ended";
        return Err(whole.damaged(PiecePart::Opened, reason));
    }
    for some in pendings.chunks(PENDINGS_AT_ONCE) {
        let rows: Vec<u64> = some.iter().map(|pending| pending.row).collect();
        let transfers = catalog.transfers_at(reader, &rows)?;
        let is_same = |(pending, transfer): (&PendingRecord, &Option<Transfer>)| {
            let t = pending.transfer;
            *transfer == Some(t)
                && accounts.has(pending.debit, t.debit_account_id)
                && accounts.has(pending.credit, t.credit_account_id)
        };
        if !some.iter().zip(&transfers).all(is_same) {
            let reason = "an open pending transfer is not as it was made";
            return Err(whole.damaged(PiecePart::Opened, reason));
        }
    }
    let count = pendings.len() as u64;
    whole.mark(reader)?;
    Ok((slot.into(), count))
}
