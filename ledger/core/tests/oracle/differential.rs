//! The same requests to the model and to engines, and every difference found.

use std::collections::BTreeMap;

use giro_base::branch::{Branches, OpenBranch, OpenBranchesFilter};
use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::filter::QueryFilter;
use giro_base::limits::CREATE_REPLY_BYTES_MAX;
use giro_base::operation::{Kind, Operation};
use giro_base::{Account, Transfer};
use giro_core::branches::Expanded;
use giro_core::changes::ChangesQuery;
use giro_core::{Batch, StateMachine};
use zerocopy::{FromBytes, IntoBytes};

use crate::generate::Generator;
use crate::model::{Answer, Model, Phase};
use crate::request::{Action, Request, body};
use crate::shrink;

/// An engine under test.
pub(crate) trait Subject {
    /// Executes a create operation and returns the length of the reply in `out`.
    fn create(&mut self, batch: &Batch<'_>, out: &mut [u8]) -> usize;
    /// Executes an operation on branches with a valid body, as [`Self::create`].
    fn branches(
        &mut self,
        operation: Operation,
        timestamp: u64,
        body: &[u8],
        out: &mut [u8],
    ) -> usize {
        let branches = Branches::parse(operation.kind(), body).expect("the body is valid");
        let mut expanded = Expanded::default();
        self.machine().expand(&branches, &mut expanded);
        let batch = Batch::of_branches(operation, timestamp, body, (branches, &expanded));
        self.create(&batch, out)
    }
    /// Expires what is due.
    fn expire(&mut self, timestamp: u64);
    /// Its state.
    fn machine(&self) -> &StateMachine;
    /// Whether it answers queries of transfers.
    fn answers_queries(&self) -> bool {
        true
    }
    /// Writes the rows of transfers that a request asks for to `out` and returns how many.
    fn read(&mut self, wanted: &Wanted<'_>, out: &mut [u8]) -> usize {
        let machine = self.machine();
        match *wanted {
            Wanted::Ids(ids) => machine.lookup_transfers(ids, out),
            Wanted::AccountTransfers(filter, max) => machine.account_transfers(filter, max, out),
            Wanted::QueryTransfers(filter, max) => machine.query_transfers(filter, max, out),
            Wanted::Changes(kind, filter, max) => ChangesQuery::parse(kind, filter, max)
                .map_or(0, |query| machine.change_events(&query, out)),
        }
    }
}

/// A read of transfers or changes: ids or a filter as bytes, and the most rows.
pub(crate) enum Wanted<'a> {
    Ids(&'a [u8]),
    AccountTransfers(&'a [u8], usize),
    QueryTransfers(&'a [u8], usize),
    Changes(Kind, &'a [u8], usize),
}

/// Makes an engine with nothing in it.
pub(crate) struct Maker {
    pub(crate) name: String,
    pub(crate) make: Box<dyn Fn() -> Box<dyn Subject>>,
}

/// How much to run.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) seed: u64,
    pub(crate) events: usize,
    /// Events after which the next seed begins.
    pub(crate) events_per_seed: usize,
    pub(crate) is_large: bool,
}

/// Requests between two comparisons of the whole state.
const REQUESTS_PER_FULL_CHECK: usize = 50;

impl Budget {
    /// These sizes, unless the environment (`GIRO_ORACLE_EVENTS`, `GIRO_ORACLE_SEED`) says else.
    pub(crate) fn or_from_environment(mut self) -> Self {
        let read = |name: &str| -> Option<u64> {
            let value = std::env::var(name).ok()?;
            let value = value.replace('_', "");
            Some(value.parse().expect("a number of events or a seed"))
        };
        if let Some(events) = read("GIRO_ORACLE_EVENTS") {
            self.events = events as usize;
        }
        if let Some(seed) = read("GIRO_ORACLE_SEED") {
            self.seed = seed;
        }
        self
    }
}

/// Runs one seed after the other until the budget is used up; hands every answer of the model to
/// `seen`. Panics with the seed and a small case when an engine differs.
pub(crate) fn run(budget: Budget, makers: &[Maker], mut seen: impl FnMut(&Request, &Answer)) {
    let mut events = 0;
    let mut seed = budget.seed;
    while events < budget.events {
        events += run_seed(seed, budget, makers, &mut seen);
        seed += 1;
    }
    println!(
        "{events} events of seeds {}..{seed} on {} engines: no difference",
        budget.seed,
        makers.len()
    );
}

fn run_seed(
    seed: u64,
    budget: Budget,
    makers: &[Maker],
    seen: &mut impl FnMut(&Request, &Answer),
) -> usize {
    let mut generator = Generator::new(seed, budget.is_large);
    let mut model = Model::default();
    let mut pairs: Vec<Pair> = makers
        .iter()
        .map(|maker| Pair::new((maker.make)()))
        .collect();
    let mut requests = Vec::new();
    let mut events = 0;
    while events < budget.events_per_seed && requests.len() < budget.events_per_seed {
        let request = generator.next(model.state());
        let answer = model.execute(&request);
        seen(&request, &answer);
        events += request.event_count();
        requests.push(request);
        let request = requests.last().expect("just pushed");
        let is_full = requests.len().is_multiple_of(REQUESTS_PER_FULL_CHECK);
        for (pair, maker) in pairs.iter_mut().zip(makers) {
            let checked = shrink::without_panic(|| {
                pair.step(request, &answer, &model)?;
                if is_full {
                    pair.compare_all(&model)
                } else {
                    Ok(())
                }
            });
            if let Err(difference) = checked {
                shrink::report(seed, maker, &requests, &difference);
            }
        }
    }
    for (pair, maker) in pairs.iter_mut().zip(makers) {
        if let Err(difference) = pair.compare_all(&model) {
            shrink::report(seed, maker, &requests, &difference);
        }
    }
    events
}

/// Runs these requests on a new model and a new engine; the first difference, if any.
pub(crate) fn replay(requests: &[Request], maker: &Maker) -> Result<(), String> {
    let mut model = Model::default();
    let mut pair = Pair::new((maker.make)());
    for (i, request) in requests.iter().enumerate() {
        let answer = model.execute(request);
        pair.step(request, &answer, &model)
            .map_err(|difference| format!("request {i}: {difference}"))?;
    }
    pair.compare_all(&model)
}

/// An engine, and memory for its replies.
pub(crate) struct Pair {
    engine: Box<dyn Subject>,
    out: Vec<u8>,
}

impl Pair {
    pub(crate) fn new(engine: Box<dyn Subject>) -> Self {
        Self {
            engine,
            out: vec![0; CREATE_REPLY_BYTES_MAX],
        }
    }

    /// Executes the request and compares with what the model, which has executed it, says.
    pub(crate) fn step(
        &mut self,
        request: &Request,
        answer: &Answer,
        model: &Model,
    ) -> Result<(), String> {
        let is_skipped = !self.engine.answers_queries() && request.action.reads_transfers();
        if is_skipped {
            return Ok(());
        }
        let reply = self.execute(request);
        if reply != answer.reply {
            return Err(describe(request, answer, &reply));
        }
        let machine = self.engine.machine();
        equal("digest", machine.digest().value(), model.digest())?;
        let due = model.state().due().first().map(|(at, ..)| *at);
        if let Some(due) = due
            && machine.next_expiry().is_none_or(|next| next > due)
        {
            let next = machine.next_expiry();
            return Err(format!("next expiry is {next:?}, but {due} is due"));
        }
        Ok(())
    }

    fn execute(&mut self, request: &Request) -> Vec<u8> {
        let timestamp = request.timestamp;
        match &request.action {
            Action::CreateAccounts(form, batches) => {
                self.create(form.accounts(), timestamp, &body(*form, batches))
            }
            Action::CreateTransfers(form, batches) => {
                self.create(form.transfers(), timestamp, &body(*form, batches))
            }
            Action::Branches(asked) => {
                let (operation, body) = (asked.operation(), asked.body());
                let engine = &mut self.engine;
                let len = engine.branches(operation, timestamp, &body, &mut self.out);
                self.out[..len].to_vec()
            }
            Action::Pulse => {
                self.engine.expire(timestamp);
                Vec::new()
            }
            Action::LookupAccounts(ids) => self.read(ids.len(), |machine, out| {
                machine.lookup_accounts(ids.as_bytes(), out)
            }),
            Action::LookupTransfers(ids) => {
                self.read_transfers(ids.len(), &Wanted::Ids(ids.as_bytes()))
            }
            Action::AccountTransfers(filter, max) => {
                let wanted = Wanted::AccountTransfers(filter.as_bytes(), *max);
                self.read_transfers(*max, &wanted)
            }
            Action::QueryAccounts(filter, max) => self.read(*max, |machine, out| {
                machine.query_accounts(filter.as_bytes(), *max, out)
            }),
            Action::QueryTransfers(filter, max) => {
                let wanted = Wanted::QueryTransfers(filter.as_bytes(), *max);
                self.read_transfers(*max, &wanted)
            }
            Action::ChangeEvents(filter, max) => {
                self.read_changes(Kind::GetChangeEvents, filter.as_bytes(), *max)
            }
            Action::ChangesAfter(filter, max) => {
                self.read_changes(Kind::GetChangesAfter, filter.as_bytes(), *max)
            }
        }
    }

    fn create(&mut self, operation: Operation, timestamp: u64, body: &[u8]) -> Vec<u8> {
        // Events are read in place and need the alignment of their ids.
        let mut aligned = vec![0_u128; body.len().div_ceil(16)];
        let bytes = &mut aligned.as_mut_bytes()[..body.len()];
        bytes.copy_from_slice(body);
        let batch = Batch::parse(operation, timestamp, bytes).expect("the body is valid");
        let len = self.engine.create(&batch, &mut self.out);
        self.out[..len].to_vec()
    }

    fn read_transfers(&mut self, rows: usize, wanted: &Wanted<'_>) -> Vec<u8> {
        let mut out = vec![0; rows * 128];
        let count = self.engine.read(wanted, &mut out);
        out.truncate(count * 128);
        out
    }

    fn read_changes(&mut self, kind: Kind, filter: &[u8], rows: usize) -> Vec<u8> {
        let mut out = vec![0; rows * 384];
        let count = self
            .engine
            .read(&Wanted::Changes(kind, filter, rows), &mut out);
        out.truncate(count * 384);
        out
    }

    fn read(&self, rows: usize, query: impl Fn(&StateMachine, &mut [u8]) -> usize) -> Vec<u8> {
        let mut out = vec![0; rows * 128];
        let count = query(self.engine.machine(), &mut out);
        out.truncate(count * 128);
        out
    }

    /// Compares every account and every transfer, and counts the money.
    pub(crate) fn compare_all(&mut self, model: &Model) -> Result<(), String> {
        let state = model.state();
        let machine = self.engine.machine();
        let all = QueryFilter {
            limit: u32::MAX,
            ..QueryFilter::read_from_bytes(&[0; 64]).expect("all bytes are a filter")
        };
        let max = state.accounts().len() + 1;
        let accounts = self.read(max, |m, out| m.query_accounts(all.as_bytes(), max, out));
        let accounts = <[Account]>::ref_from_bytes(&accounts)
            .expect("whole rows")
            .to_vec();
        let expected = state.account_times().values();
        equal(
            "accounts",
            accounts.iter().map(|a| a.id).collect(),
            expected.copied().collect::<Vec<_>>(),
        )?;
        open_branches(machine, model)?;
        for account in &accounts {
            equal("account", Some(*account), state.account(account.id))?;
            equal("account by id", machine.account(account.id), Some(*account))?;
        }
        if !self.engine.answers_queries() {
            return conserved(&accounts);
        }
        let max = state.transfers().len() + 1;
        let transfers = self.read_transfers(max, &Wanted::QueryTransfers(all.as_bytes(), max));
        let transfers = <[Transfer]>::ref_from_bytes(&transfers)
            .expect("whole rows")
            .to_vec();
        let expected = state.transfer_times().values();
        equal(
            "transfers",
            transfers.iter().map(|t| t.id).collect(),
            expected.copied().collect::<Vec<_>>(),
        )?;
        for transfer in &transfers {
            equal("transfer", Some(*transfer), state.transfer(transfer.id))?;
        }
        let ids: Vec<u128> = transfers.iter().map(|transfer| transfer.id).collect();
        let by_id = self.read_transfers(ids.len(), &Wanted::Ids(ids.as_bytes()));
        let by_id = by_id.chunks(128).map(Transfer::read_from_bytes);
        let by_id: Vec<_> = by_id.map(|row| row.expect("whole rows")).collect();
        equal("transfers by id", by_id, transfers)?;
        self.compare_changes(model)?;
        let burned: Vec<u128> = state.burned().iter().copied().collect();
        let found = self.read_transfers(burned.len(), &Wanted::Ids(burned.as_bytes()));
        equal("burned transfers", found, Vec::new())?;
        conserved(&accounts)
    }
}

/// Compares the open branches, page by page, and their texts.
fn open_branches(machine: &StateMachine, model: &Model) -> Result<(), String> {
    const PAGE: usize = 7;
    let state = model.state();
    let open = state
        .branches()
        .iter()
        .filter(|(_, branch)| state.phase(branch.legs[0].id) == Some(Phase::Pending));
    let open = open.map(|((gid, branch_id), branch)| {
        let first = &branch.legs[0];
        let legs = branch.legs.len();
        (
            first.timestamp,
            first.id,
            legs,
            gid.clone(),
            branch_id.clone(),
        )
    });
    let mut expected: Vec<_> = open.collect();
    expected.sort();
    let mut found = Vec::new();
    let mut filter = OpenBranchesFilter {
        limit: PAGE as u32,
        ..OpenBranchesFilter::default()
    };
    let mut out = vec![0; PAGE * size_of::<OpenBranch>()];
    loop {
        let count = machine.list_branches(filter.as_bytes(), PAGE, &mut out);
        for row in out.chunks_exact(size_of::<OpenBranch>()).take(count) {
            let row = OpenBranch::read_from_bytes(row).expect("a whole row");
            let (gid, branch_id) = row.key();
            let texts = (gid.to_owned(), branch_id.to_owned());
            found.push((row.tried_at, row.id, row.legs.into(), texts.0, texts.1));
            (filter.after, filter.after_tried_at) = (row.id, row.tried_at);
        }
        if count < PAGE {
            return equal("open branches", found, expected);
        }
    }
}

impl Pair {
    /// Compares all change events, in both orders.
    fn compare_changes(&mut self, model: &Model) -> Result<(), String> {
        let max = model.state().changes().len() + 1;
        let by_time = ChangeEventsFilter {
            limit: u32::MAX,
            ..ChangeEventsFilter::default()
        };
        let by_position = ChangesAfter {
            position: giro_base::Position::START,
            limit: u32::MAX,
            reserved: [0; 44],
        };
        for action in [
            Action::ChangeEvents(by_time, max),
            Action::ChangesAfter(by_position, max),
        ] {
            let request = Request {
                timestamp: 0,
                action,
            };
            let expected = model.read(&request.action);
            if self.execute(&request) != expected.reply {
                return Err(format!("{:?} differs", request.action));
            }
        }
        Ok(())
    }
}

/// In every ledger, debits equal credits; sums of 128-bit amounts are counted in two halves.
fn conserved(accounts: &[Account]) -> Result<(), String> {
    let halves = |value: u128| [value >> 64, value & u128::from(u64::MAX)];
    let mut sums: BTreeMap<u32, [[u128; 2]; 4]> = BTreeMap::new();
    for a in accounts {
        let sums = sums.entry(a.ledger).or_default();
        let balances = [
            a.debits_pending,
            a.credits_pending,
            a.debits_posted,
            a.credits_posted,
        ];
        for (sum, balance) in sums.iter_mut().zip(balances) {
            let [high, low] = halves(balance);
            sum[0] += high;
            sum[1] += low;
        }
    }
    let total = |sum: [u128; 2]| (sum[0] + (sum[1] >> 64), sum[1] & u128::from(u64::MAX));
    for (ledger, sums) in sums {
        equal(
            &format!("pending of ledger {ledger}"),
            total(sums[0]),
            total(sums[1]),
        )?;
        equal(
            &format!("posted of ledger {ledger}"),
            total(sums[2]),
            total(sums[3]),
        )?;
    }
    Ok(())
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, engine: T, model: T) -> Result<(), String> {
    match (engine, model) {
        (engine, model) if engine == model => Ok(()),
        (engine, model) => Err(format!(
            "{what}: engine has {engine:?}, model has {model:?}"
        )),
    }
}

/// What differs between two replies, as far as it can be said in a line.
fn describe(request: &Request, answer: &Answer, reply: &[u8]) -> String {
    let outcomes: Vec<_> = answer.outcomes.iter().flatten().collect();
    let is_dense = match &request.action {
        Action::CreateAccounts(form, _) | Action::CreateTransfers(form, _) => form.is_dense(),
        _ => false,
    };
    if is_dense && reply.len() == answer.reply.len() {
        for (i, (got, wanted)) in reply.chunks(16).zip(answer.reply.chunks(16)).enumerate() {
            if got != wanted && i < outcomes.len() {
                let status = u32::from_le_bytes([got[8], got[9], got[10], got[11]]);
                let timestamp = u64::read_from_bytes(&got[..8]).expect("8 bytes");
                return format!(
                    "event {i}: engine answers status {status} at {timestamp}, model {:?}",
                    outcomes[i]
                );
            }
        }
    }
    format!("reply: engine {reply:?}, model {:?}", answer.reply)
}
