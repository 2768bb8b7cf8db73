//! Changes in memory, in the order they took effect.
//!
//! A cursor knows the accounts as they are before its next change. It gets to know them from the
//! side that is nearer: forward from the beginning of a generation, or back from now. What it
//! knows from now ends there, and when it comes to that place it starts again from a newer now:
//! over time that costs as much as the changes themselves.
//!
//! Getting there can be done piece by piece ([`ChangeCursor::advance`]), between operations.

use giro_base::{AccountFlags, Position, Timestamp, Transfer};

use super::{Change, Step, What};
use crate::generation::{Expiry, Generation};
use crate::replay::{AccountState, Side, States};
use crate::tables::Tables;

/// A place among the changes in memory.
pub struct ChangeCursor {
    /// Where its next change is, once it has come there.
    place: Place,
    /// Changes before this are behind it already: it only learns from them.
    wanted_from: Place,
    /// Openings of the generation that were looked at.
    openings: usize,
    /// Accounts as they are before the next change; those touched since it began, or all that are
    /// touched before `known_until`.
    accounts: States,
    /// Worked out back from there; none if forward from the generation's beginning.
    known_until: Option<Place>,
    /// On the way back: what lies behind this was taken back, and `place` is where it goes.
    back_at: Option<Place>,
}

/// A cursor that knows all accounts of its generation it has come across, so that another can go
/// on in its place.
pub struct WholeCursor {
    /// Number of its generation.
    pub generation: u64,
    /// Its next row, counted from the generation's first.
    pub row: u64,
    /// Its next expiry, counted likewise.
    pub expiry: u64,
    /// Accounts the generation has touched so far, as they are there.
    pub accounts: States,
}

/// Between two changes. The order of places is that of the changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    generation: u64,
    /// Next row, from the generation's first.
    row: usize,
    /// Next expiry.
    expiry: usize,
}

/// The next change.
enum Next<'a> {
    Row(&'a Transfer),
    Expiry(&'a Expiry),
}

impl ChangeCursor {
    /// A cursor on its way to the first change in memory that a reader who is at `after` lacks.
    #[must_use]
    pub fn at(tables: &Tables, after: Position) -> Self {
        Self::to(tables, first_after(tables, after))
    }

    fn to(tables: &Tables, place: Place) -> Self {
        let (before, behind) = distances(tables, place);
        let end = (before > behind).then(|| end(tables));
        let begin = Place {
            row: 0,
            expiry: 0,
            ..place
        };
        Self {
            place: if end.is_some() { place } else { begin },
            wanted_from: place,
            openings: 0,
            accounts: States::default(),
            known_until: end,
            back_at: end,
        }
    }

    /// Goes on towards the next change that a reader at `after` lacks, over at most `changes_max`
    /// others. True when it is there, or at the end. `soon` is how many will be asked for then.
    ///
    /// # Panics
    /// When the cursor's generation has left memory.
    pub fn advance(
        &mut self,
        tables: &Tables,
        after: Position,
        changes_max: usize,
        soon: usize,
    ) -> bool {
        let mut left = changes_max;
        if self.back_at.is_none() && self.ends_within(tables, soon) {
            *self = Self::to(tables, self.place);
        }
        loop {
            match self.reach(tables, &mut left) {
                Err(step) => return step == Step::End,
                Ok((_, next)) if self.is_wanted(&next, after) => return true,
                Ok((generation, next)) => self.pass(tables, generation, &next),
            };
            left -= 1;
        }
    }

    /// Goes on, and appends the changes that a reader at `after` lacks to `found` until it has
    /// `found_max`, or has gone over `left` changes; what is left of them stays there.
    ///
    /// # Panics
    /// When the cursor's generation has left memory.
    pub fn step(
        &mut self,
        tables: &Tables,
        after: Position,
        found_max: usize,
        left: &mut usize,
        found: &mut Vec<Change>,
    ) -> Step {
        while found.len() < found_max {
            let (generation, next) = match self.reach(tables, left) {
                Ok(next) => next,
                Err(step) => return step,
            };
            let is_wanted = self.is_wanted(&next, after);
            let change = self.pass(tables, generation, &next);
            *left -= 1;
            if is_wanted {
                found.push(change);
            }
        }
        Step::Full
    }

    /// The next change, with its generation, once the accounts before it are known; or why it is
    /// not there.
    fn reach<'a>(
        &mut self,
        tables: &'a Tables,
        left: &mut usize,
    ) -> Result<(&'a Generation, Next<'a>), Step> {
        loop {
            self.go_back(tables, left);
            let next = self.next(tables).ok_or(Step::End)?;
            if *left == 0 {
                return Err(Step::Paused);
            }
            if self.known_until.is_none_or(|until| self.place < until) {
                return Ok(next);
            }
            *self = Self::to(tables, self.place);
        }
    }

    fn is_wanted(&self, next: &Next<'_>, after: Position) -> bool {
        let is_after = match next {
            Next::Row(transfer) => transfer.timestamp > after.transfers,
            Next::Expiry(expiry) => expiry.timestamp > after.expiries,
        };
        is_after && self.place >= self.wanted_from
    }

    /// Whether what it knows ends before so many changes, although there are more.
    fn ends_within(&self, tables: &Tables, changes: usize) -> bool {
        let Some(until) = self.known_until else {
            return false;
        };
        if self.place >= until || until == end(tables) {
            return until < end(tables);
        }
        let ((_, behind), (_, unknown)) = (distances(tables, self.place), distances(tables, until));
        behind - unknown < changes
    }

    /// Takes changes back until `place` is reached or `left` is used up.
    fn go_back(&mut self, tables: &Tables, left: &mut usize) {
        let Some(mut at) = self.back_at else {
            return;
        };
        let until = self.known_until.expect("it goes back from there");
        let end = end(tables);
        if until < end {
            // What happened meanwhile: accounts it has not come across are not as they were.
            let (mut now, mut all) = (States::default(), usize::MAX);
            take_back(tables, &mut now, end, until, &mut all);
            for (slot, state) in now {
                self.accounts.entry(slot).or_insert(state);
            }
            self.known_until = Some(end);
        }
        at = take_back(tables, &mut self.accounts, at, self.place, left);
        self.back_at = (at > self.place).then_some(at);
    }

    /// The next change, with its generation; moves on to the generation that has it.
    fn next<'a>(&mut self, tables: &'a Tables) -> Option<(&'a Generation, Next<'a>)> {
        loop {
            let generation = generation(tables, self.place.generation);
            let generation = generation.expect("the cursor's generation is in memory");
            if let Some(next) = next_at(generation, self.place) {
                return Some((generation, next));
            }
            if generation.number == tables.window.open().number {
                return None;
            }
            self.enter_next();
        }
    }

    /// Timestamp of the next transfer (ns).
    #[must_use]
    pub fn next_transfer_at(&self, tables: &Tables) -> Option<Timestamp> {
        let generations = tables.window.generations();
        let left = generations.filter(|generation| generation.number >= self.place.generation);
        let mut next = left.filter_map(|generation| {
            let is_own = generation.number == self.place.generation;
            let row = if is_own { self.place.row } else { 0 };
            generation.transfers.get(row)
        });
        next.next().map(|transfer| transfer.timestamp)
    }

    /// Number of the generation it is in.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.place.generation
    }

    /// What somebody needs who goes on where memory ends, taken out of it; none if it does not
    /// know enough. It is of no more use then.
    pub fn take_whole(&mut self) -> Option<WholeCursor> {
        self.known_until.is_none().then(|| WholeCursor {
            generation: self.place.generation,
            row: self.place.row as u64,
            expiry: self.place.expiry as u64,
            accounts: std::mem::take(&mut self.accounts),
        })
    }

    fn enter_next(&mut self) {
        self.place = Place {
            generation: self.place.generation + 1,
            row: 0,
            expiry: 0,
        };
        self.openings = 0;
        if self.known_until.is_none() {
            // The next generation has openings of its own. So this never has more accounts than a
            // generation touches.
            self.accounts.clear();
        }
    }

    /// Makes the next change and moves behind it.
    fn pass(&mut self, tables: &Tables, generation: &Generation, next: &Next<'_>) -> Change {
        let (slots, timestamp, what) = match next {
            Next::Row(transfer) => {
                let links = generation.links[self.place.row];
                let row = generation.first_row + self.place.row as u64;
                let transfer = **transfer;
                let what = What::Transfer { row, transfer };
                ([links.debit, links.credit], transfer.timestamp, what)
            }
            Next::Expiry(expiry) => {
                let what = What::Expiry {
                    pending_row: expiry.pending_row,
                    pending_id: expiry.pending_id,
                    amount: expiry.amount,
                };
                ([expiry.debit, expiry.credit], expiry.timestamp, what)
            }
        };
        let closing = match next {
            Next::Row(transfer) => closing_of(generation, transfer, self.place.row),
            Next::Expiry(_) => None,
        };
        let mut after = [AccountState::default(); 2];
        for ((slot, side), after) in slots.into_iter().zip(SIDES).zip(&mut after) {
            let state = self.account(tables, generation, slot);
            let changed = match next {
                Next::Row(transfer) => state.after(transfer, side, closing),
                Next::Expiry(e) => state.after_release(e.amount, e.pending_flags, side),
            };
            *state = changed.expect("balances in memory add up");
            *after = *state;
        }
        match next {
            Next::Row(_) => self.place.row += 1,
            Next::Expiry(_) => self.place.expiry += 1,
        }
        Change {
            timestamp,
            what,
            slots,
            after,
        }
    }

    /// An account before the next change.
    fn account(
        &mut self,
        tables: &Tables,
        generation: &Generation,
        slot: u32,
    ) -> &mut AccountState {
        if self.known_until.is_none() && tables.window.is_archived() {
            // Openings were noted in the order in which accounts were first touched.
            while !self.accounts.contains_key(&slot) {
                let opening = &generation.openings[self.openings];
                self.openings += 1;
                self.accounts.entry(opening.slot).or_insert(AccountState {
                    balances: opening.balances,
                    flags: opening.flags,
                });
            }
        }
        self.accounts.entry(slot).or_insert_with(|| {
            assert!(
                self.known_until.is_none(),
                "all accounts on the way are known"
            );
            // Nothing ever left this ledger's memory, so this is the account's first change. One
            // that was closed from the start would have none.
            AccountState {
                flags: tables.accounts[slot as usize].flags & !AccountFlags::CLOSED,
                ..AccountState::default()
            }
        })
    }
}

/// Takes the changes between two places back, newest first, until `left` is used up; accounts that
/// are not known are as they are now. Returns the place it has come to.
fn take_back(
    tables: &Tables,
    accounts: &mut States,
    from: Place,
    to: Place,
    left: &mut usize,
) -> Place {
    let mut at = from;
    while at > to && *left > 0 {
        let generation = generation(tables, at.generation).expect("newer ones stay longer");
        let is_last = |last: &&Expiry| last.before_row >= generation.first_row + at.row as u64;
        let expiries = &generation.expiries[..at.expiry];
        if let Some(last) = expiries.last().filter(is_last) {
            at.expiry -= 1;
            take_back_one(tables, accounts, generation, &Next::Expiry(last), at);
        } else if at.row > 0 {
            at.row -= 1;
            let transfer = &generation.transfers[at.row];
            take_back_one(tables, accounts, generation, &Next::Row(transfer), at);
        } else {
            let before = at.generation - 1;
            let generation = self::generation(tables, before).expect("the place is in memory");
            at = end_of(generation);
            continue;
        }
        *left -= 1;
    }
    at
}

fn take_back_one(
    tables: &Tables,
    accounts: &mut States,
    generation: &Generation,
    change: &Next<'_>,
    at: Place,
) {
    let (slots, closing) = match change {
        Next::Row(transfer) => {
            let links = generation.links[at.row];
            let closing = closing_of(generation, transfer, at.row);
            ([links.debit, links.credit], closing)
        }
        Next::Expiry(expiry) => ([expiry.debit, expiry.credit], None),
    };
    for (slot, side) in slots.into_iter().zip(SIDES) {
        let now = || AccountState::of(&tables.accounts[slot as usize]);
        let state = accounts.entry(slot).or_insert_with(now);
        let before = match change {
            Next::Row(transfer) => state.before(transfer, side, closing),
            Next::Expiry(e) => state.before_release(e.amount, e.pending_flags, side),
        };
        *state = before.expect("balances in memory add up");
    }
}

const SIDES: [Side; 2] = [Side::Debit, Side::Credit];

fn closing_of<'a>(
    generation: &'a Generation,
    transfer: &Transfer,
    row: usize,
) -> Option<&'a crate::generation::Closing> {
    if transfer.pending_id == 0 {
        return None;
    }
    let row = generation.first_row + row as u64;
    let closings = &generation.closings;
    let at = closings.binary_search_by_key(&row, |closing| closing.row);
    at.ok().map(|at| &closings[at])
}

fn generation(tables: &Tables, number: u64) -> Option<&Generation> {
    tables.window.numbered(number)
}

fn next_at(generation: &Generation, place: Place) -> Option<Next<'_>> {
    let row = generation.first_row + place.row as u64;
    match generation.expiries.get(place.expiry) {
        Some(expiry) if expiry.before_row <= row => Some(Next::Expiry(expiry)),
        _ => generation.transfers.get(place.row).map(Next::Row),
    }
}

/// Behind everything.
fn end(tables: &Tables) -> Place {
    end_of(tables.window.open())
}

/// Behind everything of a generation.
fn end_of(generation: &Generation) -> Place {
    Place {
        generation: generation.number,
        row: generation.transfers.len(),
        expiry: generation.expiries.len(),
    }
}

fn first_after(tables: &Tables, after: Position) -> Place {
    for generation in tables.window.generations() {
        let (rows, expiries) = (&generation.transfers, &generation.expiries);
        let row = rows.partition_point(|t| t.timestamp <= after.transfers);
        let expiry = expiries.partition_point(|e| e.timestamp <= after.expiries);
        if row == rows.len() && expiry == expiries.len() {
            continue;
        }
        // Whichever took effect first.
        let row_of = |e: &Expiry| (e.before_row - generation.first_row) as usize;
        let (row, expiry) = match expiries.get(expiry).map(row_of) {
            Some(expiry_row) if expiry_row <= row => (expiry_row, expiry),
            _ => (row, expiries.partition_point(|e| row_of(e) <= row)),
        };
        return Place {
            generation: generation.number,
            row,
            expiry,
        };
    }
    end(tables)
}

/// Changes between the generation's beginning and the place, and from there to the end.
fn distances(tables: &Tables, place: Place) -> (usize, usize) {
    let generations = tables.window.generations();
    let from = generations.filter(|generation| generation.number >= place.generation);
    let behind: usize = from.map(|g| g.transfers.len() + g.expiries.len()).sum();
    let before = place.row + place.expiry;
    (before, behind - before)
}
