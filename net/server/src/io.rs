//! Handing a connection's memory to the kernel: the only unsafe code of this crate, besides
//! owning the descriptor of an accepted connection.

use giro_log::uring::{Ring, Target};

use crate::connection::{Action, Connection, Place};

/// Starts a receive into the connection's room.
pub(crate) fn start_receive(ring: &mut Ring, place: Place, connection: &mut Connection) {
    assert!(!connection.receive_in_flight, "one receive at a time");
    let socket = Target::of(&connection.socket);
    let (room, all) = connection.receiver.room();
    assert!(!room.is_empty(), "a receive has somewhere to go");
    let memory = (room.as_mut_ptr(), room.len() as u32);
    // SAFETY: the room lies on the heap or in a pooled buffer that the receiver owns. While
    // `receive_in_flight` is set, the receiver's methods are not called, and the slot is not
    // freed (`Connections::remove` asserts it); the ring is dropped before the connections.
    unsafe { ring.receive(socket, memory, all, place.token(Action::Receive)) };
    connection.receive_in_flight = true;
}

/// Starts the next send, if something waits and none is in flight.
pub(crate) fn start_send(ring: &mut Ring, place: Place, connection: &mut Connection, now: u64) {
    if let Some(bytes) = connection.sender.start() {
        let memory = (bytes.as_ptr(), bytes.len() as u32);
        connection.send_began = now;
        send(ring, place, connection, memory);
    }
}

/// Accounts for a send that ended and goes on with the rest of it, if there is one.
pub(crate) fn continue_send(
    ring: &mut Ring,
    place: Place,
    connection: &mut Connection,
    sent: usize,
) {
    if let Some(rest) = connection.sender.on_sent(sent) {
        let memory = (rest.as_ptr(), rest.len() as u32);
        send(ring, place, connection, memory);
    }
}

fn send(ring: &mut Ring, place: Place, connection: &mut Connection, memory: (*const u8, u32)) {
    assert!(!connection.send_in_flight, "one send at a time");
    let socket = Target::of(&connection.socket);
    // SAFETY: the bytes are the sender's flight, on the heap or in a pooled buffer, which it
    // keeps unchanged until `on_sent`; that is called only at the completion. The slot is not
    // freed before it (`Connections::remove` asserts it); the ring is dropped before them.
    unsafe { ring.send(socket, memory, place.token(Action::Send)) };
    connection.send_in_flight = true;
}
