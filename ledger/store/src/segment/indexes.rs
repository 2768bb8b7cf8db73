//! Everything that is worked out from a segment's content.

use giro_base::prefetch::prefetch;
use giro_base::{Region, Timestamp, Transfer};

use super::accounts::AccountIndex;
use super::content::Content;
use super::fields::{FIELDS, FieldIndex, entry_key};
use crate::format::{AccountRecord, ClosingRecord, Part, Record};
use crate::sort::{clear, nothing};

/// The indexes of a segment, in memory that is used again for the next one.
pub struct Indexes {
    /// By account.
    pub accounts: AccountIndex,
    /// First timestamp of each page of rows.
    pub times: Vec<u64>,
    /// Of each of [`FIELDS`].
    pub fields: [FieldIndex; 5],
    /// First keys of pages, for each searched section in the order of the sections.
    pub fences: Vec<u128>,
    /// Sorting needs as much again as is sorted.
    spare: Region<u64>,
    rows: u32,
    last: Timestamp,
    /// Timestamps rise, and no transfer has one account on both sides.
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
            fields: Default::default(),
            fences: Vec::new(),
            spare: nothing(),
            rows: 0,
            last: 0,
            sound: true,
        }
    }
}

impl Indexes {
    /// Works them out. None when the content contradicts itself.
    pub fn work_out(&mut self, content: &Content<'_>) -> Option<()> {
        self.begin(content);
        for rows in content.transfers.chunks(Transfer::PER_PAGE as usize) {
            self.add(content, rows);
        }
        self.finish(content)
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
            self.accounts.add(sides, row);
            data_128.add(t.user_data_128, row);
            data_64.add(t.user_data_64.into(), row);
            data_32.add(t.user_data_32.into(), row);
            code.add(t.code.into(), row);
            ledger.add(t.ledger.into(), row);
        }
    }

    /// Completes them, once all rows were taken. None when the content contradicts itself.
    pub(super) fn finish(&mut self, content: &Content<'_>) -> Option<()> {
        if !self.sound {
            return None;
        }
        for index in &mut self.fields {
            index.finish(&mut self.spare);
        }
        self.accounts.finish(content, &mut self.spare)?;
        for (part, per_page) in FENCED {
            self.push_fences(content, part, per_page as usize);
        }
        Some(())
    }

    fn push_fences(&mut self, content: &Content<'_>, part: Part, per_page: usize) {
        let Self { fences, fields, .. } = self;
        let mut of_field = |place: usize| {
            let firsts = fields[place].entries.iter().step_by(per_page);
            fences.extend(firsts.map(|entry| u128::from(entry_key(*entry))));
        };
        match part {
            Part::UserData128 => of_field(0),
            Part::UserData64 => of_field(1),
            Part::UserData32 => of_field(2),
            Part::Code => of_field(3),
            Part::Ledger => of_field(4),
            Part::Times => {
                let times = self.times.iter().step_by(per_page);
                fences.extend(times.map(|time| u128::from(*time)));
            }
            Part::Accounts => {
                let accounts = self.accounts.accounts.iter().step_by(per_page);
                fences.extend(accounts.map(|account| u128::from(account.slot)));
            }
            Part::Closings => {
                let closings = content.closings.iter().step_by(per_page);
                fences.extend(closings.map(|closing| u128::from(closing.row)));
            }
            _ => unreachable!("only searched sections have fences"),
        }
    }
}
