//! How a group begins whose first voters do not know each other: they are started at different
//! times, stop, and the directory of one may be made anew meanwhile.

use giro_replication::{Member, Members, NodeId};
use rand::Rng;

use super::gated::Gated;
use super::{Happening, World, stream};
use crate::faults::can_lose;
use crate::node::{Effect, Node};

/// After this (us) a group that has not begun is made anew, and again after as much.
const PATIENCE_US: u64 = 4_000_000;

/// That of a node's first directory.
pub(super) fn incarnation(seed: u64, id: NodeId) -> u64 {
    seed ^ (id << 32)
}

/// So many voters, and the gate's learner. Of voters that are unknown nobody knows the incarnation.
pub(super) fn first_members(
    seed: u64,
    voters: u64,
    gated: Option<&Gated>,
    are_unknown: bool,
) -> Members {
    let member = |id| Member {
        id,
        incarnation: incarnation(seed, id),
        name: format!("node{id}"),
    };
    let mut first = Members::of_voters((1..=voters).map(member).collect());
    if are_unknown {
        first
            .known
            .iter_mut()
            .for_each(|voter| voter.incarnation = 0);
    }
    if let Some(learner) = gated.map(|gated| gated.learner) {
        first.learners.push(learner);
        first.known.push(member(learner));
        first.id_max = learner;
    }
    first
}

/// What happens while a group begins.
#[derive(Clone, Copy)]
pub(super) enum Early {
    /// Power fails; it is back after so long (us).
    Crash(NodeId, u64),
    MakeAnew(NodeId),
    /// Nothing that is sent to it arrives.
    Deaf(NodeId),
    Heal,
    Look,
}

impl World {
    pub(super) fn happen_early(&mut self, early: Early) {
        match early {
            Early::Crash(id, pause_us) => {
                self.crash_node(id);
                self.restart_later(id, pause_us);
            }
            Early::MakeAnew(id) => self.make_anew(id),
            Early::Deaf(id) => self.deafen(id),
            Early::Heal => self.network.heal(),
            Early::Look => self.look_at_beginning(),
        }
    }

    fn early(&mut self, at_us: u64, early: Early) {
        self.at(at_us, Happening::Early(early));
    }

    /// Starts the nodes one by one, and makes trouble.
    pub(super) fn begin_unknown(&mut self) {
        let mut rng = stream(self.seed, 11);
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let voters = self.first.voters.clone();
        for id in &ids {
            self.at(rng.random_range(0..600_000), Happening::Restart(*id));
        }
        for _ in 0..rng.random_range(0..4) {
            let id = ids[rng.random_range(0..ids.len())];
            let (at, pause) = (
                rng.random_range(0..1_200_000),
                rng.random_range(1_000..500_000),
            );
            self.early(at, Early::Crash(id, pause));
        }
        self.early(PATIENCE_US, Early::Look);
        if voters.len() < 3 || !rng.random_bool(0.7) {
            return;
        }
        // One is made anew, another one is down just then, and a third one heard little of what
        // was before: together, the first and the third are a majority.
        let first = rng.random_range(0..voters.len());
        let voter = |place: usize| voters[(first + place) % voters.len()];
        let at = rng.random_range(0..2_500_000);
        if rng.random_bool(0.7) {
            let deaf_from = at - rng.random_range(0..=at.min(1_500_000));
            self.early(deaf_from, Early::Deaf(voter(2)));
            self.early(at, Early::Heal);
            let pause = rng.random_range(500_000..2_500_000);
            self.early(at, Early::Crash(voter(1), pause));
        }
        self.early(at, Early::MakeAnew(voter(0)));
    }

    fn deafen(&mut self, id: NodeId) {
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.cut(other, id);
        }
    }

    /// A directory is lost, and its number formatted again.
    fn make_anew(&mut self, id: NodeId) {
        if can_lose(self, id) {
            self.damaged.insert(id);
            self.replace_disk(id);
            self.restart_later(id, 1_000);
        }
    }

    fn replace_disk(&mut self, id: NodeId) {
        self.crash_node(id);
        let lost = self.views.remove(&id);
        self.auditor.loses(id, lost.unwrap_or_default());
        let Some(old) = self.nodes.get(&id) else {
            return;
        };
        let incarnation = giro_base::hash::fold(old.incarnation, self.now_us | 1 << 60);
        let mut node = Node::new(id, incarnation, self.first.clone(), self.seed);
        node.gate.clone_from(&old.gate);
        (node.sessions_max, node.life) = (old.sessions_max, old.life + 1);
        (node.tick_us, node.write_us) = (old.tick_us, old.write_us);
        node.clock_off_ns = old.clock_off_ns;
        self.trace
            .note(self.now_us, "anew", [id, incarnation, 0, 0]);
        self.nodes.insert(id, node);
    }

    /// Connections open, and both sides say that they are there.
    pub(super) fn greet(&mut self, id: NodeId) {
        let others: Vec<NodeId> = self
            .nodes
            .keys()
            .copied()
            .filter(|other| *other != id)
            .collect();
        for (from, to) in others.iter().flat_map(|other| [(id, *other), (*other, id)]) {
            let Some(node) = self.nodes.get(&from) else {
                continue;
            };
            let greeting = node.up.as_ref().and_then(|up| up.replica.greeting(to));
            if let Some(frame) = greeting {
                self.carry_out(from, node.life, Effect::Frame(to, frame.to_bytes()));
            }
        }
    }

    /// A node whose number is used up never takes part: where the group goes on, the operator lets
    /// another one come in its place.
    pub(super) fn give_up_if_late(&mut self, id: NodeId) {
        let up = self.nodes.get(&id).and_then(|node| node.up.as_ref());
        let roll = up.and_then(|up| up.replica.status().roll);
        let is_late = roll.is_some_and(|roll| roll.is_late) && self.damaged.contains(&id);
        if is_late && self.auditor.last_committed() > 0 {
            self.crash_node(id);
            let node = self.nodes.get_mut(&id).expect("it was up");
            node.dead = Some("its number is used up".to_owned());
        }
    }

    /// A group that was made anew in part before it began does not begin, says so, and is made anew
    /// as a whole. Nobody was promised anything.
    fn look_at_beginning(&mut self) {
        if self.auditor.last_committed() > 0 {
            return;
        }
        // One that begins and stops before it has written anything has to be told again.
        self.early(self.now_us + PATIENCE_US, Early::Look);
        let ids = self.first.voters.clone();
        let has_begun = |id: &NodeId| {
            let up = self.nodes.get(id).and_then(|node| node.up.as_ref());
            up.map(|up| up.replica.status().roll.is_none())
        };
        if ids.iter().any(|id| has_begun(id) == Some(true)) {
            return;
        }
        let is_down = |id: &NodeId| has_begun(id).is_none() && self.nodes[id].dead.is_none();
        // Without this nothing is wrong, and it begins by itself.
        let say_so = |id: &NodeId| {
            let up = self.nodes.get(id).and_then(|node| node.up.as_ref());
            let roll = up.and_then(|up| up.replica.roll());
            roll.is_some_and(|roll| roll.needs_somebody())
        };
        let was_made_anew = !self.damaged.is_empty();
        if was_made_anew && ids.iter().any(say_so) && !ids.iter().any(is_down) {
            self.auditor.forgets_all();
            self.damaged.clear();
            for id in &ids {
                self.replace_disk(*id);
                self.restart_later(*id, 1_000);
            }
        }
    }
}
