//! Bounds of the group and of its frames, with the relations between them.

use giro_base::limits::{BUFFER_BYTES, RECORD_HEADER_BYTES};

/// Most bytes of an entry's payload: what fits a log record behind its header.
pub const ENTRY_BYTES_MAX: usize = BUFFER_BYTES - RECORD_HEADER_BYTES;
/// Bytes of entries that go into one append, unless a single one is larger.
pub const APPEND_BYTES: u64 = 1 << 20;
/// Most entries in one append: with the frame's head, fewer parts than the system sends in one
/// operation (1,024).
pub const APPEND_ENTRIES_MAX: usize = 1000;
/// Appends on their way to a peer before the leader waits for its answers.
pub const APPENDS_IN_FLIGHT_MAX: usize = 32;
/// Bytes proposed and not committed before proposals are refused.
pub const UNCOMMITTED_BYTES_MAX: u64 = 64 << 20;
/// Bytes of committed entries handed out at a time.
pub const COMMIT_BYTES: u64 = 8 << 20;
/// Most bytes that describe a checkpoint.
pub const DESCRIPTION_BYTES_MAX: usize = 64 << 10;
/// Most bytes of a checkpoint's manifest; the description has the members, too.
pub const MANIFEST_BYTES_MAX: usize = 32 << 10;
/// Most nodes that a group knows.
pub const MEMBERS_MAX: usize = 64;
/// Most bytes of a node's name.
pub const NAME_BYTES_MAX: usize = 255;
/// Largest term and index: far away, and no sum of two of them overflows.
pub const NUMBER_MAX: u64 = 1 << 60;

/// Ticks between a leader's heartbeats.
pub const HEARTBEAT_TICKS: usize = 2;
/// Ticks without a leader before the first node campaigns.
pub const ELECTION_TICKS_MIN: usize = 10;
/// Above the ticks after which the last node campaigns.
pub const ELECTION_TICKS_END: usize = 19;
/// Ticks between the calls of a node whose group has not begun.
pub const ROLL_TICKS: u64 = 5;
/// Ticks between two words of a node that has begun to a member that is silent.
pub const TELL_TICKS: u64 = 50;
/// Ticks within which a peer must have been heard to count as healthy.
pub const HEARD_TICKS_MAX: u64 = 20;
/// Entries a learner may lag behind to be promoted.
pub const PROMOTE_LAG_MAX: u64 = 256;
/// Ticks after which a read's question is asked again.
pub const READ_RETRY_TICKS: u64 = 10;
/// Questions of reads under way at once; more reads wait for the next one.
pub const READS_ASKED_MAX: usize = 16;
/// Distance of entries after which the state's digest is noted.
pub const DIGEST_EVERY: u64 = 16;
/// Notes of digests kept.
pub const DIGESTS_KEPT: usize = 256;

const _: () = assert!(APPEND_BYTES as usize <= ENTRY_BYTES_MAX);
const _: () = assert!(UNCOMMITTED_BYTES_MAX > APPEND_BYTES);
const _: () = assert!(ELECTION_TICKS_MIN > 2 * HEARTBEAT_TICKS);
const _: () = assert!(ROLL_TICKS > 1 && 2 * ROLL_TICKS < HEARD_TICKS_MAX);
const _: () = assert!(ELECTION_TICKS_END - ELECTION_TICKS_MIN == 9);
const _: () = assert!(
    MANIFEST_BYTES_MAX + MEMBERS_MAX * (NAME_BYTES_MAX + 64) + 128 <= DESCRIPTION_BYTES_MAX
);
