//! What goes wrong, and when.

use std::collections::BTreeSet;

use giro_replication::{Members, NodeId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::network::Weather;
use crate::world::World;

/// Makes faults. Those that break a disk's promise are few enough that a majority keeps its own.
pub struct Faults {
    rng: ChaCha8Rng,
    count: u64,
    /// How often (us).
    pause_us: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(ChaCha8Rng::seed_from_u64(0))
    }
}

/// Sectors of the log's end that damage leaves alone: what recovery cannot tell from a crash.
/// Eight records of the largest size would be more; the clients' are small.
const SECTORS_SPARED: usize = 200;

impl Faults {
    /// Faults of this stream.
    #[must_use]
    pub fn new(mut rng: ChaCha8Rng) -> Self {
        let pause_us = rng.random_range(100_000..1_500_000);
        Self {
            rng,
            count: 0,
            pause_us,
        }
    }

    /// When the first one comes (us).
    pub fn first_us(&mut self) -> u64 {
        self.rng.random_range(200_000..2_000_000)
    }

    /// So many were made.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Makes one. Returns the time until the next (us).
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn strike(&mut self, world: &mut World) -> Result<u64, String> {
        self.count += 1;
        let ids: Vec<NodeId> = world.nodes.keys().copied().collect();
        let id = ids[self.rng.random_range(0..ids.len())];
        let kind = self.rng.random_range(0..106u64);
        world.trace.note(world.now_us, "fault", [kind, id, 0, 0]);
        match kind {
            0..15 => self.crash(world, id),
            15..25 => self.pause(world, id),
            25..30 => self.crash_twice(world, id)?,
            30..33 => ids.iter().for_each(|id| self.crash(world, *id)),
            33..48 => self.partition(world, &ids),
            48..60 => world.network.heal(),
            60..70 => self.weather(world),
            70..78 => self.slow_disk(world, id),
            78..84 => self.clock(world, id),
            84..88 => self.full_disk(world, id),
            88..93 => self.failing_disk(world, id),
            93..97 => self.damage(world, id),
            100..106 => self.stall(world, id),
            _ => self.one_way(world, &ids),
        }
        let pause = self.pause_us;
        Ok(self.rng.random_range(pause / 4..pause * 2))
    }

    fn crash(&mut self, world: &mut World, id: NodeId) {
        world.crash_node(id);
        let delay = self.rng.random_range(1_000..1_500_000);
        world.restart_later(id, delay);
    }

    /// The process stands still for a while, and knows nothing of it.
    fn pause(&mut self, world: &mut World, id: NodeId) {
        let until = world.now_us + self.rng.random_range(10_000..2_000_000);
        let node = world.nodes.get_mut(&id).expect("it exists");
        node.paused_until_us = until;
    }

    /// Its history has to keep up: nothing is executed for a while, and all else goes on.
    fn stall(&mut self, world: &mut World, id: NodeId) {
        let until = world.now_us + self.rng.random_range(100_000..4_000_000);
        let node = world.nodes.get_mut(&id).expect("it exists");
        node.stalled_until_us = until;
    }

    /// Again before it has come to anything.
    fn crash_twice(&mut self, world: &mut World, id: NodeId) -> Result<(), String> {
        world.crash_node(id);
        if world.nodes[&id].dead.is_none() {
            world.start_node(id)?;
            self.crash(world, id);
        }
        Ok(())
    }

    fn partition(&mut self, world: &mut World, ids: &[NodeId]) {
        let side: Vec<bool> = ids.iter().map(|_| self.rng.random_bool(0.5)).collect();
        for (a, a_side) in ids.iter().zip(&side) {
            for (b, b_side) in ids.iter().zip(&side) {
                if a_side != b_side {
                    world.cut(*a, *b);
                }
            }
        }
    }

    fn one_way(&mut self, world: &mut World, ids: &[NodeId]) {
        let from = ids[self.rng.random_range(0..ids.len())];
        for to in ids {
            if *to != from && self.rng.random_bool(0.7) {
                world.cut(from, *to);
            }
        }
    }

    fn weather(&mut self, world: &mut World) {
        world.network.weather = match self.rng.random_range(0..4) {
            0 => Weather::FAIR,
            1 => Weather {
                loss: 0.05,
                garbage: 0.02,
                ..Weather::FAIR
            },
            2 => Weather {
                reorder: 0.3,
                twice: 0.05,
                jitter_us: 8_000,
                ..Weather::FAIR
            },
            _ => Weather {
                loss: 0.2,
                garbage: 0.0,
                reorder: 0.1,
                twice: 0.1,
                delay_us: 5_000,
                jitter_us: 40_000,
            },
        };
    }

    fn slow_disk(&mut self, world: &mut World, id: NodeId) {
        let write_us = match self.rng.random_range(0..3) {
            0 => 150,
            1 => 20_000,
            _ => 300_000,
        };
        world.nodes.get_mut(&id).expect("it exists").write_us = write_us;
    }

    fn clock(&mut self, world: &mut World, id: NodeId) {
        let node = world.nodes.get_mut(&id).expect("it exists");
        node.clock_off_ns = self.rng.random_range(-5_000_000_000..5_000_000_000);
        node.tick_us = self.rng.random_range(10_000..50_000);
    }

    /// No new segments for a while.
    fn full_disk(&mut self, world: &mut World, id: NodeId) {
        let is_full = self.rng.random_bool(0.6);
        let node = world.nodes.get_mut(&id).expect("it exists");
        node.storage.set_full(is_full);
    }

    /// A write fails: the process ends, and nobody knows what is on the disk.
    fn failing_disk(&mut self, world: &mut World, id: NodeId) {
        let node = world.nodes.get_mut(&id).expect("it exists");
        node.fails_next_write = node.up.is_some();
    }

    /// Something old is changed behind everybody's back; it is found at the next start.
    fn damage(&mut self, world: &mut World, id: NodeId) {
        if !can_lose(world, id) {
            return;
        }
        world.crash_node(id);
        let node = &world.nodes[&id];
        let is_damaged = if self.rng.random_bool(0.6) {
            node.storage.flip_bit(SECTORS_SPARED, &mut self.rng)
        } else {
            node.storage.misdirect(SECTORS_SPARED, &mut self.rng)
        };
        if is_damaged {
            world.damaged.insert(id);
        }
        world.restart_later(id, 10_000);
    }
}

/// Whether this voter's disk may be lost, whatever others know by now.
pub(crate) fn can_lose(world: &World, id: NodeId) -> bool {
    let members = world.auditor.members();
    if world.damaged.contains(&id) || !members.voters.contains(&id) {
        return false;
    }
    // What is committed may be known to nobody but the node that is hit.
    let ups = world.nodes.values().filter_map(|node| node.up.as_ref());
    let views = ups.map(|up| up.replica.members());
    let mut views = std::iter::once(members).chain(views);
    let least = world.variety.voters_min;
    views.all(|members| bears(members, &world.damaged, 1, least))
}

/// Whether a majority stays when so many more voters are lost than those in `lost`: also when a
/// voter leaves whose removal is under way. The operator leaves at least `least` voters.
pub(crate) fn bears(members: &Members, lost: &BTreeSet<NodeId>, more: usize, least: usize) -> bool {
    let voters = members.voters.len();
    let lost = members.voters.iter().filter(|id| lost.contains(id));
    let least = voters.saturating_sub(1).max(least).min(voters);
    !members.is_joint() && lost.count() + more <= least.saturating_sub(1) / 2
}
