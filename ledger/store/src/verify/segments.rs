//! Verifying a segment: its indexes are worked out once more and compared.

use giro_base::Transfer;

use super::ledger::Accounts;
use super::runs::Tally;
use crate::error::StoreError;
use crate::format::{
    AccountRecord, ClosingRecord, Entry, EntryKind, ExpiryRecord, Part, Record, Release, Sides,
    Snapshot,
};
use crate::history::Catalog;
use crate::pace::Pace;
use crate::reader::Reader;
use crate::run::Identity;
use crate::run::entries::fate_of;
use crate::segment::Segment;
use crate::segment::content::{Content, Openings, SidesOf};
use crate::segment::fields::FIELDS;
use crate::segment::indexes::Indexes;

/// Checks a segment; gives what its ids must be, and how many expiries it has.
pub(super) fn verify(
    catalog: &Catalog,
    segment: &Segment,
    reader: &mut Reader,
    identity: Identity,
    (accounts, indexes): (&mut Accounts, &mut Indexes),
) -> Result<(Tally, u64), StoreError> {
    let transfers: Vec<Transfer> = all(segment, reader, Part::Rows)?;
    let account_records: Vec<AccountRecord> = all(segment, reader, Part::Accounts)?;
    let content = Content {
        transfers: &transfers,
        sides: SidesOf::Read(all::<Sides>(segment, reader, Part::Sides)?),
        closings: all::<ClosingRecord>(segment, reader, Part::Closings)?,
        expiries: all::<ExpiryRecord>(segment, reader, Part::Expiries)?,
        openings: Openings::Read(&account_records),
    };
    let rising = account_records.is_sorted_by(|a, b| a.slot < b.slot);
    if !content.lists_are_sound() || !rising {
        return Err(segment.damaged(Part::Rows, "rows are not in order"));
    }
    check_header(segment, &content)?;
    let contradiction = |reason: &str| segment.damaged(Part::Rows, reason);
    accounts
        .replay(&content, segment.first_row())
        .map_err(contradiction)?;
    let made = indexes.work_out(&content);
    made.ok_or_else(|| contradiction("rows are not in order, or balances do not add up"))?;
    compare(segment, reader, indexes, &account_records)?;
    let pendings = pendings(segment, &content)?;
    check_pendings(catalog, segment, reader, &pendings)?;
    let tally = tally(segment, &content, identity);
    Ok((tally, content.expiries.len() as u64))
}

fn all<T: Record>(
    segment: &Segment,
    reader: &mut Reader,
    part: Part,
) -> Result<Vec<T>, StoreError> {
    let section = segment.section(part);
    reader.range(segment.file(), section, 0..section.count)
}

fn check_header(segment: &Segment, content: &Content<'_>) -> Result<(), StoreError> {
    let header = segment.header();
    let ends = |first: Option<u64>, last: Option<u64>| (first.unwrap_or(0), last.unwrap_or(0));
    let rows = content.transfers;
    let times = ends(
        rows.first().map(|t| t.timestamp),
        rows.last().map(|t| t.timestamp),
    );
    let told = (header.timestamp_first, header.timestamp_last);
    if times != told || header.count != rows.len() as u64 {
        return Err(segment
            .file()
            .damaged(0, "the header does not fit the rows"));
    }
    Ok(())
}

fn compare(
    segment: &Segment,
    reader: &mut Reader,
    indexes: &mut Indexes,
    account_records: &[AccountRecord],
) -> Result<(), StoreError> {
    let accounts = &indexes.accounts;
    let different = |part| Err(segment.damaged(part, "an index does not say what the rows say"));
    if account_records != accounts.accounts {
        return different(Part::Accounts);
    }
    same(segment, reader, Part::Times, &indexes.times)?;
    same(segment, reader, Part::Postings, accounts.postings())?;
    same::<Snapshot>(segment, reader, Part::Snapshots, &accounts.snapshots)?;
    same::<Release>(segment, reader, Part::Releases, &accounts.releases)?;
    for field in FIELDS {
        same::<u64>(
            segment,
            reader,
            field.part(),
            indexes.field(field, &Pace::default()),
        )?;
    }
    same(segment, reader, Part::Fences, &indexes.fences)
}

fn same<T: Record + PartialEq>(
    segment: &Segment,
    reader: &mut Reader,
    part: Part,
    expected: &[T],
) -> Result<(), StoreError> {
    if all::<T>(segment, reader, part)? != expected {
        return Err(segment.damaged(part, "an index does not say what the rows say"));
    }
    Ok(())
}

/// A pending transfer as what ended it describes it.
struct Pending {
    row: u64,
    id: u128,
    amount: u128,
    flags: u16,
}

fn pendings(segment: &Segment, content: &Content<'_>) -> Result<Vec<Pending>, StoreError> {
    let mut pendings = Vec::with_capacity(content.closings.len() + content.expiries.len());
    for closing in &content.closings {
        let Some(transfer) = content.transfers.get(closing.row as usize) else {
            return Err(segment.damaged(Part::Closings, "a closing belongs to no row"));
        };
        pendings.push(Pending {
            row: closing.pending_row,
            id: transfer.pending_id,
            amount: closing.pending_amount,
            flags: closing.pending_flags,
        });
    }
    pendings.extend(content.expiries.iter().map(|expiry| Pending {
        row: expiry.pending_row,
        id: expiry.pending_id,
        amount: expiry.amount,
        flags: expiry.pending_flags,
    }));
    pendings.sort_unstable_by_key(|pending| pending.row);
    Ok(pendings)
}

/// Compares pending transfers with the rows they are said to be in.
fn check_pendings(
    catalog: &Catalog,
    segment: &Segment,
    reader: &mut Reader,
    pendings: &[Pending],
) -> Result<(), StoreError> {
    let wrong = || {
        segment.damaged(
            Part::Closings,
            "a pending transfer is another than was closed",
        )
    };
    let mut rest = pendings;
    while let Some(first) = rest.first() {
        let holder = catalog.segment_of_row(first.row).ok_or_else(wrong)?;
        let own = rest.partition_point(|pending| pending.row < holder.end_row());
        let (here, behind) = rest.split_at(own);
        rest = behind;
        let offsets: Vec<u64> = here.iter().map(|p| p.row - holder.first_row()).collect();
        let mut all_same = true;
        holder.transfers(reader, &offsets, |place, t| {
            let pending = &here[place];
            let told = (pending.id, pending.amount, pending.flags);
            all_same &= told == (t.id, t.amount, t.flags);
        })?;
        if !all_same {
            return Err(wrong());
        }
    }
    Ok(())
}

/// What the id run must say of the segment.
fn tally(segment: &Segment, content: &Content<'_>, identity: Identity) -> Tally {
    let hasher = identity.hasher();
    let mut tally = Tally::default();
    for (t, row) in content.transfers.iter().zip(segment.first_row()..) {
        tally.add(Entry::new(hasher.hash(t.id), EntryKind::Transfer, row));
    }
    for closing in &content.closings {
        let t = &content.transfers[closing.row as usize];
        let hash = hasher.hash(t.pending_id);
        tally.add(Entry::new(hash, fate_of(t.flags), closing.pending_row));
    }
    for expiry in &content.expiries {
        let hash = hasher.hash(expiry.pending_id);
        tally.add(Entry::new(hash, EntryKind::Expired, expiry.pending_row));
    }
    tally
}
