//! Handed-over requests that the ledger has no room for now, in the order in which they came.

use std::collections::VecDeque;

use super::parcel::Parcel;
use crate::outbox::Route;

/// The line. The requests of one connection never overtake each other in it.
pub(super) struct Line {
    queue: VecDeque<(u16, Parcel)>,
    /// For each port and slot, the round in which something of it was last left in line.
    left_in: Vec<Vec<u64>>,
    round: u64,
}

impl Line {
    /// Of this many ports with so many connections, that can have so many parcels together.
    pub(super) fn new(ports: usize, connections_max: usize, parcels_max: usize) -> Self {
        Self {
            queue: VecDeque::with_capacity(parcels_max),
            left_in: vec![vec![0; connections_max]; ports],
            round: 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Begins to go through the line from its head: everything in it is taken once.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// The next of the round.
    pub(super) fn take(&mut self) -> Option<(u16, Parcel)> {
        self.queue.pop_front()
    }

    /// Whether something of this connection has been left in line, which it may not overtake:
    /// in this round, or, between rounds, at all.
    pub(super) fn is_behind(&self, route: Route) -> bool {
        !self.queue.is_empty()
            && self.left_in[usize::from(route.port)][route.place.slot as usize] == self.round
    }

    /// Leaves one in line, at its end.
    pub(super) fn leave(&mut self, port: u16, parcel: Parcel) {
        self.left_in[usize::from(port)][parcel.place.slot as usize] = self.round;
        self.queue.push_back((port, parcel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Place;

    fn route(port: u16, slot: u32) -> Route {
        let place = Place {
            slot,
            generation: 0,
        };
        Route { port, place }
    }

    fn parcel(slot: u32) -> Parcel {
        let mut parcel = Parcel::new();
        parcel.place = route(0, slot).place;
        parcel
    }

    #[test]
    fn a_connection_stays_behind_itself_until_a_round_takes_all_of_it() {
        let mut line = Line::new(2, 4, 8);
        assert!(!line.is_behind(route(1, 3)));
        line.leave(1, parcel(3));
        assert!(line.is_behind(route(1, 3)));
        assert!(!line.is_behind(route(0, 3)) && !line.is_behind(route(1, 2)));
        line.leave(1, parcel(2));
        line.leave(1, parcel(3));

        // The first of it is left again, so the other is behind it.
        line.begin_round();
        let (port, first) = line.take().unwrap();
        assert!(!line.is_behind(route(port, first.place.slot)));
        line.leave(port, first);
        let (port, other) = line.take().unwrap();
        assert!(!line.is_behind(route(port, other.place.slot)));
        let (port, second) = line.take().unwrap();
        assert!(line.is_behind(route(port, second.place.slot)));
        line.leave(port, second);
        assert!(line.is_behind(route(1, 3)) && !line.is_behind(route(1, 2)));

        line.begin_round();
        for _ in 0..2 {
            let (port, next) = line.take().unwrap();
            assert!(!line.is_behind(route(port, next.place.slot)));
        }
        assert!(line.is_empty());
    }
}
