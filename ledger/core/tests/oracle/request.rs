//! Requests as the oracle makes them, and their bodies on the wire.

use giro_base::branch::{BranchKey, ConfirmBranch, TryBranch, encode};
use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::filter::{AccountFilter, QueryFilter};
use giro_base::{Account, Operation, Transfer};
use zerocopy::IntoBytes;

/// One request at its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// The operation's timestamp (ns).
    pub(crate) timestamp: u64,
    pub(crate) action: Action,
}

/// What it asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    CreateAccounts(Form, Vec<Vec<Account>>),
    CreateTransfers(Form, Vec<Vec<Transfer>>),
    Branches(BranchRequests),
    Pulse,
    LookupAccounts(Vec<u128>),
    LookupTransfers(Vec<u128>),
    /// The filter, and the most rows a reply may have.
    AccountTransfers(AccountFilter, usize),
    QueryAccounts(QueryFilter, usize),
    QueryTransfers(QueryFilter, usize),
    ChangeEvents(ChangeEventsFilter, usize),
    ChangesAfter(ChangesAfter, usize),
}

/// Requests about branches, all of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BranchRequests {
    Try(Vec<TryBranch>),
    Confirm(Vec<ConfirmBranch>),
    Cancel(Vec<BranchKey>),
}

impl BranchRequests {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Try(tries) => tries.len(),
            Self::Confirm(confirms) => confirms.len(),
            Self::Cancel(keys) => keys.len(),
        }
    }

    pub(crate) fn key(&self, branch: usize) -> &BranchKey {
        match self {
            Self::Try(tries) => &tries[branch].key,
            Self::Confirm(confirms) => &confirms[branch].key,
            Self::Cancel(keys) => &keys[branch],
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Try(_) => Operation::TryBranches,
            Self::Confirm(_) => Operation::ConfirmBranches,
            Self::Cancel(_) => Operation::CancelBranches,
        }
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        match self {
            Self::Try(tries) => encode(tries),
            Self::Confirm(confirms) => encode(confirms),
            Self::Cancel(keys) => encode(keys),
        }
    }

    /// Timestamps that the request takes.
    pub(crate) fn ticks(&self) -> usize {
        match self {
            Self::Try(tries) => tries.iter().map(|branch| branch.legs.len()).sum(),
            _ => (65 * self.len()).min(8190),
        }
    }

    pub(crate) fn drop(&mut self, range: std::ops::Range<usize>) {
        let mut at = 0;
        let mut stays = || {
            at += 1;
            !range.contains(&(at - 1))
        };
        match self {
            Self::Try(tries) => tries.retain(|_| stays()),
            Self::Confirm(confirms) => confirms.retain(|_| stays()),
            Self::Cancel(keys) => keys.retain(|_| stays()),
        }
    }
}

/// Which of the three forms of a create operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Dense,
    Sparse,
    Unbatched,
}

impl Form {
    pub(crate) fn is_dense(self) -> bool {
        self == Self::Dense
    }

    pub(crate) fn has_trailer(self) -> bool {
        self != Self::Unbatched
    }

    pub(crate) fn accounts(self) -> Operation {
        match self {
            Self::Dense => Operation::CreateAccounts,
            Self::Sparse => Operation::CreateAccountsSparse,
            Self::Unbatched => Operation::CreateAccountsUnbatched,
        }
    }

    pub(crate) fn transfers(self) -> Operation {
        match self {
            Self::Dense => Operation::CreateTransfers,
            Self::Sparse => Operation::CreateTransfersSparse,
            Self::Unbatched => Operation::CreateTransfersUnbatched,
        }
    }
}

impl Action {
    /// Whether the answer is made of stored transfers.
    pub(crate) fn reads_transfers(&self) -> bool {
        matches!(
            self,
            Self::LookupTransfers(_)
                | Self::AccountTransfers(..)
                | Self::QueryTransfers(..)
                | Self::ChangeEvents(..)
                | Self::ChangesAfter(..)
        )
    }
}

impl Request {
    /// Events of a create operation, 0 for others.
    pub(crate) fn event_count(&self) -> usize {
        match &self.action {
            Action::CreateAccounts(_, batches) => batches.iter().map(Vec::len).sum(),
            Action::CreateTransfers(_, batches) => batches.iter().map(Vec::len).sum(),
            Action::Branches(asked) => asked.len(),
            _ => 0,
        }
    }
}

/// A create operation's body: the events of all batches, then the trailer.
pub(crate) fn body<E: IntoBytes + zerocopy::Immutable>(form: Form, batches: &[Vec<E>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for batch in batches {
        bytes.extend_from_slice(batch.as_bytes());
    }
    if form.has_trailer() {
        let counts: Vec<usize> = batches.iter().map(Vec::len).collect();
        encode_batches(&mut bytes, size_of::<E>(), &counts);
    }
    bytes
}

/// Appends the trailer, built from its end: the number of batches, their counts, then filling.
pub(crate) fn encode_batches(payload: &mut Vec<u8>, element_bytes: usize, counts: &[usize]) {
    let mut reversed: Vec<u8> = Vec::new();
    let mut push = |value: usize| {
        let [low, high] = (value as u16).to_le_bytes();
        reversed.extend_from_slice(&[high, low]);
    };
    push(counts.len());
    counts.iter().for_each(|count| push(*count));
    while !reversed.len().is_multiple_of(element_bytes) {
        reversed.push(0xFF);
    }
    payload.extend(reversed.into_iter().rev());
}
