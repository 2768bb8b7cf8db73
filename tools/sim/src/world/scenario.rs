//! Worlds in which one thing goes wrong, and that on purpose.

use giro_replication::NodeId;

use super::variety::Variety;
use super::{FAIR_US, Report, Violation, World};
use crate::node::Node;
use crate::sabotage::Sabotage;

/// Runs a world of three voters in which one thing goes wrong: the leader is cut off from the
/// others, and clients that only read go on asking it, while others write to its successor.
///
/// # Errors
/// The promise that was broken.
pub fn run_replaced_leader(seed: u64, sabotage: Sabotage) -> Result<Report, Box<Violation>> {
    let mut world = World::with(seed, sabotage, (3, 2), None, Variety::NONE);
    let ran = world.run_replaced_leader();
    ran.map_err(|what| world.violation(what))
}

impl World {
    /// Until each client got so many more answers.
    fn until_answered(&mut self, more: &[u64]) -> Result<(), String> {
        let clients = self.clients.iter().zip(more);
        let goals: Vec<u64> = clients.map(|(client, more)| client.done + more).collect();
        let deadline = self.now_us + FAIR_US;
        while !self.is_done(&goals) {
            self.in_time(
                deadline,
                "clients are not answered after a minute without faults",
            )?;
        }
        Ok(())
    }

    /// A node that serves.
    fn leader(&self) -> Option<NodeId> {
        let serves = |node: &&Node| {
            let up = node.up.as_ref();
            up.is_some_and(|up| up.replica.role().serving)
        };
        self.nodes.values().find(serves).map(|node| node.id)
    }

    fn run_replaced_leader(&mut self) -> Result<Report, String> {
        self.begin()?;
        self.is_fair = true;
        self.until_answered(&[5, 5])?;
        let leader = loop {
            match self.leader() {
                Some(leader) => break leader,
                None => self.step()?,
            }
        };
        for other in self.nodes.keys().copied().filter(|id| *id != leader) {
            self.network.cut(leader, other);
            self.network.cut(other, leader);
        }
        // The first client has something written by the next leader; the other asks the old one.
        self.clients[1].pinned_to = Some(leader);
        self.until_answered(&[20, 0])?;
        self.network.heal();
        self.clients[1].pinned_to = None;
        self.until_answered(&[5, 5])?;
        self.finish()?;
        self.check_end()
    }
}
