//! Counters of the edge, as Prometheus reads them.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::Response;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::{Code, Status};

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 13] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Labels of a request. A route is one of ours and never text of a client: so they are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

/// Labels of a request over gRPC. A route is one of ours, and codes are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnsweredGrpc {
    route: String,
    code: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// All of them.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    requests_grpc: Family<AnsweredGrpc, Counter>,
    latency: Family<Route, Histogram>,
    /// Connections that are open.
    pub(crate) connections: Gauge,
    /// Connections that were turned away.
    pub(crate) turned_away: Counter,
    /// Connections that were cut because their client did not take its answers.
    pub(crate) cut: Counter,
    /// Answers about branches that no correct coordinator gets.
    pub(crate) anomalies: Counter,
}

impl Metrics {
    /// The gateway's own, and those of whoever else is to be seen on the page.
    pub(crate) fn new(others: Vec<Box<dyn Collector>>) -> Self {
        let mut registry = Registry::with_prefix("giro");
        for other in others {
            registry.register_collector(other);
        }
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let requests_grpc = Family::default();
        let about = "Requests answered over gRPC, by the code of their status";
        registry.register("grpc_requests", about, requests_grpc.clone());
        let latency: Family<Route, Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCY_BOUNDS));
        let about = "Time from a request's head to its answer";
        registry.register_with_unit("http_latency", about, Unit::Seconds, latency.clone());
        let connections = Gauge::default();
        registry.register("http_connections", "Connections open", connections.clone());
        let turned_away = Counter::default();
        let about = "Connections beyond the most that are allowed";
        registry.register("http_connections_turned_away", about, turned_away.clone());
        let cut = Counter::default();
        let about = "Connections cut because their client did not take its answers";
        registry.register("http_connections_cut", about, cut.clone());
        let anomalies = Counter::default();
        let about = "Second phases that contradict what became of their branch";
        registry.register("http_branch_anomalies", about, anomalies.clone());
        Self {
            registry,
            requests,
            requests_grpc,
            latency,
            connections,
            turned_away,
            cut,
            anomalies,
        }
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// None in practice: writing to memory does not fail.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(crate) fn answered(&self, method: &str, route: &str, response: &Response, took: Duration) {
        let route = route.to_owned();
        match code(response) {
            Some(code) => {
                let route = route.clone();
                let labels = AnsweredGrpc { route, code };
                self.requests_grpc.get_or_create(&labels).inc();
            }
            None => {
                let labels = Answered {
                    method: method.to_owned(),
                    route: route.clone(),
                    status: response.status().as_u16(),
                };
                self.requests.get_or_create(&labels).inc();
            }
        }
        let latency = self.latency.get_or_create(&Route { route });
        latency.observe(took.as_secs_f64());
    }
}

/// The code of an answer of gRPC. An error's is in the head, as all of it is; success comes behind
/// the message.
fn code(response: &Response) -> Option<i32> {
    if !is_grpc(response.headers()) {
        return None;
    }
    let status = Status::from_header_map(response.headers());
    Some(status.map_or(Code::Ok, |status| status.code()).into())
}

/// Whether a request or answer is gRPC's.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content = headers.get(header::CONTENT_TYPE);
    content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

/// A client can make up methods; a label must not grow by it.
pub(crate) fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    let known = METHODS.into_iter().find(|known| *known == method);
    known.unwrap_or("other")
}
