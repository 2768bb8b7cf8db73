use std::fs;

use giro_base::Transfer;
use giro_core::generation::{Generation, Links, Opening};
use giro_store::verify::verify;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{Bench, IDENTITY, account, account_id};

const ROWS: usize = 1 << 18;
const ACCOUNTS: u32 = 10_000;

/// What the field's benchmark makes: random user data, all fields set.
fn benchmark_generation(rng: &mut ChaCha8Rng) -> Generation {
    let mut made = Generation::new(0, 0, ROWS, ROWS).unwrap();
    for slot in 0..ACCOUNTS {
        made.accounts.push(account(slot));
        made.openings.push(Opening {
            slot,
            flags: 8,
            ..Opening::default()
        });
    }
    for row in 0..ROWS as u64 {
        let debit = rng.random_range(0..ACCOUNTS);
        let credit = (debit + rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
        made.transfers.push(Transfer {
            id: u128::from(row) + 1,
            debit_account_id: account_id(debit),
            credit_account_id: account_id(credit),
            amount: rng.random_range(1..10_000),
            user_data_128: rng.random(),
            user_data_64: rng.random(),
            user_data_32: rng.random(),
            ledger: 2,
            code: rng.random_range(1..=u16::MAX),
            timestamp: row + 1,
            ..Transfer::default()
        });
        made.links.push(Links {
            debit,
            credit,
            debit_previous: 0,
            credit_previous: 0,
        });
    }
    made
}

#[test]
fn a_transfer_of_the_fields_benchmark_takes_at_most_260_bytes() {
    let generation = benchmark_generation(&mut ChaCha8Rng::seed_from_u64(61));
    let mut bench = Bench::real();
    let start = std::time::Instant::now();
    bench.write(&generation);
    let took = start.elapsed();
    let size = |path: std::path::PathBuf| fs::metadata(path).unwrap().len() as f64 / ROWS as f64;
    let segment = size(bench.workshop.names.segment(0));
    let run = size(bench.workshop.names.run(0, 0));
    let catalog = bench.catalog();
    for (part, section) in catalog.segments[0].header().sections.iter().enumerate() {
        let bytes = section.pages as f64 * 4096.0 / ROWS as f64;
        println!(
            "section {part}: {bytes:.2} bytes a transfer, {} records",
            section.count
        );
    }
    let each = took.as_nanos() as f64 / ROWS as f64;
    println!("{segment:.1} + {run:.1} bytes a transfer, written in {each:.0} ns a transfer");
    assert!(segment + run < 260.0);
    verify(&catalog, &mut bench.reader, IDENTITY, |_| {}).unwrap();
}
