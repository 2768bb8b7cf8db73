//! What differs from seed to seed, each in a share of them, beside voters, clients and the gate.

use rand::Rng;

use super::stream;

/// What a seed has that others have not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variety {
    /// Clients beside those that every seed has.
    pub(super) more_clients: usize,
    /// Sessions that a node has room for.
    pub(crate) sessions_max: u32,
    /// Many requests are large: one that is alone is decided ahead.
    pub(super) asks_much: bool,
    /// The operator leaves as many voters.
    pub(crate) voters_min: usize,
    /// The faults end while some voters are still down.
    pub(super) lacks_some: bool,
    /// The first voters do not know each other when they start.
    pub(super) is_unknown: bool,
}

/// Room for the sessions of all clients, and too little of it.
const SESSIONS: u32 = 8;
const FEW_SESSIONS: u32 = 3;

impl Variety {
    /// Nothing of it.
    pub(super) const NONE: Self = Self {
        more_clients: 0,
        sessions_max: SESSIONS,
        asks_much: false,
        voters_min: 3,
        lacks_some: false,
        is_unknown: false,
    };

    /// That of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = stream(seed, 9);
        let mut variety = Self::NONE;
        if rng.random_bool(0.3) {
            // At least one more than there is room for.
            variety.more_clients = FEW_SESSIONS as usize;
            variety.sessions_max = FEW_SESSIONS;
        }
        variety.asks_much = rng.random_bool(0.3);
        if rng.random_bool(0.25) {
            variety.voters_min = 1;
        }
        variety.lacks_some = rng.random_bool(0.6);
        // Of a stream of its own, so that other seeds stay as they were.
        variety.is_unknown = stream(seed, 12).random_bool(0.3);
        variety
    }

    /// Whether clients displace each other.
    pub(super) fn has_few_sessions(&self) -> bool {
        self.sessions_max < SESSIONS
    }
}
