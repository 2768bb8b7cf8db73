//! The port thread's side: hands messages over, and takes back what returns.

use std::sync::Arc;

use super::bell::Call;
use super::link::{Link, Orders, PARCELS};
use super::parcel::Parcel;
use crate::connection::{Connection, Place};
use crate::port::{Handled, Handler, Occasion, Port, Turn};
use crate::receive::{Incoming, Received};

/// What hands the messages of a thread over.
pub(super) struct Courier {
    pub(super) link: Arc<Link>,
    pub(super) orders: Arc<Orders>,
    /// Parcels to fill; the one that was used last comes first.
    free: Vec<Parcel>,
    /// Connections that wait for something of theirs to come back.
    awaiting: Vec<Place>,
    resuming: Vec<Place>,
    /// Something was handed over in this turn.
    has_sent: bool,
    /// Something the first thread may lack was given back in this turn.
    pub(super) gave_back: bool,
}

impl Courier {
    pub(super) fn new(link: Arc<Link>, orders: Arc<Orders>, connections_max: usize) -> Self {
        Self {
            link,
            orders,
            free: (0..PARCELS).map(|_| Parcel::new()).collect(),
            awaiting: Vec::with_capacity(connections_max),
            resuming: Vec::with_capacity(connections_max),
            has_sent: false,
            gave_back: false,
        }
    }

    /// Whether connections wait for something to come back.
    pub(super) fn is_awaiting(&self) -> bool {
        !self.awaiting.is_empty()
    }

    /// Takes back what the first thread is done with, and goes on with who waited for that.
    pub(super) fn take_back(&mut self, port: &mut Port, turn: &mut Turn) {
        let before = self.free.len();
        while let Some(parcel) = self.link.returned.pop() {
            // The connection may be gone, or its slot another's.
            if let Some(connection) = port.connections.get(parcel.place) {
                connection.handed_over.remove(parcel.total, parcel.is_read);
            }
            self.free.push(parcel);
        }
        if self.free.len() == before {
            return;
        }
        std::mem::swap(&mut self.awaiting, &mut self.resuming);
        while let Some(place) = self.resuming.pop() {
            if let Some(connection) = port.connections.get(place) {
                connection.handed_over.is_awaited = false;
                port.resume(turn, self, place);
            }
        }
    }

    /// Wakes the first thread, if it has to know what was done in this turn.
    pub(super) fn report(&mut self, turn: &mut Turn) {
        let call = if self.has_sent {
            Call::Work
        } else if self.gave_back {
            Call::Returned
        } else {
            return;
        };
        self.orders.first.call(call, &mut turn.ring);
        self.has_sent = false;
        self.gave_back = false;
    }
}

impl Handler for Courier {
    fn handle(&mut self, at: &Occasion<'_>, connection: &mut Connection) -> Handled {
        let (is_read, total) = match connection.receiver.message() {
            Received::Ping(ping) => (false, ping.frame.size.get() as usize),
            Received::Request(request, _) => {
                let operation = request.operation();
                let is_read = operation.is_some_and(|operation| !operation.is_write());
                (is_read, request.frame.size.get() as usize)
            }
        };
        let handed_over = &mut connection.handed_over;
        if !handed_over.has_room(total, is_read) {
            if !handed_over.is_awaited {
                handed_over.is_awaited = true;
                self.awaiting.push(at.place);
            }
            return Handled::Pause;
        }
        if at.others_wait {
            return Handled::Hold;
        }
        let Some(mut parcel) = self.free.pop() else {
            return Handled::Hold;
        };
        handed_over.add(total, is_read);
        parcel.place = at.place;
        parcel.since = at.since;
        parcel.is_read = is_read;
        parcel.fill(&mut connection.receiver);
        Link::put(&self.link.requests, parcel);
        self.has_sent = true;
        Handled::Done
    }
}
