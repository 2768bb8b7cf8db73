//! A small ledger that makes random generations and remembers everything in plain lists.

#![allow(dead_code)] // Not every test binary uses all of it.

pub(crate) mod faults;
pub(crate) mod witness;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_base::{Account, AccountFlags, Transfer, TransferFlags as Flags};
use giro_core::generation::{Balances, Closing, Expiry, Generation, Links, Opening};
use giro_log::storage::{RealStorage, Storage};
use giro_store::{
    Catalog, Fate, History, Identity, Mark, Names, Reader, SessionState, StoreError, Workshop,
    Written, mergeable,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const IDENTITY: Identity = Identity {
    cluster: 77,
    hash_key: [5, 6],
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) balances: Balances,
    pub(crate) flags: u16,
}

/// Something that happened, and both accounts right after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) timestamp: u64,
    pub(crate) row: u64,
    pub(crate) expiry: bool,
    pub(crate) slots: [u32; 2],
    pub(crate) after: [State; 2],
}

pub(crate) struct World {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) accounts: Vec<State>,
    pub(crate) rows: Vec<Transfer>,
    pub(crate) slots: Vec<[u32; 2]>,
    pub(crate) events: Vec<Event>,
    pub(crate) burned: Vec<u128>,
    pub(crate) fates: HashMap<u64, Fate>,
    pub(crate) generations: u64,
    /// No pending transfer ends.
    pub(crate) patient: bool,
    /// Ids rise instead of being random.
    pub(crate) rising: bool,
    open: Vec<u64>,
    clock: u64,
    /// When the generation began.
    began: u64,
}

/// From one id that rises to the next.
pub(crate) const RISE: u128 = 4;

/// The id of the account in a slot.
pub(crate) fn account_id(slot: u32) -> u128 {
    u128::from(slot) * 1000 + 7
}

impl World {
    pub(crate) fn new(seed: u64, accounts: usize) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            accounts: vec![State::default(); accounts],
            rows: Vec::new(),
            slots: Vec::new(),
            events: Vec::new(),
            burned: Vec::new(),
            fates: HashMap::new(),
            generations: 0,
            rising: false,
            patient: false,
            open: Vec::new(),
            clock: 1000,
            began: 0,
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += self.rng.random_range(1..10);
        self.clock
    }

    fn id(&mut self) -> u128 {
        if self.rising {
            return RISE * (self.rows.len() + self.burned.len() + 1) as u128;
        }
        self.rng.random_range(1..u128::MAX)
    }

    /// The next generation, of so many steps.
    pub(crate) fn generation(&mut self, steps: usize) -> Arc<Generation> {
        let first_row = self.rows.len() as u64;
        let number = self.generations;
        let room = steps + self.accounts.len() + 3;
        let mut made = Generation::new(number, first_row, room, 4 * room).unwrap();
        self.make_accounts(&mut made);
        self.generations += 1;
        self.began = self.clock;
        for _ in 0..steps {
            match self.rng.random_range(0..100) {
                0..8 => {
                    let id = self.id();
                    self.burned.push(id);
                    made.burned.push(id);
                }
                8..28 if !self.open.is_empty() && !self.patient => self.close(&mut made),
                28..34 if !self.open.is_empty() && !self.patient => self.expire(&mut made),
                _ => self.transfer(&mut made),
            }
        }
        // An account that nothing touched may have an opening too.
        let slot = self.rng.random_range(0..self.accounts.len()) as u32;
        self.opening(&mut made, slot);
        Arc::new(made)
    }

    /// A generation in which time does everything.
    pub(crate) fn expiries_only(&mut self, count: usize) -> Arc<Generation> {
        let room = count + self.accounts.len() + 3;
        let first_row = self.rows.len() as u64;
        let mut made = Generation::new(self.generations, first_row, room, 4 * room).unwrap();
        self.make_accounts(&mut made);
        self.generations += 1;
        for _ in 0..count.min(self.open.len()) {
            self.expire(&mut made);
        }
        Arc::new(made)
    }

    /// The accounts there are are made in the first generation, and some more in each later one.
    fn make_accounts(&mut self, made: &mut Generation) {
        let first = if self.generations == 0 {
            0
        } else {
            let count = self.accounts.len();
            let more = self.generations as usize % 3;
            self.accounts.resize(count + more, State::default());
            count
        };
        made.first_slot = first as u32;
        for slot in first..self.accounts.len() {
            made.accounts.push(account(slot as u32));
        }
    }

    fn opening(&mut self, made: &mut Generation, slot: u32) {
        let state = self.accounts[slot as usize];
        // Later ones must not count, so they come often.
        if self.rng.random_bool(0.3) || !made.openings.iter().any(|o| o.slot == slot) {
            made.openings.push(Opening {
                slot,
                flags: state.flags,
                balances: state.balances,
                ..Opening::default()
            });
        }
    }

    fn transfer(&mut self, made: &mut Generation) {
        let count = self.accounts.len() as u32;
        let debit = self.rng.random_range(0..count);
        let credit = (debit + self.rng.random_range(1..count)) % count;
        let mut flags = 0;
        if self.rng.random_bool(0.4) {
            flags |= Flags::PENDING;
            if self.rng.random_bool(0.1) {
                flags |= Flags::CLOSING_DEBIT;
            }
            if self.rng.random_bool(0.1) {
                flags |= Flags::CLOSING_CREDIT;
            }
        }
        let transfer = Transfer {
            amount: self.rng.random_range(0..1000),
            flags,
            code: if self.rng.random_bool(0.7) {
                1
            } else {
                self.rng.random_range(2..400)
            },
            ledger: self.rng.random_range(1..3),
            ..self.plain(debit, credit)
        };
        let mut transfer = transfer;
        if self.rng.random_bool(0.5)
            && let Some(imported) = self.before_expiry(made)
        {
            transfer.timestamp = imported;
        }
        let row = self.rows.len() as u64;
        let pending = flags & Flags::PENDING != 0;
        if pending {
            self.open.push(row);
        }
        self.touch(made, debit, credit);
        let [dr, cr] = self.both(debit, credit);
        if pending {
            dr.balances.debits_pending += transfer.amount;
            cr.balances.credits_pending += transfer.amount;
        } else {
            dr.balances.debits_posted += transfer.amount;
            cr.balances.credits_posted += transfer.amount;
        }
        if flags & Flags::CLOSING_DEBIT != 0 {
            dr.flags |= AccountFlags::CLOSED;
        }
        if flags & Flags::CLOSING_CREDIT != 0 {
            cr.flags |= AccountFlags::CLOSED;
        }
        self.store(made, transfer, [debit, credit]);
    }

    fn plain(&mut self, debit: u32, credit: u32) -> Transfer {
        let any = |rng: &mut ChaCha8Rng, few: u64| match rng.random_range(0..3) {
            0 => 0,
            1 => rng.random_range(0..few),
            _ => rng.random(),
        };
        Transfer {
            id: self.id(),
            debit_account_id: account_id(debit),
            credit_account_id: account_id(credit),
            user_data_128: u128::from(any(&mut self.rng, 5)) << 60,
            user_data_64: any(&mut self.rng, 40),
            user_data_32: any(&mut self.rng, 3) as u32,
            timestamp: self.tick(),
            ..Transfer::default()
        }
    }

    /// A free timestamp before the last expiry of this generation, as imported transfers have.
    fn before_expiry(&self, made: &Generation) -> Option<u64> {
        let last_row = self.rows.last()?.timestamp;
        let expiry = made.expiries.last()?;
        let imported = last_row + 1;
        let free = self.events.iter().all(|event| event.timestamp != imported);
        let inside = expiry.before_row == self.rows.len() as u64;
        (inside && free && imported > self.began && imported < expiry.timestamp).then_some(imported)
    }

    fn take_open(&mut self) -> (u64, Transfer, [u32; 2]) {
        let place = self.rng.random_range(0..self.open.len());
        let row = self.open.swap_remove(place);
        (row, self.rows[row as usize], self.slots[row as usize])
    }

    fn close(&mut self, made: &mut Generation) {
        let (pending_row, pending, [debit, credit]) = self.take_open();
        let post = self.rng.random_bool(0.6);
        let (flags, amount) = if post {
            let amount = self.rng.random_range(0..=pending.amount);
            (Flags::POST_PENDING_TRANSFER, amount)
        } else {
            (Flags::VOID_PENDING_TRANSFER, pending.amount)
        };
        let transfer = Transfer {
            amount,
            flags,
            pending_id: pending.id,
            code: pending.code,
            ledger: pending.ledger,
            ..self.plain(debit, credit)
        };
        self.touch(made, debit, credit);
        self.release(&pending, [debit, credit], !post);
        let [dr, cr] = self.both(debit, credit);
        if post {
            dr.balances.debits_posted += amount;
            cr.balances.credits_posted += amount;
        }
        let fate = if post { Fate::Posted } else { Fate::Voided };
        self.fates.insert(pending_row, fate);
        made.closings.push(Closing {
            row: self.rows.len() as u64,
            pending_row,
            pending_amount: pending.amount,
            pending_flags: pending.flags,
            ..Closing::default()
        });
        self.store(made, transfer, [debit, credit]);
    }

    fn expire(&mut self, made: &mut Generation) {
        let (pending_row, pending, [debit, credit]) = self.take_open();
        self.touch(made, debit, credit);
        self.release(&pending, [debit, credit], true);
        self.fates.insert(pending_row, Fate::Expired);
        let timestamp = self.tick();
        made.expiries.push(Expiry {
            timestamp,
            pending_row,
            pending_id: pending.id,
            amount: pending.amount,
            debit,
            credit,
            pending_flags: pending.flags,
            before_row: self.rows.len() as u64,
            ..Expiry::default()
        });
        self.remember(timestamp, pending_row, true, [debit, credit]);
    }

    fn release(&mut self, pending: &Transfer, [debit, credit]: [u32; 2], reopens: bool) {
        let [dr, cr] = self.both(debit, credit);
        dr.balances.debits_pending -= pending.amount;
        cr.balances.credits_pending -= pending.amount;
        if reopens && pending.flags & Flags::CLOSING_DEBIT != 0 {
            dr.flags &= !AccountFlags::CLOSED;
        }
        if reopens && pending.flags & Flags::CLOSING_CREDIT != 0 {
            cr.flags &= !AccountFlags::CLOSED;
        }
    }

    fn touch(&mut self, made: &mut Generation, debit: u32, credit: u32) {
        self.opening(made, debit);
        self.opening(made, credit);
    }

    fn both(&mut self, debit: u32, credit: u32) -> [&mut State; 2] {
        let slots = [debit as usize, credit as usize];
        self.accounts.get_disjoint_mut(slots).unwrap()
    }

    fn store(&mut self, made: &mut Generation, transfer: Transfer, slots: [u32; 2]) {
        made.transfers.push(transfer);
        made.links.push(Links {
            debit: slots[0],
            credit: slots[1],
            debit_previous: 0,
            credit_previous: 0,
        });
        let row = self.rows.len() as u64;
        self.rows.push(transfer);
        self.slots.push(slots);
        self.remember(transfer.timestamp, row, false, slots);
    }

    fn remember(&mut self, timestamp: u64, row: u64, expiry: bool, slots: [u32; 2]) {
        let after = slots.map(|slot| self.accounts[slot as usize]);
        self.events.push(Event {
            timestamp,
            row,
            expiry,
            slots,
            after,
        });
    }

    pub(crate) fn fate(&self, row: u64) -> Fate {
        self.fates.get(&row).copied().unwrap_or(Fate::None)
    }
}

/// An account as it was made.
pub(crate) fn account(slot: u32) -> Account {
    Account {
        id: account_id(slot),
        user_data_64: slot.into(),
        ledger: 1,
        code: 1,
        timestamp: u64::from(slot) + 1,
        ..Account::default()
    }
}

/// A mark that tells this generation from others.
pub(crate) fn mark_of(generation: &Generation) -> Mark {
    let op = generation.number * 10 + 7;
    Mark {
        op,
        timestamp: op + 100,
        record: op + 1,
        digest: u128::from(op) << 70,
        sessions: (0..4).filter_map(|client| session(client, op)).collect(),
        group: group(op),
    }
}

/// What a group of nodes says at an op: now and then nothing, and of any length.
fn group(op: u64) -> Vec<u8> {
    let bytes = if op.is_multiple_of(3) { 0 } else { op * 7 };
    (0..bytes).map(|at| (at * op) as u8).collect()
}

/// The session of a client at an op, whose last write was some ops ago.
fn session(client: u128, op: u64) -> Option<SessionState> {
    let (generation, since) = (op / 10, op.saturating_sub(10));
    // One is always there, one comes and goes, one writes seldom.
    let last = match client {
        0 => op,
        1 => (generation % 3 > 0).then_some(op)?,
        2 => op - (generation % 5) * 10,
        _ => 7,
    };
    Some(SessionState {
        client: client + 1,
        session: last / 100 + 1,
        request: last as u32,
        request_checksum: u128::from(last) * 3,
        operation: 140,
        release: 9,
        op: last,
        timestamp: last + 100,
        reply: (last > since).then(|| reply_of(client, last)),
    })
}

/// The reply a client got to its write at this op.
pub(crate) fn reply_of(client: u128, op: u64) -> Vec<u8> {
    let length = (op * 37 + client as u64 * 11) % 9000;
    (0..length).map(|i| (i * op) as u8).collect()
}

/// A directory with a history that is written without threads.
pub(crate) struct Bench {
    pub(crate) workshop: Workshop,
    pub(crate) reader: Reader,
    pub(crate) dir: PathBuf,
    _keep: Option<tempfile::TempDir>,
}

impl Bench {
    pub(crate) fn real() -> Self {
        let keep = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let dir = keep.path().to_owned();
        let mut bench = Self::on(Arc::new(RealStorage), &dir);
        bench._keep = Some(keep);
        bench
    }

    pub(crate) fn on(storage: Arc<dyn Storage>, dir: &Path) -> Self {
        History::create(&*storage, dir).unwrap();
        Self::reopen(storage, dir)
    }

    pub(crate) fn reopen(storage: Arc<dyn Storage>, dir: &Path) -> Self {
        Self {
            workshop: Workshop {
                storage,
                names: Names::new(dir),
                identity: IDENTITY,
                pace: giro_store::pace::Pace::default(),
                scratch: giro_store::scratch::ScratchPool::default(),
            },
            reader: Reader::new().unwrap(),
            dir: dir.to_owned(),
            _keep: None,
        }
    }

    pub(crate) fn write(&mut self, generation: &Generation) {
        self.try_write(generation).unwrap();
    }

    pub(crate) fn try_write(&mut self, generation: &Generation) -> Result<Written, StoreError> {
        let mark = mark_of(generation);
        self.workshop.write(&mut self.reader, generation, &mark)
    }

    /// What is there; leftovers of crashes are removed.
    pub(crate) fn catalog(&mut self) -> Catalog {
        self.workshop.recover(&mut self.reader).unwrap()
    }

    /// Merges what can be merged.
    pub(crate) fn merge_all(&mut self) {
        loop {
            let runs = self.catalog().runs;
            let Some(range) = mergeable(&runs) else {
                return;
            };
            self.workshop.merge(&mut self.reader, &runs[range]).unwrap();
        }
    }
}
