//! One request's queries on their way through the history and memory.

use std::collections::VecDeque;
use std::sync::Arc;

use giro_base::Timestamp;
use giro_base::filter::AccountBalance;
use giro_base::operation::Kind;
use giro_core::StateMachine;
use giro_core::query::{Asked, Recent};
use giro_store::StoreError;
use giro_store::cursor::{
    BalanceCursor, BalanceRow, Progress, Row, Select, TransferCursor, Walk, Window,
};
use smallvec::SmallVec;
use zerocopy::IntoBytes;

use super::{Both, ReadTurn, generations_left};
use crate::error::Error;
use crate::executor::Executor;

/// Bytes of every row that queries return.
const ROW_BYTES: usize = 128;
const _: () = assert!(ROW_BYTES == size_of::<AccountBalance>());

/// Rows in memory that beginning a filter counts as: it looks for both ends of a window of time. A
/// request may have thousands of filters that find nothing.
const FILTER_ROWS: usize = 64;

/// A request whose answer is being worked out.
pub(crate) struct Reading {
    kind: Kind,
    /// Later transfers are not shown.
    until: Timestamp,
    /// Filters not begun.
    asked: VecDeque<Option<Asked>>,
    /// The filter being worked on.
    current: Option<Current>,
    rows: Vec<u8>,
    /// Scans over accounts that are done: all are shown at the same time, at the end.
    accounts: Vec<Option<(Recent, usize)>>,
    /// Rows of each filter that is done.
    pub(crate) counts: SmallVec<[u16; 64]>,
}

struct Current {
    asked: Asked,
    /// Rows found so far.
    count: usize,
    stage: Stage,
}

/// Where a filter is looked for. Rows on disk are older than all rows in memory, so one comes
/// behind the other.
enum Stage {
    /// The history, up to a generation.
    Older(Older, u64),
    /// What is in memory, so many generations having left it by then.
    Recent(Recent, u64),
    Done,
}

enum Older {
    Transfers(Walk<TransferCursor>),
    Balances(Walk<BalanceCursor>),
}

impl Reading {
    /// A request without filters yet, which shows the ledger as of `until`.
    pub(crate) fn new(kind: Kind, until: Timestamp) -> Self {
        Self {
            kind,
            until,
            asked: VecDeque::new(),
            current: None,
            rows: Vec::new(),
            accounts: Vec::new(),
            counts: SmallVec::new(),
        }
    }

    /// Adds a filter.
    pub(crate) fn ask(&mut self, machine: &StateMachine, filter: &[u8], rows_max: usize) {
        let asked = Asked::parse(machine, self.kind, filter, rows_max);
        self.asked.push_back(asked);
    }

    /// Works on, as much as the turn allows. True when the answer is complete.
    pub(crate) fn step(&mut self, executor: &mut Executor, turn: ReadTurn) -> Result<bool, Error> {
        let mut turn = turn;
        loop {
            let Some(current) = &mut self.current else {
                if self.asked.is_empty() {
                    return Ok(self.show_accounts(executor.machine(), &mut turn));
                }
                if turn.rows == 0 {
                    return Ok(false);
                }
                match self.asked.pop_front().expect("it is not empty") {
                    None => self.skip(),
                    Some(asked) => {
                        turn.rows = turn.rows.saturating_sub(FILTER_ROWS);
                        self.current = Some(Current::begin(asked, executor, self.until));
                    }
                }
                continue;
            };
            if !current.step(executor, self.until, &mut turn, &mut self.rows)? {
                return Ok(false);
            }
            match self.current.take().expect("it was worked on") {
                Current {
                    stage: Stage::Recent(scan, _),
                    asked,
                    ..
                } => self.accounts.push(Some((scan, asked.limit()))),
                current => self.counts.push(current.count as u16),
            }
        }
    }

    /// A filter that selects nothing.
    fn skip(&mut self) {
        if self.kind == Kind::QueryAccounts {
            self.accounts.push(None);
        } else {
            self.counts.push(0);
        }
    }

    /// Shows the accounts that the scans found, all at one moment: when none has to look at
    /// accounts made since. True when that was so, or the turn was enough for it.
    fn show_accounts(&mut self, machine: &StateMachine, turn: &mut ReadTurn) -> bool {
        let mut scans = self.accounts.iter_mut().flatten();
        if !scans.all(|(scan, _)| scan.step(machine, &mut turn.rows)) {
            return false;
        }
        for scan in self.accounts.drain(..) {
            let count = scan.map_or(0, |(scan, limit)| {
                append(&scan, machine, limit, &mut self.rows)
            });
            self.counts.push(count as u16);
        }
        true
    }

    /// Writes all rows to `out` and returns how many.
    pub(crate) fn write(&self, out: &mut [u8]) -> usize {
        out[..self.rows.len()].copy_from_slice(&self.rows);
        self.rows.len() / ROW_BYTES
    }
}

impl Current {
    fn begin(asked: Asked, executor: &mut Executor, until: Timestamp) -> Self {
        let mut current = Self {
            asked,
            count: 0,
            stage: Stage::Done,
        };
        current.stage = if asked.reversed() {
            current.recent(executor.machine(), until)
        } else {
            current.older(executor, 0, until)
        };
        current
    }

    /// The way through memory, to what is missing.
    fn recent(&self, machine: &StateMachine, until: Timestamp) -> Stage {
        let left = self.asked.limit() - self.count;
        let recent = self.asked.recent(machine, left, until);
        Stage::Recent(recent, generations_left(machine))
    }

    /// Begins the way through memory again if rows left that it may need.
    fn keep_up(&mut self, executor: &mut Executor, until: Timestamp) {
        let Stage::Recent(_, left) = self.stage else {
            return;
        };
        let is_whole = left == generations_left(executor.machine());
        if is_whole || matches!(self.asked, Asked::Accounts(_)) {
            return;
        }
        self.stage = if self.asked.reversed() {
            self.recent(executor.machine(), until)
        } else {
            self.older(executor, left, until)
        };
    }

    /// The way through the generations on disk, from this one on; what is next if there is none.
    fn older(&self, executor: &mut Executor, from: u64, until: Timestamp) -> Stage {
        let both = executor.both().map(|both| (both.generations(), both));
        let walk = both.and_then(|(end, both)| Some((walk(&self.asked, &both, from, until)?, end)));
        match walk {
            Some((walk, end)) if from < end => Stage::Older(walk, end),
            _ if self.asked.reversed() => Stage::Done,
            _ => self.recent(executor.machine(), until),
        }
    }

    /// True when everything is found.
    fn step(
        &mut self,
        executor: &mut Executor,
        until: Timestamp,
        turn: &mut ReadTurn,
        rows: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        self.keep_up(executor, until);
        loop {
            let limit = self.asked.limit();
            match &mut self.stage {
                Stage::Done => return Ok(true),
                Stage::Recent(recent, _) => {
                    if !recent.step(executor.machine(), &mut turn.rows) {
                        return Ok(false);
                    }
                    if matches!(self.asked, Asked::Accounts(_)) {
                        return Ok(true);
                    }
                    self.count += append(recent, executor.machine(), limit - self.count, rows);
                    let is_reversed = self.asked.reversed() && self.count < limit;
                    self.stage = if is_reversed {
                        self.older(executor, 0, until)
                    } else {
                        Stage::Done
                    };
                }
                Stage::Older(older, end) => {
                    let end = *end;
                    let left = limit - self.count;
                    let both = executor.both().expect("there is a history");
                    let (found, progress) = older.step(both.reader, turn, left, rows)?;
                    self.count += found;
                    if self.count == limit {
                        self.stage = Stage::Done;
                    } else if progress == Progress::More {
                        return Ok(false);
                    } else if self.asked.reversed() {
                        self.stage = Stage::Done;
                    } else {
                        // What has left memory meanwhile, and then memory.
                        self.stage = self.older(executor, end, until);
                    }
                }
            }
        }
    }
}

/// Puts what was found, `limit` rows at most, behind `rows`; says how many.
fn append(recent: &Recent, machine: &StateMachine, limit: usize, rows: &mut Vec<u8>) -> usize {
    let start = rows.len();
    rows.resize(start + limit * ROW_BYTES, 0);
    let count = recent.write(machine, &mut rows[start..]);
    rows.truncate(start + count * ROW_BYTES);
    count
}

/// The walk over the history for what is asked; none for accounts.
fn walk(asked: &Asked, both: &Both<'_>, from: u64, until: Timestamp) -> Option<Older> {
    let catalog = Arc::clone(&both.catalog);
    let generations = from..both.generations();
    let up_to = |window: Window| Window {
        max: window.max.min(until),
        ..window
    };
    match asked {
        Asked::AccountTransfers(query, slot) => {
            let select = Select::of_account_filter(&query.filter, *slot);
            let window = up_to(Window::of_account_filter(&query.filter));
            let walk = Walk::transfers(catalog, select, window, generations);
            Some(Older::Transfers(walk))
        }
        Asked::AccountBalances(query, slot) => {
            let select = Select::of_account_filter(&query.filter, *slot);
            let window = up_to(Window::of_account_filter(&query.filter));
            Walk::balances(catalog, select, window, generations).map(Older::Balances)
        }
        Asked::Transfers(query) => {
            let select = Select::of_query_filter(&query.filter);
            let window = up_to(Window::of_query_filter(&query.filter));
            let walk = Walk::transfers(catalog, select, window, generations);
            Some(Older::Transfers(walk))
        }
        Asked::Accounts(_) => None,
    }
}

impl Older {
    /// Goes on, and appends at most `left` rows; says how many.
    fn step(
        &mut self,
        reader: &mut giro_store::Reader,
        turn: &mut ReadTurn,
        left: usize,
        rows: &mut Vec<u8>,
    ) -> Result<(usize, Progress), StoreError> {
        let before = reader.pages_read();
        let outcome = match self {
            Self::Transfers(walk) => {
                let mut found: Vec<Row> = Vec::new();
                let progress = walk.step(reader, turn.pages, left, &mut found)?;
                for row in &found {
                    rows.extend_from_slice(row.transfer.as_bytes());
                }
                (found.len(), progress)
            }
            Self::Balances(walk) => {
                let mut found: Vec<BalanceRow> = Vec::new();
                let progress = walk.step(reader, turn.pages, left, &mut found)?;
                for row in &found {
                    rows.extend_from_slice(balance_of(row).as_bytes());
                }
                (found.len(), progress)
            }
        };
        let read = reader.pages_read() - before;
        turn.pages = turn.pages.saturating_sub(read as usize);
        Ok(outcome)
    }
}

fn balance_of(row: &BalanceRow) -> AccountBalance {
    let balances = row.after.balances;
    AccountBalance {
        debits_pending: balances.debits_pending,
        debits_posted: balances.debits_posted,
        credits_pending: balances.credits_pending,
        credits_posted: balances.credits_posted,
        timestamp: row.row.transfer.timestamp,
        reserved: [0; 56],
    }
}
