//! Which of several servers is asked next. No I/O and no clock.
//!
//! A server that does not lead names the leader by a view: its place among the voters. That is a
//! place in the list of addresses only if the list has all voters, in the order of their numbers,
//! and nobody else. So a view is followed once, and only a higher one after it. From where the last
//! view led on, addresses are asked one after the other: whatever the list has, each of them is
//! asked within as many attempts as there are addresses.

/// Places in a list of addresses.
pub(crate) struct Choice {
    count: usize,
    /// The place that is asked, and the one that is asked after it.
    current: usize,
    next: usize,
    /// The highest view that was followed since a server last answered.
    followed: u32,
    /// The current server has answered a request.
    is_answered: bool,
}

impl Choice {
    /// Begins with the first of `count` places; there must be one.
    pub(crate) fn new(count: usize) -> Self {
        assert!(count > 0, "somebody can be asked");
        Self {
            count,
            current: 0,
            next: 0,
            followed: 0,
            is_answered: false,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Goes to the next place.
    pub(crate) fn go(&mut self) -> usize {
        self.current = self.next;
        self.is_answered = false;
        self.current
    }

    /// The server answered a request: it leads, and what was said before it did is forgotten.
    pub(crate) fn answered(&mut self) {
        self.followed = 0;
        self.is_answered = true;
    }

    /// The server could not be reached, or said nothing.
    pub(crate) fn failed(&mut self) {
        self.next = (self.current + 1) % self.count;
    }

    /// The connection is gone. One that answered is called again: it may lead yet.
    pub(crate) fn lost(&mut self) {
        if self.next == self.current && !self.is_answered {
            self.failed();
        }
    }

    /// The server does not lead; the view, unless it is 0, says who does. True when it is followed.
    pub(crate) fn redirected(&mut self, view: u32) -> bool {
        let place = view as usize % self.count;
        let is_followed = view > self.followed && place != self.current;
        // Also one that names the server which it came from, so it was tried.
        self.followed = self.followed.max(view);
        if is_followed {
            self.next = place;
        } else {
            self.failed();
        }
        is_followed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address of the list is.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Server {
        Dead,
        /// It takes connections, and neither answers nor refuses.
        Useless,
        /// It does not lead, and gives this view.
        Follower(u32),
        Leader,
    }

    /// Attempts until the leader is asked.
    fn attempts(list: &[Server], choice: &mut Choice) -> usize {
        for attempt in 1..=100 {
            match list[choice.go()] {
                Server::Leader => return attempt,
                Server::Dead => choice.failed(),
                Server::Useless => choice.lost(),
                Server::Follower(view) => {
                    choice.redirected(view);
                    choice.lost();
                }
            }
        }
        panic!("{list:?}: the leader is never asked");
    }

    /// How many views the followers of a list give.
    fn views(list: &[Server]) -> usize {
        let view = |server: &Server| match server {
            Server::Follower(view) if *view > 0 => Some(*view),
            _ => None,
        };
        let views: std::collections::BTreeSet<u32> = list.iter().filter_map(view).collect();
        views.len()
    }

    #[test]
    fn a_view_leads_to_the_leader_and_silence_to_the_next_one() {
        let mut choice = Choice::new(3);
        choice.redirected(0);
        assert_eq!(choice.go(), 1);
        assert!(choice.redirected(8));
        assert_eq!(choice.go(), 2, "view 8 of three servers");
        assert!(!choice.redirected(8));
        assert_eq!(choice.go(), 0, "the view is its own, and it does not lead");
        choice.answered();
        choice.lost();
        assert_eq!(choice.go(), 0, "it answered, and is called again");
        choice.lost();
        assert_eq!(choice.go(), 1, "it did not");
        assert!(choice.redirected(8), "it was long ago");
        assert_eq!(choice.go(), 2);
    }

    #[test]
    fn a_list_with_a_removed_replica_leads_to_the_leader_too() {
        // Replica 0 is gone; 1, 2 and 3 vote, and 3 leads: view 20 names the last of three. Of four
        // addresses it names the first one, over and over.
        use Server::{Dead, Follower, Leader};
        let list = [Dead, Follower(20), Follower(20), Leader];
        assert_eq!(attempts(&list, &mut Choice::new(4)), 6);
        let list = [Follower(20), Follower(20), Follower(20), Leader];
        assert_eq!(attempts(&list, &mut Choice::new(4)), 4);
    }

    #[test]
    fn with_all_voters_in_order_the_view_leads_straight_to_the_leader() {
        for (leader, term) in (0..5).flat_map(|leader| (1..9).map(move |term| (leader, term))) {
            let view = term * 5 + leader;
            let mut list = [Server::Follower(view); 5];
            list[leader as usize] = Server::Leader;
            let straight = if leader == 0 { 1 } else { 2 };
            assert_eq!(attempts(&list, &mut Choice::new(5)), straight);
        }
    }

    #[test]
    fn whatever_the_list_has_the_leader_is_found() {
        const KINDS: usize = 7;
        let server = |kind| match kind {
            0 => Server::Dead,
            1 => Server::Useless,
            // Of several terms, of a group that had another size, or of none.
            kind => Server::Follower([0, 7, 20, 21, 23][kind - 2]),
        };
        for count in 1..=5 {
            for (leader, start) in (0..count).flat_map(|l| (0..count).map(move |s| (l, s))) {
                for code in 0..KINDS.pow(count as u32 - 1) {
                    let kind = |place: u32| server(code / KINDS.pow(place) % KINDS);
                    let mut list: Vec<_> = (0..count as u32 - 1).map(kind).collect();
                    list.insert(leader, Server::Leader);
                    let mut choice = Choice::new(count);
                    choice.next = start;
                    let most = count * (1 + views(&list));
                    let found = attempts(&list, &mut choice);
                    assert!(found <= most, "{list:?} from {start}: {found} attempts");
                }
            }
        }
    }
}
