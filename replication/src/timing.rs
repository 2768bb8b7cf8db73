//! When a node campaigns: a pure function, so that a run can be repeated.

use crate::NodeId;
use crate::limits::ELECTION_TICKS_MIN;

/// Ticks without a leader after which a node campaigns. `place` is its place among the voters:
/// nodes have ranges of their own, so that two seldom campaign together.
#[must_use]
pub fn election_ticks(seed: u64, node: NodeId, place: usize, term: u64) -> usize {
    let low = ELECTION_TICKS_MIN + 3 * (place % 3);
    low + (mix(seed ^ mix(node ^ mix(term))) % 3) as usize
}

/// Spreads every bit of the input over all bits (the finalizer of `SplitMix64`).
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ELECTION_TICKS_END;

    #[test]
    fn nodes_campaign_in_ranges_of_their_own() {
        for place in 0..3 {
            let ticks: Vec<_> = (0..100)
                .map(|term| election_ticks(7, 40 + place as u64, place, term))
                .collect();
            let low = ELECTION_TICKS_MIN + 3 * place;
            assert!(ticks.iter().all(|ticks| (low..low + 3).contains(ticks)));
            assert!(ticks.iter().all(|ticks| *ticks < ELECTION_TICKS_END));
            assert!(ticks.contains(&low) && ticks.contains(&(low + 2)));
        }
    }
}
