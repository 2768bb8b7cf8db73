//! Creating an account (specification section 4).

use giro_base::Account;

use super::batch::{CREATED, Event, Outcome};
use super::digest;
use super::state::State;

const LINKED: u16 = 1 << 0;
const DEBITS_MUST_NOT_EXCEED_CREDITS: u16 = 1 << 1;
const CREDITS_MUST_NOT_EXCEED_DEBITS: u16 = 1 << 2;
const IMPORTED: u16 = 1 << 4;
/// Bits 6 to 15 have no meaning.
const RESERVED: u16 = !0x3F;

impl Event for Account {
    const IMPORTED_EVENT_EXPECTED: u32 = 22;
    const IMPORTED_EVENT_NOT_EXPECTED: u32 = 23;
    const IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE: u32 = 24;
    const IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE: u32 = 25;

    fn id(&self) -> u128 {
        self.id
    }

    fn timestamp(&self) -> u64 {
        self.timestamp
    }

    fn is_linked(&self) -> bool {
        self.flags & LINKED != 0
    }

    fn is_imported(&self) -> bool {
        self.flags & IMPORTED != 0
    }

    fn burns(_status: u32) -> bool {
        false
    }

    fn effect(&self, _state: &State) -> u64 {
        digest::of_account(self.id)
    }

    fn create(&self, state: &mut State, now: u64) -> Outcome {
        let refused = |status| Outcome {
            status,
            timestamp: now,
        };
        if let Some(status) = check_shape(self) {
            return refused(status);
        }
        if let Some(existing) = state.account(self.id) {
            let status = compare(self, &existing);
            return Outcome {
                status,
                timestamp: if status == 21 {
                    existing.timestamp
                } else {
                    now
                },
            };
        }
        if let Some(status) = check_content(self) {
            return refused(status);
        }
        if self.is_imported() && regresses(state, self.timestamp) {
            return refused(26);
        }
        let timestamp = if self.is_imported() {
            self.timestamp
        } else {
            now
        };
        state.set_account(Account { timestamp, ..*self });
        Outcome {
            status: CREATED,
            timestamp,
        }
    }
}

fn check_shape(account: &Account) -> Option<u32> {
    if account.reserved != 0 {
        Some(4)
    } else if account.flags & RESERVED != 0 {
        Some(5)
    } else if account.id == 0 {
        Some(6)
    } else if account.id == u128::MAX {
        Some(7)
    } else {
        None
    }
}

fn compare(new: &Account, old: &Account) -> u32 {
    if new.flags != old.flags {
        15
    } else if new.user_data_128 != old.user_data_128 {
        16
    } else if new.user_data_64 != old.user_data_64 {
        17
    } else if new.user_data_32 != old.user_data_32 {
        18
    } else if new.ledger != old.ledger {
        19
    } else if new.code != old.code {
        20
    } else {
        21
    }
}

fn check_content(account: &Account) -> Option<u32> {
    let limits = DEBITS_MUST_NOT_EXCEED_CREDITS | CREDITS_MUST_NOT_EXCEED_DEBITS;
    let ladder = [
        (account.flags & limits == limits, 8),
        (account.debits_pending != 0, 9),
        (account.debits_posted != 0, 10),
        (account.credits_pending != 0, 11),
        (account.credits_posted != 0, 12),
        (account.ledger == 0, 13),
        (account.code == 0, 14),
    ];
    let first = ladder.into_iter().find(|(fails, _)| *fails);
    first.map(|(_, status)| status)
}

/// Whether an imported account cannot have this timestamp, given what exists.
fn regresses(state: &State, timestamp: u64) -> bool {
    let largest = state.account_times().keys().next_back();
    largest.is_some_and(|largest| timestamp <= *largest)
        || state.transfer_times().contains_key(&timestamp)
}
