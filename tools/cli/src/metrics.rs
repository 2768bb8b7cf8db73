//! The binary port's figures on the page for Prometheus.

use std::fmt;

use giro_server::{Handle, Kind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// What a server counts, read whenever the page is asked for.
pub(crate) struct PortFigures(pub(crate) Handle);

impl fmt::Debug for PortFigures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PortFigures").finish()
    }
}

impl Collector for PortFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for figure in self.0.counters().figures() {
            let name = format!("server_{}", figure.name);
            match figure.kind {
                Kind::Counter => {
                    let counter = ConstCounter::new(figure.value);
                    let kind = counter.metric_type();
                    let place = encoder.encode_descriptor(&name, figure.about, None, kind)?;
                    counter.encode(place)?;
                }
                Kind::Gauge => {
                    let gauge = ConstGauge::new(figure.value.cast_signed());
                    let kind = gauge.metric_type();
                    let place = encoder.encode_descriptor(&name, figure.about, None, kind)?;
                    gauge.encode(place)?;
                }
            }
        }
        Ok(())
    }
}
