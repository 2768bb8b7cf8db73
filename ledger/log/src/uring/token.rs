//! Tokens: 64 bits that come back with an operation's completion and say whose it is.

/// The top byte of a token: which part of the process started the operation.
pub const OWNER_DISK: u8 = 1;
/// Operations of connections and listeners.
pub const OWNER_NET: u8 = 2;
/// Wake-ups from other threads and signals.
pub const OWNER_WAKE: u8 = 3;

/// Operations between nodes of a group.
pub const OWNER_PEER: u8 = 5;

/// Messages from another thread's ring; they belong to no operation of this one.
pub const OWNER_MESSAGE: u8 = 4;

/// Builds and reads tokens. The lower 56 bits belong to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub u64);

impl Token {
    /// Bits an owner may use.
    pub const VALUE_MAX: u64 = (1 << 56) - 1;

    /// A token of `owner` that carries `value`.
    ///
    /// # Panics
    /// When `value` does not fit 56 bits.
    #[must_use]
    pub fn new(owner: u8, value: u64) -> Self {
        assert!(value <= Self::VALUE_MAX, "a token carries 56 bits");
        Self(u64::from(owner) << 56 | value)
    }

    /// Who started the operation.
    #[must_use]
    pub fn owner(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// What the owner put into it.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0 & Self::VALUE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_value_come_back() {
        let token = Token::new(OWNER_NET, Token::VALUE_MAX);
        assert_eq!(token.owner(), OWNER_NET);
        assert_eq!(token.value(), Token::VALUE_MAX);
    }
}
