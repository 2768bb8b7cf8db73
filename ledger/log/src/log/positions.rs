//! How far the log is, in each sense.

/// Record indexes; each is the last one of which it is true. 0 is none.
/// `checkpointed <= executed <= committed <= durable <= appended`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Its write has started.
    pub appended: u64,
    /// It and all before it are on stable storage here.
    pub durable: u64,
    /// It is decided: a quorum has it.
    pub committed: u64,
    /// It has taken effect.
    pub executed: u64,
    /// A checkpoint holds its effect.
    pub checkpointed: u64,
}

impl Positions {
    /// # Panics
    /// When the order is broken: a bug that would lose money.
    pub(super) fn check(&self) {
        assert!(self.durable <= self.appended, "{self:?}");
        assert!(self.committed <= self.durable, "{self:?}");
        assert!(self.executed <= self.committed, "{self:?}");
        assert!(self.checkpointed <= self.executed, "{self:?}");
    }
}
