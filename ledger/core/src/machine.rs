//! The state machine as a whole.

use std::sync::Arc;

use giro_base::branch::Branches;
use giro_base::hash::IdHasher;
use giro_base::{Account, Ahead, Timestamp, Transfer};

use crate::archive::{Answer, Archive, Question, Subject, questions};
use crate::batch::{Batch, Made};
use crate::branches::{Expanded, Known};
use crate::decide;
use crate::digest::Digest;
use crate::encode::encode;
use crate::fill::Fill;
use crate::generation::Generation;
use crate::index::IdIndex;
use crate::pendings::Pending;
use crate::place::{NONE, Stored};
use crate::scratch::Scratch;
use crate::shard::{Shard, owner};
use crate::tables::Tables;
use crate::window::{Kept, SpareRows};

/// How large and how divided a state machine is. None of it shows in results.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts the ids are divided into; at least 1.
    pub shards: u32,
    /// Key of the ids' hash; drawn when the ledger was formatted.
    pub hash_key: [u64; 2],
    /// Most accounts. Only address space until they are created.
    pub accounts_max: usize,
    /// Most transfers in a generation, and in memory where none ever leaves it.
    pub transfers_max: usize,
    /// Generations leave memory: [`StateMachine::rotate`] and [`StateMachine::forget_oldest`] are
    /// called.
    pub is_archived: bool,
    /// Transfers whose memory is made resident at once.
    pub transfers_expected: usize,
}

/// Memory a transfer takes: its row, its links, its phase, and its entry in an index.
pub const TRANSFER_BYTES: usize = 128 + 16 + 1 + 16;

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 1,
            hash_key: [0, 0],
            accounts_max: 1 << 28,
            transfers_max: 1 << 30,
            is_archived: false,
            transfers_expected: 0,
        }
    }
}

/// Accounts and transfers, and the operations on them.
pub struct StateMachine {
    pub(crate) tables: Tables,
    pub(crate) shards: Vec<Shard>,
    scratch: Scratch,
    pub(crate) hasher: IdHasher,
    pub(crate) digest: Digest,
    /// Rows a pulse expires.
    due: Vec<Pending>,
}

/// The memory of a generation that left. Clearing it, or giving it back, takes a while.
pub struct Remains {
    kept: Kept,
    indexes: Vec<IdIndex>,
}

/// Memory for a generation.
pub struct Spare {
    rows: SpareRows,
    indexes: Vec<IdIndex>,
}

/// What memory for a generation has to be like.
#[derive(Clone, Copy, Debug)]
pub struct SparePlan {
    shape: (usize, bool),
    shards: usize,
}

impl SparePlan {
    /// Such memory, resident for so much of everything.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn make(&self, fill: &Fill) -> std::io::Result<Spare> {
        let index = |_| IdIndex::new(fill.rows / self.shards);
        let mut spare = Spare {
            rows: SpareRows::new(self.shape)?,
            indexes: (0..self.shards).map(index).collect::<Result<_, _>>()?,
        };
        spare.prefault(fill);
        Ok(spare)
    }
}

impl Spare {
    /// The memory for so much of everything, for another thread to make resident.
    #[must_use]
    pub fn ahead(&self, fill: &Fill) -> Vec<Ahead> {
        self.rows.ahead(fill)
    }

    /// Makes the memory for so much of everything resident; where it is, that takes next to no
    /// time.
    pub fn prefault(&mut self, fill: &Fill) {
        self.rows.prefault(fill);
    }
}

impl Remains {
    /// Whether somebody else still reads it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.kept.is_shared()
    }

    /// Clears it for another generation; none while somebody else still reads it.
    #[must_use]
    pub fn clear(mut self) -> Option<Spare> {
        let rows = self.kept.into_spare()?;
        self.indexes.iter_mut().for_each(IdIndex::clear);
        Some(Spare {
            rows,
            indexes: self.indexes,
        })
    }
}

/// What the phases that shards share work on.
pub struct Parts<'a> {
    /// Read by all.
    pub tables: &'a Tables,
    /// One for each worker.
    pub shards: &'a mut [Shard],
    /// Written by all, each to its own events.
    pub scratch: &'a Scratch,
}

impl StateMachine {
    /// An empty ledger.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new(options: &Options) -> std::io::Result<Self> {
        let hasher = IdHasher::new(options.hash_key);
        // Every generation has an index for so many.
        let expected = options.transfers_expected.min(options.transfers_max);
        let shard = |number| Shard::new(number, options.shards, hasher, expected);
        let tables = Tables::new(
            options.accounts_max,
            options.transfers_max,
            options.is_archived,
            hasher,
        )?;
        tables.window.prefault(expected);
        Ok(Self {
            tables,
            shards: (0..options.shards).map(shard).collect::<Result<_, _>>()?,
            scratch: Scratch::default(),
            hasher,
            digest: Digest::EMPTY,
            due: Vec::with_capacity(giro_base::limits::EXPIRIES_PER_PULSE_MAX),
        })
    }

    /// Executes a create operation of a ledger that is wholly in memory on the calling thread,
    /// writes the reply's body to `out` and returns its length.
    ///
    /// # Panics
    /// When there is no [room](Self::has_room) for it, or the books do not balance afterwards.
    pub fn execute(&mut self, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        self.resolve(batch, None);
        self.decide(batch);
        self.apply(batch.made());
        encode(batch, &self.scratch.decided, out)
    }

    /// What an operation on branches comes to, for [`Batch::of_branches`]. Only right for as long
    /// as nothing is executed.
    pub fn expand(&self, branches: &Branches<'_>, expanded: &mut Expanded) {
        expanded.take(branches, &self.tables.branches);
    }

    /// First phase, on the calling thread.
    pub fn resolve(&mut self, batch: &Batch<'_>, archive: Option<&dyn Archive>) {
        for shard in &mut self.shards {
            shard.resolve(&self.tables, batch, &self.scratch, archive);
        }
    }

    /// What the first phase left to be asked of the history. Without it there is nothing.
    pub fn questions(&self, batch: &Batch<'_>, out: &mut Vec<Question>) {
        questions(&self.scratch.found, batch.events, out);
    }

    /// Takes the answers, one for each question.
    pub fn answer(&mut self, answers: impl Iterator<Item = (Question, Answer)>) {
        let Scratch { found, past, .. } = &mut self.scratch;
        past.clear();
        for (question, answer) in answers {
            let place = match answer {
                Answer::Nothing => NONE,
                Answer::Taken => Stored::Burned(0).place(),
                Answer::Transfer(transfer) => {
                    past.push(transfer);
                    Stored::Past(past.len() as u32 - 1).place()
                }
            };
            let event = found.at(question.event);
            match question.subject {
                Subject::Id(_) => event.existing.set(place),
                Subject::PendingId(_) | Subject::Timestamp(_) => event.pending.set(place),
            }
        }
        found.set_answered();
    }

    /// Completes the generation being filled, for the history to write, and goes on in the memory
    /// of `spare`. It stays in memory until [`Self::forget_oldest`]. Not between an operation's
    /// phases.
    ///
    /// # Panics
    /// When the spare was made by another machine.
    pub fn rotate(&mut self, spare: Spare) -> Arc<Generation> {
        assert_eq!(spare.indexes.len(), self.shards.len());
        for (shard, index) in self.shards.iter_mut().zip(spare.indexes) {
            shard.rotate(index);
        }
        let generation = self.tables.rotate(spare.rows);
        self.tables.sweep_heads(generation.transfers.len());
        generation
    }

    /// What memory for another generation has to be like.
    #[must_use]
    pub fn spare_plan(&self) -> SparePlan {
        SparePlan {
            shape: self.tables.window.shape(),
            shards: self.shards.len(),
        }
    }

    /// Prepares the oldest complete generation to leave memory, by some of its `rows`; see
    /// [`Tables::leave`]. Says whether [`Self::forget_oldest`] now takes no time. Not between an
    /// operation's phases.
    ///
    /// # Panics
    /// When there is none.
    pub fn leave_oldest(&mut self, rows: u64) -> bool {
        self.tables.leave(rows)
    }

    /// Lets the oldest complete generation leave memory: the history has it. Not between an
    /// operation's phases.
    ///
    /// # Panics
    /// When there is none.
    pub fn forget_oldest(&mut self) -> Remains {
        let indexes = self.shards.iter_mut().filter_map(Shard::forget_oldest);
        Remains {
            indexes: indexes.collect(),
            kept: self.tables.forget_oldest(),
        }
    }

    /// Second phase. The first must have seen the state as it is now, and its questions must
    /// have been answered.
    pub fn decide(&mut self, batch: &Batch<'_>) {
        decide::decide(&mut self.tables, batch, &mut self.scratch, &mut self.digest);
    }

    /// Third phase, on the calling thread.
    pub fn apply(&mut self, made: Made) {
        for shard in &mut self.shards {
            shard.apply(made, &self.scratch);
        }
    }

    /// What the first and third phase need to run on several threads, one shard each.
    pub fn parts(&mut self) -> Parts<'_> {
        Parts {
            tables: &self.tables,
            shards: &mut self.shards,
            scratch: &self.scratch,
        }
    }

    /// The reply to the batch just executed; see [`encode`].
    pub fn encode(&self, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        encode(batch, &self.scratch.decided, out)
    }

    /// Expires pending transfers that are due at `timestamp` (ns); see [`decide::expire`].
    pub fn expire(&mut self, timestamp: Timestamp) {
        decide::expire(&mut self.tables, timestamp, &mut self.due, &mut self.digest);
    }

    /// When the next pending transfer may be due (ns).
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.tables.due.next_at()
    }

    /// Whether an operation of this many events is sure to fit.
    #[must_use]
    pub fn has_room(&self, events: usize) -> bool {
        self.tables.has_room(events)
    }

    /// The digest over everything executed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The account with this id.
    #[must_use]
    pub fn account(&self, id: u128) -> Option<Account> {
        let slot = self.account_slot(id)?;
        Some(Account {
            reserved: 0,
            ..self.tables.accounts[slot as usize]
        })
    }

    /// The slot of the account with this id.
    #[must_use]
    pub fn account_slot(&self, id: u128) -> Option<u32> {
        self.owner_of(id).account(&self.tables, id)
    }

    /// The transfer with this id, if it is in memory. Burned ids are not found.
    #[must_use]
    pub fn transfer(&self, id: u128) -> Option<&Transfer> {
        let place = self.owner_of(id).transfer(&self.tables, id)?;
        match Stored::in_window(place) {
            Stored::Row(place) => Some(self.tables.transfer(self.tables.window.row_at(place))),
            _ => None,
        }
    }

    /// What an id stands for in memory.
    #[must_use]
    pub fn known(&self, id: u128) -> Known {
        let place = self.owner_of(id).transfer(&self.tables, id);
        match place.map(Stored::in_window) {
            None => Known::Nothing,
            Some(Stored::Row(place)) => {
                let row = self.tables.window.row_at(place);
                Known::Transfer(*self.tables.transfer(row))
            }
            Some(_) => Known::Burned,
        }
    }

    /// All accounts and transfers, for queries, checks and inspection.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    fn owner_of(&self, id: u128) -> &Shard {
        &self.shards[owner(self.hasher.hash(id), self.shards.len() as u32) as usize]
    }
}
