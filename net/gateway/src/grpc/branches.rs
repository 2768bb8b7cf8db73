//! Branches of TCC transactions.

use std::sync::Arc;

use giro_base::limits::{BRANCHES_MAX, OPEN_BRANCHES_MAX};
use giro_client::{BranchAnswer, BranchKey, Client, ConfirmBranch, TryBranch};
use tonic::{Request, Response, Status};

use super::ledger::{done, wrong};
use super::v1::branches_server::Branches;
use super::{call, convert, v1};
use crate::app::App;
use crate::error::ApiError;
use crate::routes::{at_most, check_each, only, valid, watch};

type Answer<T> = Result<Response<T>, Status>;

/// What all lists of branches are called.
const LIST: &str = "branches";

pub(super) struct Door(pub(super) Arc<App>);

impl Door {
    fn client<T>(&self, request: &Request<T>) -> Result<Client, ApiError> {
        call::client(&self.0, request, self.0.options.deadline)
    }

    /// Counts what became of each branch, and answers it.
    fn results<'a>(
        &self,
        phase: &'static str,
        keys: impl Iterator<Item = &'a BranchKey>,
        answers: Vec<BranchAnswer>,
    ) -> Response<v1::BranchResults> {
        for (key, answer) in keys.zip(&answers) {
            watch(&self.0, phase, key, answer);
        }
        let results = answers.into_iter().map(v1::BranchResult::from).collect();
        Response::new(v1::BranchResults { results })
    }
}

#[tonic::async_trait]
impl Branches for Door {
    async fn r#try(&self, request: Request<v1::TryRequest>) -> Answer<v1::BranchResults> {
        let client = self.client(&request)?;
        let new = request.into_inner().branches;
        at_most(LIST, new.len(), BRANCHES_MAX)?;
        let branches = wrong(convert::each(new, LIST, convert::try_branch))?;
        check_each(LIST, &branches, TryBranch::check)?;
        let answers = done(client.try_branches(&branches).await)?;
        let keys = branches.iter().map(|branch| &branch.key);
        Ok(self.results("try", keys, answers))
    }

    async fn confirm(&self, request: Request<v1::ConfirmRequest>) -> Answer<v1::BranchResults> {
        let client = self.client(&request)?;
        let confirms = request.into_inner().branches;
        at_most(LIST, confirms.len(), BRANCHES_MAX)?;
        let confirms = wrong(convert::each(confirms, LIST, convert::confirm_branch))?;
        check_each(LIST, &confirms, ConfirmBranch::check)?;
        let answers = done(client.confirm_branches(&confirms).await)?;
        let keys = confirms.iter().map(|confirm| &confirm.key);
        Ok(self.results("confirm", keys, answers))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Answer<v1::BranchResults> {
        let client = self.client(&request)?;
        let cancels = request.into_inner().branches;
        at_most(LIST, cancels.len(), BRANCHES_MAX)?;
        let keys: Vec<BranchKey> = cancels.into_iter().map(convert::key).collect();
        check_each(LIST, &keys, BranchKey::check)?;
        let answers = done(client.cancel_branches(&keys).await)?;
        Ok(self.results("cancel", keys.iter(), answers))
    }

    async fn get(&self, request: Request<v1::BranchKey>) -> Answer<v1::BranchInfo> {
        let client = self.client(&request)?;
        let key = convert::key(request.into_inner());
        valid(key.check())?;
        let keys = vec![key.clone()];
        let info = only(done(client.lookup_branches(&keys).await)?)?;
        let info = convert::branch_info(key, &info);
        Ok(Response::new(
            info.ok_or_else(|| ApiError::not_found("branch"))?,
        ))
    }

    async fn list_open(&self, request: Request<v1::ListOpenRequest>) -> Answer<v1::OpenBranches> {
        let client = self.client(&request)?;
        let filter = wrong(convert::open_filter(request.get_ref()))?;
        let most = (filter.limit as usize).min(OPEN_BRANCHES_MAX);
        let found = done(client.list_branches(filter).await)?;
        Ok(Response::new(convert::open_branches(&found, most)))
    }
}
