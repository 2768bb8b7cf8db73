//! Branches under every order of requests, with repeats and losses, and a crash at every write of
//! the log: a branch ends in exactly one state, money agrees with it, and every answer is that of
//! the table in `docs/reference/tcc.md`.
#![cfg(not(loom))]

#[allow(dead_code)] // The log's tests use all of it.
#[path = "../../log/tests/support/model.rs"]
mod disk;

use std::path::Path;
use std::sync::Arc;

use giro::tcc::{BranchInfo, BranchKey, BranchState, BranchStatus, ConfirmBranch, Leg, TryBranch};
use giro::{Account, Engine, Operation, Options, RequestMeta};
use giro_base::branch::{BranchResult, encode};
use giro_base::checksum;
use giro_base::limits::BODY_BYTES_MAX;
use giro_base::multi_batch::{Body, trailer_bytes, write_trailer};
use giro_log::directory::format_on;
use giro_log::storage::Storage;
use giro_log::{Identity, SEGMENT_BYTES_MIN};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::{FromBytes, IntoBytes};

use disk::{Model, ModelDisk};

const DIR: &str = "/ledger";
/// What each branch moves from account 1 to 2, and from 2 to 3.
const AMOUNTS: [u128; 2] = [10, 4];

/// A ledger on a disk that can crash.
struct Life {
    engine: Engine,
    disk: ModelDisk,
    model: Model,
    now: u64,
}

/// What becomes of a request's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Written, executed; whether the answer arrives makes no difference here.
    Answered,
    /// The machine stops while the write is in flight: it may be there afterwards or not.
    CrashInFlight,
    /// It stops when the write is durable, before anything is executed.
    CrashDurable,
}

impl Life {
    fn new() -> Self {
        let model = Model::default();
        let storage: Arc<dyn Storage> = Arc::new(model.clone());
        let identity = Identity {
            cluster: 3,
            replica: 0,
            replica_count: 1,
            incarnation: 0,
            hash_key: [8, 9],
            segment_bytes: SEGMENT_BYTES_MIN,
        };
        format_on(&storage, Path::new(DIR), &identity).unwrap();
        let mut life = Self::open(model, 0);
        let account = |id| Account {
            id,
            ledger: 1,
            code: 1,
            ..Account::default()
        };
        let accounts = [account(1), account(2), account(3)];
        let payload = accounts.as_bytes();
        let mut body = vec![0; payload.len() + trailer_bytes(1, 128)];
        body[..payload.len()].copy_from_slice(payload);
        write_trailer(&mut body, payload.len(), 128, [3].into_iter());
        life.execute(Operation::CreateAccounts, &body);
        life
    }

    fn open(model: Model, now: u64) -> Self {
        let options = Options {
            accounts_max: 1 << 15,
            transfers_max: 1 << 15,
            buffers: 4,
            sessions_max: 2,
            pin: false,
            generation_rows: 5,
            ..Options::default()
        };
        let storage: Arc<dyn Storage> = Arc::new(model.clone());
        let engine = Engine::open_on(&storage, Path::new(DIR), &options, &mut |_| {});
        Self {
            engine: engine.unwrap(),
            disk: ModelDisk::new(&model),
            model,
            now,
        }
    }

    fn submit(&mut self, operation: Operation, body: &[u8]) {
        let meta = RequestMeta {
            client: 0,
            session: 0,
            request: 0,
            request_checksum: 1,
            checksum_body: checksum(body),
            operation,
            release: 1,
        };
        self.now += 1_000;
        self.engine.submit_copy(self.now, &meta, body);
        self.engine.flush(&mut self.disk).unwrap();
    }

    fn complete(&mut self) {
        while self.disk.in_flight() > 0 {
            let write = self.disk.complete(0);
            self.engine.on_write(write.index, Ok(write.bytes)).unwrap();
        }
    }

    fn execute(&mut self, operation: Operation, body: &[u8]) -> Vec<u8> {
        self.submit(operation, body);
        self.complete();
        let mut answer = Vec::new();
        let more = self
            .engine
            .execute(&mut |reply| answer = reply.body.to_vec());
        assert!(!more.unwrap(), "one op at a time");
        self.engine.settle();
        answer
    }

    /// Sends a request. Its answer if there is one, whether it took effect, and the ledger after
    /// it.
    fn send(mut self, asked: &Asked, fate: Fate, rng: &mut ChaCha8Rng) -> (Self, Vec<u8>, bool) {
        let (operation, body) = asked.encoded();
        if fate == Fate::Answered {
            let answer = self.execute(operation, &body);
            return (self, answer, true);
        }
        let op = self.engine.commit_op();
        self.submit(operation, &body);
        if fate == Fate::CrashDurable {
            self.complete();
        }
        let Self {
            engine,
            disk,
            model,
            now,
        } = self;
        drop((engine, disk));
        let (model, _) = model.crash(rng);
        let life = Self::open(model, now);
        let is_there = life.engine.commit_op() > op;
        assert!(is_there || fate != Fate::CrashDurable, "it was durable");
        (life, Vec::new(), is_there)
    }

    /// Debits and credits, pending and posted, of the three accounts.
    fn money(&self) -> [[u128; 4]; 3] {
        [1, 2, 3].map(|id| {
            let a = self.engine.machine().account(id).unwrap();
            [
                a.debits_pending,
                a.debits_posted,
                a.credits_pending,
                a.credits_posted,
            ]
        })
    }

    fn lookup(&mut self, keys: &Vec<BranchKey>) -> Vec<BranchInfo> {
        let body = encode(keys);
        let body = Body::parse(Operation::LookupBranches, &body).unwrap();
        let mut out = vec![0; BODY_BYTES_MAX];
        let read = self
            .engine
            .read(0, Operation::LookupBranches, &body, &mut out);
        let rows = out[..read.unwrap()].chunks_exact(64);
        rows.map(|row| BranchInfo::read_from_bytes(row).unwrap())
            .collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Try,
    Confirm,
    Cancel,
}

const ALL: [Asks; 3] = [Asks::Try, Asks::Confirm, Asks::Cancel];

#[derive(Clone, Debug)]
struct Asked {
    asks: Asks,
    branches: Vec<usize>,
}

fn key(branch: usize) -> BranchKey {
    BranchKey::new(format!("gid-{branch}"), "01")
}

impl Asked {
    fn one(asks: Asks, branch: usize) -> Self {
        Self {
            asks,
            branches: vec![branch],
        }
    }

    fn encoded(&self) -> (Operation, Vec<u8>) {
        let leg = |debit, amount| Leg {
            debit_account_id: debit,
            credit_account_id: debit + 1,
            amount,
            ledger: 1,
            code: 1,
            ..Leg::default()
        };
        let keys = self.branches.iter().map(|branch| key(*branch));
        match self.asks {
            Asks::Try => {
                let tries = keys.map(|key| TryBranch {
                    key,
                    timeout: 0,
                    legs: [leg(1, AMOUNTS[0]), leg(2, AMOUNTS[1])]
                        .into_iter()
                        .collect(),
                });
                let body = encode(&tries.collect::<Vec<_>>());
                (Operation::TryBranches, body)
            }
            Asks::Confirm => {
                let confirms: Vec<_> = keys.map(ConfirmBranch::whole).collect();
                (Operation::ConfirmBranches, encode(&confirms))
            }
            Asks::Cancel => {
                let keys: Vec<_> = keys.collect();
                (Operation::CancelBranches, encode(&keys))
            }
        }
    }
}

/// The table, for one content: what a request is answered, and where the branch is then.
fn table(state: BranchState, asks: Asks) -> (BranchStatus, BranchState) {
    use BranchState as S;
    use BranchStatus as A;
    match (state, asks) {
        (S::None, Asks::Try) => (A::Done, S::Tried),
        (S::None, Asks::Confirm) => (A::NotTried, S::None),
        (S::None, Asks::Cancel) => (A::Done, S::Suspended),
        (S::Tried, Asks::Try) => (A::DoneBefore, S::Tried),
        (S::Tried, Asks::Confirm) => (A::Done, S::Confirmed),
        (S::Tried, Asks::Cancel) => (A::Done, S::Cancelled),
        (S::Confirmed, Asks::Try | Asks::Confirm) => (A::DoneBefore, S::Confirmed),
        (S::Confirmed, Asks::Cancel) => (A::Confirmed, S::Confirmed),
        (S::Cancelled, Asks::Try | Asks::Confirm) => (A::Cancelled, S::Cancelled),
        (S::Cancelled, Asks::Cancel) => (A::DoneBefore, S::Cancelled),
        (S::Suspended, Asks::Try | Asks::Confirm) => (A::Suspended, S::Suspended),
        (S::Suspended, Asks::Cancel) => (A::DoneBefore, S::Suspended),
        (S::Expired | S::IdTaken, _) => unreachable!("neither happens here"),
    }
}

/// What accounts have when branches are in these states.
fn expected_money(states: &[BranchState]) -> [[u128; 4]; 3] {
    let mut money = [[0; 4]; 3];
    for state in states {
        let place = match state {
            BranchState::Tried => 0,
            BranchState::Confirmed => 1,
            _ => continue,
        };
        for (leg, amount) in AMOUNTS.into_iter().enumerate() {
            money[leg][place] += amount;
            money[leg + 1][2 + place] += amount;
        }
    }
    money
}

/// Sends a request and checks its answers against the table, where it took effect.
fn step(
    life: Life,
    states: &mut [BranchState],
    asked: &Asked,
    fate: Fate,
    rng: &mut ChaCha8Rng,
) -> Life {
    let (life, answer, took_effect) = life.send(asked, fate, rng);
    if took_effect {
        let mut answers = answer.chunks_exact(16);
        for branch in &asked.branches {
            let (status, next) = table(states[*branch], asked.asks);
            states[*branch] = next;
            if let Some(answer) = answers.next() {
                let answer = BranchResult::read_from_bytes(answer).unwrap();
                assert_eq!(answer.status, u16::from(status), "{asked:?} {fate:?}");
            }
        }
    }
    life
}

fn check(life: &mut Life, states: &[BranchState]) {
    assert_eq!(life.money(), expected_money(states));
    let keys = (0..states.len()).map(key).collect();
    let found = life.lookup(&keys);
    let found: Vec<u8> = found.iter().map(|info| info.state).collect();
    let expected: Vec<u8> = states.iter().map(|state| u8::from(*state)).collect();
    assert_eq!(found, expected);
}

/// All orders of up to `LENGTH` requests about one branch of two legs, so with every repeat, loss
/// and overtaking among them, and every choice of what becomes of each write.
#[test]
fn every_order_of_requests_and_every_crash_ends_in_one_state() {
    const LENGTH: u32 = 4;
    let fates = [Fate::Answered, Fate::CrashInFlight, Fate::CrashDurable];
    let choices = ALL.len() * fates.len();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut ends = [0_u32; 5];
    let Life { model, now, .. } = Life::new();
    for sequence in 0..choices.pow(LENGTH) {
        let mut life = Life::open(model.copy(), now);
        let mut states = [BranchState::None];
        let mut rest = sequence;
        for _ in 0..LENGTH {
            let (asks, fate) = (ALL[rest % 3], fates[rest / 3 % 3]);
            rest /= choices;
            life = step(life, &mut states, &Asked::one(asks, 0), fate, &mut rng);
            check(&mut life, &states);
        }
        ends[u8::from(states[0]) as usize] += 1;
    }
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}

/// Thousands of branches whose requests are repeated, lost and overtake each other, with crashes.
#[test]
fn thousands_of_branches_each_end_in_one_state() {
    const BRANCHES: usize = 2_000;
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut life = Life::new();
    let mut states = vec![BranchState::None; BRANCHES];
    for round in 0..400 {
        let count = rng.random_range(1..100);
        // Old ones come up again long after they have left memory.
        let newest = BRANCHES.min(20 + round * 6);
        let branches = (0..count).map(|_| rng.random_range(0..newest)).collect();
        let asks = ALL[rng.random_range(0..10) / 4];
        let fate = match rng.random_range(0..40) {
            0 => Fate::CrashInFlight,
            1 => Fate::CrashDurable,
            _ => Fate::Answered,
        };
        let asked = Asked { asks, branches };
        life = step(life, &mut states, &asked, fate, &mut rng);
        if round % 20 == 19 {
            check(&mut life, &states);
        }
    }
    // Their coordinators decide at last, and nothing is left open.
    for (start, asks) in [(0, Asks::Confirm), (1, Asks::Cancel)] {
        let branches: Vec<usize> = (start..BRANCHES).step_by(2).collect();
        let asked = Asked { asks, branches };
        life = step(life, &mut states, &asked, Fate::Answered, &mut rng);
    }
    assert!(!states.contains(&BranchState::Tried));
    check(&mut life, &states);
    assert!(life.engine.machine().tables().branches.is_empty());
}
