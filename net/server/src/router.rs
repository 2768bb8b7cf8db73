//! Which connection a client's replies go to: the one that last delivered a message of it.

use std::collections::HashMap;

use crate::outbox::Route;

/// Routes by client id, bounded.
pub(crate) struct Router {
    routes: HashMap<u128, Spoken>,
    routes_max: usize,
}

/// Where a client spoke last, and when.
struct Spoken {
    route: Route,
    at: u64,
}

impl Router {
    /// A router for this many sessions. Clients that lost theirs leave routes behind, so there
    /// is room for as many again.
    pub(crate) fn new(sessions_max: usize) -> Self {
        let routes_max = 2 * sessions_max.max(1);
        Self {
            routes: HashMap::with_capacity(routes_max),
            routes_max,
        }
    }

    /// Sends the client's replies to `route`, where a message of it came at `at`, unless a later
    /// one is known: two threads can hand over what they received in another order. When the
    /// table is full, routes that `keep` says no to make room first.
    pub(crate) fn set(&mut self, client: u128, route: Route, at: u64, keep: impl Fn(u128) -> bool) {
        if let Some(spoken) = self.routes.get_mut(&client) {
            if at >= spoken.at {
                *spoken = Spoken { route, at };
            }
            return;
        }
        if self.routes.len() >= self.routes_max {
            self.routes.retain(|client, _| keep(*client));
            if self.routes.len() >= self.routes_max {
                // All of them live: a reply without a route is recorded, and its client asks
                // again. Not reached while there are twice as many routes as sessions.
                return;
            }
        }
        self.routes.insert(client, Spoken { route, at });
    }

    /// Where the client's replies go.
    pub(crate) fn get(&self, client: u128) -> Option<Route> {
        self.routes.get(&client).map(|spoken| spoken.route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Place;

    fn route(slot: u32) -> Route {
        let place = Place {
            slot,
            generation: 0,
        };
        Route { port: 0, place }
    }

    #[test]
    fn the_last_delivery_wins_and_the_table_stays_bounded() {
        let mut router = Router::new(2);
        router.set(1, route(1), 10, |_| true);
        router.set(1, route(9), 10, |_| true);
        assert_eq!(router.get(1), Some(route(9)));
        for client in 2..=4 {
            router.set(client, route(client as u32), 10, |_| true);
        }
        router.set(5, route(5), 10, |_| true);
        assert_eq!(router.get(5), None, "full of live ones");
        router.set(5, route(5), 10, |client| client == 4);
        assert_eq!(router.get(5), Some(route(5)));
        assert_eq!(router.get(4), Some(route(4)));
        assert_eq!(router.get(1), None);
    }

    #[test]
    fn what_was_received_earlier_does_not_lead_back() {
        let mut router = Router::new(2);
        router.set(1, route(2), 20, |_| true);
        router.set(1, route(1), 10, |_| true);
        assert_eq!(router.get(1), Some(route(2)));
        router.set(1, route(1), 30, |_| true);
        assert_eq!(router.get(1), Some(route(1)));
    }
}
