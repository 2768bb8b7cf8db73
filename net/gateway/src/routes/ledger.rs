//! Accounts and transfers.

use axum::Json;
use giro_base::limits::EVENTS_MAX;
use giro_client::{Account, Transfer};

use crate::error::{ApiError, Problem};
use crate::extract::{self, Call, Payload, Query, Segments};
use crate::number::U128;
use crate::records::{
    AccountQuery, AccountRow, BalanceRow, NewAccount, NewTransfer, RecordQuery, ResultRow,
    TransferRow,
};

type Rows<T> = Result<Json<Vec<T>>, ApiError>;

/// Creates accounts: one result each, in order.
#[utoipa::path(post, path = "/accounts", request_body = Vec<NewAccount>, responses(
    (status = 200, body = Vec<ResultRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn create_accounts(
    Call(book): Call,
    Payload(new): Payload<Vec<NewAccount>>,
) -> Rows<ResultRow> {
    at_most("body", new.len(), EVENTS_MAX)?;
    let accounts: Vec<Account> = new.into_iter().map(Account::from).collect();
    Ok(rows(book.create_accounts("", accounts).await?))
}

/// Creates transfers: one result each, in order. What the ledger refused has a status that says
/// why.
#[utoipa::path(post, path = "/transfers", request_body = Vec<NewTransfer>, responses(
    (status = 200, body = Vec<ResultRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
    (status = 504, body = Problem),
))]
pub(super) async fn create_transfers(
    Call(book): Call,
    Payload(new): Payload<Vec<NewTransfer>>,
) -> Rows<ResultRow> {
    at_most("body", new.len(), EVENTS_MAX)?;
    let transfers: Vec<Transfer> = new.into_iter().map(Transfer::from).collect();
    Ok(rows(book.create_transfers("", transfers).await?))
}

/// An account.
#[utoipa::path(get, path = "/accounts/{id}", params(("id" = inline(U128), Path)), responses(
    (status = 200, body = AccountRow),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn account(
    Call(book): Call,
    Segments(id): Segments<String>,
) -> Result<Json<AccountRow>, ApiError> {
    let found = book.account(extract::id(&id)?).await?;
    let account = found.ok_or_else(|| ApiError::not_found("account"))?;
    Ok(Json(account.into()))
}

/// A transfer.
#[utoipa::path(get, path = "/transfers/{id}", params(("id" = inline(U128), Path)), responses(
    (status = 200, body = TransferRow),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn transfer(
    Call(book): Call,
    Segments(id): Segments<String>,
) -> Result<Json<TransferRow>, ApiError> {
    let found = book.lookup_transfers(vec![extract::id(&id)?]).await?;
    let transfer = found
        .first()
        .ok_or_else(|| ApiError::not_found("transfer"))?;
    Ok(Json((*transfer).into()))
}

/// An account's transfers.
#[utoipa::path(get, path = "/accounts/{id}/transfers",
    params(("id" = inline(U128), Path), AccountQuery), responses(
    (status = 200, body = Vec<TransferRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn account_transfers(
    Call(book): Call,
    Segments(id): Segments<String>,
    Query(query): Query<AccountQuery>,
) -> Rows<TransferRow> {
    let filter = query.of(extract::id(&id)?);
    Ok(rows(book.get_account_transfers(filter).await?))
}

/// The balances after each of an account's transfers; the account must keep its history.
#[utoipa::path(get, path = "/accounts/{id}/balances",
    params(("id" = inline(U128), Path), AccountQuery), responses(
    (status = 200, body = Vec<BalanceRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn account_balances(
    Call(book): Call,
    Segments(id): Segments<String>,
    Query(query): Query<AccountQuery>,
) -> Rows<BalanceRow> {
    let filter = query.of(extract::id(&id)?);
    Ok(rows(book.get_account_balances(filter).await?))
}

/// Accounts by their fields.
#[utoipa::path(post, path = "/query/accounts", request_body = RecordQuery, responses(
    (status = 200, body = Vec<AccountRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn query_accounts(
    Call(book): Call,
    Payload(query): Payload<RecordQuery>,
) -> Rows<AccountRow> {
    Ok(rows(book.query_accounts(query.into()).await?))
}

/// Transfers by their fields.
#[utoipa::path(post, path = "/query/transfers", request_body = RecordQuery, responses(
    (status = 200, body = Vec<TransferRow>),
    (status = "4XX", body = Problem),
    (status = 502, body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn query_transfers(
    Call(book): Call,
    Payload(query): Payload<RecordQuery>,
) -> Rows<TransferRow> {
    Ok(rows(book.query_transfers(query.into()).await?))
}

/// That a list is not too long.
pub(crate) fn at_most(list: &str, len: usize, max: usize) -> Result<(), ApiError> {
    if len > max {
        let why = format!("has {len} elements; at most {max} are taken");
        return Err(ApiError::field(list, why));
    }
    Ok(())
}

pub(super) fn rows<T, R: From<T>>(found: Vec<T>) -> Json<Vec<R>> {
    Json(found.into_iter().map(R::from).collect())
}
