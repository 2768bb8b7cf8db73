//! Release numbers, which every message carries.

use std::fmt;

/// A release of the protocol's programs: major * 65536 + minor * 256 + patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(pub u32);

impl Release {
    /// The oldest client release whose messages we understand.
    pub const CLIENT_MIN: Self = Self::new(0, 16, 4);
    /// What a program built from source calls itself; also what this server says it is, since
    /// no client compares it with anything.
    pub const DEVELOPMENT: Self = Self::new(65535, 0, 0);

    /// The release with these three parts.
    #[must_use]
    pub const fn new(major: u16, minor: u8, patch: u8) -> Self {
        Self((major as u32) << 16 | (minor as u32) << 8 | patch as u32)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [patch, minor, major_low, major_high] = self.0.to_le_bytes();
        let major = u16::from_le_bytes([major_low, major_high]);
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_order_and_print_by_their_parts() {
        assert_eq!(Release::new(0, 17, 9), Release(0x1109));
        assert_eq!(Release::DEVELOPMENT, Release(0xffff_0000));
        assert!(Release::new(0, 16, 3) < Release::CLIENT_MIN);
        assert!(Release::new(0, 17, 0) > Release::new(0, 16, 255));
        assert_eq!(Release::new(0, 16, 78).to_string(), "0.16.78");
        assert_eq!(Release::DEVELOPMENT.to_string(), "65535.0.0");
    }
}
