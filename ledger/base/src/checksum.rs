//! The protocol's checksum: the AEGIS-128L tag of an empty message, with the bytes as associated
//! data, under a key and nonce of zeros.
//!
//! It guards against faults of disks, memory and networks, not against an adversary: the key is
//! public.

use aegis::aegis128l::Aegis128L;

/// Checksum of an empty input, which every message without a body carries.
pub const CHECKSUM_EMPTY: u128 =
    u128::from_le_bytes(*b"\x83\xcc\x60\x0d\xc4\xe3\xe7\xe6\x2d\x40\x55\x82\x61\x74\xf1\x49");

/// The 128-bit checksum of `bytes`; its little-endian bytes are what stands on wire and disk.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u128 {
    let (_, tag) = Aegis128L::<16>::new(&[0; 16], &[0; 16]).encrypt(b"", bytes);
    u128::from_le_bytes(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        checksum(bytes)
            .to_le_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    #[test]
    fn known_inputs_give_the_protocols_checksums() {
        let counting: Vec<u8> = (0..=255).collect();
        assert_eq!(hex(b""), "83cc600dc4e3e7e62d4055826174f149");
        assert_eq!(checksum(b""), CHECKSUM_EMPTY);
        assert_eq!(hex(&[0; 16]), "f72ad48dd05dd1656133101cd4be3a26");
        assert_eq!(hex(&counting[..16]), "e8e0378638d7e8c7d35abf3499963d99");
        assert_eq!(hex(b"abc"), "3b3182a3fd642bfdbd200bdbe1b4eb4d");
        assert_eq!(hex(&counting[..33]), "205dbc4d693090b206092b05c26870c4");
        assert_eq!(hex(&[0; 256]), "651b82f3ddd4fcbf2deb8496e8ff613c");
        assert_eq!(hex(&counting), "d6ba1c495ca4c976f5d0993644aa9acd");
    }
}
