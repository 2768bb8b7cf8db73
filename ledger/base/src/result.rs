//! What a create operation answers for each event, in the dense and the older sparse form.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The dense form: one for each event, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CreateResult {
    /// The stored object's timestamp when created or already there, else the event's own (ns).
    pub timestamp: u64,
    /// A [`crate::CreateAccountStatus`] or [`crate::CreateTransferStatus`].
    pub status: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<CreateResult>() == 16);

/// The sparse form of releases before 0.17: only events that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CreateFailure {
    /// The event's place in its own batch, from 0.
    pub index: u32,
    /// A [`crate::CreateAccountStatus`] or [`crate::CreateTransferStatus`].
    pub status: u32,
}

const _: () = assert!(size_of::<CreateFailure>() == 8);
