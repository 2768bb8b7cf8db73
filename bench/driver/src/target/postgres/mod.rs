//! PostgreSQL, with the ledger that one would write in it (`ledger.sql`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use giro_base::{Account, CreateTransferStatus, Transfer, TransferFlags};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};
use uuid::Uuid;

use super::StepError;

const SCHEMA: &str = include_str!("ledger.sql");

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
    /// dbname=postgres`.
    ///
    /// # Errors
    /// When nobody answers, or the ledger cannot be made.
    pub async fn connect(
        config: &str,
        connections: usize,
        deadline: Duration,
    ) -> Result<Self, Error> {
        let open = async || {
            let (client, work) = tokio_postgres::connect(config, NoTls).await?;
            // Its error is told to the client's callers, too.
            tokio::spawn(async move { drop(work.await) });
            Ok::<_, Error>(client)
        };
        open().await?.batch_execute(SCHEMA).await?;
        let mut all = Vec::with_capacity(connections);
        for _ in 0..connections {
            let client = open().await?;
            let one = "select create_transfer($1, $2, $3, $4, $5, $6, $7)";
            let many = "select create_transfers($1, $2, $3, $4, $5, $6, $7)";
            all.push(Connection {
                one: client.prepare(one).await?,
                many: client.prepare(many).await?,
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

    pub(super) async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Result<Vec<CreateTransferStatus>, StepError> {
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

    pub(super) async fn create_accounts(&self, accounts: &[Account]) -> Result<(), StepError> {
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
        Ok(())
    }

    pub(super) async fn accounts(&self, ids: &[u128]) -> Result<Vec<Account>, StepError> {
        let rows = self.rows("accounts", ids).await?;
        rows.iter().map(account).collect()
    }

    pub(super) async fn transfers(&self, ids: &[u128]) -> Result<Vec<Transfer>, StepError> {
        let rows = self.rows("transfers", ids).await?;
        rows.iter().map(transfer).collect()
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
