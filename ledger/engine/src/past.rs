//! What left memory: hands complete generations to the history on disk, lets them go when it has
//! them, and answers for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use giro_base::hash::IdHasher;
use giro_base::limits::SECTOR_BYTES;
use giro_base::{Ahead, Timestamp, Transfer, TransferFlags};
use giro_core::archive::{self, Archive, Subject};
use giro_core::branches::Known;
use giro_core::machine::{Remains, Spare, SparePlan, TRANSFER_BYTES};
use giro_core::phase::Phase;
use giro_core::{Batch, Fill, StateMachine, make_resident};
use giro_store::{Answer, Catalog, Fate, History, Offer, Question, StoreError};

use crate::overdue::Overdue;

/// Complete generations in memory from which on requests wait for the history.
const SEALED_MAX: usize = 4;
/// Complete generations in memory up to which a ledger is opened on a full disk. One that runs into
/// a full disk executes what it has taken, so there can be more than [`SEALED_MAX`].
const SEALED_STARVED_MAX: usize = 8;
/// Requests that wait for the history for so long are worth a line in the log: a generation is
/// written in a fraction of that.
const HISTORY_WAIT: Duration = Duration::from_secs(10);
/// How long catching up waits before it looks again.
const CATCH_UP_WAIT: Duration = Duration::from_millis(100);
/// Pause of the sweeper before it looks again.
const SWEEP_PAUSE: Duration = Duration::from_millis(1);
/// The longest a start waits for memory that was asked for.
const PREFAULT_WAIT_MAX: Duration = Duration::from_secs(30);
/// How far the sweeper steps back, of 19 at most: payments go first.
const SWEEPER_NICE: i32 = 10;
/// Memory that is kept for generations to come: with that being filled, as many as there can be.
const SPARES_MAX: usize = SEALED_MAX + 1;
/// What the next generations will need is looked at when one of so many parts of this one is
/// filled, and how much memory is there from then on. Early for one: a ledger that was just started
/// has none, and its load may come all at once.
const PROVISIONS: [(usize, usize); 2] = [(16, 1), (2, SPARES_MAX)];
/// Rows prepared to leave memory at a time, at least: a fraction of a millisecond if all of them
/// are pending.
const LEAVE_ROWS_MIN: u64 = 1 << 11;
/// The same while requests wait for it.
const LEAVE_ROWS_BEHIND: u64 = 1 << 15;
/// Remains that may wait to be cleared away.
const REMAINS_MAX: usize = 64;

/// Bytes of ops for each row of a generation from which on it is complete: somewhat more than a
/// transfer in a request of its own has, where several share a record.
const LOG_BYTES_PER_ROW: usize = 512;
/// However few rows: tests and small ledgers have their requests, too.
const LOG_BYTES_MIN: usize = 1 << 20;

/// A ledger's history, from the executor's side.
pub struct Past {
    history: History,
    hasher: IdHasher,
    /// Transfers in a generation; none where the history is only read.
    generation_rows: Option<usize>,
    /// Bytes of the log since the generation being filled began.
    log_bytes: usize,
    /// That generation is complete after the next operation, however small.
    ends_early: bool,
    /// The record of the last operation, and its bytes up to there.
    record: (u64, usize),
    /// Complete generations for which the history's queue had no room yet, oldest first.
    unoffered: VecDeque<Offer>,
    /// Index of the log's first record that the checkpoint does not hold wholly; 0 before there is
    /// one.
    needed: u64,
    /// Rows there were when some were last prepared to leave memory.
    rows_seen: u64,
    /// The history had no room on disk when it was last asked.
    is_starved: bool,
    /// How long requests have been waiting for it.
    overdue: Overdue,
    questions: Vec<archive::Question>,
    asked: Vec<Question>,
    /// Making and clearing memory takes its time and has a thread of its own.
    chores: Sender<Chore>,
    /// Memory for generations to come.
    spares: Receiver<Spare>,
    /// That of the next one, if it was taken from there already.
    at_hand: Option<Spare>,
    /// How much of it was made; at most [`SPARES_MAX`].
    stocked: usize,
    /// How much of everything it is resident for.
    resident: Fill,
    /// A generation, or half of it, has told what the next ones will need.
    is_told: bool,
    /// How often what the next generations will need was looked at in this one.
    provided: usize,
}

/// Work of the sweeper.
enum Chore {
    /// Memory to be cleared and used again.
    Sweep(Remains, Fill),
    /// Memory to be made, resident for so much of everything.
    Make(SparePlan, Fill),
    /// Memory of which more is to be resident.
    Fit(Box<Spare>, Fill),
    /// Memory that the generation being filled will need, or the next one.
    Ahead(Vec<Ahead>),
}

/// Clears and makes memory for generations until the ledger is gone.
fn sweep(work: &Receiver<Chore>, ready: &Sender<Spare>) {
    let mut spares = 0;
    for chore in work {
        let spare = match chore {
            Chore::Ahead(memory) => {
                make_resident(memory);
                continue;
            }
            Chore::Sweep(remains, fill) => {
                // The history lets go of it soon after it said that it is written.
                while remains.is_shared() {
                    std::thread::sleep(SWEEP_PAUSE);
                }
                remains.clear().map(|spare| fitted(spare, &fill))
            }
            // Without memory ahead of need it is made when it is needed.
            Chore::Make(plan, fill) => plan.make(&fill).ok(),
            Chore::Fit(spare, fill) => Some(fitted(*spare, &fill)),
        };
        spares += 1;
        if spares == 1 {
            // Payments wait for the first memory if it is late. Without the right to step back it
            // works as any other.
            let _ = rustix::process::setpriority_process(None, SWEEPER_NICE);
        }
        // What does not fit is given back to the system.
        if let Some(spare) = spare {
            let _ = ready.try_send(spare);
        }
    }
}

fn fitted(mut spare: Spare, fill: &Fill) -> Spare {
    spare.prefault(fill);
    spare
}

/// The history's filters, for all shards at once.
pub(crate) struct Filters<'a>(&'a Catalog);

impl Archive for Filters<'_> {
    #[inline]
    fn prefetch(&self, hash: u64, id: u128) {
        self.0.prefetch(hash, id);
    }

    #[inline]
    fn prefetch_again(&self, hash: u64, id: u128) {
        self.0.prefetch_again(hash, id);
    }

    #[inline]
    fn may_hold(&self, hash: u64, id: u128) -> bool {
        self.0.may_hold(hash, id)
    }

    fn id_max(&self) -> u128 {
        self.0.id_max()
    }

    fn may_hold_timestamp(&self, timestamp: Timestamp) -> bool {
        self.0.segment_at_or_after(timestamp).is_some()
    }
}

impl Past {
    /// The past of a ledger whose generations have about this many rows. With none given they
    /// never end: the history is only read.
    ///
    /// # Errors
    /// The system's when it has no threads left.
    pub fn new(
        history: History,
        hash_key: [u64; 2],
        generation_rows: Option<usize>,
    ) -> std::io::Result<Self> {
        let (chores, work) = bounded(REMAINS_MAX);
        let (ready, spares) = bounded(SPARES_MAX);
        let sweeper = std::thread::Builder::new().name("giro-sweeper".to_owned());
        sweeper.spawn(move || sweep(&work, &ready))?;
        Ok(Self {
            history,
            hasher: IdHasher::new(hash_key),
            generation_rows,
            log_bytes: 0,
            ends_early: false,
            record: (0, 0),
            needed: 0,
            unoffered: VecDeque::new(),
            rows_seen: 0,
            is_starved: false,
            overdue: Overdue::after(HISTORY_WAIT),
            questions: Vec::new(),
            asked: Vec::new(),
            chores,
            spares,
            at_hand: None,
            is_told: false,
            stocked: 0,
            resident: Fill::default(),
            provided: 0,
        })
    }

    pub(crate) fn filters(&self) -> Option<Filters<'_>> {
        let catalog = self.history.catalog();
        (catalog.generations() > 0).then_some(Filters(catalog))
    }

    /// Answers what resolve could not settle from memory. Waits for the disk if there is
    /// something.
    ///
    /// # Errors
    /// The history's: it cannot be read, or is damaged.
    pub(crate) fn answer(
        &mut self,
        machine: &mut StateMachine,
        batch: &Batch<'_>,
    ) -> Result<(), StoreError> {
        machine.questions(batch, &mut self.questions);
        if self.questions.is_empty() {
            return Ok(());
        }
        self.asked.clear();
        for question in &self.questions {
            if let Subject::Id(id) | Subject::PendingId(id) = question.subject {
                self.asked.push(Question::new(self.hasher.hash(id), id));
            }
        }
        self.history.find(&mut self.asked)?;
        let mut answers = Vec::with_capacity(self.questions.len());
        let mut found = self.asked.iter();
        for question in &self.questions {
            answers.push(match question.subject {
                Subject::Id(_) | Subject::PendingId(_) => {
                    let asked = found.next().expect("one for each id");
                    answer_of(asked.answer)
                }
                Subject::Timestamp(timestamp) => {
                    if self.history.has_timestamp(timestamp)? {
                        archive::Answer::Taken
                    } else {
                        archive::Answer::Nothing
                    }
                }
            });
        }
        machine.answer(self.questions.iter().copied().zip(answers));
        Ok(())
    }

    /// Finds transfers by id that are not in memory.
    ///
    /// # Errors
    /// The history's.
    pub(crate) fn find(&mut self, ids: &[u128]) -> Result<Vec<Option<Transfer>>, StoreError> {
        let questions = ids
            .iter()
            .map(|id| Question::new(self.hasher.hash(*id), *id));
        let mut questions: Vec<_> = questions.collect();
        self.history.find(&mut questions)?;
        let transfer = |question: &Question| match question.answer {
            Answer::Transfer { transfer, .. } => Some(transfer),
            Answer::Nothing | Answer::Burned => None,
        };
        Ok(questions.iter().map(transfer).collect())
    }

    /// What ids stand for in a catalog of the history.
    ///
    /// # Errors
    /// The history's.
    pub(crate) fn known(
        &mut self,
        catalog: &Catalog,
        ids: &[u128],
    ) -> Result<Vec<Known>, StoreError> {
        let questions = ids
            .iter()
            .map(|id| Question::new(self.hasher.hash(*id), *id));
        let mut questions: Vec<_> = questions.collect();
        catalog.find(self.history.reader(), &mut questions)?;
        let known = |question: &Question| match question.answer {
            Answer::Transfer { transfer, .. } => Known::Transfer(transfer),
            Answer::Burned => Known::Burned,
            Answer::Nothing => Known::Nothing,
        };
        Ok(questions.iter().map(known).collect())
    }

    /// Memory for the next generation.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub(crate) fn spare(&mut self, machine: &StateMachine) -> std::io::Result<Spare> {
        match self.at_hand.take().or_else(|| self.spares.try_recv().ok()) {
            Some(spare) => Ok(spare),
            None => machine.spare_plan().make(&Fill::default()),
        }
    }

    /// Has memory for `count` generations made.
    fn order(&mut self, machine: &StateMachine, count: usize) {
        let rows = self.generation_rows.unwrap_or(0);
        self.resident = self.resident.max(Fill::of_rows(rows));
        for _ in 0..count {
            let chore = Chore::Make(machine.spare_plan(), self.resident);
            // What finds no room is made when it is needed.
            let _ = self.chores.try_send(chore);
        }
    }

    /// Sees to it that this generation and the next `count` find their memory: one of so many
    /// `parts` of it is filled, and they will be like it. The first touch of memory must not cost
    /// payments time.
    fn provide(&mut self, machine: &StateMachine, (parts, count): (usize, usize)) {
        let is_early = count < SPARES_MAX;
        if is_early && self.is_told {
            // What is there was made for more than can be told so early.
            return;
        }
        self.is_told |= !is_early;
        let window = &machine.tables().window;
        let at_its_end = Fill {
            rows: self.generation_rows.unwrap_or(0),
            ..window.fill().at_its_end(parts)
        };
        // What finds no room is made resident when it is needed.
        let _ = self
            .chores
            .try_send(Chore::Ahead(window.ahead(&at_its_end)));
        let expected = Fill {
            // There will be as many as there are in any.
            rows: 0,
            ..at_its_end
        };
        if expected.exceeds(self.resident) {
            self.resident = self.resident.max(expected.with_margin());
            self.fit();
        }
        // A ledger with so many transfers will have more.
        self.stock(machine, count);
    }

    /// Has the spares made resident for as much as is expected now.
    fn fit(&mut self) {
        // One stays for a generation that ends before the first of the others is back.
        if self.at_hand.is_none() {
            self.at_hand = self.spares.try_recv().ok();
        }
        if let Some(spare) = &self.at_hand {
            let _ = self
                .chores
                .try_send(Chore::Ahead(spare.ahead(&self.resident)));
        }
        while let Ok(spare) = self.spares.try_recv() {
            let chore = Chore::Fit(Box::new(spare), self.resident);
            // Without the thread it is given back here.
            let _ = self.chores.try_send(chore);
        }
    }

    /// Sees to it that there is memory for so many generations, beside that being filled.
    fn stock(&mut self, machine: &StateMachine, count: usize) {
        if count > self.stocked {
            self.order(machine, count - self.stocked);
            self.stocked = count;
        }
    }

    /// Makes the memory of generations to come resident before there are any, as far as so many
    /// bytes go, that being filled included.
    pub(crate) fn prefault(&mut self, machine: &StateMachine, bytes: usize) {
        let each = self.generation_rows.unwrap_or(0) * TRANSFER_BYTES;
        let count = bytes.checked_div(each).unwrap_or(0).saturating_sub(1);
        let count = count.min(SPARES_MAX);
        self.stock(machine, count);
        let start = Instant::now();
        while self.spares.len() < count && start.elapsed() < PREFAULT_WAIT_MAX {
            std::thread::sleep(SWEEP_PAUSE);
        }
    }

    /// Takes note of an operation with so many bytes in a record of the log, and says whether the
    /// generation being filled is complete.
    pub(crate) fn is_complete(
        &mut self,
        machine: &StateMachine,
        (record, bytes): (u64, usize),
    ) -> bool {
        let Some(rows) = self.generation_rows else {
            return false;
        };
        if self.record.0 != record {
            self.record = (record, 0);
        }
        // Records begin at sectors: a payment in one of its own takes all of a sector.
        let before = self.record.1.next_multiple_of(SECTOR_BYTES);
        self.record.1 += bytes;
        self.log_bytes += self.record.1.next_multiple_of(SECTOR_BYTES) - before;
        // What is refused or repeated makes no rows, but fills the log as well.
        let log_bytes_max = rows.saturating_mul(LOG_BYTES_PER_ROW).max(LOG_BYTES_MIN);
        let open = machine.tables().window.open();
        let is_filled = |parts: usize| {
            open.transfers.len() >= rows / parts || self.log_bytes >= log_bytes_max / parts
        };
        if let Some(provision) = PROVISIONS.get(self.provided)
            && is_filled(provision.0)
        {
            self.provided += 1;
            self.provide(machine, *provision);
        }
        self.ends_early || open.is_full(rows) || self.log_bytes >= log_bytes_max
    }

    /// The generation being filled is complete after the next operation: somebody needs a
    /// checkpoint.
    pub(crate) fn end_early(&mut self) {
        self.ends_early = true;
    }

    /// Gives the history a complete generation, and lets go of those it has. Between operations.
    ///
    /// # Errors
    /// The history's that do not pass.
    pub(crate) fn turn_over(
        &mut self,
        machine: &mut StateMachine,
        complete: Option<Offer>,
    ) -> Result<(), StoreError> {
        if complete.is_some() {
            self.log_bytes = 0;
            self.ends_early = false;
            self.provided = 0;
        }
        self.unoffered.extend(complete);
        match self.poll(machine, Duration::ZERO) {
            Err(error) if error.is_passing() => Ok(()),
            polled => polled,
        }
    }

    /// Index of the first record of the log that is still needed; 0 if all are.
    pub(crate) fn needed(&self) -> u64 {
        self.needed
    }

    /// As [`Self::turn_over`], for a start: waits while more is in memory than in a ledger that
    /// runs. On a full disk it goes on as far as such a ledger gets then.
    ///
    /// # Errors
    /// The history's, passing ones too: nobody could make it wait for a full disk.
    pub(crate) fn catch_up(&mut self, machine: &mut StateMachine) -> Result<(), StoreError> {
        while self.is_full(machine) {
            let goes_on = machine.tables().window.sealed_count() < SEALED_STARVED_MAX;
            let wait = if goes_on && self.is_starved {
                Duration::ZERO
            } else {
                CATCH_UP_WAIT
            };
            match self.poll(machine, wait) {
                Err(error) if error.is_passing() && goes_on => return Ok(()),
                polled => polled?,
            }
            if self.is_starved && goes_on {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether so much waits for the history that requests should.
    ///
    /// Near the limit they are taken as fast as the history writes, a few at a time. Without that
    /// they would all wait for a whole generation once the limit is reached.
    pub(crate) fn is_behind(&self, machine: &StateMachine) -> bool {
        let window = &machine.tables().window;
        let sealed = window.sealed_count();
        if !self.unoffered.is_empty() || sealed >= SEALED_MAX {
            return true;
        }
        match self.generation_rows {
            Some(rows) if sealed + 1 == SEALED_MAX => {
                let filled = window.open().transfers.len() as f64 / rows as f64;
                filled > self.history.done()
            }
            _ => false,
        }
    }

    /// Whether more waits for the history than there can be while requests are taken.
    fn is_full(&self, machine: &StateMachine) -> bool {
        !self.unoffered.is_empty() || machine.tables().window.sealed_count() > SEALED_MAX
    }

    /// Whether requests wait for somebody to make room on the disk.
    pub(crate) fn is_starved(&self, machine: &StateMachine) -> bool {
        self.is_starved && self.is_behind(machine)
    }

    fn poll(&mut self, machine: &mut StateMachine, wait: Duration) -> Result<(), StoreError> {
        while let Some(offer) = self.unoffered.pop_front() {
            if let Err(offer) = self.history.offer(offer) {
                self.unoffered.push_front(offer);
                break;
            }
        }
        let polled = match self.history.poll_for(wait) {
            // Between two attempts there is no report.
            Ok(None) => Ok(()),
            Ok(Some(built)) => {
                self.is_starved = false;
                self.overdue.reset();
                self.needed = built.record;
                Ok(())
            }
            Err(error) if error.is_passing() => {
                if !self.is_starved {
                    tracing::warn!("{error}");
                }
                self.is_starved = true;
                Err(error)
            }
            Err(error) => return Err(error),
        };
        let mut rows = self.rows_to_leave(machine);
        while let Some(oldest) = machine.tables().window.oldest_sealed()
            && oldest < self.history.generations()
            && machine.leave_oldest(std::mem::take(&mut rows))
        {
            let remains = machine.forget_oldest();
            // Without the thread it is given back here.
            let _ = self.chores.send(Chore::Sweep(remains, self.resident));
        }
        self.watch(machine);
        polled
    }

    /// Says when requests have been waiting for long, and not for room: that was told.
    fn watch(&mut self, machine: &StateMachine) {
        if self.is_starved || !self.is_behind(machine) {
            self.overdue.reset();
        } else if let Some(waited) = self.overdue.waits(Instant::now()) {
            let (seconds, written) = (waited.as_secs(), self.history.generations());
            let in_memory = machine.tables().window.sealed_count();
            tracing::warn!(
                seconds,
                written,
                in_memory,
                "requests wait: the history has finished no generation for so long; see whether \
                 its disk still writes"
            );
        }
    }

    /// How many rows may be prepared to leave memory now: twice as many as came since the last
    /// time, so that it is done before the next generation is complete.
    fn rows_to_leave(&mut self, machine: &StateMachine) -> u64 {
        let end = machine.tables().window.end_row();
        let came = end - std::mem::replace(&mut self.rows_seen, end);
        let least = if self.is_behind(machine) {
            LEAVE_ROWS_BEHIND
        } else {
            LEAVE_ROWS_MIN
        };
        least.max(2 * came)
    }

    /// The history itself.
    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }
}

fn answer_of(answer: Answer) -> archive::Answer {
    match answer {
        Answer::Nothing => archive::Answer::Nothing,
        Answer::Burned => archive::Answer::Taken,
        Answer::Transfer {
            row,
            transfer,
            fate,
        } => {
            let is_pending = transfer.flags & TransferFlags::PENDING != 0;
            let phase = match fate {
                Fate::None if is_pending => Phase::Pending,
                Fate::None => Phase::Single,
                Fate::Posted => Phase::Posted,
                Fate::Voided => Phase::Voided,
                Fate::Expired => Phase::Expired,
            };
            archive::Answer::Transfer(archive::Past {
                row,
                transfer,
                phase,
            })
        }
    }
}
