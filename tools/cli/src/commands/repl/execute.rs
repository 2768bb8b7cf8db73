//! From a request to lines.

use giro_client::{CallError, Client};

use super::parse::Request;
use super::show;

/// Asks the ledger; one line an event or a row.
///
/// # Errors
/// When there is no answer.
pub(super) async fn execute(client: &Client, request: Request) -> Result<Vec<String>, CallError> {
    let accounts = |rows: Vec<_>| rows.iter().map(show::account).collect();
    let transfers = |rows: Vec<_>| rows.iter().map(show::transfer).collect();
    Ok(match request {
        Request::CreateAccounts(events) => {
            let results = client.create_accounts(&events).await?;
            results
                .iter()
                .enumerate()
                .map(show::account_result)
                .collect()
        }
        Request::CreateTransfers(events) => {
            let results = client.create_transfers(&events).await?;
            results
                .iter()
                .enumerate()
                .map(show::transfer_result)
                .collect()
        }
        Request::LookupAccounts(ids) => accounts(client.lookup_accounts(&ids).await?),
        Request::LookupTransfers(ids) => transfers(client.lookup_transfers(&ids).await?),
        Request::GetAccountTransfers(filter) => {
            transfers(client.get_account_transfers(filter).await?)
        }
        Request::GetAccountBalances(filter) => {
            let balances = client.get_account_balances(filter).await?;
            balances.iter().map(show::balance).collect()
        }
        Request::QueryAccounts(filter) => accounts(client.query_accounts(filter).await?),
        Request::QueryTransfers(filter) => transfers(client.query_transfers(filter).await?),
    })
}
