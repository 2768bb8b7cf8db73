//! Named cases where rules meet. Each says what every event must answer; the model must agree,
//! and so must the engine on every number of shards.

mod branch_defects;
mod branches;
mod chains;
mod imports;
mod limits;
mod repeats;
mod two_phase;

use giro_base::{Account, Transfer};

use crate::archived;
use crate::differential::replay;
use crate::inline;
use crate::model::{Model, State};
use crate::request::{Action, BranchRequests, Form, Request};

const CREATED: u32 = 0xFFFF_FFFF;
const LINKED: u16 = 1;
const PENDING: u16 = 2;
const POST: u16 = 4;
const VOID: u16 = 8;
const BALANCING_DEBIT: u16 = 16;
const CLOSING_DEBIT: u16 = 64;
const CLOSING_CREDIT: u16 = 128;
const IMPORTED: u16 = 256;
const SECOND: u64 = 1_000_000_000;

/// A case as it is told: requests one after the other.
struct Case {
    model: Model,
    requests: Vec<Request>,
    clock: u64,
}

impl Case {
    /// A ledger with accounts 1 to 4 of ledger 1, made at 1 to 4 ns.
    fn new() -> Self {
        let mut case = Self::empty(0);
        case.accounts(
            &[account(1), account(2), account(3), account(4)],
            &[CREATED; 4],
        );
        case
    }

    /// A ledger with nothing in it, whose last timestamp was `clock`.
    fn empty(clock: u64) -> Self {
        Self {
            model: Model::default(),
            requests: Vec::new(),
            clock,
        }
    }

    fn accounts(&mut self, accounts: &[Account], statuses: &[u32]) {
        let action = Action::CreateAccounts(Form::Dense, vec![accounts.to_vec()]);
        assert_eq!(self.execute(accounts.len(), action), statuses);
    }

    fn transfers(&mut self, transfers: &[Transfer], statuses: &[u32]) {
        self.batches(&[transfers], statuses);
    }

    fn batches(&mut self, batches: &[&[Transfer]], statuses: &[u32]) {
        let batches: Vec<_> = batches.iter().map(|batch| batch.to_vec()).collect();
        let action = Action::CreateTransfers(Form::Dense, batches);
        assert_eq!(self.execute(statuses.len(), action), statuses);
    }

    fn pulse(&mut self) {
        self.execute(8190, Action::Pulse);
    }

    /// Asks about branches; what each is answered, without its timestamp.
    fn ask(&mut self, asked: BranchRequests, expected: &[(u16, u16, u32)]) -> Vec<u64> {
        let ticks = asked.ticks();
        self.clock += ticks as u64;
        self.requests.push(Request {
            timestamp: self.clock,
            action: Action::Branches(asked),
        });
        let request = self.requests.last().expect("just pushed");
        let answer = self.model.execute(request);
        let got = answer.branches.iter();
        let got: Vec<_> = got.map(|o| (o.status, o.leg, o.leg_status)).collect();
        assert_eq!(got, expected, "{request:?}");
        answer.branches.iter().map(|o| o.timestamp).collect()
    }

    /// Moves the clock on.
    fn wait(&mut self, ns: u64) {
        self.clock += ns;
    }

    fn execute(&mut self, timestamps: usize, action: Action) -> Vec<u32> {
        self.clock += timestamps as u64;
        self.requests.push(Request {
            timestamp: self.clock,
            action,
        });
        let answer = self
            .model
            .execute(self.requests.last().expect("just pushed"));
        let outcomes = answer.outcomes.iter().flatten();
        outcomes.map(|outcome| outcome.status).collect()
    }

    /// What the model has.
    fn state(&self) -> &State {
        self.model.state()
    }

    /// Debits pending and posted, credits pending and posted.
    fn balances(&self, account: u128) -> [u128; 4] {
        let a = self.state().account(account).expect("it was created");
        [
            a.debits_pending,
            a.debits_posted,
            a.credits_pending,
            a.credits_posted,
        ]
    }

    /// Tells the same to engines.
    fn check(&self) {
        for shards in [1, 2, 3, 8] {
            let maker = inline::maker(shards);
            if let Err(difference) = replay(&self.requests, &maker) {
                panic!("{}: {difference}", maker.name);
            }
        }
    }
}

impl Case {
    /// Tells the same to engines whose past leaves memory at once, too.
    fn check_everywhere(&self) {
        self.check();
        for maker in [archived::maker(1, 1), archived::maker(3, 2)] {
            if let Err(difference) = replay(&self.requests, &maker) {
                panic!("{}: {difference}", maker.name);
            }
        }
    }
}

fn account(id: u128) -> Account {
    Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    }
}

/// A transfer of 10 from account 1 to account 2.
fn transfer(id: u128, flags: u16) -> Transfer {
    Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 10,
        ledger: 1,
        code: 1,
        flags,
        ..Transfer::default()
    }
}

/// A post or void of all of a pending transfer.
fn resolve(id: u128, pending_id: u128, flags: u16) -> Transfer {
    Transfer {
        id,
        pending_id,
        amount: if flags & POST != 0 { u128::MAX } else { 0 },
        flags,
        ..Transfer::default()
    }
}
