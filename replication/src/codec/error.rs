//! Why bytes are no frame.

/// What is wrong with bytes that should be a frame. The connection they came on is out of step:
/// it must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The header is damaged, or these bytes are no header.
    #[error("the frame's header is damaged")]
    Header,
    /// The bytes are not of this protocol.
    #[error("these bytes are not of the replication protocol")]
    Magic,
    /// The sender speaks another version.
    #[error("the frame has version {found}; this node speaks {expected}")]
    Version {
        /// The sender's.
        found: u16,
        /// Ours.
        expected: u16,
    },
    /// A field has a value that no frame has.
    #[error("the frame's {0} is out of bounds")]
    Field(&'static str),
    /// Descriptors, context or description are damaged.
    #[error("the part behind the frame's header is damaged")]
    Rest,
    /// A payload is damaged.
    #[error("the payload of entry {index} is damaged")]
    Payload {
        /// The entry.
        index: u64,
    },
    /// There are fewer or more bytes than the header says.
    #[error("the frame has {found} bytes; its header says {expected}")]
    Length {
        /// There are.
        found: usize,
        /// There should be.
        expected: usize,
    },
}
