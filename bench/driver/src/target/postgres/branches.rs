//! Branches of TCC transactions in PostgreSQL (`branches.sql`).

use giro_client::{BranchKey, BranchState, BranchStatus, TryBranch};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};
use uuid::Uuid;

use super::{Postgres, StepError};

/// The functions for one branch and for many.
pub(super) struct Functions {
    try_one: Statement,
    try_many: Statement,
    confirm_one: Statement,
    confirm_many: Statement,
    cancel_one: Statement,
    cancel_many: Statement,
}

impl Functions {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            try_one: client
                .prepare("select try_branch($1, $2, $3, $4, $5)")
                .await?,
            try_many: client
                .prepare("select try_branches($1, $2, $3, $4, $5)")
                .await?,
            confirm_one: client.prepare("select confirm_branch($1, $2)").await?,
            confirm_many: client.prepare("select confirm_branches($1, $2)").await?,
            cancel_one: client.prepare("select cancel_branch($1, $2)").await?,
            cancel_many: client.prepare("select cancel_branches($1, $2)").await?,
        })
    }
}

/// One answers a number, the other an array of them.
#[derive(Clone, Copy)]
enum Function<'a> {
    One(&'a Statement),
    Many(&'a Statement),
}

/// Branches as the functions' arrays.
struct Keys<'a> {
    gids: Vec<&'a str>,
    names: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(keys: impl Iterator<Item = &'a BranchKey>) -> Self {
        let (gids, names) = keys
            .map(|key| (key.gid.as_str(), key.branch_id.as_str()))
            .unzip();
        Self { gids, names }
    }
}

impl Postgres {
    pub(super) async fn tried(&self, branches: &[TryBranch]) -> Answered {
        let mut legs = Vec::with_capacity(branches.len());
        for branch in branches {
            let [leg] = branch.legs.as_slice() else {
                let what = "PostgreSQL's branches have one leg each";
                return Err(StepError::Refused(what.into()));
            };
            legs.push(leg);
        }
        let keys = Keys::of(branches.iter().map(|branch| &branch.key));
        let debits: Vec<_> = legs
            .iter()
            .map(|leg| Uuid::from_u128(leg.debit_account_id))
            .collect();
        let credits: Vec<_> = legs
            .iter()
            .map(|leg| Uuid::from_u128(leg.credit_account_id))
            .collect();
        // A workload's amounts are small.
        let amounts: Vec<_> = legs.iter().map(|leg| leg.amount as i64).collect();
        let lease = self.lease();
        let connection = lease.connection();
        let functions = &connection.branches;
        if branches.len() == 1 {
            let one: [&(dyn ToSql + Sync); 5] = [
                &keys.gids[0],
                &keys.names[0],
                &debits[0],
                &credits[0],
                &amounts[0],
            ];
            let function = Function::One(&functions.try_one);
            return self.call(&connection.client, function, &one).await;
        }
        let all: [&(dyn ToSql + Sync); 5] = [&keys.gids, &keys.names, &debits, &credits, &amounts];
        let function = Function::Many(&functions.try_many);
        self.call(&connection.client, function, &all).await
    }

    pub(super) async fn settled(
        &self,
        keys: impl Iterator<Item = &BranchKey>,
        is_confirm: bool,
    ) -> Answered {
        let keys = Keys::of(keys);
        let lease = self.lease();
        let connection = lease.connection();
        let functions = &connection.branches;
        let (one, many) = if is_confirm {
            (&functions.confirm_one, &functions.confirm_many)
        } else {
            (&functions.cancel_one, &functions.cancel_many)
        };
        if keys.gids.len() == 1 {
            let first: [&(dyn ToSql + Sync); 2] = [&keys.gids[0], &keys.names[0]];
            return self
                .call(&connection.client, Function::One(one), &first)
                .await;
        }
        let all: [&(dyn ToSql + Sync); 2] = [&keys.gids, &keys.names];
        self.call(&connection.client, Function::Many(many), &all)
            .await
    }

    /// The answers of a function for one branch, or for many.
    async fn call(
        &self,
        client: &Client,
        function: Function<'_>,
        of: &[&(dyn ToSql + Sync)],
    ) -> Answered {
        let (Function::One(statement) | Function::Many(statement)) = function;
        let row = self.within(client.query_one(statement, of)).await?;
        let found = match function {
            Function::One(_) => vec![row.get(0)],
            Function::Many(_) => row.get(0),
        };
        found.into_iter().map(status).collect()
    }

    pub(super) async fn states(&self, keys: &[BranchKey]) -> Result<Vec<BranchState>, StepError> {
        let sql = "select coalesce(state, 0) from unnest($1::text[], $2::text[]) \
                   with ordinality as asked(gid, branch, place) \
                   left join branches using (gid, branch) order by place";
        let keys = Keys::of(keys.iter());
        let lease = self.lease();
        let parameters: [&(dyn ToSql + Sync); 2] = [&keys.gids, &keys.names];
        let rows = self
            .within(lease.connection().client.query(sql, &parameters))
            .await?;
        let state = |row: &tokio_postgres::Row| {
            let found: i32 = row.get(0);
            let known = u8::try_from(found).map(BranchState::try_from);
            match known {
                Ok(Ok(state)) => Ok(state),
                _ => Err(StepError::Wrong(format!("a branch in state {found}"))),
            }
        };
        rows.iter().map(state).collect()
    }
}

type Answered = Result<Vec<BranchStatus>, StepError>;

/// The functions answer with the numbers that Giro's branches are answered with.
fn status(found: i32) -> Result<BranchStatus, StepError> {
    let known = u16::try_from(found).map(BranchStatus::try_from);
    match known {
        Ok(Ok(status)) => Ok(status),
        _ => Err(StepError::Wrong(format!("a branch was answered {found}"))),
    }
}
