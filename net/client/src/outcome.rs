//! Answers as types.

use giro_base::result::CreateResult;
use giro_base::{CreateAccountStatus, CreateTransferStatus, Timestamp, Transfer};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// What became of one account of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountResult {
    /// The account's timestamp when created or already there, else the event's own (ns).
    pub timestamp: Timestamp,
    /// The outcome.
    pub status: CreateAccountStatus,
}

/// What became of one transfer of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferResult {
    /// The transfer's timestamp when created or already there, else the event's own (ns).
    pub timestamp: Timestamp,
    /// The outcome.
    pub status: CreateTransferStatus,
}

/// What became of a transfer whose call ended as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the ledger.
    Done(Transfer),
    /// It is not, and no request of this client that was sent before can still create it.
    Absent,
}

/// Records as they stand; `bytes` is a whole number of them.
pub(crate) fn rows<T>(bytes: &[u8]) -> Option<Vec<T>>
where
    T: FromBytes + FromZeros + IntoBytes + Immutable + Clone,
{
    if !bytes.len().is_multiple_of(size_of::<T>()) {
        return None;
    }
    let mut rows = vec![T::new_zeroed(); bytes.len() / size_of::<T>()];
    rows.as_mut_slice().as_mut_bytes().copy_from_slice(bytes);
    Some(rows)
}

/// None when a status is not known here.
pub(crate) fn account_results(bytes: &[u8]) -> Option<Vec<AccountResult>> {
    let typed = |result: CreateResult| {
        Some(AccountResult {
            timestamp: result.timestamp,
            status: CreateAccountStatus::try_from(result.status).ok()?,
        })
    };
    rows(bytes)?.into_iter().map(typed).collect()
}

/// None when a status is not known here.
pub(crate) fn transfer_results(bytes: &[u8]) -> Option<Vec<TransferResult>> {
    let typed = |result: CreateResult| {
        Some(TransferResult {
            timestamp: result.timestamp,
            status: CreateTransferStatus::try_from(result.status).ok()?,
        })
    };
    rows(bytes)?.into_iter().map(typed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_typed_and_nonsense_is_noticed() {
        let mut bytes = [0; 32];
        bytes[0] = 7;
        bytes[8..12].fill(0xFF);
        bytes[24] = 46;
        let results = transfer_results(&bytes).unwrap();
        assert_eq!(results[0].timestamp, 7);
        assert_eq!(results[0].status, CreateTransferStatus::Created);
        assert_eq!(results[1].status, CreateTransferStatus::Exists);
        bytes[24] = 200;
        assert_eq!(transfer_results(&bytes), None);
        assert_eq!(account_results(&bytes[1..]), None);
    }
}
