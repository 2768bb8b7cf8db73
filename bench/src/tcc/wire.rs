//! The same payments over the wire: tasks that each have one request under way.

use std::time::{Duration, Instant};

use anyhow::ensure;
use giro::tcc::{BranchStatus, ConfirmBranch};
use giro_client::{BranchAnswer, CallError, Client, ClientOptions, Refusal};

use super::{Arguments, Done, Payments, accounts};

pub(super) fn measure(arguments: &Arguments, address: &str) -> anyhow::Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(drive(arguments, address))
}

async fn drive(arguments: &Arguments, address: &str) -> anyhow::Result<Done> {
    let options = ClientOptions {
        deadline: Duration::from_secs(30),
        ..ClientOptions::default()
    };
    let client = Client::connect(address, options).await?;
    for accounts in accounts(arguments.accounts) {
        client.create_accounts(&accounts).await?;
    }
    let start = Instant::now() + Duration::from_secs(arguments.seconds.min(10));
    let end = start + Duration::from_secs(arguments.seconds);
    // Keys of one run must not be those of another.
    let seed = std::time::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
    let tasks = (0..arguments.in_flight as u64).map(|task| {
        let payments = Payments::new(arguments, seed + task);
        tokio::spawn(pay(client.clone(), payments, start, end))
    });
    let tasks: Vec<_> = tasks.collect();
    let mut all = Done::new()?;
    for task in tasks {
        let done = task.await??;
        all.payments += done.payments;
        all.tries.add(done.tries)?;
        all.confirms.add(done.confirms)?;
    }
    Ok(all)
}

async fn pay(
    client: Client,
    mut payments: Payments,
    start: Instant,
    end: Instant,
) -> anyhow::Result<Done> {
    let mut done = Done::new()?;
    while Instant::now() < end {
        let (tries, keys) = payments.next();
        let began = Instant::now();
        check(&patiently(|| client.try_branches(&tries)).await?)?;
        let tried = Instant::now();
        let confirms = keys.into_iter().map(ConfirmBranch::whole).collect();
        let answers = patiently(|| client.confirm_branches(&confirms)).await?;
        check(&answers)?;
        let now = Instant::now();
        if (start..end).contains(&now) {
            let took = |from: Instant, to: Instant| to.duration_since(from).as_micros() as u64;
            done.tries.record(took(began, tried))?;
            done.confirms.record(took(tried, now))?;
            done.payments += answers.len() as u64;
        }
    }
    Ok(done)
}

fn check(answers: &[BranchAnswer]) -> anyhow::Result<()> {
    let all = answers.iter().all(|a| a.status == BranchStatus::Done);
    ensure!(all, "a payment was refused");
    Ok(())
}

/// Asks again while the server has no room, which it says after half a second. The time counts.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    loop {
        match ask().await {
            Err(CallError::Refused(Refusal::Busy(_))) => {}
            answered => return answered,
        }
    }
}
