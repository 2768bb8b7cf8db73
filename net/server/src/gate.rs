//! What the log says of a replica's gate for replies.

use giro_node::GateStatus;

/// Ticks that a reply may wait for the gate before the log says so.
const LATE_TICKS: u64 = 50;
/// Milliseconds of a tick of the group.
const TICK_MS: u64 = 20;

/// Milliseconds that the oldest of what waits has been waiting.
pub(crate) fn waited_ms(gate: &GateStatus) -> u64 {
    gate.waited_ticks * TICK_MS
}

/// What was said last.
#[derive(Default)]
pub(crate) struct GateAlarm {
    said: Said,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Said {
    #[default]
    Well,
    Late,
    Degraded,
}

impl GateAlarm {
    /// Says what changed.
    pub(crate) fn look(&mut self, gate: &GateStatus) {
        let now = state(gate);
        let was = std::mem::replace(&mut self.said, now);
        if was == now {
            return;
        }
        let replicas: Vec<_> = gate.replicas.iter().map(|id| id - 1).collect();
        let passed = gate.passed;
        match now {
            Said::Well => tracing::info!(?replicas, passed, "the gate's replica keeps up again"),
            Said::Late => {
                let waited_ms = waited_ms(gate);
                tracing::warn!(?replicas, waited_ms, "replies wait for the gate's replica");
            }
            Said::Degraded => tracing::warn!(
                ?replicas,
                "ALARM: the gate's replica does not keep up: replies leave without it"
            ),
        }
    }
}

fn state(gate: &GateStatus) -> Said {
    if gate.is_degraded {
        Said::Degraded
    } else if gate.waited_ticks >= LATE_TICKS {
        Said::Late
    } else {
        Said::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_waits_long_or_is_open_is_told_from_one_that_is_well() {
        let of = |is_degraded, waited_ticks| {
            state(&GateStatus {
                replicas: vec![4],
                is_degraded,
                held: 1,
                waited_ticks,
                passed: 0,
            })
        };
        assert_eq!(of(false, LATE_TICKS - 1), Said::Well);
        assert_eq!(of(false, LATE_TICKS), Said::Late);
        assert_eq!(of(true, 0), Said::Degraded);
    }
}
