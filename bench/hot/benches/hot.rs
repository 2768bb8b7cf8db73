//! Times of the hot structures: `cargo bench -p giro-hot`. With `--test`, as `cargo test` gives it,
//! each runs once.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use giro_hot::{entries, measured_pass};

fn hot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hot");
    for entry in entries() {
        group.throughput(Throughput::Elements(entry.units as u64));
        let mut case = entry.make();
        group.bench_function(entry.name, |bencher| {
            bencher.iter_custom(|passes| {
                let mut took = Duration::ZERO;
                for _ in 0..passes {
                    case.prepare();
                    let began = Instant::now();
                    measured_pass(&mut *case);
                    took += began.elapsed();
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = hot
}
criterion_main!(benches);
