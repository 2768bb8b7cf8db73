//! Entries that the library is told of later.
//!
//! A leader that is its group's only member commits an entry by making it durable, and needs nobody
//! to say so. What it proposes then is kept here, in the order and under the numbers that the
//! library would have given it, and told to the library many entries at a time: for each single one
//! that costs more than all the rest of its way.

use std::collections::VecDeque;

use bytes::Bytes;

/// Proposed here, as the only member, in the term that this node leads. Without a gap, behind the
/// last entry that the library knows.
#[derive(Default)]
pub(crate) struct Untold {
    /// Index of the first one.
    first: u64,
    entries: VecDeque<Proposal>,
    /// So many of them, from the first one on, are durable and handed out.
    durable: usize,
    /// So many of those are executed.
    executed: usize,
}

/// An entry without its number.
struct Proposal {
    ticket: u64,
    /// None before they are lent, and none any more once it is executed.
    bytes: Option<Bytes>,
}

/// An entry that the library was told of and that its next ready will have. It is written already.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) bytes: Bytes,
    /// That of a proposal which is not handed out yet.
    pub(crate) ticket: Option<u64>,
}

impl Untold {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Index behind the last one, if there is one.
    pub(crate) fn end(&self) -> Option<u64> {
        (!self.entries.is_empty()).then(|| self.first + self.entries.len() as u64)
    }

    /// The last one that is durable, if there is one.
    pub(crate) fn durable(&self) -> Option<u64> {
        (self.durable > 0).then(|| self.first + self.durable as u64 - 1)
    }

    /// How many are not durable.
    pub(crate) fn in_flight(&self) -> usize {
        self.entries.len() - self.durable
    }

    /// Adds the one behind the last one.
    pub(crate) fn push(&mut self, index: u64, ticket: u64) {
        if self.entries.is_empty() {
            self.first = index;
        }
        let end = self.first + self.entries.len() as u64;
        assert_eq!(index, end, "they have no gap");
        let bytes = None;
        self.entries.push_back(Proposal { ticket, bytes });
    }

    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.first)?).ok()
    }

    /// The bytes of this entry; gives them back when it is none of these.
    pub(crate) fn lend(&mut self, index: u64, bytes: Bytes) -> Option<Bytes> {
        let place = self.place(index);
        match place.and_then(|place| self.entries.get_mut(place)) {
            Some(entry) => {
                entry.bytes = Some(bytes);
                None
            }
            None => Some(bytes),
        }
    }

    /// This entry is durable, and those before it were: its bytes and its ticket, if it is one of
    /// these.
    pub(crate) fn land(&mut self, index: u64) -> Option<(Bytes, u64)> {
        let entry = self.entries.get(self.place(index)?)?;
        let bytes = entry.bytes.clone();
        let landed = (bytes.expect("it was lent before"), entry.ticket);
        self.durable += 1;
        assert_eq!(self.durable(), Some(index), "they land in order");
        Some(landed)
    }

    /// Entries up to this one are executed: their bytes are let go of.
    pub(crate) fn executed(&mut self, index: u64) {
        let behind = self.place(index).map_or(0, |place| place + 1);
        while self.executed < behind.min(self.durable) {
            self.entries[self.executed].bytes = None;
            self.executed += 1;
        }
    }

    /// Takes those that are durable out, to be told.
    pub(crate) fn take_durable(&mut self, term: u64) -> Vec<Told> {
        self.take(self.durable, term)
    }

    /// Takes all out, to be told.
    pub(crate) fn take_all(&mut self, term: u64) -> Vec<Told> {
        self.take(self.entries.len(), term)
    }

    fn take(&mut self, count: usize, term: u64) -> Vec<Told> {
        let (first, durable) = (self.first, self.durable);
        let entries = self.entries.drain(..count);
        let told = (first..).zip(entries).enumerate();
        let told = told.map(|(at, (index, entry))| Told {
            index,
            term,
            bytes: entry.bytes.unwrap_or_default(),
            ticket: (at >= durable).then_some(entry.ticket),
        });
        let told = told.collect();
        self.first += count as u64;
        self.durable -= durable.min(count);
        self.executed -= self.executed.min(count);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// Entries 5 to 8 with tickets 50 to 80.
    fn four() -> Untold {
        let mut untold = Untold::default();
        for (index, text) in (5..).zip(["five", "six", "seven", "eight"]) {
            untold.push(index, index * 10);
            assert_eq!(untold.lend(index, bytes(text)), None);
        }
        untold
    }

    #[test]
    fn they_land_in_order_and_keep_their_numbers() {
        let mut untold = four();
        assert_eq!((untold.end(), untold.durable()), (Some(9), None));
        assert_eq!(untold.land(5), Some((bytes("five"), 50)));
        assert_eq!(untold.land(6), Some((bytes("six"), 60)));
        assert_eq!((untold.durable(), untold.in_flight()), (Some(6), 2));
        untold.executed(5);
        let told = untold.take_durable(3);
        let told = told
            .iter()
            .map(|told| (told.index, &told.bytes[..], told.ticket));
        let expected: [(u64, &[u8], _); 2] = [(5, b"", None), (6, b"six", None)];
        assert!(told.eq(expected));
        assert_eq!((untold.end(), untold.durable()), (Some(9), None));
        assert_eq!(untold.land(7), Some((bytes("seven"), 70)));
    }

    #[test]
    fn those_in_flight_are_told_with_their_tickets() {
        let mut untold = four();
        untold.land(5);
        let told = untold.take_all(3);
        let told = told.iter().map(|told| (told.index, told.term, told.ticket));
        let tickets = [None, Some(60), Some(70), Some(80)];
        assert!(told.eq((5..).zip(tickets).map(|(index, ticket)| (index, 3, ticket))));
        assert!(untold.is_empty());
        assert_eq!((untold.end(), untold.durable()), (None, None));
        // What was told lands for the library.
        assert_eq!(untold.land(6), None);
        assert_eq!(untold.lend(6, bytes("late")), Some(bytes("late")));
        untold.push(20, 200);
        assert_eq!(untold.end(), Some(21));
    }

    #[test]
    #[should_panic(expected = "they have no gap")]
    fn a_gap_is_a_mistake() {
        four().push(10, 0);
    }

    #[test]
    #[should_panic(expected = "they land in order")]
    fn landing_out_of_order_is_a_mistake() {
        four().land(6);
    }
}
