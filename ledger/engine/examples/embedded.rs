//! A service that keeps its own ledger: `cargo run --example embedded [DIR]`.

use giro::{Account, Ledger, Options, Transfer};

fn main() -> Result<(), giro::Error> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "giro-embedded".into());
    let ledger = Ledger::open(&dir, Options::default())?;

    let account = |id| Account {
        id,
        ledger: 978,
        code: 1,
        ..Account::default()
    };
    ledger.create_accounts(&[account(1), account(2)]).wait()?;

    // Handles are cheap to clone, and requests of all threads share the log's writes.
    let payers: Vec<_> = (0..4_u128)
        .map(|thread| {
            let ledger = ledger.clone();
            std::thread::spawn(move || {
                let id = std::time::UNIX_EPOCH
                    .elapsed()
                    .map_or(1, |now| now.as_nanos())
                    + thread;
                let (debit_account_id, credit_account_id) = (1, 2);
                let payment = Transfer {
                    id,
                    debit_account_id,
                    credit_account_id,
                    amount: 10,
                    ledger: 978,
                    code: 7,
                    ..Transfer::default()
                };
                ledger.create_transfers(&[payment]).wait()
            })
        })
        .collect();
    for payer in payers {
        println!("{:?}", payer.join().expect("the payer's thread")?);
    }
    for account in ledger.lookup_accounts(&[1, 2]).wait()? {
        println!(
            "account {}: debits {}, credits {}",
            account.id, account.debits_posted, account.credits_posted
        );
    }
    Ok(())
}
