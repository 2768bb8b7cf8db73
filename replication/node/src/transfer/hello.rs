//! The first frame of a connection that asks for a checkpoint.
//!
//! ```text
//! checksum of bytes 16..192 16 | zeros 16 | cluster 16 | magic `GIRS` 4 | version 2 | group 2
//! from 8 | to 8 | incarnation of the sender 8 | index 8 | term 8 | zeros 88
//! ```
//!
//! It is as long as a frame's header and has its magic in the same place, so that a node knows from
//! the first bytes of a connection what it is for.

use giro_base::checksum;

/// Bytes of the frame.
pub const HELLO_BYTES: usize = 192;
const MAGIC: [u8; 4] = *b"GIRS";
const MAGIC_AT: usize = 48;
const VERSION: u16 = 1;
const END: usize = 96;

/// Asks for the checkpoint at an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The ledger.
    pub cluster: u128,
    /// The node that asks.
    pub from: u64,
    /// The node that is asked.
    pub to: u64,
    /// Of the node that asks.
    pub incarnation: u64,
    /// The entry.
    pub index: u64,
    /// Its term.
    pub term: u64,
}

/// Why a frame is no hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHello {
    /// Not what was sent.
    #[error("the checksum of a request for a checkpoint does not match")]
    Damaged,
    /// Of another release.
    #[error("a request for a checkpoint has version {0}, this release knows {VERSION}")]
    OtherVersion(u16),
    /// What nobody sends.
    #[error("a request for a checkpoint makes no sense")]
    Malformed,
}

impl Hello {
    /// Whether a connection that begins like this asks for a checkpoint.
    #[must_use]
    pub fn is_begun_by(bytes: &[u8; HELLO_BYTES]) -> bool {
        bytes[MAGIC_AT..MAGIC_AT + 4] == MAGIC
    }

    /// The frame.
    #[must_use]
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[32..48].copy_from_slice(&self.cluster.to_le_bytes());
        bytes[MAGIC_AT..52].copy_from_slice(&MAGIC);
        bytes[52..54].copy_from_slice(&VERSION.to_le_bytes());
        let numbers = [self.from, self.to, self.incarnation, self.index, self.term];
        for (place, number) in bytes[56..END].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&bytes[16..]);
        bytes[..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the frame.
    ///
    /// # Errors
    /// [`BadHello`]: close the connection.
    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Result<Self, BadHello> {
        if bytes[..16] != checksum(&bytes[16..]).to_le_bytes() {
            return Err(BadHello::Damaged);
        }
        if !Self::is_begun_by(bytes) {
            return Err(BadHello::Malformed);
        }
        let version = u16::from_le_bytes([bytes[52], bytes[53]]);
        if version != VERSION {
            return Err(BadHello::OtherVersion(version));
        }
        let zeros = bytes[16..32]
            .iter()
            .chain(&bytes[54..56])
            .chain(&bytes[END..]);
        let number = |at: usize| {
            let bytes = bytes[at..].first_chunk();
            u64::from_le_bytes(*bytes.expect("within the frame"))
        };
        let cluster = u128::from(number(32)) | u128::from(number(40)) << 64;
        let hello = Self {
            cluster,
            from: number(56),
            to: number(64),
            incarnation: number(72),
            index: number(80),
            term: number(88),
        };
        let is_sound = hello.from != 0 && hello.to != 0 && hello.from != hello.to;
        if !is_sound || hello.index == 0 || zeros.into_iter().any(|byte| *byte != 0) {
            return Err(BadHello::Malformed);
        }
        Ok(hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_read_as_it_was_written_and_nothing_else_is() {
        let hello = Hello {
            cluster: 7 << 70,
            from: 1,
            to: 2,
            incarnation: u64::MAX,
            index: 9,
            term: 3,
        };
        let bytes = hello.encode();
        assert!(Hello::is_begun_by(&bytes));
        assert_eq!(Hello::decode(&bytes), Ok(hello));
        for byte in 0..HELLO_BYTES {
            let mut changed = bytes;
            changed[byte] ^= 4;
            assert_eq!(Hello::decode(&changed), Err(BadHello::Damaged), "{byte}");
        }
        let resealed = |at: usize, value: u8| {
            let mut changed = bytes;
            changed[at] = value;
            let sum = checksum(&changed[16..]);
            changed[..16].copy_from_slice(&sum.to_le_bytes());
            Hello::decode(&changed)
        };
        assert_eq!(resealed(52, 2), Err(BadHello::OtherVersion(2)));
        for (at, value) in [(16, 1), (54, 1), (191, 1), (56, 0), (64, 1), (80, 0)] {
            assert_eq!(resealed(at, value), Err(BadHello::Malformed), "{at}");
        }
    }
}
