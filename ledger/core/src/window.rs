//! The rows that are in memory: the generation being filled, and those before it that the
//! history on disk does not hold yet.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use giro_base::prefetch::prefetch;
use giro_base::{Account, Ahead, Region, Timestamp, Transfer, TransferFlags};

use crate::branches::NewBranch;
use crate::ends::Ends;
use crate::fill::{Fill, make_resident};
use crate::generation::{Closing, Expiry, Generation, Links, Opening};
use crate::phase::Phase;
use crate::restore::Boundary;

/// Bits of a row number in a place; the window is shorter.
const PLACE_ROW_MASK: u64 = (1 << 30) - 1;
/// Bits of a row number in an account's head.
const HEAD_MASK: u64 = (1 << 31) - 1;

/// The range of ids of a generation without any.
const NO_IDS: (u128, u128) = (u128::MAX, 0);

/// Most rows in memory.
pub const WINDOW_ROWS_MAX: usize = PLACE_ROW_MASK as usize;

/// Recent rows, with what later operations may still change about them.
pub struct Window {
    /// Generations that are complete, oldest first.
    sealed: VecDeque<Kept>,
    /// The one being filled.
    open: Generation,
    open_extra: Extra,
    rows_max: usize,
    /// Generations leave memory, and so need their openings.
    is_archived: bool,
    /// Timestamp of the row before the window; 0 if there is none.
    timestamp_before: Timestamp,
}

/// A complete generation, and what goes with it.
pub struct Kept {
    generation: Arc<Generation>,
    extra: Extra,
}

/// Memory for the rows of a generation.
pub struct SpareRows {
    generation: Generation,
    extra: Extra,
}

impl SpareRows {
    /// Memory for a generation of a window of this [shape](Window::shape).
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new((rows_max, is_archived): (usize, bool)) -> std::io::Result<Self> {
        let openings_max = openings_max(rows_max, is_archived);
        Ok(Self {
            generation: Generation::new(0, 0, rows_max, openings_max)?,
            extra: Extra::new(0, rows_max)?,
        })
    }

    /// The memory for so much of everything.
    #[must_use]
    pub fn ahead(&self, fill: &Fill) -> Vec<Ahead> {
        let mut memory = self.generation.ahead(fill);
        memory.push(self.extra.phases.ahead(fill.rows));
        memory
    }

    /// Makes the memory for so much of everything resident; for ends, it is only made.
    pub fn prefault(&mut self, fill: &Fill) {
        make_resident(self.ahead(fill));
        self.extra.ended.reserve(fill.ends);
    }
}

impl Kept {
    /// Whether somebody else still reads it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.generation) > 1
    }

    /// Its memory, to be used again; none while somebody else still reads it.
    #[must_use]
    pub fn into_spare(self) -> Option<SpareRows> {
        Some(SpareRows {
            generation: Arc::into_inner(self.generation)?,
            extra: self.extra,
        })
    }
}

/// What stays with the executor when a generation is handed over.
struct Extra {
    /// Each row's [`Phase`].
    phases: Region<u8>,
    /// Number of its first burned id, counted over the ledger's life.
    first_burned: u64,
    /// Smallest and largest of its ids, burned ones too.
    ids: (u128, u128),
    /// A row was pending; a broken chain may have taken it back.
    has_pendings: bool,
    /// How pending transfers of earlier generations ended in this one, by row: their own
    /// generation may have left memory by then.
    ended: Ends,
}

impl Extra {
    fn new(first_burned: u64, rows_max: usize) -> std::io::Result<Self> {
        Ok(Self {
            phases: Region::new(rows_max)?,
            first_burned,
            ids: NO_IDS,
            has_pendings: false,
            ended: Ends::default(),
        })
    }

    #[inline(always)]
    fn note_id(&mut self, id: u128) {
        self.ids.0 = self.ids.0.min(id);
        self.ids.1 = self.ids.1.max(id);
    }

    fn reset(&mut self, first_burned: u64) {
        self.first_burned = first_burned;
        self.ids = NO_IDS;
        self.has_pendings = false;
        self.phases.set_len(0);
        self.ended.clear();
    }
}

impl Window {
    /// An empty window whose generations have room for this many rows, and leave memory one day
    /// or never.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new(rows_max: usize, is_archived: bool) -> std::io::Result<Self> {
        let rows_max = rows_max.min(WINDOW_ROWS_MAX);
        Ok(Self {
            sealed: VecDeque::new(),
            open: Generation::new(0, 0, rows_max, openings_max(rows_max, is_archived))?,
            open_extra: Extra::new(0, rows_max)?,
            rows_max,
            is_archived,
            timestamp_before: 0,
        })
    }

    /// Makes the memory of the first `rows` of a generation resident.
    pub fn prefault(&self, rows: usize) {
        make_resident(self.ahead(&Fill::of_rows(rows)));
    }

    /// The memory that the generation being filled will need when it has so much of everything,
    /// beside what it has filled.
    #[must_use]
    pub fn ahead(&self, fill: &Fill) -> Vec<Ahead> {
        let mut memory = self.open.ahead(fill);
        memory.push(self.open_extra.phases.ahead(fill.rows));
        memory
    }

    /// What the generation being filled has so far.
    #[must_use]
    pub fn fill(&self) -> Fill {
        Fill {
            rows: self.open.transfers.len(),
            closings: self.open.closings.len(),
            openings: self.open.openings.len(),
            burned: self.open.burned.len(),
            branches: self.open.branches.len(),
            text_units: self.open.texts.len(),
            ends: self.open_extra.ended.len(),
        }
    }

    /// Whether generations leave memory, and so note their openings.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.is_archived
    }

    /// Whether the generation being filled has room for what this many events make.
    #[must_use]
    pub fn has_room(&self, events: usize) -> bool {
        self.is_archived || self.open.has_room(events)
    }

    /// First row in memory.
    #[inline(always)]
    #[must_use]
    pub fn first_row(&self) -> u64 {
        let oldest = self.sealed.front();
        oldest.map_or(self.open.first_row, |kept| kept.generation.first_row)
    }

    /// Row behind the last one: how many transfers there have been.
    #[inline(always)]
    #[must_use]
    pub fn end_row(&self) -> u64 {
        self.open.end_row()
    }

    /// The generation being filled.
    #[must_use]
    pub fn open(&self) -> &Generation {
        &self.open
    }

    /// All generations in memory, oldest first.
    pub fn generations(&self) -> impl DoubleEndedIterator<Item = &Generation> {
        let sealed = self.sealed.iter().map(|kept| &*kept.generation);
        sealed.chain(std::iter::once(&self.open))
    }

    /// The generation with this number, if it is in memory.
    #[must_use]
    pub fn numbered(&self, number: u64) -> Option<&Generation> {
        if number == self.open.number {
            return Some(&self.open);
        }
        let oldest = self.sealed.front()?.generation.number;
        let place = number.checked_sub(oldest)?;
        self.sealed
            .get(place as usize)
            .map(|kept| &*kept.generation)
    }

    /// For each complete generation in memory, newest first, whether it may hold the id: ids that
    /// rise are larger than all of them.
    #[inline(always)]
    pub fn sealed_may_hold(&self, id: u128) -> impl Iterator<Item = bool> + '_ {
        let ranges = self.sealed.iter().rev().map(|kept| kept.extra.ids);
        ranges.map(move |(min, max)| (min..=max).contains(&id))
    }

    /// Largest id that is or was in memory; 0 if there is none.
    #[must_use]
    pub fn id_max(&self) -> u128 {
        let sealed = self.sealed.iter().map(|kept| kept.extra.ids.1);
        sealed.fold(self.open_extra.ids.1, u128::max)
    }

    /// Complete generations in memory.
    #[must_use]
    pub fn sealed_count(&self) -> usize {
        self.sealed.len()
    }

    /// Which of the complete generations a row in memory is in; none if in the one being filled.
    #[inline(always)]
    fn sealed_place(&self, row: u64) -> Option<usize> {
        if row >= self.open.first_row {
            return None;
        }
        let found = self
            .sealed
            .iter()
            .rposition(|kept| kept.generation.first_row <= row);
        Some(found.expect("the row is in memory"))
    }

    /// The generation of a row in memory.
    #[inline(always)]
    fn generation(&self, row: u64) -> &Generation {
        match self.sealed_place(row) {
            None => &self.open,
            Some(place) => &self.sealed[place].generation,
        }
    }

    /// The transfer in a row in memory.
    #[inline(always)]
    #[must_use]
    pub fn transfer(&self, row: u64) -> &Transfer {
        self.generation(row).transfer(row)
    }

    /// Asks for the memory of a row, if that is still the window's.
    #[inline(always)]
    pub fn prefetch(&self, row: u64) {
        if (self.first_row()..self.end_row()).contains(&row) {
            let generation = self.generation(row);
            let at = (row - generation.first_row) as usize;
            prefetch(&generation.transfers[at]);
            prefetch(&generation.links[at]);
        }
    }

    /// Its links.
    #[inline(always)]
    #[must_use]
    pub fn links(&self, row: u64) -> Links {
        let generation = self.generation(row);
        generation.links[(row - generation.first_row) as usize]
    }

    /// Its phase.
    #[inline(always)]
    #[must_use]
    pub fn phase(&self, row: u64) -> Phase {
        let at = (row - self.generation(row).first_row) as usize;
        let phases = match self.sealed_place(row) {
            None => &self.open_extra.phases,
            Some(place) => &self.sealed[place].extra.phases,
        };
        Phase::from_byte(phases[at])
    }

    /// Sets its phase.
    pub fn set_phase(&mut self, row: u64, phase: Phase) {
        let at = (row - self.generation(row).first_row) as usize;
        let phases = match self.sealed_place(row) {
            None => &mut self.open_extra.phases,
            Some(place) => &mut self.sealed[place].extra.phases,
        };
        phases[at] = phase as u8;
    }

    /// Adds a row: a copy of `transfer`, of which amount and timestamp may be changed.
    #[inline(always)]
    pub fn push(&mut self, transfer: &Transfer, links: Links, phase: Phase) -> &mut Transfer {
        self.open_extra.note_id(transfer.id);
        self.open_extra.has_pendings |= phase == Phase::Pending;
        self.open.links.push(links);
        self.open_extra.phases.push(phase as u8);
        self.open.transfers.push_copy(transfer)
    }

    /// Asks for the memory that the row `ahead` rows from now will be written to. Rows go through
    /// far more memory than caches hold.
    #[inline(always)]
    pub fn prefetch_push(&self, ahead: usize) {
        self.open.transfers.prefetch_push(ahead);
        self.open.links.prefetch_push(ahead);
    }

    /// Takes the last row back, with the closing it may have made.
    pub fn pop(&mut self) -> (Transfer, Links) {
        let len = self.open.transfers.len() - 1;
        let row = self.open.first_row + len as u64;
        let last = (self.open.transfers[len], self.open.links[len]);
        self.open.transfers.set_len(len);
        self.open.links.set_len(len);
        self.open_extra.phases.set_len(len);
        let made = self.open.closings.last();
        if made.is_some_and(|closing| closing.row == row) {
            let closings = self.open.closings.len();
            self.open.closings.set_len(closings - 1);
        }
        last
    }

    /// Takes note of a branch that was tried just now, for the checkpoint.
    pub fn note_branch(&mut self, branch: &NewBranch<'_>) {
        if self.is_archived {
            self.open
                .note_branch(branch.row, branch.gid, branch.branch_id);
        }
    }

    /// Takes note of what the row pushed next closes.
    pub fn note_closing(&mut self, closing: Closing) {
        debug_assert_eq!(closing.row, self.end_row());
        self.open.closings.push(closing);
    }

    /// What a row in memory closed, if it is a post or void.
    #[must_use]
    pub fn closing(&self, row: u64) -> Option<Closing> {
        let closings = &self.generation(row).closings;
        let at = closings.binary_search_by_key(&row, |closing| closing.row);
        at.ok().map(|at| closings[at])
    }

    /// Takes note of an expiry.
    pub fn note_expiry(&mut self, expiry: Expiry) {
        if expiry.pending_row < self.open.first_row {
            let ended = &mut self.open_extra.ended;
            ended.insert(expiry.pending_row, Phase::Expired);
        }
        self.open.expiries.push(expiry);
    }

    /// Takes note of an account before a change, unless its head shows that this was done for an
    /// earlier row of the generation.
    #[inline(always)]
    pub fn note_opening(&mut self, slot: u32, account: &Account) {
        let rows = self.open.transfers.len() as u64;
        let head = account.reserved;
        let is_noted = head != 0 && self.rows_back(head) < rows;
        if !is_noted && self.is_archived {
            self.push_opening(slot, account);
        }
    }

    #[cold]
    fn push_opening(&mut self, slot: u32, account: &Account) {
        self.open.openings.push(Opening::of(slot, account));
    }

    /// Takes note of the accounts that were made since the last time, given all there are. No
    /// chain takes them back any more.
    pub fn note_accounts(&mut self, accounts: &[Account]) {
        if self.is_archived {
            for account in &accounts[self.open.end_slot() as usize..] {
                self.open.accounts.push(*account);
            }
        }
    }

    /// Takes note of which pending transfers of earlier generations an operation closed: with
    /// the closings from this number on. No chain takes them back any more.
    pub fn note_ends(&mut self, closings_from: usize) {
        let first_row = self.open.first_row;
        for closing in &self.open.closings[closings_from..] {
            if closing.pending_row < first_row {
                let flags = self.open.transfer(closing.row).flags;
                let post = flags & TransferFlags::POST_PENDING_TRANSFER != 0;
                let phase = if post { Phase::Posted } else { Phase::Voided };
                self.open_extra.ended.insert(closing.pending_row, phase);
            }
        }
    }

    /// How a pending transfer ended, if it did so within the window and not in the generation
    /// that made it.
    #[must_use]
    pub fn end_of(&self, row: u64) -> Option<Phase> {
        let sealed = self.sealed.iter().map(|kept| &kept.extra);
        let mut extras = sealed.chain(std::iter::once(&self.open_extra));
        extras.find_map(|extra| extra.ended.get(row))
    }

    /// Burns an id and returns its number, shortened to 30 bits.
    pub fn burn(&mut self, id: u128) -> u32 {
        let number = self.open_extra.first_burned + self.open.burned.len() as u64;
        self.open.burned.push(id);
        self.open_extra.note_id(id);
        (number & PLACE_ROW_MASK) as u32
    }

    /// The burned id with this shortened number.
    #[must_use]
    pub fn burned(&self, short: u32) -> u128 {
        let sealed = self.sealed.iter();
        let sealed = sealed.map(|kept| (&*kept.generation, &kept.extra));
        let all = sealed.chain(std::iter::once((&self.open, &self.open_extra)));
        let mut found = all.filter_map(|(generation, extra)| {
            let at = u64::from(short).wrapping_sub(extra.first_burned) & PLACE_ROW_MASK;
            generation.burned.get(at as usize).copied()
        });
        found.next().expect("the burned id is in memory")
    }

    /// Whether `id` is burned and in memory under this number. Numbers of ids that have left
    /// memory are no longer in any index.
    #[must_use]
    pub fn is_burned(&self, short: u32, id: u128) -> bool {
        self.burned(short) == id
    }

    /// Ids burned so far.
    #[must_use]
    pub fn burned_count(&self) -> u64 {
        self.open_extra.first_burned + self.open.burned.len() as u64
    }

    /// A row's number, shortened to fit a place.
    #[inline(always)]
    #[must_use]
    pub fn place_of(row: u64) -> u32 {
        (row & PLACE_ROW_MASK) as u32
    }

    /// The row in memory with this shortened number.
    #[inline(always)]
    #[must_use]
    pub fn row_at(&self, place: u32) -> u64 {
        let first = self.first_row();
        first + (u64::from(place).wrapping_sub(first) & PLACE_ROW_MASK)
    }

    /// A row as an account's head: its number shortened, plus one. 0 is no row.
    #[inline(always)]
    #[must_use]
    pub fn head_of(row: u64) -> u32 {
        (row & HEAD_MASK) as u32 + 1
    }

    /// How many rows ago this head's row was pushed; 0 is the last one. Heads are never older
    /// than 2^31 rows: see [`Tables::sweep_heads`](crate::tables::Tables::sweep_heads).
    #[inline(always)]
    fn rows_back(&self, head: u32) -> u64 {
        self.end_row().wrapping_sub(u64::from(head)) & HEAD_MASK
    }

    /// The row in memory that `head` names, among those before `before`.
    #[inline(always)]
    #[must_use]
    pub fn row_of_head(&self, head: u32, before: u64) -> Option<u64> {
        if head == 0 {
            return None;
        }
        let back = before.wrapping_sub(u64::from(head)) & HEAD_MASK;
        let row = before.checked_sub(1 + back)?;
        (row >= self.first_row()).then_some(row)
    }

    /// Whether a head is so old that it must be forgotten before it can be mistaken.
    #[must_use]
    pub fn is_head_old(&self, head: u32) -> bool {
        head != 0 && self.rows_back(head) > HEAD_MASK / 2
    }

    /// Timestamp of the newest row; 0 if there never was one.
    #[must_use]
    pub fn timestamp_last(&self) -> Timestamp {
        let mut newest = self.generations().rev().filter_map(|g| g.transfers.last());
        newest.next().map_or(self.timestamp_before, |t| t.timestamp)
    }

    /// First row in memory whose timestamp is at least `timestamp`.
    #[must_use]
    pub fn row_from(&self, timestamp: Timestamp) -> u64 {
        for generation in self.generations() {
            let ends_before = generation.transfers.last();
            if ends_before.is_none_or(|last| last.timestamp < timestamp) {
                continue;
            }
            let rows = &generation.transfers;
            let at = rows.partition_point(|transfer| transfer.timestamp < timestamp);
            return generation.first_row + at as u64;
        }
        self.end_row()
    }

    /// Completes the generation being filled and begins the next in the memory of `spare`. What
    /// it held stays in memory until [`Self::forget_oldest`]. `accounts` are all there are.
    pub fn rotate(&mut self, spare: SpareRows, accounts: &[Account]) -> Arc<Generation> {
        self.open.end(accounts, self.open_extra.has_pendings);
        let SpareRows {
            generation: mut next,
            mut extra,
        } = spare;
        let (row, slot) = (self.open.end_row(), self.open.end_slot());
        next.reset(self.open.number + 1, row, slot);
        extra.reset(self.burned_count());
        let generation = Arc::new(std::mem::replace(&mut self.open, next));
        let extra = std::mem::replace(&mut self.open_extra, extra);
        let handed = Arc::clone(&generation);
        self.sealed.push_back(Kept { generation, extra });
        handed
    }

    /// Goes on behind rows that the history has. For an empty window.
    pub fn begin_at(&mut self, start: &Boundary, slot: u32) {
        assert!(self.sealed.is_empty() && self.end_row() == 0, "it is empty");
        self.open.reset(start.generation, start.row, slot);
        self.timestamp_before = start.timestamp_last;
    }

    /// Most rows of a generation, and whether generations leave memory.
    #[must_use]
    pub fn shape(&self) -> (usize, bool) {
        (self.rows_max, self.is_archived)
    }

    /// The rows of the oldest complete generation in memory.
    #[must_use]
    pub fn oldest_rows(&self) -> Option<Range<u64>> {
        let oldest = &self.sealed.front()?.generation;
        Some(oldest.first_row..oldest.end_row())
    }

    /// Whether some of them may be pending.
    #[must_use]
    pub fn oldest_has_pendings(&self) -> bool {
        let oldest = self.sealed.front();
        oldest.is_some_and(|kept| kept.extra.has_pendings)
    }

    /// Those among these rows of the oldest complete generation that are still pending.
    pub fn oldest_pending(&self, rows: Range<u64>) -> impl Iterator<Item = u64> + '_ {
        self.sealed.front().into_iter().flat_map(move |kept| {
            let at = |row: u64| (row - kept.generation.first_row) as usize;
            let phases = &kept.extra.phases[at(rows.start)..at(rows.end)];
            phases
                .iter()
                .zip(rows.start..)
                .filter(|(phase, _)| **phase == Phase::Pending as u8)
                .map(|(_, row)| row)
        })
    }

    /// Number of the oldest complete generation in memory.
    #[must_use]
    pub fn oldest_sealed(&self) -> Option<u64> {
        self.sealed.front().map(|kept| kept.generation.number)
    }

    /// Lets the oldest complete generation leave memory. Its own memory is what is returned.
    ///
    /// # Panics
    /// When there is none.
    pub fn forget_oldest(&mut self) -> Kept {
        let kept = self.sealed.pop_front().expect("a generation is complete");
        if let Some(last) = kept.generation.transfers.last() {
            self.timestamp_before = last.timestamp;
        }
        kept
    }
}

/// Each row changes two accounts, and so does each expiry; broken chains leave some behind.
fn openings_max(rows_max: usize, is_archived: bool) -> usize {
    if is_archived { 4 * rows_max } else { 0 }
}
