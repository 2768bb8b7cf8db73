//! What both sides say beside pages: a header with checksums, then so many bytes.
//!
//! ```text
//! checksum of bytes 16..64 16 | checksum of the payload 16 | magic `GIRT` 4 | version 2 | kind 2
//! bytes of the payload 4 | zeros 20 | payload
//! ```

use std::io::{Read, Write};

use giro_base::checksum;

use super::error::TransferError;

const HEADER_BYTES: usize = 64;
const MAGIC: [u8; 4] = *b"GIRT";
const VERSION: u16 = 1;
/// Most bytes of a reason.
const REASON_BYTES_MAX: usize = 1024;

/// What a block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    /// The files of a checkpoint.
    Listing = 1,
    /// The places of those that are wanted, in the listing.
    Wanted = 2,
    /// Why there is no checkpoint; UTF-8.
    Refused = 3,
    /// All of it is durable.
    Whole = 4,
}

/// Sends a block.
pub(super) fn write_block(
    stream: &mut impl Write,
    kind: Kind,
    payload: &[u8],
) -> Result<(), TransferError> {
    let mut head = [0; HEADER_BYTES];
    head[16..32].copy_from_slice(&checksum(payload).to_le_bytes());
    head[32..36].copy_from_slice(&MAGIC);
    head[36..38].copy_from_slice(&VERSION.to_le_bytes());
    head[38..40].copy_from_slice(&(kind as u16).to_le_bytes());
    let bytes = u32::try_from(payload.len()).expect("blocks are bounded");
    head[40..44].copy_from_slice(&bytes.to_le_bytes());
    let sum = checksum(&head[16..]);
    head[..16].copy_from_slice(&sum.to_le_bytes());
    stream
        .write_all(&head)
        .map_err(TransferError::link("send"))?;
    stream
        .write_all(payload)
        .map_err(TransferError::link("send"))?;
    stream.flush().map_err(TransferError::link("send"))
}

/// Tells the other side why it gets nothing.
pub(super) fn refuse(stream: &mut impl Write, reason: &str) {
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    // It may have gone already.
    let _ = write_block(stream, Kind::Refused, &reason.as_bytes()[..end]);
}

/// Receives a block of this kind, of at most so many bytes.
pub(super) fn read_block(
    stream: &mut impl Read,
    wanted: Kind,
    bytes_max: usize,
) -> Result<Vec<u8>, TransferError> {
    let mut head = [0; HEADER_BYTES];
    stream
        .read_exact(&mut head)
        .map_err(TransferError::link("receive"))?;
    let bad = |reason| Err(TransferError::Bad(reason));
    if head[..16] != checksum(&head[16..]).to_le_bytes() {
        return bad("the checksum of a block's header does not match");
    }
    if head[32..36] != MAGIC || head[36..38] != VERSION.to_le_bytes() {
        return bad("a block is of another release");
    }
    let kind = u16::from_le_bytes([head[38], head[39]]);
    let is_refused = kind == Kind::Refused as u16;
    if kind != wanted as u16 && !is_refused {
        return bad("a block comes at the wrong time");
    }
    let bytes = u32::from_le_bytes([head[40], head[41], head[42], head[43]]) as usize;
    if bytes
        > if is_refused {
            REASON_BYTES_MAX
        } else {
            bytes_max
        }
    {
        return bad("a block is too long");
    }
    let mut payload = vec![0; bytes];
    stream
        .read_exact(&mut payload)
        .map_err(TransferError::link("receive"))?;
    if head[16..32] != checksum(&payload).to_le_bytes() {
        return bad("the checksum of a block does not match");
    }
    if is_refused {
        let reason = String::from_utf8_lossy(&payload).into_owned();
        return Err(TransferError::Refused(reason));
    }
    Ok(payload)
}
