//! The network: delays, losses, partitions.

use std::collections::{BTreeMap, BTreeSet};

use giro_replication::NodeId;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// How the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Share of frames lost.
    pub loss: f64,
    /// Share of frames whose entries become garbage with right checksums.
    pub garbage: f64,
    /// Share of frames that come twice.
    pub twice: f64,
    /// Share of frames that may overtake others.
    pub reorder: f64,
    /// Shortest way (us).
    pub delay_us: u64,
    /// Added at random (us).
    pub jitter_us: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const FAIR: Self = Self {
        loss: 0.0,
        garbage: 0.0,
        twice: 0.0,
        reorder: 0.0,
        delay_us: 100,
        jitter_us: 200,
    };
}

/// Who reaches whom, and when.
pub struct Network {
    /// How it is now.
    pub weather: Weather,
    /// Pairs, from and to, between which nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Counts connections of a pair: what was sent on an older one is lost.
    epochs: BTreeMap<(NodeId, NodeId), u64>,
    /// When the last frame of a pair arrives (us): others come behind it.
    busy: BTreeMap<(NodeId, NodeId), u64>,
    rng: ChaCha8Rng,
}

impl Network {
    /// A network in fair weather.
    #[must_use]
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self {
            weather: Weather::FAIR,
            cut: BTreeSet::new(),
            epochs: BTreeMap::new(),
            busy: BTreeMap::new(),
            rng,
        }
    }

    /// When a frame that is sent now arrives, each time it does (us).
    pub fn arrivals(&mut self, from: NodeId, to: NodeId, now_us: u64) -> Vec<u64> {
        if self.cut.contains(&(from, to)) || self.rng.random_bool(self.weather.loss) {
            return Vec::new();
        }
        let weather = self.weather;
        let mut arrival = now_us + weather.delay_us;
        arrival += self.rng.random_range(0..=weather.jitter_us);
        if !self.rng.random_bool(weather.reorder) {
            let busy = self.busy.entry((from, to)).or_default();
            arrival = arrival.max(*busy + 1);
            *busy = arrival;
        }
        let mut arrivals = vec![arrival];
        if self.rng.random_bool(weather.twice) {
            arrivals.push(arrival + self.rng.random_range(1..50_000));
        }
        arrivals
    }

    /// Whether this frame is one of this share of those that are changed.
    pub fn forges(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }

    /// The connection's number.
    #[must_use]
    pub fn epoch(&self, from: NodeId, to: NodeId) -> u64 {
        self.epochs.get(&(from, to)).copied().unwrap_or(0)
    }

    /// The connection breaks: what is on its way is lost.
    pub fn break_connection(&mut self, from: NodeId, to: NodeId) {
        *self.epochs.entry((from, to)).or_default() += 1;
        self.busy.remove(&(from, to));
    }

    /// Nothing passes from `from` to `to` any more.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
        self.break_connection(from, to);
    }

    /// Whether nothing passes.
    #[must_use]
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains(&(from, to))
    }

    /// All reach all.
    pub fn heal(&mut self) {
        self.cut.clear();
    }
}
