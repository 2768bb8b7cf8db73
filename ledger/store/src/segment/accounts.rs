//! The account index: which rows and expiries touched each account, and its balances at intervals.

use crate::format::{AccountRecord, POSTINGS_PER_SNAPSHOT, Release, Snapshot};
use crate::replay::{AccountState, Side};
use crate::segment::content::Content;
use crate::sort::{room, sort_spread};

/// The sections that find things by account.
#[derive(Default)]
pub struct AccountIndex {
    /// By slot.
    pub accounts: Vec<AccountRecord>,
    /// Rows from the segment's first, for each account rising.
    pub postings: Vec<u32>,
    /// States of accounts with many postings.
    pub snapshots: Vec<Snapshot>,
    /// What expiries did to each account.
    pub releases: Vec<Release>,
}

/// Slots and numbers in one word, the slot above: sorting brings each account's together, in
/// order. No bits are left free in between, which would spoil the sort.
#[derive(Clone, Copy)]
struct Keys {
    number_bits: u32,
}

impl Keys {
    fn new(numbers: usize) -> Self {
        let number_bits = usize::BITS - numbers.leading_zeros();
        assert!(number_bits <= u32::BITS, "numbers have 32 bits");
        Self { number_bits }
    }

    fn key(self, slot: u32, number: usize) -> u64 {
        u64::from(slot) << self.number_bits | number as u64
    }

    fn slot(self, key: u64) -> u32 {
        (key >> self.number_bits) as u32
    }

    fn number(self, key: u64) -> u32 {
        (key & ((1 << self.number_bits) - 1)) as u32
    }
}

impl AccountIndex {
    /// The index of a segment. None when the content contradicts itself: an account without
    /// opening, or balances that cannot be.
    #[must_use]
    pub fn of(content: &Content<'_>) -> Option<Self> {
        let keys = Keys::new(content.sides.len().max(content.expiries.len()));
        let mut postings = room(content.sides.len() * 2);
        for (row, sides) in content.sides.iter().enumerate() {
            postings.push(keys.key(sides.debit, row));
            postings.push(keys.key(sides.credit, row));
        }
        sort_spread(&mut postings, |key| *key);
        let mut releases = room(content.expiries.len() * 2);
        for (expiry, record) in content.expiries.iter().enumerate() {
            releases.push(keys.key(record.debit, expiry));
            releases.push(keys.key(record.credit, expiry));
        }
        sort_spread(&mut releases, |key| *key);
        let mut index = Self {
            postings: Vec::with_capacity(postings.len()),
            releases: Vec::with_capacity(releases.len()),
            ..Self::default()
        };
        let (mut postings, mut releases) = (&postings[..], &releases[..]);
        while let Some(slot) = next_slot(keys, postings, releases) {
            let own = postings.partition_point(|key| keys.slot(*key) == slot);
            let (own_postings, rest) = postings.split_at(own);
            postings = rest;
            let own = releases.partition_point(|key| keys.slot(*key) == slot);
            let (own_releases, rest) = releases.split_at(own);
            releases = rest;
            let own_postings = own_postings.iter().map(|key| keys.number(*key));
            let own_releases = own_releases.iter().map(|key| keys.number(*key));
            index.push(content, slot, own_postings, own_releases)?;
        }
        Some(index)
    }

    fn push(
        &mut self,
        content: &Content<'_>,
        slot: u32,
        postings: impl ExactSizeIterator<Item = u32>,
        releases: impl ExactSizeIterator<Item = u32>,
    ) -> Option<()> {
        let opening = content.openings.get(&slot)?;
        let record = AccountRecord {
            balances: opening.balances.into(),
            slot,
            postings: self.postings.len() as u32,
            postings_count: postings.len() as u32,
            snapshots: self.snapshots.len() as u32,
            releases: self.releases.len() as u32,
            releases_count: releases.len() as u32,
            flags: opening.flags,
            reserved: [0; 6],
        };
        self.postings.extend(postings);
        let releases = releases.map(|expiry| release(content, slot, expiry));
        self.releases.extend(releases);
        if record.postings_count > POSTINGS_PER_SNAPSHOT {
            self.push_snapshots(content, &record, *opening)?;
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
        for posting in 0..record.postings_count {
            if posting > 0 && posting % POSTINGS_PER_SNAPSHOT == 0 {
                self.snapshots.push(Snapshot {
                    balances: state.balances.into(),
                    releases_done: done,
                    flags: state.flags,
                    reserved: [0; 10],
                });
            }
            let row = self.postings[(record.postings + posting) as usize];
            while let Some(release) = releases.get(done as usize).filter(|r| r.place <= row) {
                state =
                    state.after_release(release.amount, release.pending_flags, side_of(release))?;
                done += 1;
            }
            let transfer = &content.transfers[row as usize];
            let debit = content.sides[row as usize].debit == record.slot;
            let side = if debit { Side::Debit } else { Side::Credit };
            state = state.after(transfer, side, content.closing(row))?;
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

fn next_slot(keys: Keys, postings: &[u64], releases: &[u64]) -> Option<u32> {
    let first = |of: &[u64]| of.first().map(|key| keys.slot(*key));
    first(postings).into_iter().chain(first(releases)).min()
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
