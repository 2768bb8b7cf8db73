//! A ledger on disk with a gateway before it, and an HTTP client.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use giro::Engine;
use giro_gateway::{Gateway, Options};
use giro_log::{Identity, SEGMENT_BYTES_MIN, format};
use giro_server::{Handle, Server};
use serde_json::{Value, json};
use ureq::http::{Method, Request};

/// Runs until it is dropped.
pub(crate) struct World {
    /// Where its requests go.
    pub(crate) http: SocketAddr,
    /// The binary port.
    pub(crate) ledger: SocketAddr,
    agent: ureq::Agent,
    gateway: Option<Gateway>,
    handle: Handle,
    server: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let identity = Identity {
            cluster: 0,
            replica: 0,
            replica_count: 1,
            incarnation: 0,
            hash_key: [1, 2],
            segment_bytes: SEGMENT_BYTES_MIN.max(8 << 20),
        };
        format(directory.path(), &identity).unwrap();
        let server = Server::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let (ledger, handle) = (server.address(), server.handle());
        let options = giro::Options {
            pin: false,
            buffers: 16,
            sessions_max: 64,
            ..giro::Options::default()
        };
        let engine = Engine::open(directory.path(), &options, &mut |_| {}).unwrap();
        let server = std::thread::spawn(move || {
            let options = giro_server::Options {
                reactors: 1,
                ..giro_server::Options::default()
            };
            server.serve(engine, &options).unwrap();
        });
        let mut options = Options::default();
        change(&mut options);
        let gateway = Gateway::start("127.0.0.1:0".parse().unwrap(), &ledger, options).unwrap();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build();
        let world = Self {
            http: gateway.address(),
            ledger,
            agent: config.into(),
            gateway: Some(gateway),
            handle,
            server: Some(server),
            _directory: directory,
        };
        world.until_ready();
        world
    }

    pub(crate) fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.get("/readyz").status != 200 {
            assert!(Instant::now() < deadline, "the ledger never answers");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A request with this body, if there is one.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let headers: &[(&str, &str)] = match body {
            Some(_) => &[("content-type", "application/json")],
            None => &[],
        };
        self.send_with(method, path, headers, body.unwrap_or_default())
    }

    pub(crate) fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.http));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body.to_owned()).unwrap())
        };
        let mut response = answered.unwrap();
        let location = response.headers().get("location");
        Answer {
            status: response.status().as_u16(),
            location: location.map(|value| value.to_str().unwrap().to_owned()),
            text: response.body_mut().read_to_string().unwrap(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(&body.to_string()))
    }

    /// Accounts 1, 2 and 3; account 3 must not be overdrawn.
    pub(crate) fn accounts(&self) {
        let accounts = json!([
            {"id": 1, "ledger": 1, "code": 1, "flags": ["history"]},
            {"id": "2", "ledger": 1, "code": 1},
            {"id": 3, "ledger": 1, "code": 1, "flags": ["debits_must_not_exceed_credits"]},
        ]);
        let answer = self.post("/accounts", &accounts);
        assert_eq!(answer.status, 200, "{answer:?}");
        for row in answer.json().as_array().unwrap() {
            assert_eq!(row["status"], "created");
        }
    }

    /// Pending and posted debits of an account.
    pub(crate) fn debits(&self, account: u32) -> (String, String) {
        let found = self.get(&format!("/accounts/{account}")).json();
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        (text("debits_pending"), text("debits_posted"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.gateway.take());
        self.handle.stop();
        if let Some(server) = self.server.take() {
            let ended = server.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// A leg of 5 from one account to another.
pub(crate) fn leg(debit: u32, credit: u32) -> Value {
    json!({
        "debit_account_id": debit, "credit_account_id": credit,
        "amount": "5", "ledger": 1, "code": 1,
    })
}
