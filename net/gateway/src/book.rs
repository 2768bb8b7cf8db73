//! The ledger as a request sees it: its deadline, and which of two worlds it is in.

use std::time::{Duration, Instant};

use giro_base::limits::EVENTS_MAX;
use giro_client::{
    Account, AccountBalance, AccountFilter, AccountResult, BranchAnswer, BranchInfo, BranchKey,
    Client, ConfirmBranch, OpenBranch, OpenBranchesFilter, QueryFilter, Transfer, TransferResult,
    TryBranch,
};

use crate::error::ApiError;
use crate::routes::check_each;
use crate::shadow::World;

type Called<T> = Result<T, ApiError>;

/// A handle whose calls end by a request's deadline.
///
/// Without a world it is the client and nothing else. `list` is what an element's list is called
/// where one is refused.
pub(crate) struct Book {
    client: Client,
    ends: Instant,
    /// Set where the ledger is shared with test traffic.
    world: Option<World>,
}

impl Book {
    pub(crate) fn new(client: &Client, deadline: Duration, world: Option<World>) -> Self {
        Self {
            client: client.with_deadline(deadline),
            ends: Instant::now() + deadline,
            world,
        }
    }

    pub(crate) async fn create_accounts(
        &self,
        list: &str,
        mut accounts: Vec<Account>,
    ) -> Called<Vec<AccountResult>> {
        if let Some(world) = self.world {
            accounts = each(list, accounts, |account| world.account(account))?;
        }
        Ok(self.client.create_accounts(&accounts).await?)
    }

    pub(crate) async fn create_transfers(
        &self,
        list: &str,
        mut transfers: Vec<Transfer>,
    ) -> Called<Vec<TransferResult>> {
        if let Some(world) = self.world {
            transfers = each(list, transfers, |transfer| world.transfer(transfer))?;
        }
        Ok(self.client.create_transfers(&transfers).await?)
    }

    pub(crate) async fn lookup_accounts(
        &self,
        list: &str,
        mut ids: Vec<u128>,
    ) -> Called<Vec<Account>> {
        let Some(world) = self.world else {
            return Ok(self.client.lookup_accounts(&ids).await?);
        };
        for (at, id) in ids.iter_mut().enumerate() {
            let place = format!("{list}[{at}]");
            *id = world
                .id("id", *id)
                .map_err(|(_, why)| ApiError::field(place, why))?;
        }
        let found = self.client.lookup_accounts(&ids).await?;
        let seen = found.into_iter().filter_map(|row| world.seen_account(row));
        Ok(seen.collect())
    }

    pub(crate) async fn account(&self, id: u128) -> Called<Option<Account>> {
        let id = match self.world {
            Some(world) => named(world.id("id", id))?,
            None => id,
        };
        let found = self.client.lookup_accounts(&[id]).await?.into_iter().next();
        Ok(match self.world {
            Some(world) => found.and_then(|account| world.seen_account(account)),
            None => found,
        })
    }

    pub(crate) async fn lookup_transfers(&self, ids: Vec<u128>) -> Called<Vec<Transfer>> {
        let Some(world) = self.world else {
            return Ok(self.client.lookup_transfers(&ids).await?);
        };
        // Each id may be a transfer's or a leg's, and stays where it stood.
        let mut seen = Vec::new();
        for ids in ids.chunks(EVENTS_MAX / 2) {
            let asked = ids.iter().flat_map(|id| world.transfer_ids(*id)).flatten();
            let asked: Vec<u128> = asked.collect();
            let found = self.client.lookup_transfers(&asked).await?;
            let found = found.into_iter().filter_map(|row| world.seen_transfer(row));
            seen.extend(found.filter(|row| ids.contains(&row.id)));
        }
        Ok(seen)
    }

    pub(crate) async fn get_account_transfers(
        &self,
        filter: AccountFilter,
    ) -> Called<Vec<Transfer>> {
        let Some(world) = self.world else {
            return Ok(self.client.get_account_transfers(filter).await?);
        };
        let filter = named(world.account_filter(filter))?;
        let found = self.client.get_account_transfers(filter).await?;
        let seen = found.into_iter().filter_map(|row| world.seen_transfer(row));
        Ok(seen.collect())
    }

    pub(crate) async fn get_account_balances(
        &self,
        mut filter: AccountFilter,
    ) -> Called<Vec<AccountBalance>> {
        if let Some(world) = self.world {
            filter = named(world.account_filter(filter))?;
        }
        Ok(self.client.get_account_balances(filter).await?)
    }

    pub(crate) async fn query_accounts(&self, filter: QueryFilter) -> Called<Vec<Account>> {
        let Some(world) = self.world else {
            return Ok(self.client.query_accounts(filter).await?);
        };
        let mut pages = Pages::of(named(world.query_filter(filter))?);
        while let Some(filter) = pages.next_filter() {
            let found = self.left()?.query_accounts(filter).await?;
            let last = found.last().map(|row| row.timestamp);
            let seen = found.iter().filter_map(|row| world.seen_account(*row));
            pages.add(found.len(), last, seen);
        }
        Ok(pages.rows)
    }

    pub(crate) async fn query_transfers(&self, filter: QueryFilter) -> Called<Vec<Transfer>> {
        let Some(world) = self.world else {
            return Ok(self.client.query_transfers(filter).await?);
        };
        let mut pages = Pages::of(named(world.query_filter(filter))?);
        while let Some(filter) = pages.next_filter() {
            let found = self.left()?.query_transfers(filter).await?;
            let last = found.last().map(|row| row.timestamp);
            let seen = found.iter().filter_map(|row| world.seen_transfer(*row));
            pages.add(found.len(), last, seen);
        }
        Ok(pages.rows)
    }

    pub(crate) async fn try_branches(
        &self,
        list: &str,
        mut branches: Vec<TryBranch>,
    ) -> Called<Vec<BranchAnswer>> {
        if let Some(world) = self.world {
            branches = each(list, branches, |branch| world.branch(branch))?;
            check_each(list, &branches, TryBranch::check)?;
        }
        Ok(self.client.try_branches(&branches).await?)
    }

    pub(crate) async fn confirm_branches(
        &self,
        list: &str,
        mut branches: Vec<ConfirmBranch>,
    ) -> Called<Vec<BranchAnswer>> {
        if let Some(world) = self.world {
            branches = each(list, branches, |branch| world.confirm(branch))?;
            check_each(list, &branches, ConfirmBranch::check)?;
        }
        Ok(self.client.confirm_branches(&branches).await?)
    }

    pub(crate) async fn cancel_branches(
        &self,
        list: &str,
        mut keys: Vec<BranchKey>,
    ) -> Called<Vec<BranchAnswer>> {
        if let Some(world) = self.world {
            keys = each(list, keys, |key| world.key(key))?;
            check_each(list, &keys, BranchKey::check)?;
        }
        Ok(self.client.cancel_branches(&keys).await?)
    }

    /// Where a branch stands.
    pub(crate) async fn branch(&self, mut key: BranchKey) -> Called<Option<BranchInfo>> {
        if let Some(world) = self.world {
            key = named(world.key(key))?;
        }
        let found = self.client.lookup_branches(&vec![key]).await?;
        Ok(found.into_iter().next())
    }

    /// Open branches, each with its key as this world has it; none for one of the other world.
    pub(crate) async fn list_branches(
        &self,
        mut filter: OpenBranchesFilter,
    ) -> Called<Vec<(OpenBranch, Option<BranchKey>)>> {
        if let Some(world) = self.world {
            filter = named(world.open_filter(filter))?;
        }
        let found = self.client.list_branches(filter).await?;
        let keyed = found.into_iter().map(|row| {
            let key = match self.world {
                Some(world) => world.seen_key(&row),
                None => {
                    let (gid, branch_id) = row.key();
                    Some(BranchKey::new(gid, branch_id))
                }
            };
            (row, key)
        });
        Ok(keyed.collect())
    }

    /// A client with the time that is left, for a request of several calls.
    fn left(&self) -> Called<Client> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let why = "so many rows are the other world's that its deadline passed; name a ledger";
            return Err(ApiError::busy(why));
        }
        Ok(self.client.with_deadline(left))
    }
}

/// A query's rows of one world, gathered from pages with those of both.
struct Pages<T> {
    rows: Vec<T>,
    filter: Option<QueryFilter>,
    rows_max: usize,
}

impl<T> Pages<T> {
    fn of(filter: QueryFilter) -> Self {
        Self {
            rows: Vec::new(),
            rows_max: (filter.limit as usize).min(EVENTS_MAX),
            filter: Some(filter),
        }
    }

    /// The next page to ask for; none at the end.
    fn next_filter(&self) -> Option<QueryFilter> {
        self.filter
    }

    /// Takes what was seen of a page of so many rows, whose last one has this timestamp.
    fn add(&mut self, found: usize, last: Option<u64>, seen: impl Iterator<Item = T>) {
        let room = self.rows_max - self.rows.len();
        self.rows.extend(seen.take(room));
        let is_last = found < self.rows_max || self.rows.len() == self.rows_max;
        let next = self.filter.take().zip(last).filter(|_| !is_last);
        self.filter = next.and_then(|(mut filter, last)| {
            if filter.flags & QueryFilter::REVERSED == 0 {
                filter.timestamp_min = last.checked_add(1)?;
            } else {
                // 0 would be no bound at all.
                filter.timestamp_max = last.checked_sub(1).filter(|max| *max > 0)?;
            }
            let is_empty = filter.timestamp_max != 0 && filter.timestamp_min > filter.timestamp_max;
            (!is_empty).then_some(filter)
        });
    }
}

/// Each element, with its place where it cannot be in this world.
fn each<T, F: AsRef<str>>(
    list: &str,
    elements: Vec<T>,
    enter: impl Fn(T) -> Result<T, (F, String)>,
) -> Called<Vec<T>> {
    let elements = elements.into_iter().enumerate();
    let entered = elements.map(|(at, element)| {
        enter(element).map_err(|(field, why)| {
            let field = field.as_ref();
            ApiError::field(format!("{list}[{at}].{field}"), why)
        })
    });
    entered.collect()
}

fn named<T>(entered: Result<T, (&'static str, String)>) -> Called<T> {
    entered.map_err(|(field, why)| ApiError::field(field, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(limit: u32, flags: u32) -> Pages<u64> {
        Pages::of(QueryFilter {
            limit,
            flags,
            ..QueryFilter::default()
        })
    }

    #[test]
    fn pages_go_on_until_there_are_rows_enough_or_no_more() {
        let mut forward = pages(2, 0);
        forward.add(2, Some(10), [].into_iter());
        assert_eq!(forward.next_filter().unwrap().timestamp_min, 11);
        forward.add(2, Some(20), [20].into_iter());
        forward.add(1, Some(30), [30].into_iter());
        assert!(forward.next_filter().is_none());
        assert_eq!(forward.rows, [20, 30]);

        let mut full = pages(2, 0);
        full.add(2, Some(10), [9, 10].into_iter());
        assert!(full.next_filter().is_none());

        let mut back = pages(1, QueryFilter::REVERSED);
        back.add(1, Some(7), [].into_iter());
        assert_eq!(back.next_filter().unwrap().timestamp_max, 6);
        back.add(1, Some(1), [].into_iter());
        assert!(back.next_filter().is_none(), "0 would begin anew");

        let mut none = pages(0, 0);
        none.add(0, None, [].into_iter());
        assert!(none.next_filter().is_none());
    }
}
