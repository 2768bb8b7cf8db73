//! The transfers of one segment that a query wants.

use std::ops::Range;
use std::sync::Arc;

use giro_base::Transfer;

use super::Progress;
use super::select::{Select, Window};
use crate::error::StoreError;
use crate::format::{Part, Record};
use crate::reader::Reader;
use crate::segment::{RowList, Segment};

/// A transfer a query found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its row.
    pub row: u64,
    /// The transfer.
    pub transfer: Transfer,
}

/// Goes through one segment. Looks at the rows of the shortest list that an index has for one of
/// the conditions, or at all of them if there is none, and checks the other conditions on the
/// rows themselves.
pub struct TransferCursor {
    segment: Arc<Segment>,
    select: Select,
    window: Window,
    /// What is left to look at; none before the first step.
    source: Option<Source>,
}

/// Places to look at, the next ones at the front (or at the back, if newest come first).
struct Source {
    list: Option<Part>,
    /// In the list's section, or offsets of rows.
    places: Range<u64>,
    /// If there is one row only, which.
    single: Option<u64>,
}

/// Rows looked at together at least: small reads one after the other are slow.
const ROWS_AT_ONCE_MIN: usize = 64;

impl TransferCursor {
    /// A cursor before the first wanted row.
    #[must_use]
    pub fn new(segment: Arc<Segment>, select: Select, window: Window) -> Self {
        Self {
            segment,
            select,
            window,
            source: None,
        }
    }

    /// Looks at some more rows, reading about `pages_max` pages, and appends those wanted to
    /// `found` until it has `rows_max`.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn step(
        &mut self,
        reader: &mut Reader,
        pages_max: usize,
        rows_max: usize,
        found: &mut Vec<Row>,
    ) -> Result<Progress, StoreError> {
        let end = reader.pages_read().saturating_add(pages_max as u64);
        let mut source = match self.source.take() {
            Some(source) => source,
            None => self.choose(reader)?,
        };
        while found.len() < rows_max && !source.places.is_empty() {
            let left = end.saturating_sub(reader.pages_read()) as usize;
            if left == 0 {
                break;
            }
            let missing = (rows_max - found.len()).max(ROWS_AT_ONCE_MIN);
            // A list's rows each lie on a page of their own at worst; a scan's share pages.
            let affordable = match source.list {
                Some(_) => left,
                None => left.saturating_mul(Transfer::PER_PAGE as usize),
            };
            let places = source.peek(affordable.min(missing), self.window.reversed);
            let taken = self.look(reader, &source, places, rows_max, found)?;
            source.skip(taken, self.window.reversed);
        }
        let done = source.places.is_empty();
        self.source = Some(source);
        Ok(if done { Progress::Done } else { Progress::More })
    }

    /// Looks at the rows in some places; returns how many places are dealt with.
    fn look(
        &self,
        reader: &mut Reader,
        source: &Source,
        places: Range<u64>,
        rows_max: usize,
        found: &mut Vec<Row>,
    ) -> Result<u64, StoreError> {
        let segment = &self.segment;
        let mut offsets: Vec<u64> = match (source.list, source.single) {
            (_, Some(single)) => vec![single],
            (None, None) => places.collect(),
            (Some(part), None) => {
                let rows = segment.listed(reader, part, places)?;
                rows.into_iter().map(u64::from).collect()
            }
        };
        if self.window.reversed {
            offsets.reverse();
        }
        let mut rows = vec![Transfer::default(); offsets.len()];
        segment.transfers(reader, &offsets, |place, row| rows[place] = *row)?;
        for (place, transfer) in rows.iter().enumerate() {
            if found.len() == rows_max {
                return Ok(place as u64);
            }
            if self.select.wants(transfer) {
                found.push(Row {
                    row: segment.first_row() + offsets[place],
                    transfer: *transfer,
                });
            }
        }
        Ok(offsets.len() as u64)
    }

    /// Finds the shortest list, and where in it the window begins and ends.
    fn choose(&self, reader: &mut Reader) -> Result<Source, StoreError> {
        let rows = window_rows(&self.segment, reader, &self.window)?;
        let Some(list) = self.shortest(reader)? else {
            return Ok(Source::nothing());
        };
        let rows = u64::from(rows.start)..u64::from(rows.end);
        let (part, start, count) = match list {
            RowList::Single(row) if rows.contains(&u64::from(row)) => {
                return Ok(Source {
                    list: None,
                    places: 0..1,
                    single: Some(row.into()),
                });
            }
            RowList::Single(_) | RowList::Nothing => return Ok(Source::nothing()),
            RowList::Dense => {
                return Ok(Source {
                    list: None,
                    places: rows,
                    single: None,
                });
            }
            RowList::List { part, start, count } => (part, start, count),
        };
        let list = start..start + count;
        let low = first_from(&self.segment, reader, part, list.clone(), rows.start)?;
        let high = first_from(&self.segment, reader, part, low..list.end, rows.end)?;
        Ok(Source {
            list: Some(part),
            places: low..high,
            single: None,
        })
    }

    /// The shortest list there is for a condition; [`RowList::Dense`] if there is none.
    fn shortest(&self, reader: &mut Reader) -> Result<Option<RowList>, StoreError> {
        let mut shortest = RowList::Dense;
        if let Some(account) = &self.select.account {
            let Some(record) = self.segment.account(reader, account.slot)? else {
                return Ok(None);
            };
            shortest = RowList::List {
                part: Part::Postings,
                start: record.postings.into(),
                count: record.postings_count.into(),
            };
        }
        for (field, value) in self.select.fields() {
            let list = self.segment.find(reader, field, value)?;
            if list == RowList::Nothing {
                return Ok(None);
            }
            if length(list) < length(shortest) {
                shortest = list;
            }
        }
        Ok(Some(shortest))
    }
}

fn length(list: RowList) -> u64 {
    match list {
        RowList::Nothing => 0,
        RowList::Single(_) => 1,
        RowList::List { count, .. } => count,
        RowList::Dense => u64::MAX,
    }
}

impl Source {
    fn nothing() -> Self {
        Self {
            list: None,
            places: 0..0,
            single: None,
        }
    }

    /// The next `count` places.
    fn peek(&self, count: usize, reversed: bool) -> Range<u64> {
        let Range { start, end } = self.places;
        let count = (count as u64).min(end - start);
        if reversed {
            end - count..end
        } else {
            start..start + count
        }
    }

    fn skip(&mut self, count: u64, reversed: bool) {
        if reversed {
            self.places.end -= count;
        } else {
            self.places.start += count;
        }
    }
}

/// Offsets of the rows in a window of time.
pub(super) fn window_rows(
    segment: &Segment,
    reader: &mut Reader,
    window: &Window,
) -> Result<Range<u32>, StoreError> {
    let start = segment.offset_at_or_after(reader, window.min)?;
    let end = segment.offset_at_or_after(reader, window.max.saturating_add(1))?;
    Ok(start..end.max(start))
}

/// The first place in a list of rows, which rise, whose row is `row` or above.
pub(super) fn first_from(
    segment: &Segment,
    reader: &mut Reader,
    part: Part,
    list: Range<u64>,
    row: u64,
) -> Result<u64, StoreError> {
    // Nothing to look for, which is so for all segments but the first and the last of a query.
    if row == 0 || list.is_empty() {
        return Ok(list.start);
    }
    if row >= u64::from(segment.rows()) {
        return Ok(list.end);
    }
    let per_page = match part {
        Part::Postings => u32::PER_PAGE,
        _ => u64::PER_PAGE,
    };
    let (mut low, mut high) = (list.start, list.end);
    while low < high {
        let middle = u64::midpoint(low, high);
        // The part of the page around the middle that belongs to the list.
        let page = middle / per_page * per_page;
        let here = page.max(low)..(page + per_page).min(high);
        let rows = segment.listed(reader, part, here.clone())?;
        let below = rows.partition_point(|found| u64::from(*found) < row) as u64;
        if below == 0 {
            high = here.start;
        } else if below == here.end - here.start {
            low = here.end;
        } else {
            return Ok(here.start + below);
        }
    }
    Ok(low)
}
