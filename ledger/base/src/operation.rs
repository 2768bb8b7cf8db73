//! The operations of the protocol, by their numbers, and the shape of their bodies.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use strum::{Display, EnumIter, IntoStaticStr};

use crate::limits::{CHANGE_EVENTS_MAX, EVENTS_MAX, EVENTS_MAX_UNBATCHED, OPEN_BRANCHES_MAX};

/// What a request asks for. The numbers are the protocol's; those below 128 belong to sessions,
/// 128 is internal, and clients send the rest.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    TryFromPrimitive,
    IntoPrimitive,
    Display,
    EnumIter,
    IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Operation {
    /// Opens a session.
    Register = 2,
    /// Does nothing, in order.
    Noop = 6,
    /// Expires pending transfers that are due. Only the ledger itself makes it.
    Pulse = 128,
    /// Deprecated form without a trailer, sparse results.
    CreateAccountsUnbatched = 129,
    /// Deprecated form without a trailer, sparse results.
    CreateTransfersUnbatched = 130,
    /// Deprecated form without a trailer.
    LookupAccountsUnbatched = 131,
    /// Deprecated form without a trailer.
    LookupTransfersUnbatched = 132,
    /// Deprecated form without a trailer.
    GetAccountTransfersUnbatched = 133,
    /// Deprecated form without a trailer.
    GetAccountBalancesUnbatched = 134,
    /// Deprecated form without a trailer.
    QueryAccountsUnbatched = 135,
    /// Deprecated form without a trailer.
    QueryTransfersUnbatched = 136,
    /// Events in the order they happened.
    GetChangeEvents = 137,
    /// Deprecated form with sparse results.
    CreateAccountsSparse = 138,
    /// Deprecated form with sparse results.
    CreateTransfersSparse = 139,
    /// Accounts by id.
    LookupAccounts = 140,
    /// Transfers by id.
    LookupTransfers = 141,
    /// An account's transfers.
    GetAccountTransfers = 142,
    /// An account's balances over time.
    GetAccountBalances = 143,
    /// Accounts by their fields.
    QueryAccounts = 144,
    /// Transfers by their fields.
    QueryTransfers = 145,
    /// Creates accounts, one result an event.
    CreateAccounts = 146,
    /// Creates transfers, one result an event.
    CreateTransfers = 147,
    /// Events in the order they took effect, after a position. Giro's own.
    GetChangesAfter = 192,
    /// Reserves the legs of branches. Giro's own, like all that follow.
    TryBranches = 193,
    /// Posts what branches have reserved.
    ConfirmBranches = 194,
    /// Gives back what branches have reserved.
    CancelBranches = 195,
    /// Where branches stand.
    LookupBranches = 196,
    /// Open branches, oldest first.
    ListBranches = 197,
}

/// What an operation does, whatever form its body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opens a session.
    Register,
    /// Nothing.
    Noop,
    /// Expiry of pending transfers.
    Pulse,
    /// Creates accounts.
    CreateAccounts,
    /// Creates transfers.
    CreateTransfers,
    /// Reads accounts by id.
    LookupAccounts,
    /// Reads transfers by id.
    LookupTransfers,
    /// Reads an account's transfers.
    GetAccountTransfers,
    /// Reads an account's balances.
    GetAccountBalances,
    /// Scans accounts.
    QueryAccounts,
    /// Scans transfers.
    QueryTransfers,
    /// Reads change events by time.
    GetChangeEvents,
    /// Reads change events by position.
    GetChangesAfter,
    /// Tries branches.
    TryBranches,
    /// Confirms branches.
    ConfirmBranches,
    /// Cancels branches.
    CancelBranches,
    /// Reads the state of branches.
    LookupBranches,
    /// Reads open branches.
    ListBranches,
}

impl Kind {
    /// Whether the body is an archive of branches ([`crate::branch::Branches`]).
    #[must_use]
    pub const fn takes_branches(self) -> bool {
        self.settles_branches() || matches!(self, Self::LookupBranches)
    }

    /// Whether it changes branches.
    #[must_use]
    pub const fn settles_branches(self) -> bool {
        matches!(
            self,
            Self::TryBranches | Self::ConfirmBranches | Self::CancelBranches
        )
    }
}

/// The form of a create operation's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultForm {
    /// One [`crate::result::CreateResult`] an event.
    Dense,
    /// One [`crate::result::CreateFailure`] a failed event.
    Sparse,
}

impl Operation {
    /// What it does.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Register => Kind::Register,
            Self::Noop => Kind::Noop,
            Self::Pulse => Kind::Pulse,
            Self::CreateAccountsUnbatched | Self::CreateAccountsSparse | Self::CreateAccounts => {
                Kind::CreateAccounts
            }
            Self::CreateTransfersUnbatched
            | Self::CreateTransfersSparse
            | Self::CreateTransfers => Kind::CreateTransfers,
            Self::LookupAccountsUnbatched | Self::LookupAccounts => Kind::LookupAccounts,
            Self::LookupTransfersUnbatched | Self::LookupTransfers => Kind::LookupTransfers,
            Self::GetAccountTransfersUnbatched | Self::GetAccountTransfers => {
                Kind::GetAccountTransfers
            }
            Self::GetAccountBalancesUnbatched | Self::GetAccountBalances => {
                Kind::GetAccountBalances
            }
            Self::QueryAccountsUnbatched | Self::QueryAccounts => Kind::QueryAccounts,
            Self::QueryTransfersUnbatched | Self::QueryTransfers => Kind::QueryTransfers,
            Self::GetChangeEvents => Kind::GetChangeEvents,
            Self::GetChangesAfter => Kind::GetChangesAfter,
            Self::TryBranches => Kind::TryBranches,
            Self::ConfirmBranches => Kind::ConfirmBranches,
            Self::CancelBranches => Kind::CancelBranches,
            Self::LookupBranches => Kind::LookupBranches,
            Self::ListBranches => Kind::ListBranches,
        }
    }

    /// Whether it changes the ledger and so goes through the log.
    #[must_use]
    pub const fn is_write(self) -> bool {
        let kind = self.kind();
        kind.settles_branches()
            || matches!(
                kind,
                Kind::Register | Kind::Pulse | Kind::CreateAccounts | Kind::CreateTransfers
            )
    }

    /// Whether its body ends in a multi-batch trailer ([`crate::multi_batch`]).
    #[must_use]
    pub const fn is_multi_batch(self) -> bool {
        let number = self as u8;
        number >= Self::CreateAccountsSparse as u8 && number <= Self::CreateTransfers as u8
    }

    /// Bytes of one event of its body; 0 where the body has no events, or none of one size.
    #[must_use]
    pub const fn event_bytes(self) -> usize {
        match self.kind() {
            Kind::Register
            | Kind::Noop
            | Kind::Pulse
            | Kind::TryBranches
            | Kind::ConfirmBranches
            | Kind::CancelBranches
            | Kind::LookupBranches => 0,
            Kind::CreateAccounts
            | Kind::CreateTransfers
            | Kind::GetAccountTransfers
            | Kind::GetAccountBalances => 128,
            Kind::LookupAccounts | Kind::LookupTransfers => 16,
            Kind::QueryAccounts
            | Kind::QueryTransfers
            | Kind::GetChangeEvents
            | Kind::GetChangesAfter
            | Kind::ListBranches => 64,
        }
    }

    /// Bytes of one result of its reply; 0 where the reply has no results.
    #[must_use]
    pub const fn result_bytes(self) -> usize {
        match self.kind() {
            Kind::Register | Kind::Noop | Kind::Pulse => 0,
            Kind::CreateAccounts | Kind::CreateTransfers => match self.result_form() {
                ResultForm::Dense => 16,
                ResultForm::Sparse => 8,
            },
            Kind::GetChangeEvents | Kind::GetChangesAfter => 384,
            Kind::TryBranches | Kind::ConfirmBranches | Kind::CancelBranches => 16,
            Kind::LookupBranches => 64,
            Kind::ListBranches => 320,
            _ => 128,
        }
    }

    /// How a create operation answers.
    #[must_use]
    pub const fn result_form(self) -> ResultForm {
        match self {
            Self::CreateAccounts | Self::CreateTransfers => ResultForm::Dense,
            _ => ResultForm::Sparse,
        }
    }

    /// Whether each batch of its body is exactly one filter.
    #[must_use]
    pub const fn takes_filter(self) -> bool {
        matches!(
            self.kind(),
            Kind::GetAccountTransfers
                | Kind::GetAccountBalances
                | Kind::QueryAccounts
                | Kind::QueryTransfers
                | Kind::GetChangeEvents
                | Kind::GetChangesAfter
                | Kind::ListBranches
        )
    }

    /// Most events of a batch, and most results of a query.
    #[must_use]
    pub const fn events_max(self) -> usize {
        match self.kind() {
            Kind::GetChangeEvents | Kind::GetChangesAfter => CHANGE_EVENTS_MAX,
            Kind::ListBranches => OPEN_BRANCHES_MAX,
            _ if self.is_multi_batch() => EVENTS_MAX,
            _ => EVENTS_MAX_UNBATCHED,
        }
    }
}
