//! What clients do, and what comes to them.

use giro_replication::NodeId;
use rand::Rng;
use rand::seq::IteratorRandom;

use super::variety::Variety;
use super::{Happening, World};
use crate::client::{Answer, Client};

/// A client sends its request again after some time between these (us).
const RESEND_US: std::ops::Range<u64> = 50_000..500_000;
/// The share of large batches where clients ask much.
const MUCH: f64 = 0.25;

/// As many clients as that, as the seed has them.
pub(super) fn made(count: usize, variety: &Variety) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(Client::new).collect();
    for client in &mut clients {
        client.is_fickle = variety.has_few_sessions();
        if variety.asks_much {
            client.payments.large = MUCH;
        }
    }
    clients
}

impl World {
    /// An answer comes.
    pub(super) fn answer(&mut self, client: usize, answer: Answer) -> Result<(), String> {
        let now = self.now_us;
        if matches!(answer, Answer::Evicted { .. }) {
            // Each id has one session at most.
            let ids: u64 = self.clients.iter().map(|client| client.past_ids + 1).sum();
            if ids <= u64::from(self.variety.sessions_max) {
                return Err(format!(
                    "(g) client {client} is evicted, and {ids} ids have room"
                ));
            }
            self.evictions += 1;
        }
        let events = &mut self.events;
        if self.clients[client].answer(answer, events, now) {
            self.trace.note(now, "answered", [client as u64, 0, 0, 0]);
            let pause = self.client_rng.random_range(0..30_000);
            self.wake_later(client, pause);
        }
        Ok(())
    }

    /// A client begins a request, or sends the one it waits for.
    pub(super) fn wake(&mut self, place: usize) {
        let now = self.now_us;
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let client = &mut self.clients[place];
        client.begin(&mut self.client_rng, &mut self.events, now);
        let Some(wait) = &mut client.waits else {
            return;
        };
        wait.sent += 1;
        if self.is_fair && wait.sent > 1 {
            // As clients do: a node that does not answer is left, and one that is named is asked.
            // With chance alone one in some thousand seeds asks those that are down for long.
            let others = ids.iter().copied().filter(|id| *id != client.asks);
            let other = others.choose(&mut self.client_rng);
            client.asks = other.filter(|_| !client.is_told).unwrap_or(client.asks);
        } else {
            let astray = if wait.sent > 1 { 0.5 } else { 0.1 };
            if self.client_rng.random_bool(astray) {
                client.asks = ids[self.client_rng.random_range(0..ids.len())];
            }
        }
        client.is_told = false;
        if let Some(node) = client.pinned_to {
            client.asks = node;
        }
        let request = Box::new((wait.meta, wait.request.clone()));
        let sent = wait.sent;
        let to = client.asks;
        self.trace.note(now, "asks", [place as u64, to, sent, 0]);
        if !self.network_loses_answer() {
            let delay = self.client_rng.random_range(100..600);
            self.at(now + delay, Happening::Request(to, place, request));
        }
        let patience = self.client_rng.random_range(RESEND_US);
        self.wake_later(place, patience);
    }

    /// Wakes a client; an earlier alarm of it no longer counts.
    pub(super) fn wake_later(&mut self, place: usize, delay_us: u64) {
        self.alarms[place] += 1;
        let alarm = self.alarms[place];
        self.at(self.now_us + delay_us, Happening::Wake(place, alarm));
    }
}
