//! The end of a run: nothing goes wrong any more, and all must end well.

use std::collections::BTreeMap;

use super::{FAIR_US, Report, World};
use crate::history;
use crate::network::Weather;

impl World {
    /// No more faults: everybody gets well.
    pub(super) fn make_fair(&mut self) -> Result<(), String> {
        self.trace.note(self.now_us, "fair", [0; 4]);
        self.is_fair = true;
        self.network.heal();
        self.network.weather = Weather::FAIR;
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let node = self.nodes.get_mut(&id).expect("its key was there");
            node.write_us = 200;
            node.tick_us = 20_000;
            node.paused_until_us = 0;
            node.stalled_until_us = 0;
            node.storage.set_full(false);
            node.fails_next_write = false;
            if node.up.is_none() && node.dead.is_none() {
                self.start_node(id)?;
            }
        }
        Ok(())
    }

    /// All must end well: each client gets some more answers, then all nodes agree.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        let deadline = self.now_us + FAIR_US;
        let goals: Vec<u64> = self.clients.iter().map(|client| client.done + 3).collect();
        while !self.is_done(&goals) {
            self.in_time(deadline, "clients are not answered")?;
        }
        for client in &mut self.clients {
            client.is_closing = true;
        }
        while self.clients.iter().any(|client| client.waits.is_some()) {
            self.in_time(deadline, "the last requests are not answered")?;
        }
        while !self.agrees() {
            self.in_time(deadline, "the nodes do not come to the same state")?;
        }
        Ok(())
    }

    pub(super) fn in_time(&mut self, deadline: u64, what: &str) -> Result<(), String> {
        if self.now_us > deadline {
            let states = self
                .nodes
                .values()
                .map(|node| match (&node.up, &node.dead) {
                    (Some(up), _) => format!("\n  node {}: {:?}", node.id, up.replica.status()),
                    (None, dead) => format!("\n  node {}: down {dead:?}", node.id),
                });
            let states: String = states.collect();
            return Err(format!(
                "liveness: {what} after a minute without faults{states}"
            ));
        }
        self.step()
    }

    pub(super) fn is_done(&self, goals: &[u64]) -> bool {
        let clients = self.clients.iter().zip(goals);
        let mut clients = clients.map(|(client, goal)| client.done >= *goal);
        clients.all(|done| done)
    }

    /// Whether every member has executed everything, and nothing is under way.
    fn agrees(&self) -> bool {
        let members = self.auditor.members();
        if members.is_joint() {
            return false;
        }
        let last = self.auditor.last_committed();
        members.known.iter().all(|member| {
            let node = self.nodes.get(&member.id);
            let up = node.and_then(|node| node.up.as_ref());
            up.is_some_and(|up| up.replica.executed_index() == last && up.replica.is_idle())
        })
    }

    /// Nodes that executed the same have the same sessions, with the same last replies.
    fn check_sessions(&self) -> Result<(), String> {
        let members = self.auditor.members().known.iter();
        let ups = members.filter_map(|member| self.nodes.get(&member.id)?.up.as_ref());
        let mut tables = ups.map(|up| {
            let sessions = up.replica.engine().sessions().iter();
            let sessions = sessions.map(|last| {
                let request = (last.session, last.request, last.request_checksum);
                let executed = (last.op, last.timestamp, last.body.to_vec());
                (last.client, (request, executed))
            });
            sessions.collect::<BTreeMap<_, _>>()
        });
        let first = tables.next().expect("a group has a node");
        if tables.any(|other| other != first) {
            return Err("(e) nodes have different sessions".to_owned());
        }
        Ok(())
    }

    /// The whole history, at the end.
    pub(super) fn check_end(&mut self) -> Result<Report, String> {
        let members = self.auditor.members().known.iter();
        let ups = members.filter_map(|member| self.nodes.get(&member.id)?.up.as_ref());
        let mut logs = ups.map(|up| &up.payloads);
        let log = logs.next().expect("a group has a node");
        if logs.any(|other| other != log) {
            return Err("(e) nodes executed different groups of ops".to_owned());
        }
        self.check_sessions()?;
        history::check(&self.events, log, &self.pool).map_err(|what| format!("(g) {what}"))?;
        Ok(Report {
            hash: self.trace.hash(),
            steps: self.trace.count(),
            requests: self.clients.iter().map(|client| client.done).sum(),
            entries: self.auditor.last_committed(),
            faults: self.faults.count(),
            evictions: self.evictions,
            time_us: self.now_us,
        })
    }
}
