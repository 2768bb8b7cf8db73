//! `try_branches`, `confirm_branches`, `cancel_branches`: the table of `docs/reference/tcc.md`.
//!
//! A branch that is refused changes nothing, so each is decided wholly before its first transfer
//! is made. Only the legs of a try see each other, and are taken back together.

use giro_base::CreateTransferStatus as LegStatus;
use giro_base::branch::{BranchResult, BranchStatus as Status, Branches, LEG_NONE};
use giro_base::{Timestamp, Transfer, TransferFlags as Flags};

use super::exists::compare_single;
use super::transfers::{TransferDecider, expires_at};
use super::walk::Decider;
use crate::batch::Batch;
use crate::branches::{NewBranch, Span};
use crate::pendings::Pending;
use crate::phase::Phase;
use crate::place::{NONE, Stored};

/// Branches between asking for memory and using it.
const AHEAD: usize = 8;

pub(super) struct BranchDecider<'a, 'b> {
    pub(super) legs: TransferDecider<'a>,
    pub(super) branches: Branches<'b>,
    pub(super) spans: &'b [Span],
}

/// Where a branch stands whose first leg exists.
enum Standing {
    Tried,
    Confirmed,
    Cancelled,
    /// And when it was due (ns).
    Expired(Timestamp),
}

/// What a branch comes to; the timestamp is the request's own where there is none.
#[derive(Clone, Copy)]
struct Outcome {
    status: Status,
    timestamp: Option<Timestamp>,
    leg: Option<(usize, u32)>,
}

impl Outcome {
    fn of(status: Status) -> Self {
        Self {
            status,
            timestamp: None,
            leg: None,
        }
    }

    /// Something about a leg.
    fn leg(status: Status, leg: usize, leg_status: u32) -> Self {
        Self {
            leg: Some((leg, leg_status)),
            ..Self::of(status)
        }
    }

    /// Of a branch that was never tried.
    fn unknown(status: Status) -> Self {
        match status {
            Status::IdTaken => Self::leg(status, 0, 0),
            _ => Self::of(status),
        }
    }

    fn before(timestamp: Timestamp) -> Self {
        Self {
            timestamp: Some(timestamp),
            ..Self::of(Status::DoneBefore)
        }
    }
}

impl BranchDecider<'_, '_> {
    /// Decides all branches, in order.
    pub(super) fn walk(&mut self, batch: &Batch<'_>) {
        self.legs.decided.place[..batch.len()].fill(NONE);
        for branch in 0..self.spans.len() {
            self.fetch(branch + 2 * AHEAD, branch + AHEAD);
            let span = self.spans[branch];
            let now = if span.events == 0 {
                batch.timestamp
            } else {
                batch.event_timestamp(span.first as usize)
            };
            let outcome = match self.branches {
                _ if span.events == 0 => Outcome::of(Status::RequestTooLarge),
                Branches::Try(_) => self.try_one(branch, span, now),
                Branches::Confirm(_) => self.confirm_one(branch, span, now),
                Branches::Keys(_) => self.cancel_one(span, now),
            };
            self.note_alarm(outcome.status);
            let (leg, leg_status) = outcome.leg.unwrap_or((usize::from(LEG_NONE), 0));
            self.legs.decided.branches[branch] = BranchResult {
                timestamp: outcome.timestamp.unwrap_or(now),
                status: outcome.status.into(),
                leg: leg as u16,
                leg_status,
            };
        }
    }

    /// Asks for the rows of a branch that comes up, and for the accounts of one that comes up
    /// soon.
    fn fetch(&self, later: usize, soon: usize) {
        let tables = &*self.legs.tables;
        let row = |branch: usize| {
            let span = self.spans.get(branch)?;
            (span.open != NONE).then(|| tables.branches.legs(span.open).0)
        };
        if let Some(row) = row(later) {
            tables.window.prefetch(row);
        }
        match row(soon) {
            Some(row) if row >= tables.window.first_row() => {
                let links = tables.window.links(row);
                tables.fetch_accounts([links.debit, links.credit]);
            }
            Some(_) => {}
            None => {
                let span = self.spans.get(soon);
                if let Some(span) = span.filter(|span| span.events > 0) {
                    self.legs.fetch(span.first as usize);
                }
            }
        }
    }

    fn try_one(&mut self, branch: usize, span: Span, now: Timestamp) -> Outcome {
        let (first, count) = (span.first as usize, span.events as usize);
        if let Some(stored) = self.legs.taken(first) {
            return self.try_again(first, count, stored, now);
        }
        if let Some(taken) = self.first_taken(first + 1, count - 1) {
            return Outcome::leg(Status::IdTaken, 1 + taken, 0);
        }
        if !self.legs.tables.branches.has_room() {
            return Outcome::of(Status::TooManyOpen);
        }
        for leg in 0..count {
            let created = self
                .legs
                .create_single_or_pending(first + leg, now + leg as u64);
            if let Err(status) = created {
                self.legs.take_back_chain(first, first + leg);
                return Outcome::leg(Status::LegRefused, leg, status.into());
            }
        }
        let key = self.branches.key(branch);
        let tables = &mut *self.legs.tables;
        let new = NewBranch {
            id: span.id,
            row: tables.window.end_row() - count as u64,
            tried_at: now,
            timeout: self.legs.events[first].timeout,
            legs: count,
            gid: key.gid.as_str(),
            branch_id: key.branch_id.as_str(),
        };
        tables.branches.insert(&new);
        tables.window.note_branch(&new);
        Outcome::of(Status::Done)
    }

    /// A try whose first id is taken, by an earlier one or by something else.
    fn try_again(&self, first: usize, count: usize, stored: Stored, now: Timestamp) -> Outcome {
        let standing = match self.standing(stored, now) {
            Ok(standing) => standing,
            Err(status) => return Outcome::unknown(status),
        };
        match standing {
            Standing::Tried | Standing::Confirmed => {}
            Standing::Cancelled => return Outcome::of(Status::Cancelled),
            Standing::Expired(_) => return Outcome::of(Status::Expired),
        }
        for leg in 0..count {
            let t = &self.legs.events[first + leg];
            let Some(existing) = self.leg_at(first + leg) else {
                return Outcome::of(Status::Differs);
            };
            // The flags tell whether another leg follows.
            if t.flags != existing.flags {
                return Outcome::of(Status::Differs);
            }
            if t.timeout != existing.timeout {
                let status = LegStatus::ExistsWithDifferentTimeout.into();
                return Outcome::leg(Status::Differs, leg, status);
            }
            let status = compare_single(t, &existing);
            if status != LegStatus::Exists {
                return Outcome::leg(Status::Differs, leg, status.into());
            }
        }
        Outcome::before(self.legs.transfer_at(stored).timestamp)
    }

    fn confirm_one(&mut self, branch: usize, span: Span, now: Timestamp) -> Outcome {
        let first = span.first as usize;
        let amounts = self.amounts(branch);
        if span.open == NONE {
            let Some(stored) = self.legs.taken(first) else {
                return Outcome::of(Status::NotTried);
            };
            return match self.standing(stored, now) {
                Ok(Standing::Confirmed) => self.confirm_again(first + 1, amounts),
                Ok(Standing::Cancelled) => Outcome::of(Status::Cancelled),
                Ok(Standing::Expired(_)) => Outcome::of(Status::Expired),
                Ok(Standing::Tried) => unreachable!("it would be among the open branches"),
                Err(status) => Outcome::unknown(status),
            };
        }
        let count = span.events as usize;
        if let Some(existing) = self.leg_at(first) {
            debug_assert!(existing.flags & Flags::BRANCH != 0);
            if amounts.is_some_and(|amounts| amounts != count) {
                return Outcome::of(Status::AmountsDiffer);
            }
            // An earlier branch of this request is the same.
            return self.confirm_again(first, amounts);
        }
        let (row, _) = self.legs.tables.branches.legs(span.open);
        if self.due_at(row).is_some_and(|at| at <= now) {
            return Outcome::of(Status::Expired);
        }
        if let Some(leg) = self.first_taken(first, count) {
            return Outcome::leg(Status::IdTaken, leg, 0);
        }
        if amounts.is_some_and(|amounts| amounts != count) {
            return Outcome::of(Status::AmountsMissing);
        }
        let mut is_partial = false;
        for leg in 0..count {
            let (asked, reserved) = (self.legs.events[first + leg].amount, self.leg(row, leg));
            let reserved = reserved.transfer.amount;
            if amounts.is_some() && asked > reserved {
                let status = LegStatus::ExceedsPendingTransferAmount.into();
                return Outcome::leg(Status::AmountExceedsReserved, leg, status);
            }
            is_partial |= amounts.is_some() && asked < reserved;
        }
        let partial = if is_partial { Flags::BRANCH_PARTIAL } else { 0 };
        for leg in 0..count {
            let pending = self.leg(row, leg);
            let amount = if amounts.is_some() {
                self.legs.events[first + leg].amount
            } else {
                pending.transfer.amount
            };
            self.settle_leg(first + leg, &pending, amount, partial, now + leg as u64);
        }
        self.legs.tables.branches.remove(span.id);
        Outcome::of(Status::Done)
    }

    /// A confirm of a branch that is confirmed, of which the first leg's event is `first`.
    fn confirm_again(&self, first: usize, amounts: Option<usize>) -> Outcome {
        let Some(existing) = self.leg_at(first) else {
            unreachable!("what is confirmed has a transfer that did it");
        };
        let Some(count) = amounts else {
            return if existing.flags & Flags::BRANCH_PARTIAL == 0 {
                Outcome::before(existing.timestamp)
            } else {
                Outcome::of(Status::AmountsDiffer)
            };
        };
        // All but the last leg say that another follows.
        let ends_at = |leg: usize| {
            let stored = self.leg_at(first + leg);
            stored.is_none_or(|stored| stored.flags & Flags::LINKED == 0)
        };
        if (0..count).find(|leg| ends_at(*leg)) != Some(count - 1) {
            return Outcome::of(Status::AmountsDiffer);
        }
        for leg in 0..count {
            let posted = self.leg_at(first + leg).map(|stored| stored.amount);
            if posted != Some(self.legs.events[first + leg].amount) {
                return Outcome::leg(Status::AmountsDiffer, leg, 0);
            }
        }
        Outcome::before(existing.timestamp)
    }

    fn cancel_one(&mut self, span: Span, now: Timestamp) -> Outcome {
        let first = span.first as usize;
        if span.open == NONE {
            return self.cancel_settled(first, now);
        }
        if let Some(existing) = self.leg_at(first) {
            // An earlier branch of this request is the same.
            return Outcome::before(existing.timestamp);
        }
        let count = span.events as usize;
        let (row, _) = self.legs.tables.branches.legs(span.open);
        if let Some(at) = self.due_at(row).filter(|at| *at <= now) {
            return Outcome::before(at);
        }
        if let Some(leg) = self.first_taken(first, count) {
            return Outcome::leg(Status::IdTaken, leg, 0);
        }
        for leg in 0..count {
            let pending = self.leg(row, leg);
            let amount = pending.transfer.amount;
            self.settle_leg(first + leg, &pending, amount, 0, now + leg as u64);
        }
        self.legs.tables.branches.remove(span.id);
        Outcome::of(Status::Done)
    }

    /// A cancel of a branch that is not open.
    fn cancel_settled(&mut self, first: usize, now: Timestamp) -> Outcome {
        let Some(stored) = self.legs.taken(first) else {
            // The fence: from now on the branch can never be tried.
            self.legs.burn(first);
            return Outcome::of(Status::Done);
        };
        match self.standing(stored, now) {
            Ok(Standing::Cancelled) => match self.leg_at(first + 1) {
                Some(existing) => Outcome::before(existing.timestamp),
                None => unreachable!("what is cancelled has a transfer that did it"),
            },
            Ok(Standing::Confirmed) => Outcome::of(Status::Confirmed),
            Ok(Standing::Expired(at)) => Outcome::before(at),
            Ok(Standing::Tried) => unreachable!("it would be among the open branches"),
            Err(Status::Suspended) => Outcome::of(Status::DoneBefore),
            Err(status) => Outcome::unknown(status),
        }
    }

    /// Posts or voids a leg, by the request's event `i`.
    fn settle_leg(
        &mut self,
        i: usize,
        pending: &Pending,
        amount: u128,
        partial: u16,
        timestamp: Timestamp,
    ) {
        let (t, p) = (&self.legs.events[i], &pending.transfer);
        let stored = Transfer {
            id: t.id,
            flags: t.flags | partial,
            pending_id: p.id,
            amount,
            timeout: 0,
            timestamp,
            ..*p
        };
        self.legs.insert_closing_of(i, stored, pending);
    }

    /// Where the branch stands whose first leg lies there.
    fn standing(&self, stored: Stored, now: Timestamp) -> Result<Standing, Status> {
        if matches!(stored, Stored::Burned(_)) {
            return Err(Status::Suspended);
        }
        let Pending {
            transfer, phase, ..
        } = self.legs.pending_of(stored);
        if transfer.flags & Flags::BRANCH == 0 {
            return Err(Status::IdTaken);
        }
        let due_at = expires_at(&transfer);
        Ok(match phase {
            Phase::Posted => Standing::Confirmed,
            Phase::Voided => Standing::Cancelled,
            Phase::Expired => Standing::Expired(due_at),
            Phase::Pending if transfer.timeout != 0 && due_at <= now => Standing::Expired(due_at),
            Phase::Pending => Standing::Tried,
            Phase::Single => unreachable!("a first leg is a pending transfer"),
        })
    }

    /// When the branch is due whose first leg is in this row; none without a timeout.
    fn due_at(&self, row: u64) -> Option<Timestamp> {
        let first = self.leg(row, 0).transfer;
        (first.timeout != 0).then(|| expires_at(&first))
    }

    /// A leg of an open branch whose first one is in this row.
    fn leg(&self, row: u64, leg: usize) -> Pending {
        let pending = self.legs.tables.open_pending(row + leg as u64);
        pending.expect("the legs of an open branch are pending")
    }

    /// The leg that is stored under the id of event `i`. None if there is nothing, or nothing of
    /// a branch.
    fn leg_at(&self, i: usize) -> Option<Transfer> {
        let stored = self.legs.taken(i)?;
        if matches!(stored, Stored::Burned(_)) {
            return None;
        }
        let transfer = *self.legs.transfer_at(stored);
        (transfer.flags & Flags::BRANCH != 0).then_some(transfer)
    }

    /// The first of `count` events from `first` on whose id is taken, counted from there.
    fn first_taken(&self, first: usize, count: usize) -> Option<usize> {
        (0..count).find(|leg| self.legs.taken(first + leg).is_some())
    }

    /// How many amounts a confirm has; none if it is all of everything.
    fn amounts(&self, branch: usize) -> Option<usize> {
        let Branches::Confirm(branches) = self.branches else {
            return None;
        };
        let count = branches[branch].amounts.len();
        (count > 0).then_some(count)
    }

    fn note_alarm(&mut self, status: Status) {
        let alarms = &mut self.legs.tables.branches.alarms;
        let confirms = matches!(self.branches, Branches::Confirm(_));
        let alarm = match status {
            Status::IdTaken => &mut alarms.id_taken,
            Status::Confirmed => &mut alarms.cancel_after_confirm,
            Status::NotTried => &mut alarms.confirm_without_try,
            Status::Cancelled | Status::Suspended if confirms => &mut alarms.confirm_after_cancel,
            Status::Expired if confirms => &mut alarms.confirm_after_expiry,
            _ => return,
        };
        *alarm += 1;
    }
}
