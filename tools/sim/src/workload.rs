//! What clients ask for: few accounts, so that payments depend on one another.

use giro_base::{Account, AccountFlags, Operation, Transfer, TransferFlags};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use zerocopy::IntoBytes;

/// Accounts of customers; odd ones may not overdraw.
pub const CUSTOMERS: u128 = 6;
/// The account that money comes from.
pub const BANK: u128 = 100;

/// What a client asks.
#[derive(Clone, Debug)]
pub struct Request {
    /// The operation.
    pub operation: Operation,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// Whether it goes through the log.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.operation != Operation::LookupAccountsUnbatched
    }
}

/// All ids of accounts.
pub fn accounts() -> impl Iterator<Item = u128> {
    (1..=CUSTOMERS).chain([BANK])
}

/// Every client creates the same accounts; the first one does.
#[must_use]
pub fn create_accounts() -> Request {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        flags: if id % 2 == 1 {
            AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS
        } else {
            0
        },
        ..Account::default()
    };
    let accounts: Vec<Account> = accounts().map(account).collect();
    Request {
        operation: Operation::CreateAccountsUnbatched,
        body: accounts.as_bytes().to_vec(),
    }
}

/// Balances of all accounts.
#[must_use]
pub fn look() -> Request {
    let ids: Vec<u128> = accounts().collect();
    Request {
        operation: Operation::LookupAccountsUnbatched,
        body: ids.as_bytes().to_vec(),
    }
}

/// One client's payments.
pub struct Payments {
    next: u128,
    client: u128,
    /// Pending transfers that this client made.
    pendings: Vec<u128>,
    /// The share of large batches.
    pub large: f64,
}

impl Payments {
    /// Payments with ids of this client's own.
    #[must_use]
    pub fn new(client: u128) -> Self {
        Self {
            next: 1,
            client,
            pendings: Vec::new(),
            large: 0.03,
        }
    }

    /// The next batch.
    pub fn next(&mut self, rng: &mut ChaCha8Rng) -> Request {
        let count = if rng.random_bool(self.large) {
            rng.random_range(30..300)
        } else {
            rng.random_range(1..5)
        };
        let transfers: Vec<Transfer> = (0..count).map(|_| self.transfer(rng)).collect();
        Request {
            operation: Operation::CreateTransfersUnbatched,
            body: transfers.as_bytes().to_vec(),
        }
    }

    fn transfer(&mut self, rng: &mut ChaCha8Rng) -> Transfer {
        let id = self.client << 32 | self.next;
        self.next += 1;
        let end = rng.random_bool(0.2);
        if end && !self.pendings.is_empty() {
            // Sometimes one that was ended before.
            let pending_id = self.pendings[rng.random_range(0..self.pendings.len())];
            let flags = if rng.random_bool(0.5) {
                TransferFlags::POST_PENDING_TRANSFER
            } else {
                TransferFlags::VOID_PENDING_TRANSFER
            };
            let amount = if flags == TransferFlags::POST_PENDING_TRANSFER {
                u128::MAX
            } else {
                0
            };
            return Transfer {
                id,
                pending_id,
                flags,
                amount,
                ..Transfer::default()
            };
        }
        let from_bank = rng.random_bool(0.3);
        let debit = if from_bank {
            BANK
        } else {
            rng.random_range(1..=CUSTOMERS)
        };
        let others: Vec<u128> = accounts().filter(|id| *id != debit).collect();
        let credit = others[rng.random_range(0..others.len())];
        let is_pending = rng.random_bool(0.2);
        if is_pending {
            self.pendings.push(id);
        }
        Transfer {
            id,
            debit_account_id: debit,
            credit_account_id: credit,
            amount: rng.random_range(1..100),
            ledger: 1,
            code: 1,
            flags: if is_pending {
                TransferFlags::PENDING
            } else {
                0
            },
            timeout: if is_pending {
                rng.random_range(0..4)
            } else {
                0
            },
            ..Transfer::default()
        }
    }
}
