//! Test traffic: how it is recognised, and where in the ledger it goes
//! (`docs/reference/http.md`, section "Test traffic").
//!
//! What keeps it apart is the ledger number: the ledger itself never lets a transfer or a leg touch
//! accounts of another number. So real requests may not name a shadow number, test requests always
//! get one, and whatever is read is looked at by its number. Ids and global transactions are mapped
//! so that the two worlds never meet in one, either.

use axum::http::HeaderMap;
use giro_client::{
    Account, AccountFilter, BranchKey, ConfirmBranch, Leg, OpenBranch, OpenBranchesFilter,
    QueryFilter, Transfer, TransferFlags, TryBranch,
};

use crate::error::ApiError;

/// Set in the ids of shadow accounts and transfers, and in no others.
const ID_BIT: u128 = 1 << 127;
/// Before the global transactions of shadow branches, and no others.
const GID_PREFIX: &str = "shadow:";
/// W3C's header, of which the mark is a member.
const BAGGAGE: &str = "baggage";
/// The mark's own header, as SOFATracer sends baggage over HTTP.
const SOFA_BAGGAGE: &str = "baggage-mark";
const MEMBER: &str = "mark";

/// Whether requests are marked as test traffic.
///
/// # Errors
/// Marks that contradict each other, or are none: money must not go to the wrong world by a typing
/// error.
pub(crate) fn is_marked(headers: &HeaderMap) -> Result<bool, ApiError> {
    let mut found = None;
    let mut add = |header: &'static str, value: &str| {
        let is_marked = match value {
            "T" => true,
            "F" => false,
            _ => return Err(ApiError::field(header, "the mark must be T or F")),
        };
        if found
            .replace(is_marked)
            .is_some_and(|other| other != is_marked)
        {
            return Err(ApiError::field(header, "marks contradict each other"));
        }
        Ok(())
    };
    for value in headers.get_all(SOFA_BAGGAGE) {
        add(SOFA_BAGGAGE, value.to_str().unwrap_or_default().trim())?;
    }
    for value in headers.get_all(BAGGAGE) {
        // A member that is no text is somebody else's, and says nothing of those beside it.
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let member = String::from_utf8_lossy(member);
            let (member, _properties) = member.split_once(';').unwrap_or((&member, ""));
            if let Some((name, value)) = member.split_once('=')
                && name.trim() == MEMBER
            {
                add(BAGGAGE, value.trim())?;
            }
        }
    }
    Ok(found.unwrap_or_default())
}

/// One of the two worlds of a ledger that is shared with test traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct World {
    /// Shadow ledgers have the real one's number and this more; real ones are below it.
    pub(crate) offset: u32,
    pub(crate) is_shadow: bool,
}

/// Something to be written cannot be in this world.
type Entered<T> = Result<T, (&'static str, String)>;

impl World {
    /// An account as it is written.
    pub(crate) fn account(self, mut account: Account) -> Entered<Account> {
        account.id = self.id("id", account.id)?;
        account.ledger = self.ledger(account.ledger)?;
        Ok(account)
    }

    /// A transfer as it is written.
    pub(crate) fn transfer(self, mut transfer: Transfer) -> Entered<Transfer> {
        transfer.id = self.id("id", transfer.id)?;
        transfer.pending_id = self.id("pending_id", transfer.pending_id)?;
        transfer.debit_account_id = self.id("debit_account_id", transfer.debit_account_id)?;
        transfer.credit_account_id = self.id("credit_account_id", transfer.credit_account_id)?;
        transfer.ledger = self.ledger(transfer.ledger)?;
        Ok(transfer)
    }

    fn leg(self, leg: &mut Leg) -> Entered<()> {
        leg.debit_account_id = self.id("debit_account_id", leg.debit_account_id)?;
        leg.credit_account_id = self.id("credit_account_id", leg.credit_account_id)?;
        leg.ledger = self.ledger(leg.ledger)?;
        Ok(())
    }

    /// A branch as it is tried; the field of a leg is named with its leg.
    pub(crate) fn branch(self, mut branch: TryBranch) -> Result<TryBranch, (String, String)> {
        branch.key = self
            .key(branch.key)
            .map_err(|(field, why)| (field.to_owned(), why))?;
        for (at, leg) in branch.legs.iter_mut().enumerate() {
            let wrong = |(field, why)| (format!("legs[{at}].{field}"), why);
            self.leg(leg).map_err(wrong)?;
        }
        Ok(branch)
    }

    /// A branch as it is confirmed.
    pub(crate) fn confirm(self, mut confirm: ConfirmBranch) -> Entered<ConfirmBranch> {
        confirm.key = self.key(confirm.key)?;
        Ok(confirm)
    }

    /// The key of a branch as the ledger knows it.
    pub(crate) fn key(self, mut key: BranchKey) -> Entered<BranchKey> {
        if self.is_shadow {
            key.gid.insert_str(0, GID_PREFIX);
        } else if key.gid.starts_with(GID_PREFIX) {
            let why = format!("must not begin with {GID_PREFIX}: that is test traffic's");
            return Err(("gid", why));
        }
        Ok(key)
    }

    /// An id of an account or transfer as the ledger knows it. 0 is none, and stays so.
    pub(crate) fn id(self, field: &'static str, id: u128) -> Entered<u128> {
        if id >= ID_BIT {
            let why = format!("must be below {ID_BIT}: the others are test traffic's");
            return Err((field, why));
        }
        let bit = if self.is_shadow && id != 0 { ID_BIT } else { 0 };
        Ok(id | bit)
    }

    /// A ledger's number as the ledger knows it. 0 is none, and stays so.
    fn ledger(self, ledger: u32) -> Entered<u32> {
        if ledger >= self.offset {
            let why = format!(
                "must be below {}: the others are test traffic's",
                self.offset
            );
            return Err(("ledger", why));
        }
        let more = if self.is_shadow && ledger != 0 {
            self.offset
        } else {
            0
        };
        Ok(ledger + more)
    }

    pub(crate) fn account_filter(self, mut filter: AccountFilter) -> Entered<AccountFilter> {
        filter.account_id = self.id("id", filter.account_id)?;
        Ok(filter)
    }

    pub(crate) fn query_filter(self, mut filter: QueryFilter) -> Entered<QueryFilter> {
        filter.ledger = self.ledger(filter.ledger)?;
        Ok(filter)
    }

    pub(crate) fn open_filter(self, mut filter: OpenBranchesFilter) -> Entered<OpenBranchesFilter> {
        filter.account_id = self.id("account_id", filter.account_id)?;
        Ok(filter)
    }

    /// An account as this world sees it; none of the other one.
    pub(crate) fn seen_account(self, mut account: Account) -> Option<Account> {
        account.ledger = self.seen_ledger(account.ledger)?;
        account.id = self.seen_id(account.id);
        Some(account)
    }

    /// A transfer as this world sees it; none of the other one. The ids of legs are worked out
    /// from their branch, and are as they are.
    pub(crate) fn seen_transfer(self, mut transfer: Transfer) -> Option<Transfer> {
        transfer.ledger = self.seen_ledger(transfer.ledger)?;
        transfer.debit_account_id = self.seen_id(transfer.debit_account_id);
        transfer.credit_account_id = self.seen_id(transfer.credit_account_id);
        if transfer.flags & TransferFlags::BRANCH == 0 {
            transfer.id = self.seen_id(transfer.id);
            transfer.pending_id = self.seen_id(transfer.pending_id);
        }
        Some(transfer)
    }

    /// The key of an open branch as this world sees it; none of the other one.
    pub(crate) fn seen_key(self, row: &OpenBranch) -> Option<BranchKey> {
        let (gid, branch_id) = row.key();
        let shadow = gid.strip_prefix(GID_PREFIX);
        match (self.is_shadow, shadow) {
            (true, Some(gid)) => Some(BranchKey::new(gid, branch_id)),
            (false, None) => Some(BranchKey::new(gid, branch_id)),
            _ => None,
        }
    }

    fn seen_ledger(self, ledger: u32) -> Option<u32> {
        if self.is_shadow {
            ledger.checked_sub(self.offset)
        } else {
            (ledger < self.offset).then_some(ledger)
        }
    }

    fn seen_id(self, id: u128) -> u128 {
        if self.is_shadow { id & !ID_BIT } else { id }
    }

    /// The ids under which the ledger may know a transfer: as a transfer's, and as a leg's.
    pub(crate) fn transfer_ids(self, id: u128) -> [Option<u128>; 2] {
        let mapped = self.id("id", id).ok();
        let as_leg = (self.is_shadow || id >= ID_BIT).then_some(id);
        [mapped, as_leg]
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_member_that_is_no_text_hides_no_mark() {
        let marked = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.insert(BAGGAGE, value);
            is_marked(&headers).map_err(|_| ())
        };
        assert_eq!(marked(b"user=Jos\xc3\xa9,mark=T"), Ok(true));
        assert_eq!(marked(b"user=\xff,mark=T;p=\xff"), Ok(true));
        assert_eq!(marked(b"user=\xff"), Ok(false));
        assert_eq!(marked(b"mark=\xff"), Err(()));
    }
}
