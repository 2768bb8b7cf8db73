//! The reply gate: a reply to a write also waits until a named replica, or one of several, has the
//! write on stable storage. It stands above the group: what is committed and executed does not
//! depend on it, only when replies leave.
//!
//! Replies are not kept here but where they are anyway, in the sessions. Each session has one that
//! counts, so what is held is bounded by their number.

use std::collections::{BTreeMap, HashMap};

use giro_replication::NodeId;

/// Who must have a write before its reply leaves, beside a majority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateOptions {
    /// One of these is enough.
    pub replicas: Vec<NodeId>,
    /// A reply that waited for so many ticks opens the gate, until one of them has caught up.
    /// None: replies wait as long as it takes.
    pub degrade_ticks: Option<u64>,
}

/// How the gate stands. Only a leader's has something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStatus {
    /// One of these must have a write before its reply leaves.
    pub replicas: Vec<NodeId>,
    /// Replies leave without, for now.
    pub is_degraded: bool,
    /// Replies that wait.
    pub held: usize,
    /// How long the oldest of what waits has been waiting (ticks).
    pub waited_ticks: u64,
    /// Replies that left without, since the start.
    pub passed: u64,
}

/// Replies that wait, and who has what.
pub(crate) struct Gate {
    options: GateOptions,
    /// Ticks so far.
    now: u64,
    is_serving: bool,
    /// One of the replicas has every op up to this one.
    covered: u64,
    /// Replies that wait, by op.
    held: BTreeMap<u64, Held>,
    /// The op of each client's reply that waits.
    by_client: HashMap<u128, u64>,
    /// The last op executed when this node began to serve, and when that was: replies to those
    /// before it may be asked for again.
    inherited: (u64, u64),
    is_degraded: bool,
    /// While replies leave without: an op, and when it was the last one executed.
    probe: Option<(u64, u64)>,
    passed: u64,
}

struct Held {
    client: u128,
    since: u64,
}

impl Gate {
    pub(crate) fn new(options: GateOptions) -> Self {
        Self {
            options,
            now: 0,
            is_serving: false,
            covered: 0,
            held: BTreeMap::new(),
            by_client: HashMap::new(),
            inherited: (0, 0),
            is_degraded: false,
            probe: None,
            passed: 0,
        }
    }

    pub(crate) fn replicas(&self) -> &[NodeId] {
        &self.options.replicas
    }

    /// This node serves, and has executed this op; it may have been answered elsewhere, or not.
    pub(crate) fn begin(&mut self, executed: u64) {
        self.end();
        self.is_serving = true;
        self.inherited = (executed, self.now);
    }

    /// This node serves no more: its clients ask the next leader, which has a gate of its own.
    pub(crate) fn end(&mut self) {
        self.is_serving = false;
        self.held.clear();
        self.by_client.clear();
        self.inherited = (0, 0);
        (self.is_degraded, self.probe) = (false, None);
    }

    /// One of the replicas has every op up to this one, and they are executed here: so they are
    /// the same for ever.
    pub(crate) fn cover(&mut self, op: u64) {
        self.covered = self.covered.max(op);
    }

    /// Whether the reply of an op that was just executed has to wait.
    pub(crate) fn holds(&mut self, op: u64, client: u128, is_there: bool) -> bool {
        // The group's own requests have no client, and their replies go nowhere.
        if client == 0 || is_there || op <= self.covered {
            return false;
        }
        if !self.is_serving {
            // The client asks the next leader.
            return true;
        }
        if self.is_degraded {
            self.passed += 1;
            return false;
        }
        self.hold(op, client);
        true
    }

    fn hold(&mut self, op: u64, client: u128) {
        // A client that asks for something else does not wait for the one before any more.
        if let Some(before) = self.by_client.insert(client, op) {
            self.held.remove(&before);
        }
        let since = self.now;
        self.held.insert(op, Held { client, since });
    }

    /// Whether the recorded reply of this op, which its client asks for again, may be sent now. If
    /// not, it will leave by itself.
    pub(crate) fn lets_again(&mut self, op: u64, client: u128) -> bool {
        let may_leave = self.lets(op);
        if !may_leave && self.is_serving && !self.held.contains_key(&op) {
            self.hold(op, client);
        }
        may_leave
    }

    fn lets(&self, op: u64) -> bool {
        op <= self.covered || self.is_degraded
    }

    /// Whether a reply need not wait any longer.
    pub(crate) fn is_due(&self) -> bool {
        self.held.keys().next().is_some_and(|op| self.lets(*op))
    }

    /// A client and the op whose reply need not wait any longer, oldest first.
    pub(crate) fn next_due(&mut self) -> Option<(u128, u64)> {
        if !self.is_due() {
            return None;
        }
        let (op, held) = self.held.pop_first()?;
        self.by_client.remove(&held.client);
        if op > self.covered {
            self.passed += 1;
        }
        Some((held.client, op))
    }

    /// Whether replies wait.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// A tick passed; this is the last op executed.
    pub(crate) fn tick(&mut self, executed: u64) {
        self.now += 1;
        let Some(patience) = self.options.degrade_ticks.filter(|_| self.is_serving) else {
            return;
        };
        if self.is_degraded {
            if self.has_caught_up(executed, patience) {
                (self.is_degraded, self.probe) = (false, None);
            }
        } else if self.waited() >= patience {
            self.is_degraded = true;
        }
    }

    /// Whether one of the replicas has what is executed, or gets it within half of the patience: a
    /// gate that closed with a larger lag would open again at once.
    fn has_caught_up(&mut self, executed: u64, patience: u64) -> bool {
        if self.covered >= executed {
            return true;
        }
        match self.probe {
            Some((op, _)) if op > self.covered => false,
            Some((_, at)) if self.now - at <= patience / 2 => true,
            _ => {
                self.probe = Some((executed, self.now));
                false
            }
        }
    }

    /// How long the oldest of what waits has been waiting (ticks).
    fn waited(&self) -> u64 {
        let oldest = self.held.range(self.covered + 1..).next();
        let oldest = oldest.map(|(_, held)| held.since);
        let (op, at) = self.inherited;
        let inherited = (op > self.covered).then_some(at);
        let since = oldest.into_iter().chain(inherited).min();
        since.map_or(0, |since| self.now - since)
    }

    pub(crate) fn status(&self) -> GateStatus {
        GateStatus {
            replicas: self.options.replicas.clone(),
            is_degraded: self.is_degraded,
            held: self.held.len(),
            waited_ticks: if self.is_degraded { 0 } else { self.waited() },
            passed: self.passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(degrade_ticks: Option<u64>) -> Gate {
        let replicas = vec![4];
        let mut gate = Gate::new(GateOptions {
            replicas,
            degrade_ticks,
        });
        gate.begin(0);
        gate
    }

    #[test]
    fn a_reply_waits_until_its_op_is_there() {
        let mut gate = gate(None);
        assert!(!gate.holds(5, 1, true), "it is there already");
        assert!(gate.holds(6, 1, false) && gate.holds(7, 2, false));
        assert!(!gate.lets(6) && gate.next_due().is_none());
        (0..10_000).for_each(|_| gate.tick(7));
        assert_eq!(gate.status().waited_ticks, 10_000);
        gate.cover(6);
        assert_eq!((gate.next_due(), gate.next_due()), (Some((1, 6)), None));
        assert!(gate.lets(6) && !gate.lets(7));
    }

    #[test]
    fn a_client_that_goes_on_does_not_pile_up_replies() {
        let mut gate = gate(None);
        for op in 1..1000 {
            assert!(gate.holds(op, 1, false));
        }
        assert_eq!(gate.status().held, 1);
        gate.cover(999);
        assert_eq!((gate.next_due(), gate.next_due()), (Some((1, 999)), None));
    }

    #[test]
    fn a_gate_that_lost_patience_opens_until_the_replica_has_caught_up() {
        let mut gate = gate(Some(10));
        assert!(gate.holds(1, 1, false));
        (0..9).for_each(|_| gate.tick(1));
        assert!(!gate.is_due());
        gate.tick(1);
        assert_eq!(gate.next_due(), Some((1, 1)));
        assert!(!gate.holds(2, 1, false) && gate.lets(2));
        assert_eq!(gate.status().passed, 2);
        // It gets everything, but late: nothing is gained by waiting for it.
        gate.tick(2);
        (0..8).for_each(|_| gate.tick(9));
        gate.cover(2);
        gate.tick(9);
        assert!(gate.status().is_degraded);
        (0..4).for_each(|_| gate.tick(20));
        gate.cover(9);
        gate.tick(20);
        assert!(!gate.status().is_degraded);
        assert!(gate.holds(21, 1, false));
    }

    #[test]
    fn what_was_executed_before_it_served_waits_too_and_no_longer() {
        let mut gate = gate(Some(10));
        gate.begin(30);
        assert!(!gate.lets_again(30, 1) && !gate.lets_again(30, 1));
        assert_eq!(gate.status().held, 1, "it leaves by itself");
        (0..10).for_each(|_| gate.tick(30));
        assert!(gate.lets_again(30, 1) && gate.status().is_degraded);
        assert_eq!((gate.next_due(), gate.next_due()), (Some((1, 30)), None));
    }

    #[test]
    fn a_node_that_serves_no_more_hands_out_nothing() {
        let mut gate = gate(Some(10));
        assert!(gate.holds(1, 1, false));
        gate.end();
        assert!(gate.holds(2, 2, false), "committed here, and not answered");
        (0..20).for_each(|_| gate.tick(2));
        assert!(!gate.is_due() && !gate.is_holding());
    }
}
