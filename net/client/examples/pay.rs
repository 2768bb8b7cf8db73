//! Payments of many tasks through one client: `cargo run -p giro-client --example pay [ADDRESS]`.

use giro_client::{
    Account, CallError, Client, ClientOptions, CreateTransferStatus, Fate, Transfer, new_id,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "3000".into());
    let client = Client::connect(&address, ClientOptions::default()).await?;
    let account = |id| Account {
        id,
        ledger: 978,
        code: 1,
        ..Account::default()
    };
    client.create_accounts(&[account(1), account(2)]).await?;

    // Handles are cheap to clone, and calls that run at the same time share messages.
    let payers: Vec<_> = (1..=100)
        .map(|amount| tokio::spawn(pay(client.clone(), amount)))
        .collect();
    for payer in payers {
        payer.await??;
    }
    for account in client.lookup_accounts(&[1, 2]).await? {
        let (debits, credits) = (account.debits_posted, account.credits_posted);
        println!("account {}: debits {debits}, credits {credits}", account.id);
    }
    Ok(())
}

async fn pay(client: Client, amount: u128) -> Result<(), CallError> {
    let payment = Transfer {
        id: new_id(),
        debit_account_id: 1,
        credit_account_id: 2,
        amount,
        ledger: 978,
        code: 7,
        ..Transfer::default()
    };
    match client.create_transfers(&[payment]).await {
        Ok(results) if results[0].status == CreateTransferStatus::Created => {}
        Ok(results) => println!("not paid: {}", results[0].status),
        // Nobody knows whether it happened: ask, by its id.
        Err(error) if error.is_unknown() => match client.resolve(&[payment.id]).await?[0] {
            Fate::Done(_) => println!("{amount} was paid after all"),
            Fate::Absent => println!("{amount} was not paid"),
        },
        Err(refused) => return Err(refused),
    }
    Ok(())
}
