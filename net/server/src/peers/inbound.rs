//! A connection from a peer: bytes to frames.

use std::os::fd::OwnedFd;

use bytes::Bytes;
use giro_node::transfer::{HELLO_BYTES, Hello};
use giro_replication::codec::{BadFrame, HEADER_BYTES, Header};
use giro_replication::{NodeId, codec};

use super::memory::{FrameMemory, Room};

/// Bytes received at a time. Frames up to half of it are cut out of what came.
const STAGED_BYTES: usize = 64 << 10;

/// What a peer's connection receives. While a receive is in flight, its room stays.
pub(super) struct Inbound {
    pub(super) socket: OwnedFd,
    /// The sender, once a frame of it was taken.
    pub(super) from: Option<NodeId>,
    /// When it was accepted (ns).
    pub(super) accepted: u64,
    pub(super) receive_in_flight: bool,
    /// It ends as soon as the kernel lets go of it.
    pub(super) is_closing: bool,
    staged: Box<[u8]>,
    /// What of it is received and not cut yet.
    begin: usize,
    end: usize,
    /// A frame too large to be cut out.
    large: Option<Large>,
}

struct Large {
    from: NodeId,
    room: Room,
    filled: usize,
}

impl Inbound {
    pub(super) fn new(socket: OwnedFd, now: u64) -> Self {
        Self {
            socket,
            from: None,
            accepted: now,
            receive_in_flight: false,
            is_closing: false,
            staged: vec![0; STAGED_BYTES].into(),
            begin: 0,
            end: 0,
            large: None,
        }
    }

    /// Where the next bytes go, and whether all of it is wanted at once.
    pub(super) fn room(&mut self) -> (&mut [u8], bool) {
        match &mut self.large {
            Some(large) => (&mut large.room.bytes_mut()[large.filled..], true),
            None => (&mut self.staged[self.end..], false),
        }
    }

    /// This many bytes came into the room.
    pub(super) fn on_received(&mut self, bytes: usize) {
        match &mut self.large {
            Some(large) => large.filled += bytes,
            None => self.end += bytes,
        }
    }

    /// The first frame, when it asks for a checkpoint: nothing follows it until that is answered.
    pub(super) fn hello(&self) -> Option<[u8; HELLO_BYTES]> {
        let is_first = self.from.is_none() && self.large.is_none();
        let staged = &self.staged[self.begin..self.end];
        let hello = staged.first_chunk().filter(|_| is_first)?;
        let is_all = staged.len() == HELLO_BYTES;
        (is_all && Hello::is_begun_by(hello)).then_some(*hello)
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes are no frame: nothing behind them can be understood.
    pub(super) fn next_frame(
        &mut self,
        memory: &FrameMemory,
    ) -> Result<Option<(NodeId, Bytes)>, BadFrame> {
        if let Some(mut large) = self.large.take() {
            if large.filled == large.room.bytes_mut().len() {
                return Ok(Some((large.from, large.room.freeze())));
            }
            self.large = Some(large);
            return Ok(None);
        }
        let staged = &self.staged[self.begin..self.end];
        let Some((head, _)) = staged.split_first_chunk::<HEADER_BYTES>() else {
            self.make_room();
            return Ok(None);
        };
        let header = Header::parse(head)?;
        let (from, bytes) = (header.from, header.bytes as usize);
        debug_assert!(bytes <= codec::FRAME_BYTES_MAX);
        let there = staged.len().min(bytes);
        if there < bytes && bytes <= STAGED_BYTES / 2 {
            self.make_room();
            return Ok(None);
        }
        let mut room = memory.room(bytes);
        room.bytes_mut()[..there].copy_from_slice(&staged[..there]);
        self.begin += there;
        if there == bytes {
            return Ok(Some((from, room.freeze())));
        }
        self.large = Some(Large {
            from,
            room,
            filled: there,
        });
        self.make_room();
        Ok(None)
    }

    /// Ends it; what is under way ends by that.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Moves the beginning of a frame to the front.
    fn make_room(&mut self) {
        self.staged.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
    }
}
