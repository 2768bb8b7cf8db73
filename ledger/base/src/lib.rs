//! The vocabulary every other crate of Giro shares.
//!
//! What it holds: the fixed records of the field (accounts, transfers, filters, results), the
//! status codes, the operations and the encoding of their bodies, the checksum, named limits,
//! and the two kinds of memory the data path uses (message buffers and growable regions).
//!
//! What it guarantees: records have exactly the bytes the protocol gives them (asserted at
//! compile time), and bytes from outside become types only through functions that validate.
//!
//! Where to start reading: [`transfer::Transfer`], then [`operation::Operation`] and
//! [`multi_batch`].

pub mod account;
pub mod branch;
pub mod buffer;
pub mod change;
pub mod checksum;
pub mod filter;
mod free_list;
pub mod hash;
pub mod lanes;
pub mod limits;
pub mod multi_batch;
pub mod operation;
pub mod prefetch;
pub mod region;
pub mod result;
pub mod status;
pub mod time;
pub mod transfer;

pub use account::{Account, AccountFlags};
pub use buffer::{Buffer, BufferPool};
pub use change::{ChangeEvent, ChangeKind, Position};
pub use checksum::checksum;
pub use operation::Operation;
pub use region::{Ahead, Region};
pub use status::{CreateAccountStatus, CreateTransferStatus};
pub use time::Timestamp;
pub use transfer::{Transfer, TransferFlags};

// Records are read from the wire and the log by reference, without conversion.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "Giro's records are little-endian"
);
