//! Writing the history alone: processor time and bytes a transfer, by stage. Generations have the
//! shape of the field's benchmark: random user data, all fields set.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;
use giro_core::generation::{Generation, Links, Opening};
use giro_log::storage::RealStorage;
use giro_store::pace::Pace;
use giro_store::reader::PageFile;
use giro_store::scratch::ScratchPool;
use giro_store::{Catalog, History, Identity, Mark, Names, Reader, Workshop, mergeable};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::time::{ClockId, clock_gettime};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Generations to write.
    #[arg(long, default_value_t = 12)]
    generations: u64,
    /// Rows of each.
    #[arg(long, default_value_t = 1 << 19)]
    rows: usize,
    /// Accounts the transfers run between.
    #[arg(long, default_value_t = 10_000)]
    accounts: u32,
    /// How ids follow each other.
    #[arg(long, value_enum, default_value_t = Ids::Interleaved)]
    ids: Ids,
    /// Merge id runs whenever so many are there that the history would.
    #[arg(long)]
    merge: bool,
    /// Where the files go. Emptied first and afterwards.
    #[arg(long, default_value = "target/giro-bench-history")]
    dir: PathBuf,
}

/// How ids follow each other.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Ids {
    /// Batches of ids that rise, from four clients, in any order within four batches.
    Interleaved,
    /// Each at random.
    Random,
    /// Each less than the one before.
    Falling,
}

/// Transfers of a full batch.
const BATCH: usize = 8189;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = &arguments.dir;
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    History::create(&RealStorage, dir)?;
    let workshop = Workshop {
        storage: Arc::new(RealStorage),
        names: Names::new(dir),
        identity: Identity {
            cluster: 1,
            hash_key: [2, 3],
        },
        pace: Pace::default(),
        scratch: ScratchPool::default(),
    };
    let mut reader = Reader::new()?;
    let mut maker = Maker::new(arguments)?;
    let (mut writing, mut merging) = (Cost::default(), Cost::default());
    for number in 0..arguments.generations {
        maker.fill(number);
        let generation = &maker.generation;
        writing.measure(|| workshop.write(&mut reader, generation, &Mark::default()))??;
        let catalog = History::read(&workshop, &mut reader)?;
        if let Some(range) = mergeable(&catalog.runs).filter(|_| arguments.merge) {
            merging.measure(|| workshop.merge(&mut reader, &catalog.runs[range]))??;
        }
    }
    let rows = (arguments.generations * arguments.rows as u64) as f64;
    writing.print("write", rows);
    if arguments.merge {
        merging.print("merge", rows);
    }
    print_sizes(&History::read(&workshop, &mut reader)?, rows)?;
    fs::remove_dir_all(dir)?;
    Ok(())
}

fn print_sizes(catalog: &Catalog, rows: f64) -> anyhow::Result<()> {
    let segments = catalog.segments.iter().map(|segment| segment.file());
    let bytes = |pages: u64| (pages * 4096) as f64 / rows;
    let segments = bytes(segments.map(PageFile::pages).sum());
    let runs = bytes(catalog.runs.iter().map(|run| run.file().pages()).sum());
    println!("{segments:.1} + {runs:.1} bytes a transfer (segments, id runs)");
    let segment = catalog.segments.first().context("something was written")?;
    let sections = segment.header().sections.iter().enumerate();
    for (part, section) in sections.filter(|(_, section)| section.pages > 0) {
        let each = (section.pages * 4096) as f64 / f64::from(segment.rows());
        println!("  section {part:>2}: {each:>7.2} bytes a transfer");
    }
    Ok(())
}

/// Time that something took, all calls together.
#[derive(Default)]
struct Cost {
    wall_ns: f64,
    /// Of this thread.
    thread_ns: f64,
    /// Of all threads.
    process_ns: f64,
    /// The same of each call.
    each_ns: Vec<f64>,
}

impl Cost {
    fn measure<T>(&mut self, what: impl FnOnce() -> T) -> anyhow::Result<T> {
        let (start, thread, process) = (
            Instant::now(),
            clock_ns(ClockId::ThreadCPUTime),
            clock_ns(ClockId::ProcessCPUTime),
        );
        let made = what();
        self.wall_ns += start.elapsed().as_nanos() as f64;
        self.thread_ns += clock_ns(ClockId::ThreadCPUTime) - thread;
        let process_ns = clock_ns(ClockId::ProcessCPUTime) - process;
        self.process_ns += process_ns;
        self.each_ns.push(process_ns);
        Ok(made)
    }

    fn print(&mut self, what: &str, rows: f64) {
        self.each_ns.sort_unstable_by(f64::total_cmp);
        let rows_of_call = rows / self.each_ns.len().max(1) as f64;
        let each = |part: usize| {
            let place = (self.each_ns.len() * part / 4).min(self.each_ns.len().saturating_sub(1));
            self.each_ns.get(place).map_or(0.0, |ns| ns / rows_of_call)
        };
        println!(
            "{what}: {:.0} ns of processor time a transfer ({:.0} in its own thread), \
             {:.0} ns by the clock",
            self.process_ns / rows,
            self.thread_ns / rows,
            self.wall_ns / rows,
        );
        println!(
            "  by generation: least {:.0}, quarter {:.0}, median {:.0}, most {:.0} ns",
            each(0),
            each(1),
            each(2),
            each(4),
        );
    }
}

fn clock_ns(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Makes generations, in the same memory.
struct Maker {
    generation: Generation,
    rng: ChaCha8Rng,
    rows: usize,
    accounts: u32,
    ids: Ids,
    /// Where the batches that come next begin.
    batches: Vec<u64>,
    made: u64,
}

impl Maker {
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let (rows, accounts) = (arguments.rows, arguments.accounts);
        Ok(Self {
            generation: Generation::new(0, 0, rows, accounts as usize)?,
            rng: ChaCha8Rng::seed_from_u64(1),
            rows,
            accounts,
            ids: arguments.ids,
            batches: Vec::new(),
            made: 0,
        })
    }

    fn fill(&mut self, number: u64) {
        // Its accounts were made before: they are not what is measured.
        self.generation.reset(number, self.made, self.accounts);
        for slot in 0..self.accounts {
            self.generation.openings.push(Opening {
                slot,
                flags: 8,
                ..Opening::default()
            });
        }
        for _ in 0..self.rows {
            self.push();
        }
    }

    fn push(&mut self) {
        let id = self.id();
        self.made += 1;
        let rng = &mut self.rng;
        let debit = rng.random_range(0..self.accounts);
        let credit = (debit + rng.random_range(1..self.accounts)) % self.accounts;
        self.generation.transfers.push(giro_base::Transfer {
            id,
            debit_account_id: u128::from(debit) + 1,
            credit_account_id: u128::from(credit) + 1,
            amount: rng.random_range(1..10_000),
            user_data_128: rng.random(),
            user_data_64: rng.random(),
            user_data_32: rng.random(),
            ledger: 2,
            code: rng.random_range(1..=u16::MAX),
            timestamp: self.made,
            ..giro_base::Transfer::default()
        });
        self.generation.links.push(Links {
            debit,
            credit,
            debit_previous: 0,
            credit_previous: 0,
        });
    }

    fn id(&mut self) -> u128 {
        match self.ids {
            Ids::Random => self.rng.random(),
            Ids::Falling => u128::MAX - 1 - u128::from(self.made),
            Ids::Interleaved => {
                let inside = self.made % BATCH as u64;
                if inside == 0 {
                    self.next_batch();
                }
                let id = self.batches[0] + inside + 1;
                id.into()
            }
        }
    }

    /// Four batches come in any order, then the next four.
    fn next_batch(&mut self) {
        if self.batches.len() > 1 {
            self.batches.swap_remove(0);
        } else {
            let first = (self.made / BATCH as u64).next_multiple_of(4);
            self.batches = (first..first + 4)
                .map(|batch| batch * BATCH as u64)
                .collect();
            self.batches.shuffle(&mut self.rng);
        }
    }
}
