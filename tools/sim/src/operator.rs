//! Who looks after the group: replaces dead nodes, and changes the membership for no reason.

use giro_replication::{Change, Member, Members, NodeId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::node::Node;
use crate::world::World;

/// Acts now and then, on the node that it believes leads.
pub struct Operator {
    rng: ChaCha8Rng,
    next_id: NodeId,
    /// A new node that is to become a voter.
    newcomer: Option<NodeId>,
}

impl Default for Operator {
    fn default() -> Self {
        Self::new(ChaCha8Rng::seed_from_u64(0), 1)
    }
}

/// Most nodes in a world.
const NODES_MAX: usize = 9;

impl Operator {
    /// An operator whose first new node gets this id.
    #[must_use]
    pub fn new(rng: ChaCha8Rng, next_id: NodeId) -> Self {
        Self {
            rng,
            next_id,
            newcomer: None,
        }
    }

    /// Acts.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn act(&mut self, world: &mut World) -> Result<(), String> {
        let serves = |node: &&Node| node.up.as_ref().is_some_and(|up| up.replica.role().serving);
        let Some(leader) = world.nodes.values().find(serves) else {
            return Ok(());
        };
        let id = leader.id;
        let up = leader.up.as_ref().expect("it serves");
        if up.replica.engine().is_ahead() {
            // As the server: orders wait until the state is that of the last entry.
            return Ok(());
        }
        let members = up.replica.members().clone();
        self.clear_away(world, &members);
        if !world.nodes.contains_key(&id) {
            // It led when it was removed.
            return Ok(());
        }
        let Some(change) = self.choose(world, &members, id)? else {
            return self.hand_over(world, id, &members);
        };
        let number = match &change {
            Change::Leave | Change::Bind { .. } => 0,
            Change::AddLearner(member) => member.id,
            Change::Promote(id) | Change::Remove(id) => *id,
            Change::Replace { promote, .. } => *promote,
        };
        let life = world.nodes[&id].life;
        let mut taken = 0;
        world.on_life(id, life, |node, _| {
            if let Some(up) = &mut node.up {
                taken = u64::from(up.replica.change(&change).is_ok());
            }
            Ok(())
        })?;
        world
            .trace
            .note(world.now_us, "change", [id, number, taken, 0]);
        Ok(())
    }

    /// Nodes that left are taken away.
    fn clear_away(&mut self, world: &mut World, members: &Members) {
        let gone = world.nodes.keys().copied();
        let gone: Vec<NodeId> = gone.filter(|id| members.is_removed(*id)).collect();
        for id in gone {
            // Only when it is committed for good: a leader may not know better. And only when most
            // of those that stay know for good, also when they start anew: until then they need its
            // vote, should the leader be lost.
            if world.auditor.members().is_removed(id) && most_know(world, members, id) {
                world.crash_node(id);
                world.nodes.remove(&id);
            }
        }
    }

    fn choose(
        &mut self,
        world: &mut World,
        members: &Members,
        leader: NodeId,
    ) -> Result<Option<Change>, String> {
        let is_dead = |id: &&NodeId| world.nodes.get(id).is_none_or(|node| node.dead.is_some());
        if let Some(dead) = members.learners.iter().find(is_dead) {
            return Ok(Some(Change::Remove(*dead)));
        }
        let dead = members.voters.iter().find(is_dead).copied();
        if self
            .newcomer
            .is_some_and(|id| members.is_voter(id) || members.is_removed(id))
        {
            self.newcomer = None;
        }
        if let Some(newcomer) = self.newcomer {
            if !members.is_learner(newcomer) {
                return Ok(Some(Change::AddLearner(member(world, newcomer))));
            }
            return Ok(Some(match dead {
                Some(remove) => Change::Replace {
                    promote: newcomer,
                    remove,
                },
                None => Change::Promote(newcomer),
            }));
        }
        let least = world.variety.voters_min;
        let (restless, grows) = if least < 3 { (0.4, 0.3) } else { (0.15, 0.5) };
        let restless = !world.is_fair && self.rng.random_bool(restless);
        if dead.is_some()
            || (restless && world.nodes.len() < NODES_MAX && self.rng.random_bool(grows))
        {
            self.newcomer = Some(self.add_node(world)?);
            return Ok(None);
        }
        let others = members.known.iter().filter(|m| m.id != leader);
        let others: Vec<_> = others.filter(|m| Some(m.id) != world.spared).collect();
        if restless && members.voters.len() > least && !others.is_empty() {
            let place = self.rng.random_range(0..others.len());
            return Ok(Some(Change::Remove(others[place].id)));
        }
        Ok(None)
    }

    fn add_node(&mut self, world: &mut World) -> Result<NodeId, String> {
        let id = self.next_id;
        self.next_id += 1;
        let seed = self.rng.random();
        let mut node = Node::new(id, seed, world.first.clone(), seed);
        node.tick_us = self.rng.random_range(18_000..22_000);
        node.gate.clone_from(&world.gate);
        node.sessions_max = world.variety.sessions_max;
        world.nodes.insert(id, node);
        world.start_node(id)?;
        Ok(id)
    }

    fn hand_over(
        &mut self,
        world: &mut World,
        leader: NodeId,
        members: &Members,
    ) -> Result<(), String> {
        if world.is_fair || !self.rng.random_bool(0.1) {
            return Ok(());
        }
        let to = members.voters[self.rng.random_range(0..members.voters.len())];
        let life = world.nodes[&leader].life;
        if self.rng.random_bool(0.5) {
            return self.stop(world, leader, life);
        }
        world
            .trace
            .note(world.now_us, "hands over", [leader, to, 0, 0]);
        world.on_life(leader, life, |node, _| {
            if let Some(up) = &mut node.up {
                let _ = up.replica.hand_over(to);
            }
            Ok(())
        })
    }

    /// A leader that is told to stop hands its role over first, and waits for that only so long.
    fn stop(&mut self, world: &mut World, leader: NodeId, life: u64) -> Result<(), String> {
        let mut to = None;
        world.on_life(leader, life, |node, _| {
            if let Some(up) = &mut node.up {
                to = up.replica.give_way();
            }
            Ok(())
        })?;
        let to = to.unwrap_or(0);
        world
            .trace
            .note(world.now_us, "gives way", [leader, to, 0, 0]);
        let delay = self.rng.random_range(1_000..2_000_000);
        world.stop_later(leader, life, delay);
        Ok(())
    }
}

/// Whether it is on the disks of most voters that this node's removal is committed.
fn most_know(world: &World, members: &Members, gone: NodeId) -> bool {
    let Some(removed) = world.auditor.removed_at(gone) else {
        return false;
    };
    let knows = |voter: &&NodeId| {
        let view = world.views.get(*voter);
        view.is_some_and(|view| view.hard.commit >= removed)
    };
    members.voters.iter().filter(knows).count() > members.voters.len() / 2
}

fn member(world: &World, id: NodeId) -> Member {
    let node = &world.nodes[&id];
    Member {
        id,
        incarnation: node.incarnation,
        name: format!("node{id}"),
    }
}
