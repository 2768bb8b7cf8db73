//! A ledger on disk with a gateway before it, and an HTTP client.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use giro::Engine;
use giro_gateway::v1::branches_client::BranchesClient;
use giro_gateway::v1::dtm_participant_client::DtmParticipantClient;
use giro_gateway::v1::ledger_client::LedgerClient;
use giro_gateway::{Gateway, Options, v1};
use giro_log::{Identity, SEGMENT_BYTES_MIN, format};
use giro_server::{Handle, Server};
use serde_json::{Value, json};
use tonic::Request;
use tonic::transport::Channel;
use ureq::http::Method;

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
    pub(crate) content_type: String,
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
        let gateway =
            Gateway::start("127.0.0.1:0".parse().unwrap(), &ledger, options, vec![]).unwrap();
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
        let mut request = ureq::http::Request::builder()
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
        let location = response.headers().get("location").cloned();
        let content_type = response.headers().get("content-type").cloned();
        let content_type = content_type.as_ref().map(|value| value.to_str().unwrap());
        Answer {
            status: response.status().as_u16(),
            location: location.map(|value| value.to_str().unwrap().to_owned()),
            content_type: content_type.unwrap_or_default().to_owned(),
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

/// What a test of gRPC needs: a runtime, and a channel to the gateway.
pub(crate) struct Grpc {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
}

impl Grpc {
    pub(crate) fn new(world: &World) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = format!("http://{}", world.http);
        let endpoint = Channel::from_shared(address).unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self { runtime, channel }
    }

    pub(crate) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn ledger(&self) -> LedgerClient<Channel> {
        LedgerClient::new(self.channel())
    }

    pub(crate) fn branches(&self) -> BranchesClient<Channel> {
        BranchesClient::new(self.channel())
    }

    pub(crate) fn dtm(&self) -> DtmParticipantClient<Channel> {
        DtmParticipantClient::new(self.channel())
    }
}

/// A leg of 5 from one account to another.
pub(crate) fn grpc_leg(debit: u32, credit: u32) -> v1::Leg {
    v1::Leg {
        debit_account_id: debit.to_string(),
        credit_account_id: credit.to_string(),
        amount: "5".into(),
        ledger: 1,
        code: 1,
        ..v1::Leg::default()
    }
}

/// A message as gRPC sends it, with this length before it.
pub(crate) fn framed(length: u32, message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(length);
    bytes.put_slice(message);
    bytes.freeze()
}

/// A request that DTM or its client would send about branch `b` of `g`.
pub(crate) fn of_dtm<T>(message: T, op: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in [
        ("dtm-gid", "g"),
        ("dtm-branch_id", "b"),
        ("dtm-op", op),
        ("dtm-trans_type", "tcc"),
        ("dtm-dtm", ""),
    ] {
        let value = value.parse().unwrap();
        request.metadata_mut().insert(name, value);
    }
    request
}
