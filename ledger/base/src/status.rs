//! The outcome of each event of a create operation: names and numbers are the protocol's own.
//!
//! The order in which checks run, and so which code wins, is in `docs/reference/state-machine.md`.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// Outcome of one event of `create_accounts`.
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
    EnumString,
    IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u32)]
pub enum CreateAccountStatus {
    /// `created`
    Created = 0xFFFF_FFFF,
    /// `linked_event_failed`
    LinkedEventFailed = 1,
    /// `linked_event_chain_open`
    LinkedEventChainOpen = 2,
    /// `timestamp_must_be_zero`
    TimestampMustBeZero = 3,
    /// `reserved_field`
    ReservedField = 4,
    /// `reserved_flag`
    ReservedFlag = 5,
    /// `id_must_not_be_zero`
    IdMustNotBeZero = 6,
    /// `id_must_not_be_int_max`
    IdMustNotBeIntMax = 7,
    /// `flags_are_mutually_exclusive`
    FlagsAreMutuallyExclusive = 8,
    /// `debits_pending_must_be_zero`
    DebitsPendingMustBeZero = 9,
    /// `debits_posted_must_be_zero`
    DebitsPostedMustBeZero = 10,
    /// `credits_pending_must_be_zero`
    CreditsPendingMustBeZero = 11,
    /// `credits_posted_must_be_zero`
    CreditsPostedMustBeZero = 12,
    /// `ledger_must_not_be_zero`
    LedgerMustNotBeZero = 13,
    /// `code_must_not_be_zero`
    CodeMustNotBeZero = 14,
    /// `exists_with_different_flags`
    ExistsWithDifferentFlags = 15,
    /// `exists_with_different_user_data_128`
    #[strum(serialize = "exists_with_different_user_data_128")]
    ExistsWithDifferentUserData128 = 16,
    /// `exists_with_different_user_data_64`
    #[strum(serialize = "exists_with_different_user_data_64")]
    ExistsWithDifferentUserData64 = 17,
    /// `exists_with_different_user_data_32`
    #[strum(serialize = "exists_with_different_user_data_32")]
    ExistsWithDifferentUserData32 = 18,
    /// `exists_with_different_ledger`
    ExistsWithDifferentLedger = 19,
    /// `exists_with_different_code`
    ExistsWithDifferentCode = 20,
    /// `exists`
    Exists = 21,
    /// `imported_event_expected`
    ImportedEventExpected = 22,
    /// `imported_event_not_expected`
    ImportedEventNotExpected = 23,
    /// `imported_event_timestamp_out_of_range`
    ImportedEventTimestampOutOfRange = 24,
    /// `imported_event_timestamp_must_not_advance`
    ImportedEventTimestampMustNotAdvance = 25,
    /// `imported_event_timestamp_must_not_regress`
    ImportedEventTimestampMustNotRegress = 26,
}

/// Outcome of one event of `create_transfers`.
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
    EnumString,
    IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u32)]
pub enum CreateTransferStatus {
    /// `created`
    Created = 0xFFFF_FFFF,
    /// `linked_event_failed`
    LinkedEventFailed = 1,
    /// `linked_event_chain_open`
    LinkedEventChainOpen = 2,
    /// `timestamp_must_be_zero`
    TimestampMustBeZero = 3,
    /// `reserved_flag`
    ReservedFlag = 4,
    /// `id_must_not_be_zero`
    IdMustNotBeZero = 5,
    /// `id_must_not_be_int_max`
    IdMustNotBeIntMax = 6,
    /// `flags_are_mutually_exclusive`
    FlagsAreMutuallyExclusive = 7,
    /// `debit_account_id_must_not_be_zero`
    DebitAccountIdMustNotBeZero = 8,
    /// `debit_account_id_must_not_be_int_max`
    DebitAccountIdMustNotBeIntMax = 9,
    /// `credit_account_id_must_not_be_zero`
    CreditAccountIdMustNotBeZero = 10,
    /// `credit_account_id_must_not_be_int_max`
    CreditAccountIdMustNotBeIntMax = 11,
    /// `accounts_must_be_different`
    AccountsMustBeDifferent = 12,
    /// `pending_id_must_be_zero`
    PendingIdMustBeZero = 13,
    /// `pending_id_must_not_be_zero`
    PendingIdMustNotBeZero = 14,
    /// `pending_id_must_not_be_int_max`
    PendingIdMustNotBeIntMax = 15,
    /// `pending_id_must_be_different`
    PendingIdMustBeDifferent = 16,
    /// `timeout_reserved_for_pending_transfer`
    TimeoutReservedForPendingTransfer = 17,
    /// `ledger_must_not_be_zero`
    LedgerMustNotBeZero = 19,
    /// `code_must_not_be_zero`
    CodeMustNotBeZero = 20,
    /// `debit_account_not_found`
    DebitAccountNotFound = 21,
    /// `credit_account_not_found`
    CreditAccountNotFound = 22,
    /// `accounts_must_have_the_same_ledger`
    AccountsMustHaveTheSameLedger = 23,
    /// `transfer_must_have_the_same_ledger_as_accounts`
    TransferMustHaveTheSameLedgerAsAccounts = 24,
    /// `pending_transfer_not_found`
    PendingTransferNotFound = 25,
    /// `pending_transfer_not_pending`
    PendingTransferNotPending = 26,
    /// `pending_transfer_has_different_debit_account_id`
    PendingTransferHasDifferentDebitAccountId = 27,
    /// `pending_transfer_has_different_credit_account_id`
    PendingTransferHasDifferentCreditAccountId = 28,
    /// `pending_transfer_has_different_ledger`
    PendingTransferHasDifferentLedger = 29,
    /// `pending_transfer_has_different_code`
    PendingTransferHasDifferentCode = 30,
    /// `exceeds_pending_transfer_amount`
    ExceedsPendingTransferAmount = 31,
    /// `pending_transfer_has_different_amount`
    PendingTransferHasDifferentAmount = 32,
    /// `pending_transfer_already_posted`
    PendingTransferAlreadyPosted = 33,
    /// `pending_transfer_already_voided`
    PendingTransferAlreadyVoided = 34,
    /// `pending_transfer_expired`
    PendingTransferExpired = 35,
    /// `exists_with_different_flags`
    ExistsWithDifferentFlags = 36,
    /// `exists_with_different_debit_account_id`
    ExistsWithDifferentDebitAccountId = 37,
    /// `exists_with_different_credit_account_id`
    ExistsWithDifferentCreditAccountId = 38,
    /// `exists_with_different_amount`
    ExistsWithDifferentAmount = 39,
    /// `exists_with_different_pending_id`
    ExistsWithDifferentPendingId = 40,
    /// `exists_with_different_user_data_128`
    #[strum(serialize = "exists_with_different_user_data_128")]
    ExistsWithDifferentUserData128 = 41,
    /// `exists_with_different_user_data_64`
    #[strum(serialize = "exists_with_different_user_data_64")]
    ExistsWithDifferentUserData64 = 42,
    /// `exists_with_different_user_data_32`
    #[strum(serialize = "exists_with_different_user_data_32")]
    ExistsWithDifferentUserData32 = 43,
    /// `exists_with_different_timeout`
    ExistsWithDifferentTimeout = 44,
    /// `exists_with_different_code`
    ExistsWithDifferentCode = 45,
    /// `exists`
    Exists = 46,
    /// `overflows_debits_pending`
    OverflowsDebitsPending = 47,
    /// `overflows_credits_pending`
    OverflowsCreditsPending = 48,
    /// `overflows_debits_posted`
    OverflowsDebitsPosted = 49,
    /// `overflows_credits_posted`
    OverflowsCreditsPosted = 50,
    /// `overflows_debits`
    OverflowsDebits = 51,
    /// `overflows_credits`
    OverflowsCredits = 52,
    /// `overflows_timeout`
    OverflowsTimeout = 53,
    /// `exceeds_credits`
    ExceedsCredits = 54,
    /// `exceeds_debits`
    ExceedsDebits = 55,
    /// `imported_event_expected`
    ImportedEventExpected = 56,
    /// `imported_event_not_expected`
    ImportedEventNotExpected = 57,
    /// `imported_event_timestamp_out_of_range`
    ImportedEventTimestampOutOfRange = 58,
    /// `imported_event_timestamp_must_not_advance`
    ImportedEventTimestampMustNotAdvance = 59,
    /// `imported_event_timestamp_must_not_regress`
    ImportedEventTimestampMustNotRegress = 60,
    /// `imported_event_timestamp_must_postdate_debit_account`
    ImportedEventTimestampMustPostdateDebitAccount = 61,
    /// `imported_event_timestamp_must_postdate_credit_account`
    ImportedEventTimestampMustPostdateCreditAccount = 62,
    /// `imported_event_timeout_must_be_zero`
    ImportedEventTimeoutMustBeZero = 63,
    /// `closing_transfer_must_be_pending`
    ClosingTransferMustBePending = 64,
    /// `debit_account_already_closed`
    DebitAccountAlreadyClosed = 65,
    /// `credit_account_already_closed`
    CreditAccountAlreadyClosed = 66,
    /// `exists_with_different_ledger`
    ExistsWithDifferentLedger = 67,
    /// `id_already_failed`
    IdAlreadyFailed = 68,
}

impl CreateTransferStatus {
    /// Whether this failure burns the transfer's id for ever: the cause may pass, but a client
    /// that retries must not see its first answer change.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::DebitAccountNotFound
                | Self::CreditAccountNotFound
                | Self::PendingTransferNotFound
                | Self::ExceedsCredits
                | Self::ExceedsDebits
                | Self::DebitAccountAlreadyClosed
                | Self::CreditAccountAlreadyClosed
        )
    }
}
