//! The field's own format of histograms over time (HdrHistogram's interval log).

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use crate::record::Interval;

/// Writes the latencies of each second, in microseconds.
///
/// # Errors
/// The writer's.
pub fn write_log(out: &mut impl Write, seconds: &[Interval]) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    let mut log = builder
        .add_comment("latencies in microseconds, from when requests were due")
        .with_max_value_divisor(1e3)
        .begin_log_with(out, &mut serializer)?;
    for second in seconds {
        let start = Duration::from_secs_f64(second.second);
        let written = log.write_histogram(&second.latencies, start, Duration::from_secs(1), None);
        written.map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(())
}
