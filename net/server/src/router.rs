//! Which connection a client's replies go to: the one that last delivered a message of it.

use std::collections::HashMap;

use crate::connection::Place;

/// Routes by client id, bounded.
pub(crate) struct Router {
    routes: HashMap<u128, Place>,
    routes_max: usize,
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

    /// Sends the client's replies to `place` from now on. When the table is full, routes that
    /// `keep` says no to make room first.
    pub(crate) fn set(&mut self, client: u128, place: Place, keep: impl Fn(u128) -> bool) {
        if let Some(route) = self.routes.get_mut(&client) {
            *route = place;
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
        self.routes.insert(client, place);
    }

    /// Where the client's replies go.
    pub(crate) fn get(&self, client: u128) -> Option<Place> {
        self.routes.get(&client).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_delivery_wins_and_the_table_stays_bounded() {
        let place = |slot| Place {
            slot,
            generation: 0,
        };
        let mut router = Router::new(2);
        router.set(1, place(1), |_| true);
        router.set(1, place(9), |_| true);
        assert_eq!(router.get(1), Some(place(9)));
        for client in 2..=4 {
            router.set(client, place(client as u32), |_| true);
        }
        router.set(5, place(5), |_| true);
        assert_eq!(router.get(5), None, "full of live ones");
        router.set(5, place(5), |client| client == 4);
        assert_eq!(router.get(5), Some(place(5)));
        assert_eq!(router.get(4), Some(place(4)));
        assert_eq!(router.get(1), None);
    }
}
