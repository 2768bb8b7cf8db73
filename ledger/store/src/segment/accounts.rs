//! The account index: which rows and expiries touched each account, and its balances at intervals.

use giro_base::Region;

use crate::format::{AccountRecord, POSTINGS_PER_SNAPSHOT, Release, Sides, Snapshot};
use crate::replay::{AccountState, Side};
use crate::segment::content::Content;
use crate::sort::{bits, clear, nothing, sort};

/// The sections that find things by account, in memory that is used again for the next segment.
pub struct AccountIndex {
    /// By slot.
    pub accounts: Vec<AccountRecord>,
    /// Rows from the segment's first, for each account rising.
    pub postings: Vec<u32>,
    /// States of accounts with many postings.
    pub snapshots: Vec<Snapshot>,
    /// What expiries did to each account.
    pub releases: Vec<Release>,
    /// What postings are made of, see [`Keys`].
    posting_keys: Region<u64>,
    keys: Keys,
    slot_max: u32,
}

/// Slots and numbers in one word, the slot above: sorting brings each account's together, in
/// order.
#[derive(Clone, Copy, Default)]
struct Keys {
    number_bits: u32,
}

impl Keys {
    fn new(numbers: usize) -> Self {
        let number_bits = bits(numbers as u64);
        assert!(number_bits <= u32::BITS, "numbers have 32 bits");
        Self { number_bits }
    }

    #[inline(always)]
    fn key(self, slot: u32, number: u32) -> u64 {
        u64::from(slot) << self.number_bits | u64::from(number)
    }

    #[inline(always)]
    fn slot(self, key: u64) -> u32 {
        (key >> self.number_bits) as u32
    }

    #[inline(always)]
    fn number(self, key: u64) -> u32 {
        (key & ((1 << self.number_bits) - 1)) as u32
    }
}

impl Default for AccountIndex {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            postings: Vec::new(),
            snapshots: Vec::new(),
            releases: Vec::new(),
            posting_keys: nothing(),
            keys: Keys::default(),
            slot_max: 0,
        }
    }
}

impl AccountIndex {
    /// Begins the index of these rows.
    pub(super) fn begin(&mut self, content: &Content<'_>) {
        let rows = content.transfers.len();
        self.keys = Keys::new(rows.max(content.expiries.len()));
        self.slot_max = 0;
        clear(&mut self.posting_keys, rows * 2);
        self.accounts.clear();
        self.postings.clear();
        self.snapshots.clear();
        self.releases.clear();
    }

    /// Takes the next row.
    #[inline(always)]
    pub(super) fn add(&mut self, sides: Sides, row: u32) {
        self.slot_max = self.slot_max.max(sides.debit).max(sides.credit);
        self.posting_keys.push(self.keys.key(sides.debit, row));
        self.posting_keys.push(self.keys.key(sides.credit, row));
    }

    /// Completes it, once all rows were taken. None when the content contradicts itself: an
    /// account without opening, or balances that cannot be.
    pub(super) fn finish(&mut self, content: &Content<'_>, spare: &mut Region<u64>) -> Option<()> {
        let keys = self.keys;
        let mut postings = std::mem::replace(&mut self.posting_keys, nothing());
        let used = keys.number_bits..keys.number_bits + bits(self.slot_max.into());
        spare.set_len(postings.len());
        if sort(&mut postings, spare, |key| *key, used) {
            std::mem::swap(&mut postings, spare);
        }
        let releases = release_keys(keys, content);
        self.postings.reserve(postings.len());
        self.releases.reserve(releases.len());
        let mut openings = content.openings.iter();
        let (mut rest, mut releases) = (&postings[..], &releases[..]);
        while let Some(slot) = next_slot(keys, rest, releases) {
            let (_, opening) = openings.find(|(other, _)| *other == slot)?;
            let first_posting = self.postings.len();
            let end = rest.iter().position(|key| keys.slot(*key) != slot);
            let (own, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.postings
                .extend(own.iter().map(|key| keys.number(*key)));
            rest = behind;
            let own = releases.partition_point(|key| keys.slot(*key) == slot);
            let (own_releases, behind) = releases.split_at(own);
            releases = behind;
            let own_releases = own_releases.iter().map(|key| keys.number(*key));
            self.push(content, (slot, opening), first_posting, own_releases)?;
        }
        self.posting_keys = postings;
        Some(())
    }

    fn push(
        &mut self,
        content: &Content<'_>,
        (slot, opening): (u32, AccountState),
        first_posting: usize,
        releases: impl ExactSizeIterator<Item = u32>,
    ) -> Option<()> {
        let record = AccountRecord {
            balances: opening.balances.into(),
            slot,
            postings: first_posting as u32,
            postings_count: (self.postings.len() - first_posting) as u32,
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
            let debit = content.sides.get(row as usize).debit == record.slot;
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

fn release_keys(keys: Keys, content: &Content<'_>) -> Vec<u64> {
    let mut releases = Vec::with_capacity(content.expiries.len() * 2);
    for (record, expiry) in content.expiries.iter().zip(0..) {
        releases.push(keys.key(record.debit, expiry));
        releases.push(keys.key(record.credit, expiry));
    }
    let mut spare = vec![0; releases.len()];
    if sort(&mut releases, &mut spare, |key| *key, 0..u64::BITS) {
        return spare;
    }
    releases
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
