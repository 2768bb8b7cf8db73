//! Frames between nodes: our own encoding, little-endian, fixed headers.
//!
//! Nothing here trusts its input: a length is bounded before it is used, a checksum is right
//! before what it covers is read, and what is refused says why. `docs/internals/replication.md`
//! has every byte.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

mod decode;
mod encode;
mod error;
mod header;
pub(crate) mod pieces;

pub use self::{
    decode::{Rest, decode, decode_with},
    encode::Frame,
    error::BadFrame,
    header::{FRAME_BYTES_MAX, HEADER_BYTES, Header, Kind},
};
pub(crate) use self::{
    decode::{decode_description, snapshot},
    encode::{Sender, encode, encode_description, encode_word},
};

/// A message with what its frame says of the sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// The frame's header.
    pub header: Header,
    pub(crate) message: raft::eraftpb::Message,
}

impl Incoming {
    /// What the sender says in a roll call, if it is one.
    pub(crate) fn word(&self) -> Option<crate::roll::Word> {
        self.header.word()
    }

    /// The entries in it.
    #[must_use]
    pub fn entries(&self) -> Vec<crate::Entry> {
        let entries = self.message.get_entries().iter();
        entries.map(crate::Entry::from_raft).collect()
    }
}

#[cfg(test)]
mod tests;
