//! A query over many segments, one after the other.

use std::ops::Range;
use std::sync::Arc;

use super::Progress;
use super::balances::{BalanceCursor, BalanceRow};
use super::select::{Select, Window};
use super::transfers::{Row, TransferCursor};
use crate::error::StoreError;
use crate::history::Catalog;
use crate::reader::Reader;
use crate::segment::Segment;

/// A query over one segment.
pub trait Cursor: Sized {
    /// What it finds.
    type Found;

    /// A cursor before the first thing wanted.
    fn open(segment: Arc<Segment>, select: Select, window: Window) -> Self;

    /// Reads about `pages_max` pages, and appends to `found` until it has `found_max`.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    fn step(
        &mut self,
        reader: &mut Reader,
        pages_max: usize,
        found_max: usize,
        found: &mut Vec<Self::Found>,
    ) -> Result<Progress, StoreError>;
}

/// A query over the history as it was when the walk began.
pub struct Walk<C> {
    catalog: Arc<Catalog>,
    select: Select,
    window: Window,
    /// Segments that are left.
    left: Range<usize>,
    cursor: Option<C>,
}

impl Walk<TransferCursor> {
    /// Transfers of these generations.
    #[must_use]
    pub fn transfers(
        catalog: Arc<Catalog>,
        select: Select,
        window: Window,
        generations: Range<u64>,
    ) -> Self {
        Self::new(catalog, select, window, generations)
    }
}

impl Walk<BalanceCursor> {
    /// Balances after transfers of these generations; none without an account.
    #[must_use]
    pub fn balances(
        catalog: Arc<Catalog>,
        select: Select,
        window: Window,
        generations: Range<u64>,
    ) -> Option<Self> {
        select.account?;
        Some(Self::new(catalog, select, window, generations))
    }
}

impl<C: Cursor> Walk<C> {
    fn new(catalog: Arc<Catalog>, select: Select, window: Window, generations: Range<u64>) -> Self {
        // Segments are in the order of their events but for those without any, whose times are 0.
        let count = catalog.segments.len();
        let end = count.min(generations.end as usize);
        let start = end.min(generations.start as usize);
        Self {
            catalog,
            select,
            window,
            left: start..end,
            cursor: None,
        }
    }

    /// Works on, reading about `pages_max` pages, and appends to `found` until it has
    /// `found_max`.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn step(
        &mut self,
        reader: &mut Reader,
        pages_max: usize,
        found_max: usize,
        found: &mut Vec<C::Found>,
    ) -> Result<Progress, StoreError> {
        let end = reader.pages_read().saturating_add(pages_max as u64);
        loop {
            let Some(cursor) = &mut self.cursor else {
                let Some(segment) = self.next_segment() else {
                    return Ok(Progress::Done);
                };
                self.cursor = Some(C::open(segment, self.select, self.window));
                continue;
            };
            let left = end.saturating_sub(reader.pages_read()) as usize;
            if left == 0 || found.len() >= found_max {
                return Ok(Progress::More);
            }
            if cursor.step(reader, left, found_max, found)? == Progress::Done {
                self.cursor = None;
            }
        }
    }

    /// The next segment with something in the window.
    fn next_segment(&mut self) -> Option<Arc<Segment>> {
        loop {
            let place = if self.window.reversed {
                self.left.next_back()?
            } else {
                self.left.next()?
            };
            let segment = &self.catalog.segments[place];
            let header = segment.header();
            let inside =
                header.event_last >= self.window.min && header.event_first <= self.window.max;
            if inside && header.event_last > 0 {
                return Some(Arc::clone(segment));
            }
        }
    }
}

impl Cursor for TransferCursor {
    type Found = Row;

    fn open(segment: Arc<Segment>, select: Select, window: Window) -> Self {
        Self::new(segment, select, window)
    }

    fn step(
        &mut self,
        reader: &mut Reader,
        pages_max: usize,
        found_max: usize,
        found: &mut Vec<Row>,
    ) -> Result<Progress, StoreError> {
        self.step(reader, pages_max, found_max, found)
    }
}

impl Cursor for BalanceCursor {
    type Found = BalanceRow;

    fn open(segment: Arc<Segment>, select: Select, window: Window) -> Self {
        Self::new(segment, select, window).expect("a walk for balances has an account")
    }

    fn step(
        &mut self,
        reader: &mut Reader,
        pages_max: usize,
        found_max: usize,
        found: &mut Vec<BalanceRow>,
    ) -> Result<Progress, StoreError> {
        self.step(reader, pages_max, found_max, found)
    }
}
