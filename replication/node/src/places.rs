//! Where entries are in this node's log, and which op each of them ends with.

use std::collections::VecDeque;

use giro::OpPlace;

/// An entry's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its record.
    pub(crate) record: u64,
    /// Its term.
    pub(crate) term: u64,
    /// Bytes of its payload.
    pub(crate) bytes: usize,
    /// The last op in it or before it; none when nobody knows.
    pub(crate) last_op: Option<OpPlace>,
}

/// Places of the entries that the log has, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Index of the first one.
    first: u64,
    places: VecDeque<Place>,
    /// Bytes of all payloads up to each of them, from some entry on.
    sums: VecDeque<u64>,
    /// The last op before the first one.
    before: Option<OpPlace>,
}

impl Places {
    /// Those of an empty log behind entry `index`, and the last op there.
    pub(crate) fn behind(index: u64, before: Option<OpPlace>) -> Self {
        Self {
            first: index + 1,
            places: VecDeque::new(),
            sums: VecDeque::new(),
            before,
        }
    }

    /// Index of the first one, or what that will be.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Index behind the last one.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Place> {
        let at = index.checked_sub(self.first)?;
        self.places.get(usize::try_from(at).ok()?)
    }

    /// The last op in the entry or before it; none when nobody knows.
    pub(crate) fn last_op(&self, index: u64) -> Option<OpPlace> {
        if index + 1 == self.first {
            return self.before;
        }
        self.get(index)?.last_op
    }

    /// As [`last_op`](Self::last_op), for an entry that a peer has: with another term it is
    /// another one, and what that ends with is not known here.
    pub(crate) fn last_op_of(&self, index: u64, term: u64) -> Option<OpPlace> {
        let is_other = |place: &Place| place.term != term;
        let is_other = self.get(index).is_some_and(is_other);
        self.last_op(index).filter(|_| !is_other)
    }

    /// Adds an entry; those at and above its index are void. A log whose beginning is gone can
    /// have one below all others.
    pub(crate) fn put(&mut self, index: u64, place: Place) {
        if index < self.first {
            *self = Self::behind(index - 1, None);
        }
        assert!(index <= self.end(), "entries have no gap");
        let count = (index - self.first) as usize;
        self.places.truncate(count);
        self.sums.truncate(count);
        let before = self.sums.back().copied().unwrap_or(0);
        self.sums.push_back(before + place.bytes as u64);
        self.places.push_back(place);
    }

    /// The log no longer has records below `record`.
    pub(crate) fn release(&mut self, record: u64) {
        while self.places.front().is_some_and(|p| p.record < record) {
            let released = self.places.pop_front().expect("looked at it above");
            self.sums.pop_front();
            self.before = released.last_op;
            self.first += 1;
        }
    }

    /// The first of the entries that are kept when all above `index` are, and `bytes` of those up
    /// to it. There can be hundreds of thousands.
    pub(crate) fn kept_from(&self, index: u64, bytes: u64) -> u64 {
        let end = (index + 1).min(self.end());
        let count = end.saturating_sub(self.first) as usize;
        let Some(last) = count.checked_sub(1) else {
            return end;
        };
        let all = self.sums[last];
        let before = self.sums[0] - self.places[0].bytes as u64;
        if all - before <= bytes {
            return self.first;
        }
        // What lies behind an entry fits, or does not; behind the last one is nothing.
        let is_too_much = |sum: &u64| all.saturating_sub(*sum) > bytes;
        let last_given_up = self.sums.partition_point(is_too_much) as u64;
        self.first + last_given_up + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(record: u64) -> Place {
        Place {
            record,
            term: 3,
            bytes: 10,
            last_op: Some(OpPlace {
                op: record,
                timestamp: record,
            }),
        }
    }

    #[test]
    fn places_are_overwritten_and_released_from_the_front() {
        let mut places = Places::behind(4, None);
        for index in 5..10 {
            places.put(index, place(index * 2));
        }
        places.put(7, place(30));
        assert_eq!((places.first(), places.end()), (5, 8));
        assert_eq!(places.get(7).unwrap().record, 30);
        assert_eq!(places.get(8), None);
        assert_eq!(places.last_op(4), None);
        places.release(12);
        assert_eq!((places.first(), places.end()), (6, 8));
        assert_eq!(places.last_op(5).unwrap().op, 10);
        places.put(3, place(40));
        assert_eq!((places.first(), places.end()), (3, 4));
    }

    /// A follower with an entry that no majority had refused its leader for ever (found by the
    /// simulator, seed 1446).
    #[test]
    fn an_append_behind_an_entry_of_another_term_is_not_compared_with_ours() {
        let mut places = Places::behind(0, Some(OpPlace::default()));
        (1..4).for_each(|index| places.put(index, place(index)));
        assert_eq!(places.last_op_of(3, 3), places.last_op(3));
        assert_eq!(places.last_op_of(3, 4), None);
        assert_eq!(places.last_op_of(0, 0), Some(OpPlace::default()));
    }

    #[test]
    fn as_many_bytes_are_kept_as_wanted() {
        let mut places = Places::behind(0, None);
        (1..10).for_each(|index| places.put(index, place(index)));
        assert_eq!(places.kept_from(6, 0), 7);
        assert_eq!(places.kept_from(6, 25), 5);
        assert_eq!(places.kept_from(6, 1000), 1);
        places.release(4);
        assert_eq!(places.kept_from(2, 1000), 3, "they are gone");
        assert_eq!(places.kept_from(3, 1000), 4);
        assert_eq!(places.kept_from(6, 30), 4);
        assert_eq!(places.kept_from(6, 29), 5);
        assert_eq!(places.kept_from(50, 29), 8, "there are none behind 9");
        places.put(5, place(20));
        assert_eq!((places.kept_from(5, 10), places.kept_from(5, 9)), (5, 6));
    }
}
