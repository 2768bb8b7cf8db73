//! Everything that is worked out from a segment's content.

use giro_base::prefetch::prefetch;
use giro_base::{Region, Timestamp, Transfer};

use super::accounts::AccountIndex;
use super::content::Content;
use super::fields::{FIELDS, Field, FieldRows, entry_key};
use crate::format::{AccountRecord, ClosingRecord, Part, Record};
use crate::pace::Pace;
use crate::sort::{clear, nothing};

/// The indexes of a segment, in memory that is used again for the next one.
pub struct Indexes {
    /// By account.
    pub accounts: AccountIndex,
    /// First timestamp of each page of rows.
    pub times: Vec<u64>,
    /// First keys of pages, for each searched section in the order of the sections.
    pub fences: Vec<u128>,
    /// Of each of [`FIELDS`].
    fields: [FieldRows; 5],
    /// Entries of the field that was finished last.
    entries: Region<u64>,
    /// Sorting needs as much again as is sorted.
    spare: Region<u64>,
    rows: u32,
    last: Timestamp,
    /// Timestamps rise, and no transfer has one account on both sides, or one without opening.
    sound: bool,
}

/// So many rows ahead memory is asked for.
const AHEAD: usize = 2 * Transfer::PER_PAGE as usize;

/// How many records a page of each searched section holds, in the order their fences lie.
pub const FENCED: [(Part, u64); 8] = [
    (Part::Times, <u64 as Record>::PER_PAGE),
    (Part::Accounts, AccountRecord::PER_PAGE),
    (Part::Closings, ClosingRecord::PER_PAGE),
    (Part::UserData128, <u64 as Record>::PER_PAGE),
    (Part::UserData64, <u64 as Record>::PER_PAGE),
    (Part::UserData32, <u64 as Record>::PER_PAGE),
    (Part::Code, <u64 as Record>::PER_PAGE),
    (Part::Ledger, <u64 as Record>::PER_PAGE),
];

impl Default for Indexes {
    fn default() -> Self {
        Self {
            accounts: AccountIndex::default(),
            times: Vec::new(),
            fences: Vec::new(),
            fields: Default::default(),
            entries: nothing(),
            spare: nothing(),
            rows: 0,
            last: 0,
            sound: true,
        }
    }
}

impl Indexes {
    /// Works them out, but for the fields'. None when the content contradicts itself.
    pub fn work_out(&mut self, content: &Content<'_>) -> Option<()> {
        self.begin(content);
        for rows in content.transfers.chunks(Transfer::PER_PAGE as usize) {
            self.add(content, rows);
        }
        self.finish(content, &Pace::default())
    }

    /// Begins those of this content.
    pub(super) fn begin(&mut self, content: &Content<'_>) {
        self.accounts.begin(content);
        for (index, field) in self.fields.iter_mut().zip(FIELDS) {
            index.begin(field, content.transfers);
        }
        self.times.clear();
        self.fences.clear();
        clear(&mut self.spare, 2 * content.transfers.len() + 1);
        (self.rows, self.last, self.sound) = (0, 0, true);
    }

    /// Takes the next page of its rows.
    pub(super) fn add(&mut self, content: &Content<'_>, rows: &[Transfer]) {
        self.times.push(rows[0].timestamp);
        let [data_128, data_64, data_32, code, ledger] = &mut self.fields;
        for t in rows {
            let row = self.rows;
            // The next page's turn comes when this one is done.
            if let Some(ahead) = content.transfers.get(row as usize + AHEAD) {
                prefetch(ahead);
                prefetch(&ahead.user_data_32);
            }
            let sides = content.sides.get(row as usize);
            self.sound &= self.last < t.timestamp && sides.debit != sides.credit;
            self.last = t.timestamp;
            self.rows += 1;
            self.sound &= self.accounts.add(sides, row);
            data_128.add(t.user_data_128, row);
            data_64.add(t.user_data_64.into(), row);
            data_32.add(t.user_data_32.into(), row);
            code.add(t.code.into(), row);
            ledger.add(t.ledger.into(), row);
        }
    }

    /// Completes them, but for the fields', once all rows were taken. None when the content
    /// contradicts itself.
    pub(super) fn finish(&mut self, content: &Content<'_>, pace: &Pace) -> Option<()> {
        if !self.sound {
            return None;
        }
        self.accounts.finish(content, &mut self.spare, pace)?;
        self.push_fences(content);
        Some(())
    }

    /// The entries of a field, each of [`FIELDS`] in its turn, behind all else.
    pub fn field(&mut self, field: Field, pace: &Pace) -> &[u64] {
        let place = FIELDS.iter().position(|other| *other == field);
        let rows = self.rows as usize;
        clear(&mut self.entries, rows + 1);
        self.fields[place.expect("it is one of all")].finish(&mut self.entries, pace);
        let firsts = self
            .entries
            .iter()
            .step_by(<u64 as Record>::PER_PAGE as usize);
        let keys = firsts.map(|entry| u128::from(entry_key(*entry)));
        self.fences.extend(keys);
        &self.entries
    }

    fn push_fences(&mut self, content: &Content<'_>) {
        let times = self
            .times
            .iter()
            .step_by(<u64 as Record>::PER_PAGE as usize);
        self.fences.extend(times.map(|time| u128::from(*time)));
        let accounts = self.accounts.accounts.iter();
        let accounts = accounts.step_by(AccountRecord::PER_PAGE as usize);
        self.fences
            .extend(accounts.map(|account| u128::from(account.slot)));
        let closings = content.closings.iter();
        let closings = closings.step_by(ClosingRecord::PER_PAGE as usize);
        self.fences
            .extend(closings.map(|closing| u128::from(closing.row)));
    }
}
