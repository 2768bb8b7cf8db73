//! The ledger as a service links it: a handle for many threads, and the thread that drives the
//! engine for them.

mod changes;
mod driver;
mod gather;
mod pending;
mod wake;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::filter::{AccountBalance, AccountFilter, QueryFilter};
use giro_base::limits::EVENTS_MAX;
use giro_base::multi_batch::{trailer_bytes, write_trailer};
use giro_base::{
    Account, ChangeEvent, CreateAccountStatus, CreateTransferStatus, Operation, Position,
    Timestamp, Transfer,
};
use giro_core::Digest;
use zerocopy::{Immutable, IntoBytes};

use self::driver::{Command, Driver, Storage};
pub(crate) use self::gather::Asked;
use self::wake::Wake;
use crate::engine::Engine;
use crate::error::Error;
use crate::open::{Options, new_identity};
use crate::tcc::BranchAnswer;

pub use self::changes::{Change, Changes};
pub use self::pending::Pending;

/// A handle on a ledger that runs in this process. Clones share it; the ledger stops when the
/// last one is dropped, after everything taken has been executed.
///
/// Requests of all threads are gathered into common writes, so many in flight cost little more
/// than one. Every request returns a [`Pending`]: `wait()` for it, or `.await` it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    commands: Option<Sender<Command>>,
    /// To drop what was sent to a thread that has ended.
    unheard: Receiver<Command>,
    wake: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
}

/// Dropped when the thread ends, by itself or by a panic: requests it never took are dropped, so
/// that who waits for them is told.
struct End {
    wake: Arc<Wake>,
    rest: Receiver<Command>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.wake.stop();
        self.rest.try_iter().for_each(drop);
    }
}

/// What became of one account of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountResult {
    /// The account's timestamp when created or already there, else the event's own (ns).
    pub timestamp: Timestamp,
    /// The outcome.
    pub status: CreateAccountStatus,
}

/// What became of one transfer of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferResult {
    /// The transfer's timestamp when created or already there, else the event's own (ns).
    pub timestamp: Timestamp,
    /// The outcome.
    pub status: CreateTransferStatus,
}

impl Ledger {
    /// Opens the ledger in `dir`, making one when there is none, and replays its log.
    ///
    /// Its history keeps files open, two for each half million transfers or so (for each
    /// [generation](Options::generation_rows)). The limit of open files is the process's: raise it
    /// where there will be many (`setrlimit`, or `ulimit -n`). A ledger that comes to the limit
    /// while it runs takes no more writes until there is room, and then goes on by itself.
    ///
    /// # Errors
    /// As [`Engine::open`], and [`Error::Ring`] when the kernel has no io_uring for us.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let dir = dir.as_ref().to_owned();
        if let Err(giro_log::LogError::NotFormatted { .. }) = giro_log::read_identity(&dir) {
            let memory = |source| Error::Memory {
                what: "a random key",
                source,
            };
            giro_log::format(&dir, &new_identity(0).map_err(memory)?)?;
        }
        Self::start(move || Ok((Engine::open(&dir, &options, &mut |_| {})?, Storage::ring()?)))
    }

    /// A ledger in memory, gone with the process: for tests.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn in_memory(options: Options) -> Result<Self, Error> {
        Self::start(move || Ok((Engine::in_memory(&options)?, Storage::memory())))
    }

    /// Runs the engine on a thread of its own; the ring belongs to the thread that makes it.
    fn start(
        open: impl FnOnce() -> Result<(Engine, Storage), Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let memory = |what| move |source| Error::Memory { what, source };
        let wake = Arc::new(Wake::new().map_err(memory("a wake-up"))?);
        let (commands, inbox) = crossbeam_channel::bounded(COMMANDS_MAX);
        let (unheard, rest) = (inbox.clone(), inbox.clone());
        let (opened, is_open) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("giro-ledger".into())
            .spawn({
                let wake = Arc::clone(&wake);
                move || {
                    let _end = End {
                        wake: Arc::clone(&wake),
                        rest,
                    };
                    match open().and_then(|(engine, storage)| {
                        Driver::new(engine, storage, inbox, Arc::clone(&wake))
                    }) {
                        Ok(driver) => {
                            let _ = opened.send(Ok(()));
                            driver.run();
                        }
                        Err(error) => {
                            let _ = opened.send(Err(error));
                        }
                    }
                }
            });
        let thread = thread.map_err(memory("a thread"))?;
        is_open.recv().unwrap_or(Err(Error::Unknown))?;
        let (commands, thread) = (Some(commands), Some(thread));
        Ok(Self {
            shared: Arc::new(Shared {
                commands,
                unheard,
                wake,
                thread,
            }),
        })
    }

    /// Creates accounts; one result each, in order. At most 8,189.
    pub fn create_accounts(&self, accounts: &[Account]) -> Pending<Vec<AccountResult>> {
        self.request(
            Operation::CreateAccounts,
            accounts,
            pending::account_results,
        )
    }

    /// Creates transfers; one result each, in order. At most 8,189.
    pub fn create_transfers(&self, transfers: &[Transfer]) -> Pending<Vec<TransferResult>> {
        self.request(
            Operation::CreateTransfers,
            transfers,
            pending::transfer_results,
        )
    }

    /// The accounts with these ids; missing ones are left out. At most 8,189.
    pub fn lookup_accounts(&self, ids: &[u128]) -> Pending<Vec<Account>> {
        self.request(Operation::LookupAccounts, ids, pending::rows)
    }

    /// The transfers with these ids; missing ones are left out. At most 8,189.
    pub fn lookup_transfers(&self, ids: &[u128]) -> Pending<Vec<Transfer>> {
        self.request(Operation::LookupTransfers, ids, pending::rows)
    }

    /// An account's transfers, at most 8,189.
    pub fn get_account_transfers(&self, filter: AccountFilter) -> Pending<Vec<Transfer>> {
        self.request(Operation::GetAccountTransfers, &[filter], pending::rows)
    }

    /// The balances after each of an account's transfers, at most 8,189. The account must have
    /// been created with [`AccountFlags::HISTORY`](giro_base::AccountFlags::HISTORY).
    pub fn get_account_balances(&self, filter: AccountFilter) -> Pending<Vec<AccountBalance>> {
        self.request(Operation::GetAccountBalances, &[filter], pending::rows)
    }

    /// The accounts that a filter selects, at most 8,189.
    pub fn query_accounts(&self, filter: QueryFilter) -> Pending<Vec<Account>> {
        self.request(Operation::QueryAccounts, &[filter], pending::rows)
    }

    /// The transfers that a filter selects, at most 8,189.
    pub fn query_transfers(&self, filter: QueryFilter) -> Pending<Vec<Transfer>> {
        self.request(Operation::QueryTransfers, &[filter], pending::rows)
    }

    /// Change events in a window of time, by their timestamps; at most 2,730.
    ///
    /// Who wants to follow the ledger does better with [`Ledger::changes`]: an imported transfer
    /// may come with a timestamp behind which one has read on.
    pub fn get_change_events(&self, filter: ChangeEventsFilter) -> Pending<Vec<ChangeEvent>> {
        let body = filter.as_bytes().to_vec();
        self.ask(Operation::GetChangeEvents, body, pending::change_events)
    }

    /// The change events that a reader who is at `position` lacks, in the order they took effect;
    /// at most `limit`, and at most 2,730. Perhaps fewer than there are: only an empty answer says
    /// that there are no more for now.
    pub fn get_changes_after(&self, position: Position, limit: u32) -> Pending<Vec<ChangeEvent>> {
        let filter = ChangesAfter {
            position,
            limit,
            reserved: [0; 44],
        };
        let body = filter.as_bytes().to_vec();
        self.ask(Operation::GetChangesAfter, body, pending::change_events)
    }

    /// The change feed from a position on.
    #[must_use]
    pub fn changes(&self, position: Position) -> Changes {
        Changes::new(self.clone(), position)
    }

    /// The digest over everything executed so far, and the number of the last operation.
    pub fn digest(&self) -> Pending<(Digest, u64)> {
        let (answer, receiver) = oneshot::channel();
        let look = move |engine: &Engine| {
            let _ = answer.send(Ok((engine.digest(), engine.commit_op())));
        };
        self.send(Command::Look(Box::new(look)));
        Pending::new(receiver)
    }

    /// Asks about branches; the results come in the order of the branches.
    pub(crate) fn branches(
        &self,
        asked: Asked,
        decode: fn(&[u8]) -> Vec<BranchAnswer>,
    ) -> Pending<Vec<BranchAnswer>> {
        let (answer, receiver) = oneshot::channel();
        if let Err(error) = asked.check() {
            let _ = answer.send(Err(error.into()));
            return Pending::new(receiver);
        }
        let answer = Box::new(move |reply: Result<&[u8], Error>| {
            let _ = answer.send(reply.map(decode));
        });
        self.send(if asked.is_large() {
            // It needs no company, and the caller's thread has time to make the body.
            let (operation, body) = asked.encoded();
            Command::Request {
                operation,
                body,
                answer,
            }
        } else {
            Command::Branches { asked, answer }
        });
        Pending::new(receiver)
    }

    fn request<E: IntoBytes + Immutable, T: Send + 'static>(
        &self,
        operation: Operation,
        events: &[E],
        decode: fn(&[u8]) -> T,
    ) -> Pending<T> {
        if events.len() > EVENTS_MAX {
            let (answer, receiver) = oneshot::channel();
            let (events, events_max) = (events.len(), EVENTS_MAX);
            let _ = answer.send(Err(Error::TooManyEvents { events, events_max }));
            return Pending::new(receiver);
        }
        self.ask(operation, body_of(events), decode)
    }

    pub(crate) fn ask<T: Send + 'static>(
        &self,
        operation: Operation,
        body: Vec<u8>,
        decode: fn(&[u8]) -> T,
    ) -> Pending<T> {
        let (answer, receiver) = oneshot::channel();
        let answer = Box::new(move |reply: Result<&[u8], Error>| {
            // Whoever asked may have gone; the request took effect all the same.
            let _ = answer.send(reply.map(decode));
        });
        self.send(Command::Request {
            operation,
            body,
            answer,
        });
        Pending::new(receiver)
    }

    /// A command that cannot be sent is dropped, and its pending result says so.
    fn send(&self, command: Command) {
        if let Some(commands) = &self.shared.commands
            && !self.shared.wake.is_stopped()
            && commands.send(command).is_ok()
        {
            self.shared.wake.wake();
            if self.shared.wake.is_stopped() {
                // The thread ended meanwhile: nobody else takes what is in the channel.
                self.shared.unheard.try_iter().for_each(drop);
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.commands = None;
        self.wake.wake();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said why.
            let _ = thread.join();
        }
    }
}

/// One batch with its trailer.
fn body_of<E: IntoBytes + Immutable>(events: &[E]) -> Vec<u8> {
    let payload = events.as_bytes();
    let mut body = vec![0; payload.len() + trailer_bytes(1, size_of::<E>())];
    body[..payload.len()].copy_from_slice(payload);
    write_trailer(
        &mut body,
        payload.len(),
        size_of::<E>(),
        [events.len()].into_iter(),
    );
    body
}

/// Requests that wait for the ledger's thread; senders beyond wait for room.
const COMMANDS_MAX: usize = 4096;
