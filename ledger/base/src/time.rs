//! Time as the ledger counts it.

/// Nanoseconds since the Unix epoch; valid values are 1 to [`TIMESTAMP_MAX`]. Every object and
/// event has its own, and they only rise.
pub type Timestamp = u64;

/// Largest valid timestamp: 2^63 - 1 ns.
pub const TIMESTAMP_MAX: Timestamp = (1 << 63) - 1;
/// Nanoseconds in a second; pending transfers' timeouts are given in seconds.
pub const NS_PER_S: u64 = 1_000_000_000;

/// Whether `timestamp` lies in the valid range.
#[must_use]
pub fn is_valid(timestamp: Timestamp) -> bool {
    (1..=TIMESTAMP_MAX).contains(&timestamp)
}
