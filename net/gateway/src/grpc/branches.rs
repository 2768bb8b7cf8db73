//! Branches of TCC transactions.

use std::sync::Arc;

use giro_base::limits::{BRANCHES_MAX, OPEN_BRANCHES_MAX};
use giro_client::{BranchAnswer, BranchKey, ConfirmBranch, TryBranch};
use tonic::{Request, Response, Status};

use super::ledger::wrong;
use super::v1::branches_server::Branches;
use super::{call, convert, v1};
use crate::app::App;
use crate::book::Book;
use crate::error::ApiError;
use crate::routes::{at_most, check_each, valid, watch_all};

type Answer<T> = Result<Response<T>, Status>;

/// What all lists of branches are called.
const LIST: &str = "branches";

pub(super) struct Door(pub(super) Arc<App>);

impl Door {
    fn book<T>(&self, request: &Request<T>) -> Result<Book, ApiError> {
        call::book(&self.0, request, self.0.options.deadline)
    }

    /// Counts what became of each branch, and answers it.
    fn results(
        &self,
        phase: &'static str,
        keys: &[BranchKey],
        answers: Vec<BranchAnswer>,
    ) -> Response<v1::BranchResults> {
        watch_all(&self.0, phase, keys, &answers);
        let results = answers.into_iter().map(v1::BranchResult::from).collect();
        Response::new(v1::BranchResults { results })
    }
}

#[tonic::async_trait]
impl Branches for Door {
    async fn r#try(&self, request: Request<v1::TryRequest>) -> Answer<v1::BranchResults> {
        let book = self.book(&request)?;
        let new = request.into_inner().branches;
        at_most(LIST, new.len(), BRANCHES_MAX)?;
        let branches = wrong(convert::each(&new, LIST, convert::try_branch))?;
        check_each(LIST, &branches, TryBranch::check)?;
        let keys: Vec<_> = branches.iter().map(|branch| branch.key.clone()).collect();
        let answers = book.try_branches(LIST, branches).await?;
        Ok(self.results("try", &keys, answers))
    }

    async fn confirm(&self, request: Request<v1::ConfirmRequest>) -> Answer<v1::BranchResults> {
        let book = self.book(&request)?;
        let confirms = request.into_inner().branches;
        at_most(LIST, confirms.len(), BRANCHES_MAX)?;
        let confirms = wrong(convert::each(&confirms, LIST, convert::confirm_branch))?;
        check_each(LIST, &confirms, ConfirmBranch::check)?;
        let keys: Vec<_> = confirms.iter().map(|confirm| confirm.key.clone()).collect();
        let answers = book.confirm_branches(LIST, confirms).await?;
        Ok(self.results("confirm", &keys, answers))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Answer<v1::BranchResults> {
        let book = self.book(&request)?;
        let cancels = request.into_inner().branches;
        at_most(LIST, cancels.len(), BRANCHES_MAX)?;
        let keys: Vec<BranchKey> = cancels.into_iter().map(convert::key).collect();
        check_each(LIST, &keys, BranchKey::check)?;
        let answers = book.cancel_branches(LIST, keys.clone()).await?;
        Ok(self.results("cancel", &keys, answers))
    }

    async fn get(&self, request: Request<v1::BranchKey>) -> Answer<v1::BranchInfo> {
        let book = self.book(&request)?;
        let key = convert::key(request.into_inner());
        valid(key.check())?;
        let info = book.branch(key.clone()).await?;
        let info = info.and_then(|info| convert::branch_info(key, &info));
        Ok(Response::new(
            info.ok_or_else(|| ApiError::not_found("branch"))?,
        ))
    }

    async fn list_open(&self, request: Request<v1::ListOpenRequest>) -> Answer<v1::OpenBranches> {
        let book = self.book(&request)?;
        let filter = wrong(convert::open_filter(request.get_ref()))?;
        let most = (filter.limit as usize).min(OPEN_BRANCHES_MAX);
        let found = book.list_branches(filter).await?;
        Ok(Response::new(convert::open_branches(found, most)))
    }
}
