//! A service that is a participant of TCC transactions, with its ledger in its own process:
//! `cargo run --example tcc_service [DIR]`.
//!
//! It pays from one account to another. Each payment is a branch of a global transaction that some
//! coordinator drives. The example plays the coordinator, too: it confirms two payments of three
//! and leaves the third alone, as a crash would. The next start finds those branches open and
//! asks.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use giro::tcc::{BranchKey, ConfirmBranch, Decision, Leg, Open, TryBranch};
use giro::{Account, Error, Ledger, Options, TccParticipant};

const PAYER: u128 = 1;
const SHOP: u128 = 2;

fn main() -> Result<(), Error> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "giro-tcc-service".into());
    let ledger = Ledger::open(&dir, Options::default())?;
    let account = |id| Account {
        id,
        ledger: 978,
        code: 1,
        ..Account::default()
    };
    ledger
        .create_accounts(&[account(PAYER), account(SHOP)])
        .wait()?;
    let giro = TccParticipant::new(ledger);

    // What a run before this one left open. A real service asks its coordinator over the net;
    // this one has decided that every transaction of an earlier run failed.
    let left = giro.settle_open(now(), &mut |branch: &Open| {
        println!("left open: {} {}", branch.key.gid, branch.key.branch_id);
        Decision::Cancel
    })?;
    println!("settled at the start: {left:?}");

    // And while the service runs, branches that are open for a minute are asked about.
    let failed: HashSet<String> = HashSet::new();
    let coordinator = move |branch: &Open| {
        if failed.contains(&branch.key.gid) {
            Decision::Cancel
        } else {
            Decision::Wait
        }
    };
    let (age, every) = (Duration::from_secs(60), Duration::from_secs(5));
    let report = |settled: Result<_, Error>| println!("settled: {settled:?}");
    let watcher = giro.watch(age, every, coordinator, report);
    let _watcher = watcher.map_err(|source| Error::Memory {
        what: "a watcher",
        source,
    })?;

    pay(&giro)?;
    for account in giro.ledger().lookup_accounts(&[PAYER, SHOP]).wait()? {
        println!(
            "account {}: debits {} and {} pending, credits {} and {} pending",
            account.id,
            account.debits_posted,
            account.debits_pending,
            account.credits_posted,
            account.credits_pending
        );
    }
    Ok(())
}

/// Many branches are under way at a time, and share the log's writes.
fn pay(giro: &TccParticipant) -> Result<(), Error> {
    let run = now();
    let payments = (0..9_u128).map(|n| {
        let key = BranchKey::new(format!("payment-{run}-{n}"), "01");
        let leg = Leg {
            debit_account_id: PAYER,
            credit_account_id: SHOP,
            amount: 10 + n,
            ledger: 978,
            code: 7,
            ..Leg::default()
        };
        let branch = TryBranch {
            key: key.clone(),
            timeout: 0,
            legs: [leg].into_iter().collect(),
        };
        (n, key, giro.try_(branch))
    });
    for (n, key, tried) in payments.collect::<Vec<_>>() {
        let answer = tried.wait()?;
        if let Err(refusal) = answer.ok() {
            println!("{}: {refusal}", key.gid);
            continue;
        }
        if n % 3 != 2 {
            let answer = giro.confirm(ConfirmBranch::whole(key)).wait()?;
            println!("payment {n}: {}", answer.status);
        }
    }
    Ok(())
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(1, |now| now.as_nanos() as u64)
}
