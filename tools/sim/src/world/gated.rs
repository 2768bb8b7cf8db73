//! Whether replies wait for a replica beside the majority, and for which.

use giro_node::GateOptions;
use giro_replication::NodeId;
use rand::Rng;

use super::stream;

/// Ticks that a reply waits before the gate opens, where it does.
const PATIENCE_TICKS: u64 = 25;

/// A gate, and a learner in another region that it is for.
pub(super) struct Gated {
    pub(super) learner: NodeId,
    pub(super) options: GateOptions,
}

impl Gated {
    /// That of a seed: every other one has a gate, half of these open when it takes too long, and
    /// half of them are content with a voter, too.
    pub(super) fn of(seed: u64, voters: u64) -> Option<Self> {
        let mut rng = stream(seed, 8);
        let learner = voters + 1;
        let is_gated = rng.random_bool(0.5);
        let degrade_ticks = rng.random_bool(0.5).then_some(PATIENCE_TICKS);
        let mut replicas = vec![learner];
        if rng.random_bool(0.5) {
            replicas.push(rng.random_range(1..=voters));
        }
        is_gated.then_some(Self {
            learner,
            options: GateOptions {
                replicas,
                degrade_ticks,
            },
        })
    }
}
