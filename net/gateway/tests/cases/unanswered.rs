//! A ledger that does not answer: not there yet, or silent while a request is with it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use giro_gateway::{Gateway, Options, v1};
use prost::Message;
use serde_json::json;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::common::{Grpc, World, framed, grpc_leg, leg, of_dtm};

/// Hands everything on between a gateway and its ledger, but for answers while it is silent.
struct Relay {
    address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl Relay {
    fn to(ledger: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let silent = Arc::new(AtomicBool::new(false));
        let is_silent = Arc::clone(&silent);
        // Threads end with their connections, the listener's with the process.
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(ledger).unwrap());
                let (from, to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || hand_on(from, to, &AtomicBool::new(false)));
                let is_silent = Arc::clone(&is_silent);
                std::thread::spawn(move || hand_on(far, near, &is_silent));
            }
        });
        Self { address, silent }
    }

    fn set_silent(&self, is_silent: bool) {
        self.silent.store(is_silent, Ordering::Relaxed);
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, is_silent: &AtomicBool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        while is_silent.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Whoever is at the other end may have gone.
    let _gone = to.shutdown(Shutdown::Both);
}

/// A gateway of its own before that ledger; the world's requests go there.
fn gateway(world: &mut World, ledger: SocketAddr) -> Gateway {
    let options = Options {
        dtm_deadline: Duration::from_millis(300),
        ..Options::default()
    };
    let gateway = Gateway::start("127.0.0.1:0".parse().unwrap(), &ledger, options, vec![]).unwrap();
    world.http = gateway.address();
    gateway
}

const DEADLINE: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("x-deadline-ms", "300"),
];

#[test]
fn without_a_ledger_requests_are_refused_as_busy_and_the_process_is_healthy() {
    let mut world = World::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let _gateway = gateway(&mut world, address);
    assert_eq!(world.get("/healthz").status, 200);
    for path in ["/readyz", "/accounts/1"] {
        let answer = world.get(path);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["error"], "busy");
    }
    let dtm = world.get("/dtm/confirm?gid=g&branch_id=b&op=confirm&trans_type=tcc");
    assert_eq!(dtm.status, 503, "{dtm:?}");
}

#[test]
fn what_is_not_known_by_the_deadline_is_said_to_be_unknown_and_can_be_asked_for() {
    let mut world = World::new();
    world.accounts();
    let relay = Relay::to(world.ledger);
    let _gateway = gateway(&mut world, relay.address);
    world.until_ready();
    let branch = json!({"legs": [leg(1, 2)]});
    let path = |op: &str| format!("/dtm/{op}?gid=g&branch_id=b&op={op}&trans_type=tcc");
    assert_eq!(world.post(&path("try"), &branch).status, 200);

    relay.set_silent(true);
    let transfer = json!([{
        "id": 77, "debit_account_id": 1, "credit_account_id": 2,
        "amount": 5, "ledger": 1, "code": 1,
    }]);
    let sent = transfer.to_string();
    let answer = world.send_with("POST", "/transfers", &DEADLINE, &sent);
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(answer.json()["error"], "unknown");
    let read = world.send_with("GET", "/transfers/77", &DEADLINE, "");
    assert_eq!(read.status, 503, "a read leaves nothing unknown: {read:?}");

    relay.set_silent(false);
    wait_until(|| world.get("/transfers/77").status == 200);
    // The same again says that it took effect once.
    let again = world.post("/transfers", &transfer).json();
    assert_eq!(again[0]["status"], "exists");

    relay.set_silent(true);
    let running = world.get(&path("confirm"));
    assert_eq!(running.status, 425, "{running:?}");
    assert_eq!(running.json()["dtm_result"], "ONGOING");
    relay.set_silent(false);
    wait_until(|| world.get(&path("confirm")).json()["dtm_result"] == "SUCCESS");
    assert_eq!(world.debits(1), ("0".into(), "10".into()));
}

#[test]
fn over_grpc_refused_unknown_and_running_have_codes_of_their_own() {
    let mut world = World::new();
    world.accounts();
    let relay = Relay::to(world.ledger);
    let _gateway = gateway(&mut world, relay.address);
    world.until_ready();
    let grpc = Grpc::new(&world);
    let (mut ledger, mut dtm) = (grpc.ledger(), grpc.dtm());
    let body = v1::DtmBranch {
        legs: vec![grpc_leg(1, 2)],
        ..v1::DtmBranch::default()
    };
    grpc.wait(dtm.r#try(of_dtm(body.clone(), "try"))).unwrap();

    relay.set_silent(true);
    let transfer = v1::NewTransfer {
        id: "77".into(),
        debit_account_id: "1".into(),
        credit_account_id: "2".into(),
        amount: "5".into(),
        ledger: 1,
        code: 1,
        ..v1::NewTransfer::default()
    };
    let request = v1::CreateTransfersRequest {
        transfers: vec![transfer.clone()],
    };
    let began = Instant::now();
    let code = code_within(&grpc, &world, "300m", &request);
    assert_eq!(code, Code::DeadlineExceeded);
    assert!(began.elapsed() < Duration::from_secs(5));
    relay.set_silent(false);
    wait_until(|| world.get("/transfers/77").status == 200);

    relay.set_silent(true);
    let running = grpc.wait(dtm.confirm(of_dtm(body.clone(), "confirm")));
    let running = running.unwrap_err();
    assert_eq!(running.code(), Code::FailedPrecondition);
    assert_eq!(running.message(), "ONGOING");

    relay.set_silent(false);
    wait_until(|| {
        grpc.wait(dtm.confirm(of_dtm(body.clone(), "confirm")))
            .is_ok()
    });
    let again = grpc.wait(ledger.create_transfers(request)).unwrap();
    assert_eq!(again.into_inner().results[0].status, "exists");
    assert_eq!(world.debits(1), ("0".into(), "10".into()));
}

/// The code of creating transfers with this `grpc-timeout`. tonic's own client would stop by
/// itself at that time.
fn code_within(
    grpc: &Grpc,
    world: &World,
    timeout: &str,
    message: &v1::CreateTransfersRequest,
) -> Code {
    let message = message.encode_to_vec();
    let framed = framed(message.len().try_into().unwrap(), &message);
    let uri = format!("http://{}/giro.v1.Ledger/CreateTransfers", world.http);
    let request = ureq::http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", timeout)
        .body(())
        .unwrap();
    grpc.wait(async {
        let stream = tokio::net::TcpStream::connect(world.http).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data(framed, true).unwrap();
        let response = response.await.unwrap();
        Status::from_header_map(response.headers()).unwrap().code()
    })
}

#[test]
fn over_grpc_what_is_refused_as_busy_says_when_to_come_back() {
    let mut world = World::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let _gateway = gateway(&mut world, address);
    let grpc = Grpc::new(&world);
    let ids = v1::Ids {
        ids: vec!["1".into()],
    };
    let error = grpc.wait(grpc.ledger().lookup_accounts(ids)).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    let retry = error.get_details_retry_info().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_secs(1)));
    let mut health = HealthClient::new(grpc.channel());
    let checked = grpc.wait(health.check(HealthCheckRequest::default()));
    let status = checked.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}
