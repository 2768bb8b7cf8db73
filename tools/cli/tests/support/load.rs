//! Payments to a group while something happens to it, and whether each was made once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use giro_client::{Account, Client, CreateTransferStatus, Transfer, new_id};

use super::trio::Trio;

/// Accounts 1 to this are opened.
pub(crate) const ACCOUNTS: u128 = 4;

pub(crate) async fn open_accounts(client: &Client) {
    let accounts: Vec<Account> = (1..=ACCOUNTS)
        .map(|id| Account {
            id,
            ledger: 1,
            code: 1,
            ..Account::default()
        })
        .collect();
    client.create_accounts(&accounts).await.unwrap();
}

/// Three replicas that run with these flags, and a client that opened the accounts.
pub(crate) async fn running(flags: &[&'static str]) -> (Trio, Client) {
    let mut trio = Trio::format(3);
    trio.flags = flags.to_vec();
    trio.start_all(3);
    trio.leader();
    let client = trio.connect().await;
    open_accounts(&client).await;
    (trio, client)
}

pub(crate) fn payment(number: u64) -> Transfer {
    Transfer {
        id: new_id(),
        debit_account_id: 1 + u128::from(number) % ACCOUNTS,
        credit_account_id: 1 + u128::from(number + 1) % ACCOUNTS,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    }
}

/// Payments one behind the other, until told to stop; every one must succeed.
pub(crate) struct Load {
    pub(crate) stop: Arc<AtomicBool>,
    paid: Arc<AtomicU64>,
    pub(crate) task: tokio::task::JoinHandle<Vec<u128>>,
}

impl Load {
    pub(crate) fn start(client: &Client) -> Self {
        let (stop, paid) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let task = {
            let (client, stop, paid) = (client.clone(), Arc::clone(&stop), Arc::clone(&paid));
            tokio::spawn(async move {
                let mut ids = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let payment = payment(paid.load(Ordering::Relaxed));
                    let results = client.create_transfers(&[payment]).await.unwrap();
                    assert_eq!(results[0].status, CreateTransferStatus::Created);
                    ids.push(payment.id);
                    paid.fetch_add(1, Ordering::Relaxed);
                }
                ids
            })
        };
        Self { stop, paid, task }
    }

    /// Payments acknowledged so far.
    pub(crate) fn paid(&self) -> u64 {
        self.paid.load(Ordering::Relaxed)
    }

    /// Waits until so many more payments were acknowledged.
    pub(crate) async fn more(&self, count: u64) {
        let wanted = self.paid.load(Ordering::Relaxed) + count;
        let waited = async {
            while self.paid.load(Ordering::Relaxed) < wanted && !self.task.is_finished() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waited).await;
        waited.expect("payments go on");
    }

    /// Ends it where what is under way may find no majority.
    pub(crate) async fn stop_and_forget(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.abort();
        let _ = self.task.await;
    }

    /// Ends it; all that was acknowledged is there once. Says how many that is.
    pub(crate) async fn audit(self, client: &Client) -> u64 {
        self.audit_behind(client, 0).await
    }

    /// The same where so many payments were made before it began.
    pub(crate) async fn audit_behind(self, client: &Client, before: u64) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let ids = self.task.await.unwrap();
        for ids in ids.chunks(1000) {
            assert_eq!(client.lookup_transfers(ids).await.unwrap().len(), ids.len());
        }
        let accounts: Vec<u128> = (1..=ACCOUNTS).collect();
        let accounts = client.lookup_accounts(&accounts).await.unwrap();
        let debits: u128 = accounts.iter().map(|account| account.debits_posted).sum();
        let credits: u128 = accounts.iter().map(|account| account.credits_posted).sum();
        assert_eq!(debits, u128::from(before) + ids.len() as u128, "each once");
        assert_eq!(debits, credits);
        ids.len() as u64
    }
}

/// Payments, thousands in a request; all must be made.
pub(crate) async fn pay_many(client: &Client, made: &mut u64) {
    let payments: Vec<Transfer> = (0..8000).map(|n| payment(*made + n)).collect();
    let results = client.create_transfers(&payments).await.unwrap();
    let is_made = |status| status == CreateTransferStatus::Created;
    assert!(results.iter().all(|result| is_made(result.status)));
    *made += 8000;
}

/// Payments, thousands in a request, until the leader's log has given up its beginning: what a
/// replica that was away needs is not there any more.
pub(crate) async fn outgrow(trio: &Trio, client: &Client, leader: usize, made: &mut u64) {
    let log = trio.dir(leader).join("log");
    let is_whole = || log.join(format!("{:016x}.log", 1)).exists();
    let segments = |dir: &Path| {
        let names = std::fs::read_dir(dir).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.contains("spare")).min()
    };
    let first = segments(&log);
    let deadline = Instant::now() + Duration::from_secs(90);
    while segments(&log) == first {
        assert!(Instant::now() < deadline, "{first:?} {}", is_whole());
        pay_many(client, made).await;
    }
}

/// Settings with which a log gives up its beginning soon.
pub(crate) const FORGETFUL: [&str; 3] = [
    "--generation-rows=16384",
    "--log-kept-mib=0",
    "--log-spares=1",
];
