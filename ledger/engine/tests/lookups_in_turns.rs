//! Lookups of transfers and branches that are worked on in turns, with operations in between and
//! generations that leave memory meanwhile: the answer is what an engine that keeps all in memory
//! gave as the lookup began.
#![cfg(not(loom))]

#[allow(dead_code)]
#[path = "../../core/tests/oracle/generate/mod.rs"]
mod generate;
#[allow(dead_code)]
#[path = "reads_in_turns/life.rs"]
mod life;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/model/mod.rs"]
mod model;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/request.rs"]
mod request;

use giro::{Engine, Operation, ReadTurn, Transfer};
use giro_base::branch::{BranchInfo, BranchKey, encode};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::FromBytes;

use generate::Generator;
use life::{Life, Query, archived, options};
use model::Model;
use request::{Action, BranchRequests, Form, body};

/// What was asked for so far, whatever came of it.
#[derive(Default)]
struct Asked {
    transfers: Vec<u128>,
    branches: Vec<BranchKey>,
}

impl Asked {
    fn note(&mut self, action: &Action) {
        match action {
            Action::CreateTransfers(_, batches) => {
                let transfers = batches.iter().flatten();
                self.transfers.extend(transfers.map(|transfer| transfer.id));
            }
            Action::Branches(asked) => {
                let keys = (0..asked.len()).map(|branch| asked.key(branch).clone());
                self.branches.extend(keys);
            }
            _ => {}
        }
    }

    /// Some of it, old and new, and ids that come later.
    fn lookup(&self, rng: &mut ChaCha8Rng) -> Query {
        let count = [1, 8, 60, 300][rng.random_range(0..4)];
        if rng.random_bool(0.5) && !self.branches.is_empty() {
            let keys =
                (0..count).map(|_| self.branches[rng.random_range(0..self.branches.len())].clone());
            return Query::of_body(
                Operation::LookupBranches,
                &encode(&keys.collect::<Vec<_>>()),
            );
        }
        let id = |rng: &mut ChaCha8Rng| match rng.random_range(0..10) {
            0 => rng.random_range(1..1 << 20),
            _ if self.transfers.is_empty() => 7,
            _ => self.transfers[rng.random_range(0..self.transfers.len())],
        };
        let ids: Vec<u128> = (0..count).map(|_| id(rng)).collect();
        let (front, back) = ids.split_at(rng.random_range(0..=ids.len()));
        let batches = [front.to_vec(), back.to_vec()];
        Query::of_body(Operation::LookupTransfers, &body(Form::Sparse, &batches))
    }
}

/// What came of the lookups of a run.
#[derive(Debug, Default)]
struct Seen {
    transfers: usize,
    transfers_in_turns: usize,
    branches: usize,
    branches_in_turns: usize,
    /// Settled ones of several legs.
    long: usize,
}

impl Seen {
    fn note(&mut self, lookup: &Query, found: &[u8], is_slow: bool) {
        if lookup.operation == Operation::LookupTransfers {
            self.transfers += found.len() / size_of::<Transfer>();
            self.transfers_in_turns += usize::from(is_slow);
            return;
        }
        self.branches += 1;
        self.branches_in_turns += usize::from(is_slow);
        let infos = found.chunks_exact(size_of::<BranchInfo>());
        let infos = infos.map(|info| BranchInfo::read_from_bytes(info).unwrap());
        self.long += infos
            .filter(|info| info.settled_at > 0 && info.legs > 2)
            .count();
    }
}

fn check_seed(seed: u64, seen: &mut Seen) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut plain, mut turned) = (
        Life::new(Engine::in_memory(&options(false, 1)).unwrap()),
        Life::new(archived(dir.path(), [40, 150, 1000][seed as usize % 3])),
    );
    turned.engine.set_read_turn(ReadTurn {
        pages: rng.random_range(1..6),
        rows: rng.random_range(1..60),
    });
    let mut generator = Generator::new(seed, false);
    let (mut state, mut asked) = (Model::default(), Asked::default());
    // Key, lookup, what it must come to, and whether it took more than a turn.
    let mut waiting: Vec<(u128, Query, Vec<u8>, bool)> = Vec::new();
    let (mut events, mut key) = (0, 0);
    while events < 5_000 || !waiting.is_empty() {
        let goes_on = events < 5_000 && turned.engine.can_submit(1 << 16);
        if goes_on {
            let request = generator.next(state.state());
            state.execute(&request);
            let (operation, body) = match &request.action {
                Action::CreateAccounts(form, batches) => (form.accounts(), body(*form, batches)),
                Action::CreateTransfers(form, batches) => (form.transfers(), body(*form, batches)),
                Action::Branches(asked) => (asked.operation(), asked.body()),
                Action::Pulse => (Operation::Pulse, Vec::new()),
                _ => continue,
            };
            asked.note(&request.action);
            events += request.event_count().max(1);
            plain.execute(request.timestamp, operation, &body);
            turned.execute(request.timestamp, operation, &body);
        } else {
            turned.engine.flush(&mut turned.disk).unwrap();
        }
        // More would not be begun at once, and show what they find then.
        if goes_on && waiting.len() < 12 && rng.random_bool(0.5) {
            let lookup = asked.lookup(&mut rng);
            let expected = plain.read(0, &lookup);
            key += 1;
            waiting.push((key, lookup, expected, false));
        }
        for place in (0..waiting.len()).rev() {
            let (key, lookup, expected, is_slow) = &mut waiting[place];
            if !turned.prepare(*key, lookup) {
                *is_slow = true;
                continue;
            }
            let found = turned.read(*key, lookup);
            let operation = lookup.operation;
            assert!(
                found == *expected,
                "seed {seed} key {key} {operation:?} in turns: {is_slow}"
            );
            seen.note(lookup, &found, *is_slow);
            waiting.remove(place);
        }
    }
}

#[test]
fn a_lookup_in_turns_shows_the_ledger_as_it_began() {
    let mut seen = Seen::default();
    for seed in 0..9 {
        check_seed(seed, &mut seen);
    }
    println!("{seen:?}");
    assert!(seen.transfers > 1000 && seen.branches > 50, "{seen:?}");
    assert!(seen.transfers_in_turns > 50, "{seen:?}");
    assert!(seen.branches_in_turns > 20 && seen.long > 20, "{seen:?}");
}

/// Each branch's further legs were asked for by themselves, one branch after the other.
#[test]
fn legs_of_many_settled_branches_are_looked_up_together() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut life = Life::new(archived(dir.path(), 100));
    let mut keys = settled_branches(&mut life, 400);
    keys.reverse();
    life.engine.set_read_turn(ReadTurn {
        pages: 1,
        rows: usize::MAX,
    });
    let lookup = Query::of_body(Operation::LookupBranches, &encode(&keys));
    let mut turns = 1;
    while !life.prepare(1, &lookup) {
        life.engine.flush(&mut life.disk).unwrap();
        turns += 1;
    }
    // Three probes of each, and one further leg: some hundred ids a turn.
    assert!((5..=10).contains(&turns), "{turns} turns");
    let found = life.read(1, &lookup);
    let infos = found.chunks_exact(size_of::<BranchInfo>());
    let infos: Vec<_> = infos
        .map(|info| BranchInfo::read_from_bytes(info).unwrap())
        .collect();
    assert_eq!(infos.len(), 400);
    assert!(
        infos
            .iter()
            .all(|info| info.legs == 2 && info.settled_at > 0)
    );
}

/// Branches of two legs that were tried and confirmed, and have left memory.
fn settled_branches(life: &mut Life, count: usize) -> Vec<BranchKey> {
    use giro_base::branch::{ConfirmBranch, Leg, TryBranch};

    let account = |id| giro::Account {
        id,
        ledger: 1,
        code: 1,
        ..giro::Account::default()
    };
    let accounts = vec![account(1), account(2)];
    let mut now = 1_000_000_000;
    let mut execute = |operation, body: &[u8]| {
        now += 1_000_000;
        while !life.engine.can_submit(body.len()) {
            life.engine.flush(&mut life.disk).unwrap();
        }
        life.execute(now, operation, body);
    };
    execute(Operation::CreateAccounts, &body(Form::Dense, &[accounts]));
    let leg = || Leg {
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Leg::default()
    };
    let key = |branch: usize| BranchKey::new(format!("gid-{branch}"), "01");
    let keys: Vec<BranchKey> = (0..count).map(key).collect();
    for keys in keys.chunks(20) {
        let tries = keys.iter().map(|key| TryBranch {
            key: key.clone(),
            timeout: 100,
            legs: [leg(), leg()].into_iter().collect(),
        });
        let tries = BranchRequests::Try(tries.collect());
        execute(tries.operation(), &tries.body());
        let confirms = keys.iter().cloned().map(ConfirmBranch::whole);
        let confirms = BranchRequests::Confirm(confirms.collect());
        execute(confirms.operation(), &confirms.body());
    }
    while life.engine.machine().tables().window.sealed_count() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        life.engine.flush(&mut life.disk).unwrap();
    }
    keys
}
