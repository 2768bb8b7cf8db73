//! Reading everything: whether every page is whole, and whether indexes, balances and id runs say
//! exactly what the rows say.

mod checkpoint;
mod ledger;
mod runs;
mod segments;

use crate::error::StoreError;
use crate::history::Catalog;
use crate::reader::{PageFile, Reader, extents_of};
use crate::run::Identity;
use crate::segment::indexes::Indexes;
use ledger::Accounts;
use runs::Tally;

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Pages of finished files.
    pub pages_done: u64,
    /// Pages of all files.
    pub pages: u64,
}

/// What a verification went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments.
    pub segments: u64,
    /// Id runs.
    pub runs: u64,
    /// Transfers.
    pub rows: u64,
    /// Expiries.
    pub expiries: u64,
    /// Burned ids.
    pub burned: u64,
    /// Accounts in the checkpoint.
    pub accounts: u64,
    /// Open pending transfers in the checkpoint.
    pub pendings: u64,
    /// Pages, all of them.
    pub pages: u64,
}

/// Reads and checks everything. Needs memory for one segment and for every account.
///
/// # Errors
/// The first thing that is wrong, by file and offset; and the system's.
pub fn verify(
    catalog: &Catalog,
    reader: &mut Reader,
    identity: Identity,
    mut progress: impl FnMut(VerifyProgress),
) -> Result<Verified, StoreError> {
    let segments = catalog.segments.iter().map(|s| s.file().pages());
    let runs = catalog.runs.iter().map(|run| run.file().pages());
    let pieces = catalog.pieces.iter().map(|piece| piece.pages());
    let pages = segments.chain(runs).chain(pieces).sum();
    let mut verified = Verified::default();
    let mut done = |verified: &mut Verified, file: &PageFile| {
        verified.pages += file.pages();
        progress(VerifyProgress {
            pages_done: verified.pages,
            pages,
        });
    };
    let mut accounts = Accounts::default();
    let mut indexes = Indexes::default();
    let mut tallies = Vec::with_capacity(catalog.segments.len());
    for segment in &catalog.segments {
        read_all(reader, segment.file())?;
        let (tally, expiries) = segments::verify(
            catalog,
            segment,
            reader,
            identity,
            (&mut accounts, &mut indexes),
        )?;
        tallies.push(tally);
        verified.segments += 1;
        verified.rows += u64::from(segment.rows());
        verified.expiries += expiries;
        done(&mut verified, segment.file());
    }
    for run in &catalog.runs {
        read_all(reader, run.file())?;
        let generations = &tallies[run.first() as usize..=run.last() as usize];
        let expected = generations.iter().copied().sum::<Tally>();
        verified.burned += runs::verify(run, reader, identity, expected)?;
        verified.runs += 1;
        done(&mut verified, run.file());
    }
    for piece in &catalog.pieces {
        read_all(reader, piece.file())?;
        done(&mut verified, piece.file());
    }
    if let Some(whole) = catalog.checkpoint() {
        (verified.accounts, verified.pendings) =
            checkpoint::verify(catalog, whole, reader, &accounts)?;
    }
    Ok(verified)
}

/// Reads every page of a file, which checks it.
///
/// # Errors
/// The system's, and that a page is damaged.
pub fn read_all(reader: &mut Reader, file: &PageFile) -> Result<(), StoreError> {
    reader.read(&extents_of(file, 0..file.pages()), |_, _, _| Ok(()))
}
