//! Change events: what happened to accounts, in order, and where a reader stands among them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::Timestamp;
use crate::time::TIMESTAMP_MAX;

/// A transfer or the expiry of one, with both accounts as they were right after it (384 bytes;
/// `docs/reference/protocol.md`, section "Records").
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ChangeEvent {
    /// The transfer's id; of an expiry, the pending transfer's.
    pub transfer_id: u128,
    /// What moved, was reserved, or is reserved no more.
    pub transfer_amount: u128,
    /// The pending transfer that a post or void closed; otherwise 0.
    pub transfer_pending_id: u128,
    /// The transfer's.
    pub transfer_user_data_128: u128,
    /// The transfer's.
    pub transfer_user_data_64: u64,
    /// The transfer's.
    pub transfer_user_data_32: u32,
    /// The transfer's (seconds).
    pub transfer_timeout: u32,
    /// The transfer's.
    pub transfer_code: u16,
    /// The transfer's.
    pub transfer_flags: u16,
    /// Currency or asset.
    pub ledger: u32,
    /// A [`ChangeKind`].
    pub kind: u8,
    /// Zeros.
    pub reserved: [u8; 39],
    /// The debit account, right after the event.
    pub debit_account: ChangedAccount,
    /// The credit account, right after the event.
    pub credit_account: ChangedAccount,
    /// When it happened (ns).
    pub timestamp: Timestamp,
    /// The transfer's timestamp (ns); of an expiry, the pending transfer's.
    pub transfer_timestamp: Timestamp,
    /// When the debit account was created (ns).
    pub debit_account_timestamp: Timestamp,
    /// When the credit account was created (ns).
    pub credit_account_timestamp: Timestamp,
}

const _: () = assert!(size_of::<ChangeEvent>() == 384);

/// An account in a [`ChangeEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ChangedAccount {
    /// Its id.
    pub id: u128,
    /// As in [`crate::Account`].
    pub debits_pending: u128,
    /// As in [`crate::Account`].
    pub debits_posted: u128,
    /// As in [`crate::Account`].
    pub credits_pending: u128,
    /// As in [`crate::Account`].
    pub credits_posted: u128,
    /// As in [`crate::Account`].
    pub user_data_128: u128,
    /// As in [`crate::Account`].
    pub user_data_64: u64,
    /// As in [`crate::Account`].
    pub user_data_32: u32,
    /// As in [`crate::Account`].
    pub code: u16,
    /// As in [`crate::Account`].
    pub flags: u16,
}

const _: () = assert!(size_of::<ChangedAccount>() == 112);

/// What kind of change an event is: [`ChangeEvent::kind`].
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    num_enum::TryFromPrimitive,
    num_enum::IntoPrimitive,
    strum::Display,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum ChangeKind {
    /// A transfer in one phase.
    SinglePhase = 0,
    /// A pending transfer was made.
    TwoPhasePending = 1,
    /// One was posted.
    TwoPhasePosted = 2,
    /// One was voided.
    TwoPhaseVoided = 3,
    /// One expired.
    TwoPhaseExpired = 4,
}

/// Selects change events by time, for `get_change_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ChangeEventsFilter {
    /// First timestamp (ns, inclusive); 0 is unbounded.
    pub timestamp_min: Timestamp,
    /// Last timestamp (ns, inclusive); 0 is unbounded.
    pub timestamp_max: Timestamp,
    /// Most events; not 0.
    pub limit: u32,
    /// Zeros.
    pub reserved: [u8; 44],
}

const _: () = assert!(size_of::<ChangeEventsFilter>() == 64);

impl Default for ChangeEventsFilter {
    /// Everything 0, which is not valid yet: set the limit.
    fn default() -> Self {
        Self::new_zeroed()
    }
}

/// Selects change events by position, for `get_changes_after`. An answer may have fewer than there
/// are, but is empty only when there are no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ChangesAfter {
    /// What the reader has.
    pub position: Position,
    /// Most events; not 0.
    pub limit: u32,
    /// Zeros.
    pub reserved: [u8; 44],
}

const _: () = assert!(size_of::<ChangesAfter>() == 64);

/// How far a reader of the change feed has come: everything up to two timestamps, one for
/// transfers and one for expiries.
///
/// One timestamp would not do. The feed has events in the order they took effect, and an imported
/// transfer may bear a timestamp earlier than that of an expiry before it. But timestamps of
/// transfers rise among themselves, and so do those of expiries.
///
/// As text it is `transfers-expiries` in decimal digits. A single number stands for both.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Position {
    /// Timestamp of the last transfer (ns); 0 before the first one.
    pub transfers: Timestamp,
    /// Timestamp of the last expiry (ns); 0 before the first one.
    pub expiries: Timestamp,
}

/// A text that is no [`Position`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no position: a position is two timestamps with a `-` between them, or one")]
pub struct PositionError {
    text: String,
}

impl Position {
    /// Before all events.
    pub const START: Self = Self {
        transfers: 0,
        expiries: 0,
    };

    /// Behind all events up to a timestamp (ns).
    #[must_use]
    pub const fn at(timestamp: Timestamp) -> Self {
        Self {
            transfers: timestamp,
            expiries: timestamp,
        }
    }

    /// The position of a reader at this one who reads on and gets `event`.
    #[must_use]
    pub fn behind(self, event: &ChangeEvent) -> Self {
        if event.kind == u8::from(ChangeKind::TwoPhaseExpired) {
            Self {
                expiries: event.timestamp,
                ..self
            }
        } else {
            Self {
                transfers: event.timestamp,
                ..self
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.transfers, self.expiries)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let number = |part: &str| -> Option<Timestamp> {
            // `parse` also takes a sign.
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| part.parse().ok()).flatten();
            number.filter(|number| *number <= TIMESTAMP_MAX)
        };
        let position = match text.split_once('-') {
            None => number(text).map(Self::at),
            Some((transfers, expiries)) => {
                number(transfers)
                    .zip(number(expiries))
                    .map(|(transfers, expiries)| Self {
                        transfers,
                        expiries,
                    })
            }
        };
        position.ok_or_else(|| PositionError {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_its_text() {
        let position = Position {
            transfers: 17,
            expiries: 5,
        };
        assert_eq!(position.to_string(), "17-5");
        assert_eq!("17-5".parse(), Ok(position));
        assert_eq!("17".parse(), Ok(Position::at(17)));
        assert_eq!("0".parse(), Ok(Position::START));
        for wrong in [
            "",
            "-",
            "17-",
            "-5",
            "+17",
            "17-5-1",
            "x",
            "9223372036854775808",
        ] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn reading_on_moves_the_side_of_the_event() {
        let mut event = ChangeEvent::new_zeroed();
        event.timestamp = 7;
        let position = Position::at(5).behind(&event);
        assert_eq!(position.to_string(), "7-5");
        event.kind = ChangeKind::TwoPhaseExpired.into();
        event.timestamp = 6;
        assert_eq!(position.behind(&event).to_string(), "7-6");
    }
}
