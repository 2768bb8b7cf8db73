//! What the tests of captured messages share.
#![allow(dead_code, reason = "each test binary uses a part")]

use giro_base::checksum;
use giro_wire::{HeaderBytes, Message, parse_header};

/// Names of all captured messages, which are files of hexadecimal digits.
pub(crate) const NAMES: [&str; 9] = [
    "register_request",
    "register_reply",
    "create_accounts_request",
    "create_accounts_reply",
    "create_transfers_request",
    "create_transfers_reply",
    "ping",
    "pong",
    "eviction",
];

/// Header and body of a captured message.
pub(crate) fn captured(name: &str) -> (HeaderBytes, Vec<u8>) {
    let path = format!("{}/tests/captured/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let (header, body) = bytes.split_first_chunk().unwrap();
    (*header, body.to_vec())
}

/// A header of cluster 0 that has to be valid.
pub(crate) fn parse(header: &HeaderBytes) -> Message<'_> {
    parse_header(header, 0).unwrap()
}

/// Makes the header's checksum right again after a change.
pub(crate) fn reseal(header: &mut HeaderBytes) {
    let sum = checksum(&header[16..]);
    header[..16].copy_from_slice(&sum.to_le_bytes());
}
