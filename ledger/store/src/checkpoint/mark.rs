//! What a checkpoint needs that generations do not have.

use giro_base::Timestamp;

/// Where the ledger is as a generation ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Number of the last op executed.
    pub op: u64,
    /// Its timestamp (ns).
    pub timestamp: Timestamp,
    /// Index of the log's record that has it.
    pub record: u64,
    /// The digest over everything executed.
    pub digest: u128,
    /// All open sessions, that quiet for longest first.
    pub sessions: Vec<SessionState>,
    /// Where the group of nodes was, in its own encoding; empty in a ledger alone.
    pub group: Vec<u8>,
}

/// An open session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// The client.
    pub client: u128,
    /// The session's number.
    pub session: u64,
    /// Number of its last write's request.
    pub request: u32,
    /// Checksum of that request.
    pub request_checksum: u128,
    /// What was asked for.
    pub operation: u8,
    /// The client's release.
    pub release: u32,
    /// The op that executed it.
    pub op: u64,
    /// Its timestamp (ns).
    pub timestamp: Timestamp,
    /// The body of the reply; none when it was in an earlier mark already.
    pub reply: Option<Vec<u8>>,
}
