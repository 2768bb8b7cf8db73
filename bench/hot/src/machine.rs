//! The phases of execution, on full messages of transfers between 10,000 accounts.

use giro_base::Operation;
use giro_base::limits::{BODY_BYTES_MAX, CREATE_REPLY_BYTES_MAX};
use giro_base::multi_batch::write_trailer;
use giro_core::{Batch, Options, StateMachine};
use zerocopy::IntoBytes;

use crate::work::{FULL, Transfers, accounts};
use crate::{Case, Entry};

pub(crate) fn entries() -> Vec<Entry> {
    let entry = |name, make: fn() -> Box<dyn Case>| Entry {
        name,
        unit: "transfer",
        units: FULL,
        make,
    };
    vec![
        entry("resolve", || Box::new(Phases::new(Phase::Resolve))),
        entry("decide", || Box::new(Phases::new(Phase::Decide))),
        entry("apply", || Box::new(Phases::new(Phase::Apply))),
        entry("encode", || Box::new(Phases::new(Phase::Encode))),
    ]
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Phase {
    Resolve,
    Decide,
    Apply,
    Encode,
    Nothing,
}

/// Passes after which it begins anew, so that a pass is always alike.
const PASSES: u64 = 16;

/// Measures one phase; the others are run, too.
struct Phases {
    phase: Phase,
    machine: StateMachine,
    transfers: Transfers,
    clock: u64,
    passes: u64,
    body: Vec<u8>,
    reply: Vec<u8>,
    /// What of the operation under way is done.
    next: Phase,
}

impl Phases {
    fn new(phase: Phase) -> Self {
        let mut this = Self {
            phase,
            machine: machine(),
            transfers: Transfers::new(),
            clock: 1 << 40,
            passes: 0,
            body: Vec::new(),
            reply: vec![0; CREATE_REPLY_BYTES_MAX],
            next: Phase::Nothing,
        };
        this.begin_anew();
        this
    }

    fn begin_anew(&mut self) {
        self.machine = machine();
        self.transfers = Transfers::new();
        self.next = Phase::Nothing;
        for some in accounts().chunks(FULL) {
            self.clock += 1_000_000;
            let body = body_of(some.as_bytes(), some.len());
            let batch = Batch::parse(Operation::CreateAccounts, self.clock, &body);
            let batch = batch.expect("made here");
            self.machine.execute(&batch, &mut self.reply);
        }
    }

    /// Runs phases of the operation under way up to this one, which it leaves.
    fn run_until(&mut self, end: Phase) {
        while self.next < end {
            self.run();
        }
    }

    fn run(&mut self) {
        let batch = Batch::parse(Operation::CreateTransfers, self.clock, &self.body);
        let batch = batch.expect("made here");
        self.next = match self.next {
            Phase::Resolve => {
                self.machine.resolve(&batch, None);
                Phase::Decide
            }
            Phase::Decide => {
                self.machine.decide(&batch);
                Phase::Apply
            }
            Phase::Apply => {
                self.machine.apply(batch.made());
                Phase::Encode
            }
            Phase::Encode => {
                self.machine.encode(&batch, &mut self.reply);
                Phase::Nothing
            }
            Phase::Nothing => unreachable!("nothing is under way"),
        };
    }
}

impl Case for Phases {
    fn prepare(&mut self) {
        self.run_until(Phase::Nothing);
        if self.passes.is_multiple_of(PASSES) && self.passes > 0 {
            self.begin_anew();
        }
        self.passes += 1;
        self.clock += 1_000_000;
        let transfers = self.transfers.next(FULL);
        self.body = body_of(transfers.as_bytes(), FULL);
        self.next = Phase::Resolve;
        self.run_until(self.phase);
    }

    fn pass(&mut self) {
        self.run();
    }
}

fn machine() -> StateMachine {
    let options = Options {
        hash_key: [1, 2],
        accounts_max: 1 << 16,
        transfers_max: 1 << 20,
        transfers_expected: 1 << 18,
        ..Options::default()
    };
    StateMachine::new(&options).expect("address space")
}

/// A body of one batch.
fn body_of(events: &[u8], count: usize) -> Vec<u8> {
    let mut body = vec![0; BODY_BYTES_MAX];
    body[..events.len()].copy_from_slice(events);
    let length = write_trailer(&mut body, events.len(), 128, [count].into_iter());
    body.truncate(length);
    body
}
