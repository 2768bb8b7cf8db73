//! What kind of traffic a seed makes: every seed draws its own mixture.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Probabilities and sizes of one run.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Size of the space that account numbers come from.
    pub(super) accounts: u64,
    /// Ledgers the accounts divide into.
    pub(super) ledgers: u64,
    /// How transfer ids look.
    pub(super) ids: IdStyle,
    /// The clock's first reading (ns).
    pub(super) start: u64,
    /// Longest usual step of the clock between requests (ns).
    pub(super) step_max: u64,
    /// Most events of a usual batch; some are larger.
    pub(super) events_max: usize,
    /// One request in so many has a batch of up to 8,189 events; 0 is none.
    pub(super) huge_batch_every: u32,
    /// Chances of 100.
    pub(super) linked: u32,
    pub(super) pending: u32,
    pub(super) resolve: u32,
    pub(super) imported: u32,
    pub(super) balancing: u32,
    pub(super) closing: u32,
    pub(super) timeout: u32,
    pub(super) wrong: u32,
    pub(super) repeat: u32,
    pub(super) limited: u32,
    pub(super) large_amounts: u32,
    /// Requests about branches.
    pub(super) branches: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum IdStyle {
    Rising,
    Falling,
    Scattered,
}

impl Profile {
    /// A mixture drawn from `rng`.
    pub(crate) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let near_the_end = (1 << 63) - 10_000_000_000_000_000;
        Self {
            accounts: pick(rng, &[3, 6, 12, 40, 300]),
            ledgers: rng.random_range(1..=3),
            ids: pick(
                rng,
                &[IdStyle::Rising, IdStyle::Falling, IdStyle::Scattered],
            ),
            start: pick(
                rng,
                &[1, 1_000_000, 1_700_000_000_000_000_000, near_the_end],
            ),
            step_max: pick(rng, &[3, 1_000, 50_000_000, 2_000_000_000]),
            events_max: pick(rng, &[1, 4, 12, 40]),
            huge_batch_every: 0,
            linked: pick(rng, &[0, 2, 10]),
            pending: pick(rng, &[5, 20, 50]),
            resolve: pick(rng, &[10, 25, 45]),
            imported: pick(rng, &[0, 0, 10, 50]),
            balancing: pick(rng, &[0, 10, 30]),
            closing: pick(rng, &[0, 3, 15]),
            timeout: pick(rng, &[0, 40, 90]),
            wrong: pick(rng, &[0, 2, 8, 30]),
            repeat: pick(rng, &[0, 5, 20]),
            limited: pick(rng, &[0, 20, 60]),
            large_amounts: pick(rng, &[0, 0, 10, 50]),
            branches: pick(rng, &[0, 0, 25, 50]),
        }
    }

    /// The same with batches that are large enough to be shared among threads.
    pub(crate) fn with_large_batches(mut self, rng: &mut ChaCha8Rng) -> Self {
        self.events_max = pick(rng, &[40, 400, 1500]);
        self.huge_batch_every = 40;
        self
    }
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(..choices.len())]
}
