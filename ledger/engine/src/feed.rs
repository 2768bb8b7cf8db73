//! The change feed over everything: segments of the history first, then memory.
//!
//! Working out the balances after a change needs those before it, so that a cursor which is new has
//! to begin at a place where they are known. A reader comes back for what follows what it got; so
//! cursors of the last readers are kept, and go on where they are.

mod sources;

use std::collections::HashMap;

use giro_base::operation::Kind;
use giro_base::{ChangeEvent, Position, Transfer};
use giro_core::changes::{Change, ChangesQuery, Gathered, Gathering, Order, What, event_of};
use giro_core::tables::Tables;
use giro_store::StoreError;
use zerocopy::IntoBytes;

use self::sources::{OfAll, OfMemory, Past, Place, Way};
use crate::error::Error;
use crate::executor::Executor;

/// Readers whose cursors are kept. One takes some 100 bytes for each account it came across in a
/// generation, and up to two megabytes for an answer on its way.
const FEEDS_MAX: usize = 8;
/// A cursor on its way is given up when its reader did not ask in so many requests of others.
const FEED_REQUESTS_MAX: u64 = 4096;
/// Transfers on a page of the history, about.
const ROWS_PER_PAGE: usize = 4096 / size_of::<Transfer>();

/// What a cursor on its way does before others have their turn. For an answer it may also read as
/// much as the answer has itself.
#[derive(Clone, Copy, Debug)]
pub struct FeedTurn {
    /// Pages of the history.
    pub pages: usize,
    /// Changes in memory.
    pub changes: usize,
}

impl Default for FeedTurn {
    /// About a millisecond.
    fn default() -> Self {
        Self {
            pages: 64,
            changes: 8192,
        }
    }
}

impl FeedTurn {
    /// With what an answer of so many events has itself.
    fn with_answer(self, events: usize) -> Self {
        Self {
            pages: self.pages + events.div_ceil(ROWS_PER_PAGE),
            changes: self.changes + events,
        }
    }
}

/// Cursors of readers that may come back, the last one used at the end.
#[derive(Default)]
pub(crate) struct Feeds {
    kept: Vec<Feed>,
    turn: FeedTurn,
    /// Requests so far.
    requests: u64,
}

struct Feed {
    /// Everything before the cursor is at this position or before, or in the answer.
    reached: Position,
    place: Place,
    /// An answer that was begun: only its query can go on here.
    gathering: Option<Gathering>,
    /// It is still on its way to the first change that its reader lacks.
    is_on_its_way: bool,
    /// The last request that used it.
    used: u64,
}

/// Where a reader was left.
type Kept = (Place, Option<Gathering>);

impl Feeds {
    /// The cursor of a reader who now asks this.
    fn take(&mut self, query: &ChangesQuery) -> Option<Kept> {
        let after = query.after;
        let latest = |p: Position| p.transfers.max(p.expiries);
        // One that is not far behind: a window of time begins behind the last event of another.
        let fits = |feed: &Feed| {
            let reached = feed.reached;
            let begun = feed.gathering.as_ref();
            begun.is_none_or(|begun| begun.query() == query)
                && reached.transfers <= after.transfers
                && reached.expiries <= after.expiries
                && latest(reached) == latest(after)
        };
        self.requests += 1;
        let found = self.kept.iter().rposition(fits)?;
        let feed = self.kept.remove(found);
        Some((feed.place, feed.gathering))
    }

    /// Whether a new reader can be kept without giving up another's way.
    fn has_room(&self) -> bool {
        self.kept.len() < FEEDS_MAX || self.dispensable().is_some()
    }

    /// The one that was used longest ago, but for those on their way, which would begin anew and
    /// perhaps never arrive.
    fn dispensable(&self) -> Option<usize> {
        let is_idle = |feed: &Feed| self.requests - feed.used > FEED_REQUESTS_MAX;
        let mut kept = self.kept.iter();
        kept.position(|feed| !feed.is_on_its_way || is_idle(feed))
    }

    fn keep(&mut self, reached: Position, (place, gathering): Kept, is_on_its_way: bool) {
        if self.kept.len() == FEEDS_MAX {
            self.kept.remove(self.dispensable().unwrap_or(0));
        }
        self.kept.push(Feed {
            reached,
            place,
            gathering,
            is_on_its_way,
            used: self.requests,
        });
    }
}

impl Executor {
    /// Makes turns of readers on their way shorter or longer.
    pub fn set_feed_turn(&mut self, turn: FeedTurn) {
        self.feeds.turn = turn;
    }

    /// Does some of the work that an answer to `get_change_events` or `get_changes_after`,
    /// whichever `kind` is, needs beforehand. False when there is more to do: call it again, with
    /// other work in between.
    ///
    /// # Errors
    /// The history's.
    pub fn prepare_change_events(
        &mut self,
        kind: Kind,
        filter: &[u8],
        events_max: usize,
    ) -> Result<bool, Error> {
        let Some(query) = ChangesQuery::parse(kind, filter, events_max) else {
            return Ok(true);
        };
        let kept = self.feeds.take(&query);
        if kept.is_none() && !self.feeds.has_room() {
            return Ok(false);
        }
        let turn = self.feeds.turn;
        let (place, begun) = kept.unzip();
        let begun = begun.flatten();
        let (place, begun, is_there) = match self.both() {
            None => {
                let mut source = OfMemory::new(&query, self.machine().tables(), place);
                let (begun, is_there) = prepare(&query, &mut source, turn, begun)?;
                (source.into_place(), begun, is_there)
            }
            Some(both) => {
                let mut source = OfAll::new(&query, Past::of(both), place)?;
                let (begun, is_there) = prepare(&query, &mut source, turn, begun)?;
                (source.into_place(), begun, is_there)
            }
        };
        self.feeds.keep(query.after, (place, begun), !is_there);
        Ok(is_there)
    }

    /// Answers `get_change_events` and `get_changes_after`, whichever `kind` is: writes events to
    /// `out`, at most `events_max`, and returns how many. Does at once what was not
    /// [prepared](Self::prepare_change_events).
    ///
    /// # Errors
    /// The history's.
    pub fn change_events(
        &mut self,
        kind: Kind,
        filter: &[u8],
        events_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let Some(query) = ChangesQuery::parse(kind, filter, events_max) else {
            return Ok(0);
        };
        let turn = self.feeds.turn.with_answer(query.limit);
        let (place, begun) = self.feeds.take(&query).unzip();
        let begun = begun.flatten().unwrap_or_else(|| Gathering::new(query));
        let (count, reached, place) = match self.both() {
            None => {
                let tables = self.machine().tables();
                let mut source = OfMemory::new(&query, tables, place);
                let gathered = gather(begun, &mut source, turn)?;
                let count = write(&gathered.changes, tables, &HashMap::new(), out);
                (count, gathered.reached, source.into_place())
            }
            Some(both) => {
                let mut source = OfAll::new(&query, Past::of(both), place)?;
                let gathered = gather(begun, &mut source, turn)?;
                let older = source.past.older_pending_of(&gathered.changes)?;
                let count = write(&gathered.changes, source.past.tables, &older, out);
                (count, gathered.reached, source.into_place())
            }
        };
        if let Some(reached) = reached {
            self.feeds.keep(reached, (place, None), false);
        }
        Ok(count)
    }
}

/// A turn of the work before an answer: the way to its first change and, where the answer has to
/// be whole, the answer. Returns what there is of it, and whether it can be taken now.
fn prepare(
    query: &ChangesQuery,
    source: &mut impl Way,
    turn: FeedTurn,
    begun: Option<Gathering>,
) -> Result<(Option<Gathering>, bool), StoreError> {
    let mut gathering = match begun {
        Some(begun) => begun,
        None if !source.advance(turn, query.limit)? => return Ok((None, false)),
        // One turn has the change that is there, and that is enough.
        None if query.order == Order::Effect => return Ok((None, true)),
        None => Gathering::new(*query),
    };
    source.allow(turn.with_answer(query.limit));
    let is_complete = gathering.go_on(source)?;
    Ok((Some(gathering), is_complete))
}

/// Completes an answer: in one turn if it was prepared, else in as many as it takes.
fn gather(
    mut begun: Gathering,
    source: &mut impl Way,
    turn: FeedTurn,
) -> Result<Gathered, StoreError> {
    loop {
        source.allow(turn);
        if begun.go_on(source)? {
            return Ok(begun.finish());
        }
    }
}

/// Writes events, given the pending transfers of expiries that have left memory, by row.
fn write(
    changes: &[Change],
    tables: &Tables,
    older: &HashMap<u64, Transfer>,
    out: &mut [u8],
) -> usize {
    let rows = out.chunks_exact_mut(size_of::<ChangeEvent>());
    for (out, change) in rows.zip(changes) {
        let pending = match change.what {
            What::Transfer { .. } => None,
            What::Expiry { pending_row, .. } => {
                let older = older.get(&pending_row);
                Some(older.unwrap_or_else(|| tables.transfer(pending_row)))
            }
        };
        out.copy_from_slice(event_of(change, &tables.accounts, pending).as_bytes());
    }
    changes.len()
}
