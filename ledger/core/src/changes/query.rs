//! What queries of the change feed demand.

use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::operation::Kind;
use giro_base::{Position, Timestamp, time};
use zerocopy::FromBytes;

/// A query of the change feed that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangesQuery {
    /// What the reader has.
    pub after: Position,
    /// Last timestamp wanted (ns).
    pub until: Timestamp,
    /// Most events of the answer.
    pub limit: usize,
    /// In which order.
    pub order: Order,
}

/// The order of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By timestamp.
    Time,
    /// As the changes took effect.
    Effect,
}

impl ChangesQuery {
    /// What the filter of an operation of this kind asks for; none when it makes no sense, or the
    /// kind is another. An answer has room for `events_max`.
    #[must_use]
    pub fn parse(kind: Kind, bytes: &[u8], events_max: usize) -> Option<Self> {
        match kind {
            Kind::GetChangeEvents => Self::by_time(bytes, events_max),
            Kind::GetChangesAfter => Self::by_position(bytes, events_max),
            _ => None,
        }
    }

    fn by_time(bytes: &[u8], events_max: usize) -> Option<Self> {
        let filter = ChangeEventsFilter::read_from_bytes(bytes).ok()?;
        let (min, max) = (filter.timestamp_min, filter.timestamp_max);
        let valid = |timestamp| timestamp == 0 || time::is_valid(timestamp);
        let makes_sense = valid(min)
            && valid(max)
            && (max == 0 || min <= max)
            && filter.limit != 0
            && filter.reserved == [0; 44];
        makes_sense.then_some(Self {
            after: Position::at(min.saturating_sub(1)),
            until: if max == 0 { time::TIMESTAMP_MAX } else { max },
            limit: events_max.min(filter.limit as usize),
            order: Order::Time,
        })
    }

    fn by_position(bytes: &[u8], events_max: usize) -> Option<Self> {
        let filter = ChangesAfter::read_from_bytes(bytes).ok()?;
        let Position {
            transfers,
            expiries,
        } = filter.position;
        let makes_sense = transfers <= time::TIMESTAMP_MAX
            && expiries <= time::TIMESTAMP_MAX
            && filter.limit != 0
            && filter.reserved == [0; 44];
        makes_sense.then_some(Self {
            after: filter.position,
            until: time::TIMESTAMP_MAX,
            limit: events_max.min(filter.limit as usize),
            order: Order::Effect,
        })
    }
}
