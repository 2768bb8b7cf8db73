//! Broken rules: the auditor must notice each of them.

/// What a node does wrong, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// Says a write is durable when it was only started.
    EarlyPersist,
    /// As [`EarlyPersist`](Self::EarlyPersist), but only where the disk has another entry in the
    /// place of the one that is written.
    EarlyOverwrite,
    /// Answers a client when the entry is durable on the leader alone.
    EarlyReply,
    /// Answers a client without waiting for the gate's replica.
    UngatedReply,
    /// Answers a client that asks again without waiting for the gate's replica.
    UngatedResend,
    /// Forgets term and vote over a restart.
    ForgetVote,
    /// Forgets the last entries over a restart.
    ForgetTail,
    /// Finds less on its disk after a crash than was durable.
    LostRecords,
    /// Answers reads without asking the group, on any node.
    StaleRead,
    /// Executes a request again that was sent again.
    NoSessions,
    /// A leader never counts its own disk, and neither does a follower.
    NeverPersist,
    /// One node's memory is not what it should be.
    WrongState,
    /// On their way, refusals to vote become votes.
    ForgedVotes,
    /// On their way, now and then an entry becomes another one.
    ChangedEntry,
    /// Over a restart, a committed entry becomes another one.
    ChangedCommit,
    /// First voters take part before they know each other.
    NoRoll,
}
