//! A Giro server by its HTTP port, as `docs/reference/http.md` has it.

mod rows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use giro_base::{Account, CreateAccountStatus, CreateTransferStatus, Transfer};
use giro_client::{BranchKey, BranchState, BranchStatus, ConfirmBranch, TryBranch};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use self::rows::{AccountRow, BranchRow, KeyRow, ResultRow, StateRow, TransferRow};
use super::books::Books;
use super::{Answered, StepError};

/// Connections to a server's HTTP port; clones share them.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
    deadline: Duration,
}

struct Shared {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
}

/// Single rows that are asked for at a time: there is no route for many by their ids.
const AT_A_TIME: usize = 32;

/// The shortest deadline that can be said.
const DEADLINE_MIN: Duration = Duration::from_millis(1);
/// The longest deadline that the server takes.
const DEADLINE_MAX: Duration = Duration::from_secs(10);

impl Http {
    /// Of the server whose HTTP port is at `host:port`.
    ///
    /// # Errors
    /// When nobody answers there, or the ledger is not ready by the deadline.
    pub async fn connect(address: &str, deadline: Duration) -> Result<Self, StepError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let shared = Shared {
            client: Client::builder(TokioExecutor::new()).build(connector),
            address: address.to_owned(),
        };
        let http = Self {
            shared: Arc::new(shared),
            deadline,
        };
        let until = Instant::now() + deadline;
        loop {
            match http.send(Method::GET, "/readyz", Bytes::new()).await {
                Ok(_) => return Ok(http),
                Err(StepError::Refused(_)) if Instant::now() < until => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The same connections; requests have another deadline.
    pub(super) fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            deadline,
        }
    }

    /// Sends a request; the body of a success.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Answered<Bytes> {
        let deadline = self.deadline.clamp(DEADLINE_MIN, DEADLINE_MAX).as_millis();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.shared.address))
            .header("content-type", "application/json")
            .header("x-deadline-ms", deadline.to_string())
            .body(Full::new(body));
        let request = request.map_err(|why| StepError::Refused(why.to_string()))?;
        let answer = async {
            let response = self.shared.client.request(request).await;
            let response = response.map_err(|why| broken(&why))?;
            let status = response.status();
            let body = response.into_body().collect().await;
            let body = body.map_err(|why| StepError::Unknown(why.to_string()))?;
            Ok::<_, StepError>((status, body.to_bytes()))
        };
        let answer = tokio::time::timeout(self.deadline, answer).await;
        let (status, body) =
            answer.map_err(|_| StepError::Unknown("no answer by the deadline".into()))??;
        if status.is_success() {
            return Ok(body);
        }
        let what = format!("{status}: {}", String::from_utf8_lossy(&body));
        Err(match status {
            StatusCode::GATEWAY_TIMEOUT => StepError::Unknown(what),
            _ => StepError::Refused(what),
        })
    }

    /// Sends a list, and reads one.
    async fn post<S, R>(&self, path: &str, rows: impl Iterator<Item = S>) -> Answered<Vec<R>>
    where
        S: Serialize,
        R: DeserializeOwned,
    {
        let rows: Vec<S> = rows.collect();
        let body = serde_json::to_vec(&rows).map_err(|why| StepError::Refused(why.to_string()))?;
        read(path, &self.send(Method::POST, path, body.into()).await?)
    }

    /// One row; none when it is not there.
    async fn row<R: DeserializeOwned>(&self, path: &str) -> Answered<Option<R>> {
        match self.send(Method::GET, path, Bytes::new()).await {
            Ok(body) => read(path, &body).map(Some),
            Err(StepError::Refused(why)) if why.starts_with("404") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Rows of these paths, in their order.
    async fn rows<R>(&self, paths: impl Iterator<Item = String>) -> Answered<Vec<Option<R>>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        let mut paths = paths.enumerate();
        let (mut under_way, mut found) = (JoinSet::new(), Vec::new());
        loop {
            if under_way.len() < AT_A_TIME
                && let Some((place, path)) = paths.next()
            {
                found.push(None);
                let this = self.clone();
                under_way.spawn(async move { (place, this.row::<R>(&path).await) });
                continue;
            }
            match under_way.join_next().await {
                None => return Ok(found),
                Some(Err(why)) => return Err(StepError::Unknown(why.to_string())),
                Some(Ok((place, row))) => found[place] = row?,
            }
        }
    }
}

/// A connection that could not be made carried nothing.
fn broken(error: &hyper_util::client::legacy::Error) -> StepError {
    let source = std::error::Error::source(error);
    let what = source.map_or_else(|| error.to_string(), |why| format!("{error}: {why}"));
    if error.is_connect() {
        StepError::Refused(what)
    } else {
        StepError::Unknown(what)
    }
}

fn read<R: DeserializeOwned>(path: &str, body: &[u8]) -> Answered<R> {
    serde_json::from_slice(body).map_err(|why| {
        let body = String::from_utf8_lossy(&body[..body.len().min(200)]);
        StepError::Wrong(format!("{path} was answered {body}: {why}"))
    })
}

fn statuses<T: std::str::FromStr>(rows: &[ResultRow]) -> Answered<Vec<T>> {
    let status = |row: &ResultRow| {
        let known = row.status.parse();
        known.map_err(|_| StepError::Wrong(format!("a status {}", row.status)))
    };
    rows.iter().map(status).collect()
}

impl Books for Http {
    async fn create_accounts(&self, accounts: &[Account]) -> Answered<Vec<CreateAccountStatus>> {
        let rows = accounts.iter().map(AccountRow::new);
        statuses(&self.post("/accounts", rows).await?)
    }

    async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Answered<Vec<CreateTransferStatus>> {
        let rows = transfers.iter().map(TransferRow::new);
        statuses(&self.post("/transfers", rows).await?)
    }

    async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>> {
        let paths = ids.iter().map(|id| format!("/accounts/{id}"));
        let rows: Vec<Option<AccountRow>> = self.rows(paths).await?;
        Ok(rows.into_iter().flatten().map(Account::from).collect())
    }

    async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>> {
        let paths = ids.iter().map(|id| format!("/transfers/{id}"));
        let rows: Vec<Option<TransferRow>> = self.rows(paths).await?;
        Ok(rows.into_iter().flatten().map(Transfer::from).collect())
    }

    async fn statement(&self, account: u128, limit: u32) -> Answered<Vec<Transfer>> {
        let path = format!("/accounts/{account}/transfers?limit={limit}&reversed=true");
        let body = self.send(Method::GET, &path, Bytes::new()).await?;
        let rows: Vec<TransferRow> = read(&path, &body)?;
        Ok(rows.into_iter().map(Transfer::from).collect())
    }

    async fn try_branches(&self, branches: &Vec<TryBranch>) -> Answered<Vec<BranchStatus>> {
        let rows = branches.iter().map(BranchRow::new);
        statuses(&self.post("/branches/try", rows).await?)
    }

    async fn confirm_branches(&self, branches: &Vec<ConfirmBranch>) -> Answered<Vec<BranchStatus>> {
        let rows = branches.iter().map(|branch| KeyRow::new(&branch.key));
        statuses(&self.post("/branches/confirm", rows).await?)
    }

    async fn cancel_branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchStatus>> {
        let rows = keys.iter().map(KeyRow::new);
        statuses(&self.post("/branches/cancel", rows).await?)
    }

    async fn branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchState>> {
        // A workload's own keys, which need no escapes.
        let paths = keys
            .iter()
            .map(|key| format!("/branches/{}/{}", key.gid, key.branch_id));
        let rows: Vec<Option<StateRow>> = self.rows(paths).await?;
        let state = |row: Option<StateRow>| match row {
            None => Ok(BranchState::None),
            Some(row) => {
                let known = row.state.parse();
                known.map_err(|_| StepError::Wrong(format!("a branch in state {}", row.state)))
            }
        };
        rows.into_iter().map(state).collect()
    }
}
