//! Batches of a create operation: chains, imports, timestamps (specification sections 1 and 2).

use super::state::State;

/// Status of an event that was created.
pub(crate) const CREATED: u32 = 0xFFFF_FFFF;
const LINKED_EVENT_FAILED: u32 = 1;
const LINKED_EVENT_CHAIN_OPEN: u32 = 2;
const TIMESTAMP_MUST_BE_ZERO: u32 = 3;

/// What an event answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: u32,
    pub(crate) timestamp: u64,
}

/// What an event answers and adds to the digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Executed {
    pub(crate) outcome: Outcome,
    /// Balances right after it, digested; 0 for what left nothing behind.
    pub(crate) effect: u64,
}

/// What accounts and transfers have in common as events of a batch.
pub(crate) trait Event: Copy {
    const IMPORTED_EVENT_EXPECTED: u32;
    const IMPORTED_EVENT_NOT_EXPECTED: u32;
    const IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE: u32;
    const IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE: u32;

    fn id(&self) -> u128;
    fn timestamp(&self) -> u64;
    fn is_linked(&self) -> bool;
    fn is_imported(&self) -> bool;
    /// Whether this status uses the id up.
    fn burns(status: u32) -> bool;
    /// Creates it at `now`, or says why not.
    fn create(&self, state: &mut State, now: u64) -> Outcome;
    /// What it adds to the digest, right after it was created.
    fn effect(&self, state: &State) -> u64;
}

/// Executes one batch whose first event has timestamp `first` and returns what became of each.
pub(crate) fn execute<E: Event>(state: &mut State, events: &[E], first: u64) -> Vec<Executed> {
    let mut executed: Vec<Executed> = Vec::new();
    let mut chain_start: Option<usize> = None;
    let mut chain_broken = false;
    for (i, event) in events.iter().enumerate() {
        let now = first + i as u64;
        let is_last = i + 1 == events.len();
        if event.is_linked() && chain_start.is_none() {
            chain_start = Some(i);
            chain_broken = false;
            state.savepoint();
        }
        let chain_open = event.is_linked() && is_last;
        let refused = |status| Outcome {
            status,
            timestamp: now,
        };
        let outcome = if chain_open {
            refused(LINKED_EVENT_CHAIN_OPEN)
        } else if chain_broken {
            refused(LINKED_EVENT_FAILED)
        } else if let Some(status) = check_import(event, events, first) {
            refused(status)
        } else {
            event.create(state, now)
        };
        let effect = if outcome.status == CREATED {
            event.effect(state)
        } else {
            0
        };
        executed.push(Executed { outcome, effect });
        if let Some(start) = chain_start
            && !chain_broken
            && outcome.status != CREATED
        {
            state.roll_back();
            chain_broken = true;
            for member in &mut executed[start..i] {
                member.outcome.status = LINKED_EVENT_FAILED;
                member.effect = 0;
            }
        }
        if E::burns(outcome.status) {
            state.burn(event.id());
        }
        if chain_start.is_some() && (!event.is_linked() || chain_open) {
            if !chain_broken {
                state.commit();
            }
            chain_start = None;
            chain_broken = false;
        }
    }
    executed
}

/// Whether the event may be (or not be) imported here, and at its time.
fn check_import<E: Event>(event: &E, events: &[E], first: u64) -> Option<u32> {
    let batch_is_imported = events[0].is_imported();
    let batch_timestamp = first + events.len() as u64 - 1;
    match (event.is_imported(), batch_is_imported) {
        (true, false) => Some(E::IMPORTED_EVENT_NOT_EXPECTED),
        (false, true) => Some(E::IMPORTED_EVENT_EXPECTED),
        (false, false) => (event.timestamp() != 0).then_some(TIMESTAMP_MUST_BE_ZERO),
        (true, true) => {
            if event.timestamp() == 0 || event.timestamp() >= 1 << 63 {
                Some(E::IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE)
            } else if event.timestamp() >= batch_timestamp {
                Some(E::IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE)
            } else {
                None
            }
        }
    }
}
