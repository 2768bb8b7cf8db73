use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Three nodes, of which the first is asked.
fn first() -> RollCall {
    RollCall::new((1, 10), vec![1, 2, 3], None).unwrap()
}

fn sum(roll: [u64; 3]) -> Word {
    Word::Agreed(sum_of(&roll))
}

#[test]
fn a_node_agrees_when_it_has_heard_all_lately_and_says_so_when_that_is_durable() {
    let mut node = first();
    assert_eq!(node.status(0).waits_for, [2, 3]);
    node.hear(2, 20, Word::Calls, 5);
    assert_eq!(node.agree(5), None);
    node.hear(3, 30, Word::Calls, 5 + HEARD_TICKS_MAX + 1);
    // The other one may have been made anew since.
    assert_eq!(node.agree(5 + HEARD_TICKS_MAX + 1), None);
    assert_eq!(node.status(6 + HEARD_TICKS_MAX).waits_for, [2]);
    node.hear(2, 21, Word::Calls, 40);
    node.hear(3, 30, Word::Calls, 40);
    assert_eq!(node.agree(40), Some(vec![10, 21, 30]));
    assert_eq!(node.word(), Word::Calls);
    assert_eq!(node.agree(40), None, "once");
    node.written();
    assert_eq!(node.word(), sum([10, 21, 30]));
    assert!(!node.has_begun());
}

#[test]
fn a_node_begins_when_all_have_agreed_to_the_same() {
    let mut node = RollCall::new((1, 10), vec![1, 2, 3], Some(vec![10, 20, 30])).unwrap();
    node.hear(2, 20, sum([10, 20, 30]), 1);
    node.hear(3, 31, sum([10, 20, 30]), 1);
    assert!(!node.has_begun(), "that is another one");
    assert_eq!(node.status(1).made_anew, [3]);
    node.hear(3, 30, sum([10, 20, 33]), 1);
    assert!(!node.has_begun());
    node.hear(3, 30, Word::Calls, 1);
    assert!(!node.has_begun());
    assert_eq!(node.status(1).waits_for, [3]);
    node.hear(3, 30, sum([10, 20, 30]), 1);
    assert!(node.has_begun());
    assert_eq!(node.roll().unwrap(), [(1, 10), (2, 20), (3, 30)]);
}

#[test]
fn a_node_that_agreed_begins_when_one_that_has_begun_knows_it() {
    let mut node = RollCall::new((1, 10), vec![1, 2, 3], Some(vec![10, 20, 30])).unwrap();
    // Also one that is no first voter.
    node.hear(7, 70, Word::Begun(10), 1);
    assert!(node.has_begun());
}

#[test]
fn a_node_that_lost_its_log_or_was_made_anew_does_not_begin() {
    for known in [10, 11, 0] {
        let mut node = first();
        node.hear(2, 20, Word::Begun(known), 1);
        assert!(!node.has_begun() && node.status(1).is_late);
        node.hear(2, 20, Word::Calls, 2);
        node.hear(3, 30, Word::Calls, 2);
        assert_eq!(node.agree(2), None);
        // All of them were made anew since.
        let later = 2 + HEARD_TICKS_MAX;
        node.hear(2, 21, Word::Calls, later);
        node.hear(3, 31, Word::Calls, later);
        assert!(!node.status(later).is_late);
        assert_eq!(node.agree(later), Some(vec![10, 21, 31]));
    }
}

#[test]
fn a_node_that_agreed_is_not_late_for_one_that_lags_behind() {
    let mut node = RollCall::new((1, 10), vec![1, 2, 3], Some(vec![10, 20, 30])).unwrap();
    node.hear(7, 70, Word::Begun(0), 1);
    assert!(!node.has_begun() && !node.status(1).is_late);
    node.hear(2, 20, Word::Begun(11), 1);
    assert!(!node.has_begun() && node.status(1).is_late);
}

#[test]
fn a_roll_that_a_node_cannot_have_agreed_to_is_none_of_its() {
    for roll in [vec![10, 20], vec![10, 20, 30, 40], vec![11, 20, 30]] {
        assert!(RollCall::new((1, 10), vec![1, 2, 3], Some(roll)).is_none());
    }
}

#[test]
fn what_was_heard_before_a_process_stood_still_does_not_count() {
    let mut node = first();
    node.hear(2, 20, Word::Calls, 1);
    node.forget_heard();
    node.hear(3, 30, Word::Calls, 1);
    assert_eq!(node.agree(1), None);
}

#[test]
fn none_agrees_to_a_roll_beside_one_that_another_has_agreed_to() {
    let mut node = first();
    node.hear(2, 20, sum([11, 20, 30]), 1);
    node.hear(3, 30, Word::Calls, 1);
    assert_eq!(node.agree(1), None);
    let status = node.status(1);
    assert!(status.disagree == [2] && status.needs_somebody());
    node.hear(2, 20, sum([10, 20, 30]), 1);
    assert_eq!(node.agree(1), Some(vec![10, 20, 30]));
}

/// Nodes whose words are lost, late, twice and out of order, and that are stopped at any moment.
struct World {
    rng: ChaCha8Rng,
    nodes: Vec<Node>,
    /// From, its incarnation, to, what.
    wire: Vec<(usize, u64, usize, Word)>,
    incarnations: u64,
    /// Whoever has begun, with what.
    begun: BTreeMap<u64, Vec<u64>>,
    now: u64,
    /// No word is lost.
    is_fair: bool,
}

struct Node {
    incarnation: u64,
    call: RollCall,
    disk: Option<Vec<u64>>,
    writes: Option<Vec<u64>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = rng.random_range(2..=4);
        let mut world = Self {
            rng,
            nodes: Vec::new(),
            wire: Vec::new(),
            incarnations: 0,
            begun: BTreeMap::new(),
            now: 1,
            is_fair: false,
        };
        for _ in 0..count {
            let node = world.made(world.nodes.len(), count);
            world.nodes.push(node);
        }
        world
    }

    fn made(&mut self, place: usize, count: usize) -> Node {
        self.incarnations += 1;
        let incarnation = self.incarnations;
        Node {
            incarnation,
            call: Self::call(place, incarnation, count, None),
            disk: None,
            writes: None,
        }
    }

    fn call(place: usize, incarnation: u64, count: usize, roll: Option<Vec<u64>>) -> RollCall {
        let voters = (1..=count as u64).collect();
        RollCall::new((place as u64 + 1, incarnation), voters, roll).unwrap()
    }

    fn step(&mut self, remakes: bool) {
        let count = self.nodes.len();
        let place = self.rng.random_range(0..count);
        match self.rng.random_range(0..100) {
            0..40 => self.says(place),
            40..75 => self.arrives(),
            75..92 => self.writes(place),
            92..97 => {
                let node = &mut self.nodes[place];
                node.writes = None;
                let (incarnation, disk) = (node.incarnation, node.disk.clone());
                node.call = Self::call(place, incarnation, count, disk);
            }
            97 if remakes => self.nodes[place] = self.made(place, count),
            _ => self.now += self.rng.random_range(0..15),
        }
        self.check(place);
    }

    /// To everybody, as the group does.
    fn says(&mut self, place: usize) {
        let node = &self.nodes[place];
        let begun = node.disk.as_ref().filter(|_| node.call.has_begun());
        for to in (0..self.nodes.len()).filter(|to| *to != place) {
            let word = match begun {
                Some(roll) => Word::Begun(roll[to]),
                None => node.call.word(),
            };
            self.wire.push((place, node.incarnation, to, word));
        }
    }

    fn arrives(&mut self) {
        if self.wire.is_empty() {
            return;
        }
        let place = self.rng.random_range(0..self.wire.len());
        let (from, incarnation, to, word) = match self.rng.random_range(0..10) {
            0 => self.wire[place],
            _ => self.wire.swap_remove(place),
        };
        if !self.is_fair && self.rng.random_bool(0.1) {
            return;
        }
        let node = &mut self.nodes[to];
        node.call.hear(from as u64 + 1, incarnation, word, self.now);
        if let Some(roll) = node.call.agree(self.now) {
            node.writes = Some(roll);
        }
        self.check(to);
    }

    fn writes(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if let Some(roll) = node.writes.take() {
            assert_eq!(node.disk, None, "one roll");
            node.disk = Some(roll);
            node.call.written();
        }
    }

    /// Two rolls that were begun with have nobody in common, and each node agreed to its own.
    fn check(&mut self, place: usize) {
        let node = &self.nodes[place];
        if !node.call.has_begun() {
            return;
        }
        let roll = node.disk.clone().expect("none begins without a roll");
        self.begun.insert(node.incarnation, roll);
        for (a, mine) in &self.begun {
            assert!(mine.contains(a), "its own");
            for other in self.begun.values().filter(|other| *other != mine) {
                let mine = BTreeSet::from_iter(mine);
                assert!(
                    other.iter().all(|id| !mine.contains(id)),
                    "{mine:?} {other:?}"
                );
            }
        }
    }
}

#[test]
fn no_node_is_in_two_rolls_that_were_begun_with_whatever_is_made_anew() {
    let mut groups = 0;
    for seed in 0..4000 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step(true);
        }
        groups += BTreeSet::from_iter(world.begun.values()).len();
    }
    assert!(groups > 1000, "{groups}");
}

#[test]
fn all_begin_when_nothing_is_made_anew_whoever_stops_when() {
    for seed in 0..1000 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step(false);
        }
        world.wire.clear();
        world.is_fair = true;
        for _ in 0..5 {
            for place in 0..world.nodes.len() {
                world.says(place);
                while !world.wire.is_empty() {
                    world.arrives();
                }
                (0..world.nodes.len()).for_each(|place| world.writes(place));
                (0..world.nodes.len()).for_each(|place| world.check(place));
            }
        }
        let began = world.nodes.iter().filter(|node| node.call.has_begun());
        assert_eq!(began.count(), world.nodes.len(), "seed {seed}");
    }
}
