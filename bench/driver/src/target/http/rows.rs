//! Rows as JSON has them: large numbers are texts.

use std::fmt::Display;
use std::str::FromStr;

use giro_base::{Account, Transfer, TransferFlags};
use giro_client::{BranchKey, TryBranch};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number as a text.
#[derive(Clone, Copy, Default)]
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let number = text.parse();
        let number = number.map_err(|_| de::Error::custom(format!("`{text}` is no number")));
        Ok(Self(number?))
    }
}

#[derive(Deserialize)]
pub(super) struct ResultRow {
    pub(super) status: String,
}

#[derive(Deserialize)]
pub(super) struct StateRow {
    pub(super) state: String,
}

/// What an account has is answered, and not sent.
#[derive(Serialize, Deserialize)]
pub(super) struct AccountRow {
    id: Text<u128>,
    ledger: u32,
    code: u16,
    #[serde(default, skip_serializing)]
    debits_pending: Text<u128>,
    #[serde(default, skip_serializing)]
    debits_posted: Text<u128>,
    #[serde(default, skip_serializing)]
    credits_pending: Text<u128>,
    #[serde(default, skip_serializing)]
    credits_posted: Text<u128>,
}

impl AccountRow {
    pub(super) fn new(account: &Account) -> Self {
        Self {
            id: Text(account.id),
            ledger: account.ledger,
            code: account.code,
            debits_pending: Text(0),
            debits_posted: Text(0),
            credits_pending: Text(0),
            credits_posted: Text(0),
        }
    }
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self {
            id: row.id.0,
            ledger: row.ledger,
            code: row.code,
            debits_pending: row.debits_pending.0,
            debits_posted: row.debits_posted.0,
            credits_pending: row.credits_pending.0,
            credits_posted: row.credits_posted.0,
            ..Self::default()
        }
    }
}

/// The fields that a workload sets.
#[derive(Serialize, Deserialize)]
pub(super) struct TransferRow {
    id: Text<u128>,
    debit_account_id: Text<u128>,
    credit_account_id: Text<u128>,
    amount: Text<u128>,
    ledger: u32,
    code: u16,
    flags: Vec<Flag>,
    #[serde(default, skip_serializing)]
    timestamp: Text<u64>,
}

/// The only flag that a workload sets; the others are those of a branch's transfers.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Flag {
    Pending,
    PostPendingTransfer,
    VoidPendingTransfer,
    Linked,
    Branch,
    BranchPartial,
}

impl Flag {
    fn bit(self) -> u16 {
        match self {
            Self::Pending => TransferFlags::PENDING,
            Self::PostPendingTransfer => TransferFlags::POST_PENDING_TRANSFER,
            Self::VoidPendingTransfer => TransferFlags::VOID_PENDING_TRANSFER,
            Self::Linked => TransferFlags::LINKED,
            Self::Branch => TransferFlags::BRANCH,
            Self::BranchPartial => TransferFlags::BRANCH_PARTIAL,
        }
    }
}

impl TransferRow {
    pub(super) fn new(transfer: &Transfer) -> Self {
        let is_pending = transfer.flags & TransferFlags::PENDING != 0;
        Self {
            id: Text(transfer.id),
            debit_account_id: Text(transfer.debit_account_id),
            credit_account_id: Text(transfer.credit_account_id),
            amount: Text(transfer.amount),
            ledger: transfer.ledger,
            code: transfer.code,
            flags: if is_pending {
                vec![Flag::Pending]
            } else {
                Vec::new()
            },
            timestamp: Text(0),
        }
    }
}

impl From<TransferRow> for Transfer {
    fn from(row: TransferRow) -> Self {
        Self {
            id: row.id.0,
            debit_account_id: row.debit_account_id.0,
            credit_account_id: row.credit_account_id.0,
            amount: row.amount.0,
            ledger: row.ledger,
            code: row.code,
            flags: row.flags.iter().fold(0, |flags, flag| flags | flag.bit()),
            timestamp: row.timestamp.0,
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
pub(super) struct KeyRow<'a> {
    gid: &'a str,
    branch_id: &'a str,
}

impl<'a> KeyRow<'a> {
    pub(super) fn new(key: &'a BranchKey) -> Self {
        Self {
            gid: &key.gid,
            branch_id: &key.branch_id,
        }
    }
}

#[derive(Serialize)]
pub(super) struct BranchRow<'a> {
    #[serde(flatten)]
    key: KeyRow<'a>,
    timeout: u32,
    legs: Vec<LegRow>,
}

#[derive(Serialize)]
struct LegRow {
    debit_account_id: Text<u128>,
    credit_account_id: Text<u128>,
    amount: Text<u128>,
    ledger: u32,
    code: u16,
}

impl<'a> BranchRow<'a> {
    pub(super) fn new(branch: &'a TryBranch) -> Self {
        let legs = branch.legs.iter().map(|leg| LegRow {
            debit_account_id: Text(leg.debit_account_id),
            credit_account_id: Text(leg.credit_account_id),
            amount: Text(leg.amount),
            ledger: leg.ledger,
            code: leg.code,
        });
        Self {
            key: KeyRow::new(&branch.key),
            timeout: branch.timeout,
            legs: legs.collect(),
        }
    }
}
