//! The open connections, in slots.

use std::os::fd::OwnedFd;

use giro_log::uring::{OWNER_NET, Token};

use crate::handover::HandedOver;
use crate::receive::Receiver;
use crate::send::Sender;

/// A connection's slot, and which of its successive tenants. A stale one finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// What an operation of the ring does for the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Accept,
    Receive,
    Send,
}

const GENERATION_BITS: u32 = 24;
const SLOT_BITS: u32 = 24;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;
/// Most connections a token can tell apart.
pub(crate) const CONNECTIONS_MAX: usize = 1 << SLOT_BITS;

impl Place {
    /// The token of an operation on this connection.
    pub(crate) fn token(self, action: Action) -> u64 {
        let place = u64::from(self.generation) << SLOT_BITS | u64::from(self.slot);
        let action = (action as u64) << (GENERATION_BITS + SLOT_BITS);
        Token::new(OWNER_NET, action | place).0
    }

    /// What a token of ours says.
    pub(crate) fn from_token(value: u64) -> (Option<Action>, Self) {
        let place = Self {
            slot: value as u32 & ((1 << SLOT_BITS) - 1),
            generation: (value >> SLOT_BITS) as u32 & GENERATION_MASK,
        };
        let action = match value >> (GENERATION_BITS + SLOT_BITS) {
            0 => Some(Action::Accept),
            1 => Some(Action::Receive),
            2 => Some(Action::Send),
            _ => None,
        };
        (action, place)
    }
}

/// What a connection waits for. Times are nanoseconds of the reactor's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A receive is in flight.
    Receiving,
    /// A pooled buffer, in line since then.
    Waiting { since: u64 },
    /// Room in the ledger for the message it has, in line since then.
    Held { since: u64 },
    /// Its client to take what was sent, or the first thread what was handed over to it.
    Paused,
    /// Its operations to end, so that it can be closed.
    Closing,
}

/// One client's connection.
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    pub(crate) receiver: Receiver,
    pub(crate) sender: Sender,
    pub(crate) stage: Stage,
    pub(crate) receive_in_flight: bool,
    pub(crate) send_in_flight: bool,
    /// Listed among those that may have something to send.
    pub(crate) is_listed: bool,
    /// What the first thread has of it, when that is another one.
    pub(crate) handed_over: HandedOver,
    /// Whether a valid message ever came.
    pub(crate) has_greeted: bool,
    pub(crate) opened: u64,
    /// When the message that is being received began.
    pub(crate) message_began: Option<u64>,
    /// When the send in flight began.
    pub(crate) send_began: u64,
}

impl Connection {
    fn new(socket: OwnedFd, now: u64) -> Self {
        Self {
            socket,
            receiver: Receiver::new(),
            sender: Sender::default(),
            stage: Stage::Paused,
            receive_in_flight: false,
            send_in_flight: false,
            is_listed: false,
            handed_over: HandedOver::default(),
            has_greeted: false,
            opened: now,
            message_began: None,
            send_began: now,
        }
    }
}

/// All connections. Slots never move, and a slot is freed only when the kernel has no more
/// operation on it.
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Those that may have something to send, each once.
    listed: Vec<Place>,
}

struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

impl Connections {
    /// Room for this many.
    pub(crate) fn new(connections_max: usize) -> Self {
        let count = connections_max.clamp(1, CONNECTIONS_MAX) as u32;
        let empty = || Slot {
            generation: 0,
            connection: None,
        };
        Self {
            slots: (0..count).map(|_| empty()).collect(),
            free: (0..count).rev().collect(),
            listed: Vec::with_capacity(count as usize),
        }
    }

    /// Takes a socket in; none (and the socket closed) when there is no room.
    pub(crate) fn insert(&mut self, socket: OwnedFd, now: u64) -> Option<Place> {
        let slot = self.free.pop()?;
        let held = &mut self.slots[slot as usize];
        held.connection = Some(Connection::new(socket, now));
        Some(Place {
            slot,
            generation: held.generation,
        })
    }

    /// The connection at a place, if it is still that one.
    pub(crate) fn get(&mut self, place: Place) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(place.slot as usize)?;
        if slot.generation != place.generation {
            return None;
        }
        slot.connection.as_mut()
    }

    /// Frees the slot and closes the socket. No operation may be in flight on it.
    pub(crate) fn remove(&mut self, place: Place) {
        let slot = &mut self.slots[place.slot as usize];
        assert_eq!(slot.generation, place.generation, "removed once");
        let removed = slot.connection.take().expect("removed once");
        assert!(!removed.receive_in_flight, "the kernel still writes to it");
        assert!(!removed.send_in_flight, "the kernel still reads from it");
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        self.free.push(place.slot);
    }

    /// Remembers that the connection may have something to send.
    pub(crate) fn list(&mut self, place: Place) {
        if let Some(connection) = self.get(place)
            && !connection.is_listed
        {
            connection.is_listed = true;
            self.listed.push(place);
        }
    }

    /// The next connection that may have something to send.
    pub(crate) fn next_listed(&mut self) -> Option<Place> {
        loop {
            let place = self.listed.pop()?;
            if let Some(connection) = self.get(place) {
                connection.is_listed = false;
                return Some(place);
            }
        }
    }

    /// All open ones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &Connection)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let place = Place {
                slot: index as u32,
                generation: slot.generation,
            };
            slot.connection.as_ref().map(|held| (place, held))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> OwnedFd {
        std::os::unix::net::UnixStream::pair().unwrap().0.into()
    }

    #[test]
    fn tokens_carry_action_slot_and_generation() {
        let place = Place {
            slot: (1 << SLOT_BITS) - 1,
            generation: GENERATION_MASK,
        };
        let token = Token(place.token(Action::Send));
        assert_eq!(token.owner(), OWNER_NET);
        let back = Place::from_token(token.value());
        assert_eq!(back, (Some(Action::Send), place));
    }

    #[test]
    fn a_slot_has_one_tenant_at_a_time_and_stale_places_find_nothing() {
        let mut all = Connections::new(1);
        let first = all.insert(socket(), 0).unwrap();
        assert!(all.insert(socket(), 0).is_none());
        all.list(first);
        all.list(first);
        all.remove(first);
        let second = all.insert(socket(), 0).unwrap();
        assert_eq!(second.slot, first.slot);
        assert!(all.get(first).is_none());
        assert!(all.get(second).is_some());
        assert_eq!(all.next_listed(), None);
        assert_eq!(all.iter().count(), 1);
    }
}
