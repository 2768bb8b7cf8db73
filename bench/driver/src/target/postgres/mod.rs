//! PostgreSQL, with the ledger that one would write in it (`ledger.sql`, `branches.sql`).

mod branches;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use giro_base::{Account, CreateAccountStatus, CreateTransferStatus, Transfer, TransferFlags};
use giro_client::{BranchKey, BranchState, BranchStatus, ConfirmBranch, TryBranch};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};
use uuid::Uuid;

use self::branches::Functions;
use super::books::Books;
use super::{Answered, StepError};

const SCHEMA: [&str; 2] = [include_str!("ledger.sql"), include_str!("branches.sql")];

/// What an account's newest transfers need; what is never asked for them does without.
const STATEMENTS: &str = "create index on transfers (debit, at); \
                          create index on transfers (credit, at)";

/// What was given up on a connection may take so long at least.
const SETTLING: Duration = Duration::from_secs(60);

/// Connections to a server; clones share them.
#[derive(Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
    deadline: Duration,
}

struct Shared {
    connections: Vec<Connection>,
    /// Places of those without a request.
    idle: Mutex<Vec<usize>>,
}

struct Connection {
    client: Client,
    one: Statement,
    many: Statement,
    branches: Functions,
}

/// One is given back when its request ended, however it ended.
struct Lease<'a> {
    shared: &'a Shared,
    place: Option<usize>,
}

impl Lease<'_> {
    fn connection(&self) -> &Connection {
        // Without an idle one, the request queues at the first.
        &self.shared.connections[self.place.unwrap_or(0)]
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let idle = self.shared.idle.lock();
            idle.unwrap_or_else(PoisonError::into_inner).push(place);
        }
    }
}

/// What the server says of a statement left nothing behind; a broken connection may have.
impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::Refused(refusal.to_string()),
            None => Self::Unknown(error.to_string()),
        }
    }
}

impl Postgres {
    /// Makes the ledger in an empty database and connects so many times.
    ///
    /// `config` is a connection string, such as `host=127.0.0.1 port=5432 user=giro
    /// dbname=postgres`. With `statements`, transfers have the indexes that an account's newest
    /// need.
    ///
    /// # Errors
    /// When nobody answers, or the ledger cannot be made.
    pub async fn connect(
        config: &str,
        connections: usize,
        deadline: Duration,
        statements: bool,
    ) -> Result<Self, Error> {
        let open = async || {
            let (client, work) = tokio_postgres::connect(config, NoTls).await?;
            // Its error is told to the client's callers, too.
            tokio::spawn(async move { drop(work.await) });
            Ok::<_, Error>(client)
        };
        let first = open().await?;
        for schema in SCHEMA {
            first.batch_execute(schema).await?;
        }
        if statements {
            first.batch_execute(STATEMENTS).await?;
        }
        let mut all = Vec::with_capacity(connections);
        for _ in 0..connections {
            let client = open().await?;
            let one = "select create_transfer($1, $2, $3, $4, $5, $6, $7)";
            let many = "select create_transfers($1, $2, $3, $4, $5, $6, $7)";
            all.push(Connection {
                one: client.prepare(one).await?,
                many: client.prepare(many).await?,
                branches: Functions::prepare(&client).await?,
                client,
            });
        }
        let shared = Shared {
            idle: Mutex::new((0..all.len()).collect()),
            connections: all,
        };
        Ok(Self {
            shared: Arc::new(shared),
            deadline,
        })
    }

    fn lease(&self) -> Lease<'_> {
        let idle = self.shared.idle.lock();
        let place = idle.unwrap_or_else(PoisonError::into_inner).pop();
        Lease {
            shared: &self.shared,
            place,
        }
    }

    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StepError> {
        match tokio::time::timeout(self.deadline, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StepError::Unknown("no answer by the deadline".into())),
        }
    }

    /// Rows with these ids, in this order.
    async fn rows(&self, table: &str, ids: &[u128]) -> Result<Vec<Row>, StepError> {
        let sql = format!(
            "select {table}.* from unnest($1::uuid[]) with ordinality as asked(id, place) \
             join {table} using (id) order by place"
        );
        let ids: Vec<_> = ids.iter().map(|id| Uuid::from_u128(*id)).collect();
        let lease = self.lease();
        self.within(lease.connection().client.query(&sql, &[&ids]))
            .await
    }
}

impl Books for Postgres {
    /// Those that are there already are left as they are.
    async fn create_accounts(&self, accounts: &[Account]) -> Answered<Vec<CreateAccountStatus>> {
        let ids: Vec<_> = accounts.iter().map(|a| Uuid::from_u128(a.id)).collect();
        let ledgers: Vec<_> = accounts.iter().map(|a| a.ledger.cast_signed()).collect();
        let codes: Vec<_> = accounts.iter().map(|a| i32::from(a.code)).collect();
        let sql = "insert into accounts (id, ledger, code) \
                   select * from unnest($1::uuid[], $2::integer[], $3::integer[]) \
                   on conflict do nothing";
        let lease = self.lease();
        let client = &lease.connection().client;
        let parameters: [&(dyn ToSql + Sync); 3] = [&ids, &ledgers, &codes];
        self.within(client.execute(sql, &parameters)).await?;
        Ok(vec![CreateAccountStatus::Created; accounts.len()])
    }

    async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Answered<Vec<CreateTransferStatus>> {
        let lease = self.lease();
        let connection = lease.connection();
        let columns = Columns::of(transfers);
        let statuses = if transfers.len() == 1 {
            let first = columns.first();
            let row = connection.client.query_one(&connection.one, &first);
            vec![self.within(row).await?.get::<_, i32>(0)]
        } else {
            let all = columns.all();
            let row = connection.client.query_one(&connection.many, &all);
            self.within(row).await?.get::<_, Vec<i32>>(0)
        };
        statuses.into_iter().map(status).collect()
    }

    async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>> {
        let rows = self.rows("accounts", ids).await?;
        rows.iter().map(account).collect()
    }

    async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>> {
        let rows = self.rows("transfers", ids).await?;
        rows.iter().map(transfer).collect()
    }

    async fn statement(&self, account: u128, limit: u32) -> Answered<Vec<Transfer>> {
        // Each side by its own index.
        let sql = "(select * from transfers where debit = $1 order by at desc limit $2) \
                   union all \
                   (select * from transfers where credit = $1 order by at desc limit $2) \
                   order by at desc limit $2";
        let (id, limit) = (Uuid::from_u128(account), i64::from(limit));
        let lease = self.lease();
        let parameters: [&(dyn ToSql + Sync); 2] = [&id, &limit];
        let rows = lease.connection().client.query(sql, &parameters);
        self.within(rows).await?.iter().map(transfer).collect()
    }

    async fn try_branches(&self, branches: &Vec<TryBranch>) -> Answered<Vec<BranchStatus>> {
        self.tried(branches).await
    }

    async fn confirm_branches(&self, branches: &Vec<ConfirmBranch>) -> Answered<Vec<BranchStatus>> {
        let keys = branches.iter().map(|branch| &branch.key);
        self.settled(keys, true).await
    }

    async fn cancel_branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchStatus>> {
        self.settled(keys.iter(), false).await
    }

    async fn branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchState>> {
        self.states(keys).await
    }

    /// A connection does one thing after the other: what it answers now comes behind all that was
    /// given up on it.
    async fn settle(&self) -> Answered<()> {
        let patient = Self {
            shared: Arc::clone(&self.shared),
            deadline: self.deadline.max(SETTLING),
        };
        for connection in &self.shared.connections {
            patient.within(connection.client.simple_query("")).await?;
        }
        Ok(())
    }
}

/// Transfers as the function's arrays.
struct Columns {
    ids: Vec<Uuid>,
    debits: Vec<Uuid>,
    credits: Vec<Uuid>,
    amounts: Vec<i64>,
    pendings: Vec<bool>,
    ledgers: Vec<i32>,
    codes: Vec<i32>,
}

impl Columns {
    fn of(transfers: &[Transfer]) -> Self {
        let ids = |id: fn(&Transfer) -> u128| {
            let ids = transfers.iter().map(id);
            ids.map(Uuid::from_u128).collect::<Vec<_>>()
        };
        // A workload's amounts are small.
        let amounts = transfers.iter().map(|t| t.amount as i64);
        let pendings = transfers
            .iter()
            .map(|t| t.flags & TransferFlags::PENDING != 0);
        Self {
            ids: ids(|t| t.id),
            debits: ids(|t| t.debit_account_id),
            credits: ids(|t| t.credit_account_id),
            amounts: amounts.collect(),
            pendings: pendings.collect(),
            ledgers: transfers.iter().map(|t| t.ledger.cast_signed()).collect(),
            codes: transfers.iter().map(|t| i32::from(t.code)).collect(),
        }
    }

    fn all(&self) -> [&(dyn ToSql + Sync); 7] {
        [
            &self.ids,
            &self.debits,
            &self.credits,
            &self.amounts,
            &self.pendings,
            &self.ledgers,
            &self.codes,
        ]
    }

    fn first(&self) -> [&(dyn ToSql + Sync); 7] {
        [
            &self.ids[0],
            &self.debits[0],
            &self.credits[0],
            &self.amounts[0],
            &self.pendings[0],
            &self.ledgers[0],
            &self.codes[0],
        ]
    }
}

fn status(found: i32) -> Result<CreateTransferStatus, StepError> {
    match found {
        0 => Ok(CreateTransferStatus::Created),
        1 => Ok(CreateTransferStatus::AccountsMustBeDifferent),
        2 => Ok(CreateTransferStatus::Exists),
        3 => Ok(CreateTransferStatus::DebitAccountNotFound),
        _ => Err(StepError::Wrong(format!("status {found}"))),
    }
}

fn account(row: &Row) -> Result<Account, StepError> {
    let amount = |name| number::<i64, u128>(row, name);
    Ok(Account {
        id: row.get::<_, Uuid>("id").as_u128(),
        ledger: number::<i32, u32>(row, "ledger")?,
        code: number::<i32, u16>(row, "code")?,
        debits_pending: amount("debits_pending")?,
        debits_posted: amount("debits_posted")?,
        credits_pending: amount("credits_pending")?,
        credits_posted: amount("credits_posted")?,
        ..Account::default()
    })
}

fn transfer(row: &Row) -> Result<Transfer, StepError> {
    let is_pending: bool = row.get("pending");
    Ok(Transfer {
        id: row.get::<_, Uuid>("id").as_u128(),
        debit_account_id: row.get::<_, Uuid>("debit").as_u128(),
        credit_account_id: row.get::<_, Uuid>("credit").as_u128(),
        amount: number::<i64, u128>(row, "amount")?,
        ledger: number::<i32, u32>(row, "ledger")?,
        code: number::<i32, u16>(row, "code")?,
        flags: if is_pending {
            TransferFlags::PENDING
        } else {
            0
        },
        ..Transfer::default()
    })
}

/// A column that is never below 0.
fn number<'a, S, T>(row: &'a Row, name: &str) -> Result<T, StepError>
where
    S: tokio_postgres::types::FromSql<'a> + Copy + std::fmt::Display,
    T: TryFrom<S>,
{
    let found: S = row.get(name);
    T::try_from(found).map_err(|_| StepError::Wrong(format!("{name} is {found}")))
}
