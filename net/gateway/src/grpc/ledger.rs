//! Accounts and transfers.

use std::sync::Arc;

use giro_base::limits::EVENTS_MAX;
use tonic::{Request, Response, Status};

use super::v1::ledger_server::Ledger;
use super::{call, convert, v1};
use crate::app::App;
use crate::book::Book;
use crate::error::ApiError;
use crate::routes::at_most;

type Answer<T> = Result<Response<T>, Status>;

pub(super) struct Door(pub(super) Arc<App>);

impl Door {
    fn book<T>(&self, request: &Request<T>) -> Result<Book, ApiError> {
        call::book(&self.0, request, self.0.options.deadline)
    }
}

#[tonic::async_trait]
impl Ledger for Door {
    async fn create_accounts(
        &self,
        request: Request<v1::CreateAccountsRequest>,
    ) -> Answer<v1::Results> {
        let book = self.book(&request)?;
        let new = request.into_inner().accounts;
        at_most("accounts", new.len(), EVENTS_MAX)?;
        let accounts = wrong(convert::each(&new, "accounts", convert::account))?;
        let results = book.create_accounts("accounts", accounts).await?;
        let results = rows(results);
        Ok(Response::new(v1::Results { results }))
    }

    async fn create_transfers(
        &self,
        request: Request<v1::CreateTransfersRequest>,
    ) -> Answer<v1::Results> {
        let book = self.book(&request)?;
        let new = request.into_inner().transfers;
        at_most("transfers", new.len(), EVENTS_MAX)?;
        let transfers = wrong(convert::each(&new, "transfers", convert::transfer))?;
        let results = book.create_transfers("transfers", transfers).await?;
        let results = rows(results);
        Ok(Response::new(v1::Results { results }))
    }

    async fn lookup_accounts(&self, request: Request<v1::Ids>) -> Answer<v1::Accounts> {
        let book = self.book(&request)?;
        at_most("ids", request.get_ref().ids.len(), EVENTS_MAX)?;
        let ids = wrong(convert::ids(request.get_ref()))?;
        let accounts = rows(book.lookup_accounts("ids", ids).await?);
        Ok(Response::new(v1::Accounts { accounts }))
    }

    async fn lookup_transfers(&self, request: Request<v1::Ids>) -> Answer<v1::Transfers> {
        let book = self.book(&request)?;
        at_most("ids", request.get_ref().ids.len(), EVENTS_MAX)?;
        let ids = wrong(convert::ids(request.get_ref()))?;
        let transfers = rows(book.lookup_transfers(ids).await?);
        Ok(Response::new(v1::Transfers { transfers }))
    }

    async fn account_transfers(
        &self,
        request: Request<v1::AccountFilter>,
    ) -> Answer<v1::Transfers> {
        let book = self.book(&request)?;
        let filter = wrong(convert::account_filter(request.get_ref()))?;
        let transfers = rows(book.get_account_transfers(filter).await?);
        Ok(Response::new(v1::Transfers { transfers }))
    }

    async fn account_balances(&self, request: Request<v1::AccountFilter>) -> Answer<v1::Balances> {
        let book = self.book(&request)?;
        let filter = wrong(convert::account_filter(request.get_ref()))?;
        let balances = rows(book.get_account_balances(filter).await?);
        Ok(Response::new(v1::Balances { balances }))
    }

    async fn query_accounts(&self, request: Request<v1::QueryFilter>) -> Answer<v1::Accounts> {
        let book = self.book(&request)?;
        let filter = wrong(convert::query_filter(request.get_ref()))?;
        let accounts = rows(book.query_accounts(filter).await?);
        Ok(Response::new(v1::Accounts { accounts }))
    }

    async fn query_transfers(&self, request: Request<v1::QueryFilter>) -> Answer<v1::Transfers> {
        let book = self.book(&request)?;
        let filter = wrong(convert::query_filter(request.get_ref()))?;
        let transfers = rows(book.query_transfers(filter).await?);
        Ok(Response::new(v1::Transfers { transfers }))
    }
}

/// What a request says, or which field is wrong.
pub(super) fn wrong<T>(converted: Result<T, convert::Wrong>) -> Result<T, ApiError> {
    converted.map_err(ApiError::from)
}

fn rows<T, M: From<T>>(found: Vec<T>) -> Vec<M> {
    found.into_iter().map(M::from).collect()
}
