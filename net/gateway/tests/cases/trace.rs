//! What the log says of a request's trace.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::common::{Grpc, World, leg, of_dtm};

/// Keeps what is written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The first line with all of these.
    fn find(&self, parts: &[&str]) -> Option<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let has = |line: &&str| parts.iter().all(|part| line.contains(part));
        text.lines().find(has).map(str::to_owned)
    }
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_requests_trace_is_in_its_lines_of_the_log() {
    let lines = Lines::default();
    let writer = lines.clone();
    // There is one for the process: requests of other tests are among the lines.
    tracing_subscriber::fmt()
        .with_env_filter("giro_gateway=debug")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let world = World::with(|options| options.shadow_ledgers = Some(10));
    world.accounts();

    let w3c = [
        ("traceparent", PARENT),
        ("tracestate", "giro=1"),
        ("baggage", "user=7"),
    ];
    world.send_with("GET", "/accounts/1", &w3c, "");
    let answered = [
        "route=\"/accounts/{id}\"",
        "status=200",
        PARENT,
        "giro=1",
        "user=7",
    ];
    assert!(
        lines.find(&answered).is_some(),
        "{lines:?}",
        lines = lines.find(&[PARENT])
    );
    let sofa = [
        ("X-B3-TraceId", "0a0fe8ec1486019391026100122013"),
        ("X-B3-SpanId", "0.1"),
        ("baggage-mark", "T"),
        ("baggage-sys-zone", "rz01"),
    ];
    world.send_with("GET", "/accounts/1", &sofa, "");
    let parts = [
        "0a0fe8ec1486019391026100122013",
        "0.1",
        "sys-zone=rz01",
        "is_test=true",
    ];
    assert!(
        lines.find(&parts).is_some(),
        "{:?}",
        lines.find(&["sys-zone"])
    );

    // An alarm has it, too, whatever the level.
    let body = json!({"legs": [leg(1, 2)]}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", PARENT),
    ];
    let path = "/dtm/confirm?gid=alarming&branch_id=b&op=confirm&trans_type=tcc";
    assert_eq!(world.send_with("POST", path, &headers, &body).status, 500);
    assert!(lines.find(&["ERROR", "alarming", PARENT]).is_some());

    let grpc = Grpc::new(&world);
    let mut request = of_dtm((), "cancel");
    let parent = PARENT.replace("b7ad6b", "c7ad6b");
    let value = parent.parse().unwrap();
    request.metadata_mut().insert("traceparent", value);
    grpc.wait(grpc.dtm().cancel(request)).unwrap();
    let parts = [&*parent, "/giro.v1.DtmParticipant/Cancel"];
    assert!(lines.find(&parts).is_some(), "{:?}", lines.find(&[&parent]));

    // Too long a text is cut, and one that is no text is left out.
    let long = format!("{PARENT}{}", "x".repeat(4000));
    world.send_with("GET", "/version", &[("traceparent", &long)], "");
    let line = lines.find(&["/version", PARENT]).unwrap();
    assert!(line.len() < 1000, "{line}");
}
