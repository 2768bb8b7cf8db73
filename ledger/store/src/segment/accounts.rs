//! The account index: which rows and expiries touched each account, and its balances at intervals.

use std::ops::Range;

use giro_base::Region;

use super::closings::ClosingPlaces;
use super::postings::{Postings, Words};
use crate::format::{AccountRecord, POSTINGS_PER_SNAPSHOT, Release, Sides, Snapshot};
use crate::pace::Pace;
use crate::replay::{AccountState, Side};
use crate::segment::content::Content;
use crate::sort::sort;

/// So many postings ahead memory is asked for.
const AHEAD: usize = 16;
/// Accounts between two looks at the clock.
const TURN_ACCOUNTS: usize = 64;

/// The sections that find things by account, in memory that is used again for the next segment.
#[derive(Default)]
pub struct AccountIndex {
    /// By slot.
    pub accounts: Vec<AccountRecord>,
    /// States of accounts with many postings.
    pub snapshots: Vec<Snapshot>,
    /// What expiries did to each account.
    pub releases: Vec<Release>,
    postings: Postings,
    closings: ClosingPlaces,
}

impl AccountIndex {
    /// Rows from the segment's first, for each account rising.
    #[must_use]
    pub fn postings(&self) -> &[u32] {
        &self.postings.rows
    }

    /// Begins the index of these rows.
    pub(super) fn begin(&mut self, content: &Content<'_>) {
        self.postings.begin(content);
        self.accounts.clear();
        self.snapshots.clear();
        self.releases.clear();
    }

    /// Takes the next row. Says whether its accounts may be.
    #[inline(always)]
    pub(super) fn add(&mut self, sides: Sides, row: u32) -> bool {
        self.postings.add(sides, row)
    }

    /// Completes it, once all rows were taken. None when the content contradicts itself: an
    /// account without opening, or balances that cannot be.
    pub(super) fn finish(
        &mut self,
        content: &Content<'_>,
        spare: &mut Region<u64>,
        pace: &Pace,
    ) -> Option<()> {
        self.postings.finish(content, spare, pace);
        self.closings
            .begin(&content.closings, content.transfers.len());
        let words = Words::new(content.expiries.len());
        let releases = release_words(words, content);
        self.releases.reserve(releases.len());
        let ends = std::mem::take(&mut self.postings.ends);
        let mut openings = content.openings.iter();
        let (mut rest, mut releases) = (&ends[..], &releases[..]);
        let mut first = 0;
        loop {
            let posted = rest.first().map(|(slot, _)| *slot);
            let released = releases.first().map(|word| words.slot(*word));
            let Some(slot) = posted.into_iter().chain(released).min() else {
                break;
            };
            pace.turn_at(self.accounts.len(), TURN_ACCOUNTS);
            let (_, opening) = openings.find(|(other, _)| *other == slot)?;
            let own = releases.partition_point(|word| words.slot(*word) == slot);
            let (own_releases, behind) = releases.split_at(own);
            releases = behind;
            let mut end = first;
            if posted == Some(slot) {
                (end, rest) = (rest[0].1, &rest[1..]);
            }
            let own_releases = own_releases.iter().map(|word| words.number(*word));
            self.push(content, (slot, opening), first..end, own_releases)?;
            first = end;
        }
        self.postings.ends = ends;
        Some(())
    }

    fn push(
        &mut self,
        content: &Content<'_>,
        (slot, opening): (u32, AccountState),
        postings: Range<u32>,
        releases: impl ExactSizeIterator<Item = u32>,
    ) -> Option<()> {
        let record = AccountRecord {
            balances: opening.balances.into(),
            slot,
            postings: postings.start,
            postings_count: postings.end - postings.start,
            snapshots: self.snapshots.len() as u32,
            releases: self.releases.len() as u32,
            releases_count: releases.len() as u32,
            flags: opening.flags,
            reserved: [0; 6],
        };
        let releases = releases.map(|expiry| release(content, slot, expiry));
        self.releases.extend(releases);
        if record.postings_count > POSTINGS_PER_SNAPSHOT {
            self.push_snapshots(content, &record, opening)?;
        }
        self.accounts.push(record);
        Some(())
    }

    fn push_snapshots(
        &mut self,
        content: &Content<'_>,
        record: &AccountRecord,
        opening: AccountState,
    ) -> Option<()> {
        let mut state = opening;
        let mut done = 0;
        let releases = &self.releases[record.releases as usize..];
        let rows =
            &self.postings.rows[record.postings as usize..][..record.postings_count as usize];
        for (posting, row) in (0..).zip(rows.iter().copied()) {
            // They lie all over the segment.
            if let Some(ahead) = rows.get(posting as usize + AHEAD) {
                content.prefetch(*ahead);
                self.closings.prefetch(&content.closings, *ahead);
            }
            if posting > 0 && posting % POSTINGS_PER_SNAPSHOT == 0 {
                self.snapshots.push(Snapshot {
                    balances: state.balances.into(),
                    releases_done: done,
                    flags: state.flags,
                    reserved: [0; 10],
                });
            }
            while let Some(release) = releases.get(done as usize).filter(|r| r.place <= row) {
                state =
                    state.after_release(release.amount, release.pending_flags, side_of(release))?;
                done += 1;
            }
            let transfer = &content.transfers[row as usize];
            let debit = content.sides.get(row as usize).debit == record.slot;
            let side = if debit { Side::Debit } else { Side::Credit };
            let closing = self.closings.find(&content.closings, row);
            state = state.after(transfer, side, closing)?;
        }
        Some(())
    }
}

/// Which side of the pending transfer the account was on.
#[must_use]
pub fn side_of(release: &Release) -> Side {
    if release.debit != 0 {
        Side::Debit
    } else {
        Side::Credit
    }
}

fn release_words(words: Words, content: &Content<'_>) -> Vec<u64> {
    let mut releases = Vec::with_capacity(content.expiries.len() * 2);
    for (record, expiry) in content.expiries.iter().zip(0..) {
        releases.push(words.word(record.debit, expiry));
        releases.push(words.word(record.credit, expiry));
    }
    let mut spare = vec![0; releases.len()];
    if sort(&mut releases, &mut spare, |word| *word, 0..u64::BITS) {
        return spare;
    }
    releases
}

fn release(content: &Content<'_>, slot: u32, expiry: u32) -> Release {
    let record = &content.expiries[expiry as usize];
    Release {
        amount: record.amount,
        expiry,
        place: record.place,
        pending_flags: record.pending_flags,
        debit: u16::from(record.debit == slot),
        reserved: 0,
    }
}
