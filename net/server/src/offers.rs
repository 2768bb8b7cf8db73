//! Checkpoints that peers were offered, and when an offer is given up. No I/O and no clock.
//!
//! The group sends a peer nothing else until it hears how the offer ended. So one that was lost on
//! its way, as nobody listened yet, must end soon, and one that is under way must not.

use std::collections::BTreeMap;

use giro_replication::NodeId;

/// How long an offer is held open for a peer that does not come (ns).
pub(crate) const KEPT_NS: u64 = 10_000_000_000;
/// The same when the offer may not have reached it, or the transfer broke off: the next one follows
/// no sooner, however often that happens.
const LOST_KEPT_NS: u64 = 500_000_000;

/// Offers by peer, each of something that is held open meanwhile.
pub(crate) struct Offers<P> {
    open: BTreeMap<NodeId, Offer<P>>,
}

struct Offer<P> {
    what: P,
    index: u64,
    /// When it was made, and until when it is held open (ns).
    made: u64,
    until: u64,
    is_under_way: bool,
}

impl<P> Offers<P> {
    pub(crate) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
        }
    }

    /// A peer was offered the checkpoint at this entry. An older offer is of the past.
    pub(crate) fn make(&mut self, peer: NodeId, index: u64, what: P, now: u64) {
        let offer = Offer {
            what,
            index,
            made: now,
            until: now.saturating_add(KEPT_NS),
            is_under_way: false,
        };
        self.open.insert(peer, offer);
    }

    /// What was sent to a peer last may not have reached it.
    pub(crate) fn may_be_lost(&mut self, peer: NodeId) {
        if let Some(offer) = self.open.get_mut(&peer) {
            offer.until = offer.until.min(offer.made.saturating_add(LOST_KEPT_NS));
        }
    }

    /// Whether this peer was offered the checkpoint at this entry, and does not get it yet.
    pub(crate) fn is_open(&self, peer: NodeId, index: u64) -> bool {
        let offer = self.open.get(&peer);
        offer.is_some_and(|offer| offer.index == index && !offer.is_under_way)
    }

    /// The peer comes for it.
    pub(crate) fn begin(&mut self, peer: NodeId) -> Option<&P> {
        let offer = self.open.get_mut(&peer)?;
        offer.is_under_way = true;
        Some(&offer.what)
    }

    /// It was sent.
    pub(crate) fn end(&mut self, peer: NodeId) {
        self.open.remove(&peer);
    }

    /// It could not be sent: a peer whose disk is full comes, and goes at once.
    pub(crate) fn break_off(&mut self, peer: NodeId) {
        if let Some(offer) = self.open.get_mut(&peer) {
            offer.is_under_way = false;
            offer.until = offer.made.saturating_add(LOST_KEPT_NS);
        }
    }

    /// Gives up the offers of peers that did not come, and says which.
    pub(crate) fn sweep(&mut self, now: u64) -> Vec<NodeId> {
        let late = |offer: &Offer<P>| !offer.is_under_way && offer.until < now;
        let gone = self.open.extract_if(.., |_, offer| late(offer));
        gone.map(|(peer, _)| peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn offered() -> Offers<&'static str> {
        let mut offers = Offers::new();
        offers.make(2, 100, "a checkpoint", 7 * SECOND);
        offers
    }

    #[test]
    fn an_offer_is_open_for_its_peer_and_entry_until_it_comes_or_time_is_over() {
        let mut offers = offered();
        assert!(offers.is_open(2, 100));
        assert!(!offers.is_open(2, 99) && !offers.is_open(3, 100));
        assert!(offers.sweep(17 * SECOND).is_empty());
        assert_eq!(offers.sweep(17 * SECOND + 1), [2]);
        assert!(!offers.is_open(2, 100));
    }

    #[test]
    fn what_is_under_way_is_not_given_up() {
        let mut offers = offered();
        assert_eq!(offers.begin(2), Some(&"a checkpoint"));
        offers.may_be_lost(2);
        assert!(!offers.is_open(2, 100), "once");
        assert!(offers.sweep(1000 * SECOND).is_empty());
        offers.end(2);
        assert_eq!(offers.begin(2), None);
    }

    #[test]
    fn one_that_was_lost_on_its_way_is_given_up_soon_and_not_at_once() {
        let mut offers = offered();
        offers.may_be_lost(2);
        assert!(offers.is_open(2, 100), "it may have arrived");
        assert!(offers.sweep(7 * SECOND + SECOND / 2).is_empty());
        assert_eq!(offers.sweep(7 * SECOND + SECOND / 2 + 1), [2]);
        // Of a peer that was offered nothing.
        offers.may_be_lost(3);
    }

    #[test]
    fn a_transfer_that_breaks_off_at_once_is_offered_again_after_a_pause() {
        let mut offers = offered();
        offers.begin(2);
        offers.break_off(2);
        assert!(offers.sweep(7 * SECOND + SECOND / 2).is_empty());
        assert_eq!(offers.sweep(7 * SECOND + SECOND / 2 + 1), [2]);
        // One that took long has had its pause.
        offers.make(2, 200, "a newer one", 8 * SECOND);
        offers.begin(2);
        assert!(offers.sweep(60 * SECOND).is_empty());
        offers.break_off(2);
        assert_eq!(offers.sweep(60 * SECOND), [2]);
        offers.break_off(3);
    }

    #[test]
    fn a_newer_offer_takes_the_place_of_an_older_one() {
        let mut offers = offered();
        offers.may_be_lost(2);
        offers.make(2, 200, "a newer one", 8 * SECOND);
        assert!(offers.is_open(2, 200) && !offers.is_open(2, 100));
        assert!(offers.sweep(18 * SECOND).is_empty());
    }
}
