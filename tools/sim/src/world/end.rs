//! The end of a run: nothing goes wrong any more, and all must end well.

use std::collections::{BTreeMap, BTreeSet};

use giro_replication::NodeId;
use rand::seq::SliceRandom;

use super::{FAIR_US, Report, World, stream};
use crate::faults::bears;
use crate::history;
use crate::network::Weather;

/// While a minority is down, the first client is answered within this (us). A process may stand
/// still for 2 s yet, and a client that asks one that is down asks another within 0.5 s; the rest
/// is several elections of at most 0.4 s.
const ANSWERED_US: u64 = 6_000_000;
/// And every client twice within this: one may meet several nodes that are down in a row, or have
/// its session displaced.
const SERVED_US: u64 = 10_000_000;

impl World {
    /// No more faults: everybody gets well, but for those that stay down for now.
    pub(super) fn make_fair(&mut self) -> Result<(), String> {
        self.trace.note(self.now_us, "fair", [0; 4]);
        self.is_fair = true;
        self.kept_down = self.some_voters();
        for id in self.kept_down.clone() {
            self.crash_node(id);
        }
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
            let can = node.up.is_none() && node.dead.is_none();
            if can && !self.kept_down.contains(&id) {
                self.start_node(id)?;
            }
        }
        Ok(())
    }

    /// Voters that can be down while the others go on, in some seeds: as many as every node's
    /// members allow, and those who may come to be by a change that is under way.
    fn some_voters(&self) -> BTreeSet<NodeId> {
        let mut down = BTreeSet::new();
        let has_begun = !self.variety.is_unknown || self.auditor.last_committed() > 0;
        if !self.variety.lacks_some || !has_begun {
            return down;
        }
        let mut rng = stream(self.seed, 10);
        let mut voters = self.auditor.members().voters.clone();
        voters.shuffle(&mut rng);
        let gone = self.nodes.values().filter(|node| node.dead.is_some());
        let mut gone: BTreeSet<NodeId> = gone.map(|node| node.id).collect();
        gone.extend(&self.damaged);
        let least = self.variety.voters_min;
        for id in voters {
            let ups = self.nodes.values().filter_map(|node| node.up.as_ref());
            let views = ups.map(|up| up.replica.members());
            let mut views = views.chain([self.auditor.members()]);
            let can = !gone.contains(&id) && views.all(|members| bears(members, &gone, 1, least));
            if can {
                gone.insert(id);
                down.insert(id);
            }
        }
        down
    }

    /// While a minority is down, every client is answered all the same, and soon.
    pub(super) fn serve_without_some(&mut self) -> Result<(), String> {
        let down = std::mem::take(&mut self.kept_down);
        if down.is_empty() {
            return Ok(());
        }
        self.kept_down.clone_from(&down);
        let first = down.first().copied().unwrap_or(0);
        let count = down.len() as u64;
        self.trace.note(self.now_us, "lacks", [count, first, 0, 0]);
        let start = self.now_us;
        let done = self.answered();
        while self.answered() == done {
            self.in_time(start + ANSWERED_US, "a majority does not answer soon")?;
        }
        self.answered_us = self.now_us - start;
        let goals: Vec<u64> = self.clients.iter().map(|client| client.done + 2).collect();
        while !self.is_done(&goals) {
            self.in_time(start + SERVED_US, "a majority does not answer all")?;
        }
        self.served_us = self.now_us - start;
        self.kept_down.clear();
        for id in down {
            // Its removal may have been under way.
            if self.nodes.contains_key(&id) {
                self.start_node(id)?;
            }
        }
        Ok(())
    }

    /// Requests answered.
    fn answered(&self) -> u64 {
        self.clients.iter().map(|client| client.done).sum()
    }

    /// All must end well: each client gets some more answers, then all nodes agree.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        let deadline = self.now_us + FAIR_US;
        let goals: Vec<u64> = self.clients.iter().map(|client| client.done + 3).collect();
        while !self.is_done(&goals) {
            self.in_time(
                deadline,
                "clients are not answered after a minute without faults",
            )?;
        }
        for client in &mut self.clients {
            client.is_closing = true;
        }
        while self.clients.iter().any(|client| client.waits.is_some()) {
            self.in_time(
                deadline,
                "the last requests are not answered after a minute",
            )?;
        }
        while !self.agrees() {
            self.in_time(
                deadline,
                "the nodes do not come to the same state after a minute",
            )?;
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
            return Err(format!("liveness: {what}{states}"));
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
            requests: self.answered(),
            entries: self.auditor.last_committed(),
            faults: self.faults.count(),
            evictions: self.evictions,
            decided_ahead: self.decided_ahead,
            answered_us: self.answered_us,
            served_us: self.served_us,
            time_us: self.now_us,
        })
    }
}
