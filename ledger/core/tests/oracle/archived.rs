//! The state machine with generations that leave memory, for an archive of plain maps.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use giro_base::TransferFlags;
use giro_core::archive::{Answer, Archive, Past, Question, Subject as Asked};
use giro_core::generation::Generation;
use giro_core::machine::Spare;
use giro_core::phase::Phase;
use giro_core::{Batch, Fill, Options, StateMachine};

use crate::differential::{Maker, Subject};

/// Generations that stay in memory after they are complete.
const KEPT: usize = 2;

#[derive(Default)]
struct Maps {
    transfers: HashMap<u128, Past>,
    ids: BTreeMap<u64, u128>,
    timestamps: BTreeSet<u64>,
    burned: BTreeSet<u128>,
}

impl Archive for Maps {
    fn prefetch(&self, _: u64, _: u128) {}

    /// Sometimes wrong, as filters are.
    fn may_hold(&self, hash: u64, id: u128) -> bool {
        self.transfers.contains_key(&id) || self.burned.contains(&id) || hash.is_multiple_of(5)
    }

    fn id_max(&self) -> u128 {
        let ids = self.transfers.keys().chain(&self.burned);
        ids.max().copied().unwrap_or(0)
    }

    fn may_hold_timestamp(&self, timestamp: u64) -> bool {
        self.timestamps
            .last()
            .is_some_and(|last| timestamp <= *last)
    }
}

impl Maps {
    fn take(&mut self, generation: &Generation) {
        for (transfer, row) in generation.transfers.iter().zip(generation.first_row..) {
            let is_pending = transfer.flags & TransferFlags::PENDING != 0;
            let phase = if is_pending {
                Phase::Pending
            } else {
                Phase::Single
            };
            let past = Past {
                row,
                transfer: *transfer,
                phase,
            };
            self.transfers.insert(transfer.id, past);
            self.ids.insert(row, transfer.id);
            self.timestamps.insert(transfer.timestamp);
        }
        for closing in &generation.closings {
            let closer = generation.transfer(closing.row);
            let post = closer.flags & TransferFlags::POST_PENDING_TRANSFER != 0;
            let phase = if post { Phase::Posted } else { Phase::Voided };
            self.end(closing.pending_row, phase);
        }
        for expiry in &generation.expiries {
            self.end(expiry.pending_row, Phase::Expired);
        }
        self.burned.extend(generation.burned.iter());
        check_openings(generation);
    }

    fn end(&mut self, row: u64, phase: Phase) {
        let id = self.ids[&row];
        let past = self.transfers.get_mut(&id).expect("it has an id");
        assert_eq!(past.phase, Phase::Pending, "a transfer ends once");
        past.phase = phase;
    }

    fn answer(&self, asked: Asked) -> Answer {
        let by_id = |id: u128| match self.transfers.get(&id) {
            Some(past) => Answer::Transfer(*past),
            None if self.burned.contains(&id) => Answer::Taken,
            None => Answer::Nothing,
        };
        match asked {
            Asked::Id(id) | Asked::PendingId(id) => by_id(id),
            Asked::Timestamp(at) if self.timestamps.contains(&at) => Answer::Taken,
            Asked::Timestamp(_) => Answer::Nothing,
        }
    }
}

/// Every account that the generation changed has an opening.
fn check_openings(generation: &Generation) {
    let opened: BTreeSet<u32> = generation.openings.iter().map(|o| o.slot).collect();
    let rows = generation.links.iter().flat_map(|l| [l.debit, l.credit]);
    let expiries = generation.expiries.iter();
    let expiries = expiries.flat_map(|e| [e.debit, e.credit]);
    for slot in rows.chain(expiries) {
        assert!(opened.contains(&slot), "account {slot} has no opening");
    }
}

struct Archived {
    machine: StateMachine,
    maps: Maps,
    rows: usize,
    /// Complete generations that are in memory.
    kept: VecDeque<Arc<Generation>>,
    questions: Vec<Question>,
    /// Memory of a generation that left.
    spare: Option<Spare>,
}

impl Archived {
    /// As an engine does between two operations.
    fn turn_over(&mut self) {
        if self.machine.tables().window.open().is_full(self.rows) {
            let used = self.spare.take();
            let spare = used.unwrap_or_else(|| {
                self.machine
                    .spare_plan()
                    .make(&Fill::default())
                    .expect("address space")
            });
            let generation = self.machine.rotate(spare);
            self.kept.push_back(generation);
        }
        // Most leave in several steps, with operations in between.
        let waits = self.kept.len() > KEPT;
        let hurries = self.kept.len() > 2 * KEPT;
        let step = self.rows as u64 / 3 + 1;
        if waits && (hurries || self.machine.leave_oldest(step)) {
            let oldest = self.kept.pop_front().expect("some are kept");
            self.maps.take(&oldest);
            drop(oldest);
            self.spare = self.machine.forget_oldest().clear();
            assert!(self.spare.is_some(), "nobody else reads it");
        }
    }
}

impl Subject for Archived {
    fn create(&mut self, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        self.machine.resolve(batch, Some(&self.maps));
        self.machine.questions(batch, &mut self.questions);
        let maps = &self.maps;
        let answers = self.questions.iter();
        let answers = answers.map(|question| (*question, maps.answer(question.subject)));
        self.machine.answer(answers);
        self.machine.decide(batch);
        self.machine.apply(batch.made());
        let length = self.machine.encode(batch, out);
        self.turn_over();
        length
    }

    fn expire(&mut self, timestamp: u64) {
        self.machine.expire(timestamp);
        self.turn_over();
    }

    fn machine(&self) -> &StateMachine {
        &self.machine
    }

    fn answers_queries(&self) -> bool {
        false
    }
}

/// A maker of state machines with generations of about this many rows.
pub(crate) fn maker(shards: u32, rows: usize) -> Maker {
    let make = move || -> Box<dyn Subject> {
        let options = Options {
            shards,
            hash_key: [3, u64::from(shards)],
            accounts_max: 1 << 18,
            transfers_max: 1 << 15,
            is_archived: true,
            ..Options::default()
        };
        Box::new(Archived {
            machine: StateMachine::new(&options).expect("address space"),
            maps: Maps::default(),
            rows,
            kept: VecDeque::new(),
            questions: Vec::new(),
            spare: None,
        })
    };
    Maker {
        name: format!("{shards} shards with generations of {rows} rows"),
        make: Box::new(make),
    }
}
