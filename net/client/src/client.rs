//! The handle that users hold.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::limits::{BRANCHES_MAX, EVENTS_MAX};
use giro_base::{Account, ChangeEvent, Operation, Position, Transfer};
use giro_wire::Address;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::call::{Call, Stage};
use crate::changes::Changes;
use crate::dial::{Dial, LastError};
use crate::driver::{Command, Driver};
use crate::error::{CallError, ConnectError, Refusal, Uncertainty};
use crate::options::{ClientOptions, TIME_MAX};
use crate::outcome::{self, AccountResult, Fate, TransferResult};
use crate::{AccountBalance, AccountFilter, QueryFilter};

/// Commands on their way to the driver; handles wait for room beyond.
const COMMANDS_MAX: usize = 1024;

/// A handle on a server. Clones share its connection and sessions, which end when the last one
/// is dropped.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    deadline: Duration,
}

impl Client {
    /// Connects to the first of `addresses` (`host:port`, several with commas between them) that
    /// answers, and opens a session. Later on the client connects again by itself.
    ///
    /// Of a group of replicas, best give the voters' addresses in the order of their numbers: then
    /// whoever does not lead sends the client straight to the one that does. With other addresses
    /// in the list, another order, or some missing, the leader is found by asking one after the
    /// other; an address where nobody answers takes [`ClientOptions::silence_max`] then.
    ///
    /// Runs a task on the current tokio runtime.
    ///
    /// # Errors
    /// [`ConnectError`] when an address is not one, or there is no session by
    /// [`ClientOptions::deadline`].
    pub async fn connect(addresses: &str, options: ClientOptions) -> Result<Self, ConnectError> {
        let options = options.bounded();
        let addresses = addresses.split(',').map(|text| text.trim().parse());
        let addresses: Vec<Address> = addresses.collect::<Result<_, _>>()?;
        let last_error = LastError::default();
        let dial = Dial::new(addresses, &options, last_error.clone());
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (opened, is_open) = oneshot::channel();
        tokio::spawn(Driver::new(&options, inbox, opened).run(dial));
        let client = Self {
            commands,
            deadline: options.deadline,
        };
        let waited = options.deadline;
        match timeout_at(Instant::now() + waited, is_open).await {
            Ok(Ok(Ok(()))) => Ok(client),
            Ok(Ok(Err(reason))) => Err(ConnectError::Evicted(reason)),
            Ok(Err(_)) | Err(_) => Err(ConnectError::Deadline {
                waited,
                last: last_error.take(),
            }),
        }
    }

    /// A handle on the same connection whose calls have another deadline, of a year at most.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            commands: self.commands.clone(),
            deadline: deadline.min(TIME_MAX),
        }
    }

    /// Creates accounts; one result each, in order. At most 8,189.
    ///
    /// # Errors
    /// [`CallError`], as for every call.
    pub async fn create_accounts(
        &self,
        accounts: &[Account],
    ) -> Result<Vec<AccountResult>, CallError> {
        let decode = outcome::account_results;
        let rows_max = accounts.len();
        self.call(Operation::CreateAccounts, accounts, rows_max, decode)
            .await
    }

    /// Creates transfers; one result each, in order. At most 8,189. A transfer that was refused
    /// by the ledger's rules is not an error here: its status says why.
    ///
    /// # Errors
    /// [`CallError`]. After [`CallError::Unknown`] call [`Client::resolve`], or this again with
    /// the same transfers: what had happened answers `exists`.
    pub async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Result<Vec<TransferResult>, CallError> {
        let decode = outcome::transfer_results;
        let rows_max = transfers.len();
        self.call(Operation::CreateTransfers, transfers, rows_max, decode)
            .await
    }

    /// The accounts with these ids; missing ones are left out. At most 8,189.
    ///
    /// # Errors
    /// [`CallError::Refused`]: a read has no effect to be unknown.
    pub async fn lookup_accounts(&self, ids: &[u128]) -> Result<Vec<Account>, CallError> {
        self.call(Operation::LookupAccounts, ids, ids.len(), outcome::rows)
            .await
    }

    /// The transfers with these ids; missing ones are left out. At most 8,189.
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn lookup_transfers(&self, ids: &[u128]) -> Result<Vec<Transfer>, CallError> {
        self.call(Operation::LookupTransfers, ids, ids.len(), outcome::rows)
            .await
    }

    /// An account's transfers, at most 8,189.
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn get_account_transfers(
        &self,
        filter: AccountFilter,
    ) -> Result<Vec<Transfer>, CallError> {
        let operation = Operation::GetAccountTransfers;
        self.query(operation, filter, filter.limit).await
    }

    /// The balances after each of an account's transfers, at most 8,189. The account must have
    /// been created with [`giro_base::AccountFlags::HISTORY`].
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn get_account_balances(
        &self,
        filter: AccountFilter,
    ) -> Result<Vec<AccountBalance>, CallError> {
        let operation = Operation::GetAccountBalances;
        self.query(operation, filter, filter.limit).await
    }

    /// Accounts by their fields, at most 8,189.
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn query_accounts(&self, filter: QueryFilter) -> Result<Vec<Account>, CallError> {
        let operation = Operation::QueryAccounts;
        self.query(operation, filter, filter.limit).await
    }

    /// Transfers by their fields, at most 8,189.
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn query_transfers(&self, filter: QueryFilter) -> Result<Vec<Transfer>, CallError> {
        let operation = Operation::QueryTransfers;
        self.query(operation, filter, filter.limit).await
    }

    /// Change events in a window of time, by their timestamps; at most 2,730.
    ///
    /// Who wants to follow the ledger does better with [`Client::changes`]: an imported transfer
    /// may come with a timestamp behind which one has read on.
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn get_change_events(
        &self,
        filter: ChangeEventsFilter,
    ) -> Result<Vec<ChangeEvent>, CallError> {
        let operation = Operation::GetChangeEvents;
        self.query(operation, filter, filter.limit).await
    }

    /// The change events that a reader who is at `position` lacks, in the order they took effect;
    /// at most `limit`, and at most 2,730. Perhaps fewer than there are: only an empty answer says
    /// that there are no more for now. [`Client::changes`] asks again and again.
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn get_changes_after(
        &self,
        position: Position,
        limit: u32,
    ) -> Result<Vec<ChangeEvent>, CallError> {
        let operation = Operation::GetChangesAfter;
        let filter = ChangesAfter {
            position,
            limit,
            reserved: [0; 44],
        };
        self.query(operation, filter, limit).await
    }

    /// The change feed from a position on.
    #[must_use]
    pub fn changes(&self, position: Position) -> Changes {
        Changes::new(self.clone(), position)
    }

    /// Tells what became of transfers whose call ended as [`CallError::Unknown`], in the order of
    /// `ids`. First it makes sure that no request of this client that was given up can happen any
    /// more, so [`Fate::Absent`] is final unless somebody sends the transfer again.
    ///
    /// For requests of a client that no longer runs there is no such certainty; there, send the
    /// same transfers again.
    ///
    /// # Errors
    /// [`CallError::Unknown`] when that cannot be found out by the deadline, and
    /// [`CallError::Refused`] when the transfers cannot be read: in both cases they are as
    /// unknown as before.
    pub async fn resolve(&self, ids: &[u128]) -> Result<Vec<Fate>, CallError> {
        let deadline = Instant::now() + self.deadline;
        let (done, is_done) = oneshot::channel();
        let command = Command::Settle(done);
        match timeout_at(deadline, self.commands.send(command)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(CallError::Unknown(Uncertainty::Closed)),
            Err(_) => return Err(CallError::Unknown(Uncertainty::Deadline)),
        }
        match timeout_at(deadline, is_done).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(CallError::Unknown(Uncertainty::Closed)),
            Err(_) => return Err(CallError::Unknown(Uncertainty::Deadline)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let found = self.with_deadline(left).lookup_transfers(ids).await?;
        let found: HashMap<u128, Transfer> = found.into_iter().map(|t| (t.id, t)).collect();
        let fate = |id| found.get(id).map_or(Fate::Absent, |t| Fate::Done(*t));
        Ok(ids.iter().map(fate).collect())
    }

    pub(crate) async fn query<F, T>(
        &self,
        operation: Operation,
        filter: F,
        limit: u32,
    ) -> Result<Vec<T>, CallError>
    where
        F: IntoBytes + Immutable,
        T: FromBytes + IntoBytes + Immutable + Clone,
    {
        let rows_max = (limit as usize).min(operation.events_max());
        self.call(operation, &[filter], rows_max, outcome::rows)
            .await
    }

    async fn call<E, T>(
        &self,
        operation: Operation,
        events: &[E],
        rows_max: usize,
        decode: fn(&[u8]) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, CallError>
    where
        E: IntoBytes + Immutable,
    {
        let limit = (events.len(), EVENTS_MAX);
        let content = Content {
            bytes: events.as_bytes().to_vec(),
            rows_max,
            legs: 0,
        };
        self.send(operation, limit, content, decode).await
    }

    /// As [`Self::call`], for branches.
    pub(crate) async fn call_branches<T>(
        &self,
        operation: Operation,
        content: Content,
        decode: fn(&[u8]) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, CallError> {
        let limit = (content.rows_max, BRANCHES_MAX);
        self.send(operation, limit, content, decode).await
    }

    /// Sends what has so many events, of which so many are taken.
    async fn send<T>(
        &self,
        operation: Operation,
        (events, events_max): (usize, usize),
        content: Content,
        decode: fn(&[u8]) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, CallError> {
        if events == 0 {
            return Ok(Vec::new());
        }
        if events > events_max {
            return Err(CallError::Refused(Refusal::TooLarge { events, events_max }));
        }
        let deadline = Instant::now() + self.deadline;
        let stage = Arc::new(Stage::default());
        let (answer, receiver) = oneshot::channel();
        let call = Call {
            operation,
            events: content.bytes,
            rows_max: content.rows_max,
            legs: content.legs,
            deadline,
            stage: Arc::clone(&stage),
            answer,
            order: 0,
        };
        match timeout_at(deadline, self.commands.send(Command::Call(call))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(CallError::Refused(Refusal::Closed)),
            Err(_) => return Err(CallError::Refused(Refusal::Deadline)),
        }
        let is_write = operation.is_write();
        let given_up = |refusal, uncertainty| {
            if stage.give_up() || !is_write {
                CallError::Refused(refusal)
            } else {
                CallError::Unknown(uncertainty)
            }
        };
        let rows = match timeout_at(deadline, receiver).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(given_up(Refusal::Closed, Uncertainty::Closed)),
            Err(_) => return Err(given_up(Refusal::Deadline, Uncertainty::Deadline)),
        };
        decode(rows.bytes()).ok_or(CallError::Unknown(Uncertainty::Answer))
    }
}

/// What a call says.
pub(crate) struct Content {
    /// Events without a trailer, or an archive of branches.
    pub(crate) bytes: Vec<u8>,
    /// Most rows of the answer.
    pub(crate) rows_max: usize,
    /// Legs of the branches, as many as they can have.
    pub(crate) legs: usize,
}

/// An id that is unique and rises with time, as ledgers like them: milliseconds since 1970 above
/// 80 random bits.
#[must_use]
pub fn new_id() -> u128 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    now.as_millis() << 80 | rand::random::<u128>() >> 48
}
