//! Bad requests over gRPC: a status that says which field and why, and no state.

use std::time::{Duration, Instant};

use giro_gateway::v1;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

use crate::common::{Grpc, World, framed, grpc_leg};

/// That a request is refused for this field.
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str) {
    let error = answer.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    let details = error.get_details_bad_request();
    let details = details.unwrap_or_else(|| panic!("{field}: {error:?}"));
    assert_eq!(details.field_violations[0].field, field, "{error:?}");
    let why = &details.field_violations[0].description;
    assert!(error.message().contains(why.as_str()), "{error:?}");
}

#[test]
fn every_bad_field_of_a_transfer_is_named() {
    let world = World::new();
    world.accounts();
    let grpc = Grpc::new(&world);
    let good = v1::NewTransfer {
        id: "1".into(),
        debit_account_id: "1".into(),
        credit_account_id: "2".into(),
        amount: "5".into(),
        ledger: 1,
        code: 1,
        ..v1::NewTransfer::default()
    };
    let over = "340282366920938463463374607431768211456";
    type Change = fn(&mut v1::NewTransfer, &str);
    let cases: [(&str, Change, &[&str]); 7] = [
        (
            "id",
            |t, v| t.id = v.into(),
            &["", "-1", "0x1", "1.0", over],
        ),
        (
            "amount",
            |t, v| t.amount = v.into(),
            &["", "-1", "1e3", "five", over],
        ),
        (
            "debit_account_id",
            |t, v| t.debit_account_id = v.into(),
            &["a", over],
        ),
        ("pending_id", |t, v| t.pending_id = v.into(), &["+1"]),
        ("user_data_128", |t, v| t.user_data_128 = v.into(), &[" 1"]),
        (
            "flags",
            |t, v| t.flags = vec![v.into()],
            &["", "no_flag", "branch"],
        ),
        ("code", |t, _| t.code = 65_536, &[""]),
    ];
    for (field, change, values) in cases {
        for value in values {
            let mut bad = good.clone();
            change(&mut bad, value);
            let request = v1::CreateTransfersRequest {
                transfers: vec![good.clone(), bad],
            };
            let answer = grpc.wait(grpc.ledger().create_transfers(request));
            refused(answer, &format!("transfers[1].{field}"));
        }
    }
    assert_eq!(
        world.debits(1),
        ("0".into(), "0".into()),
        "nothing was done"
    );
}

#[test]
fn every_bad_field_of_other_requests_is_named() {
    let world = World::new();
    world.accounts();
    let grpc = Grpc::new(&world);
    let (mut ledger, mut branches) = (grpc.ledger(), grpc.branches());
    let account = v1::NewAccount {
        id: "1".into(),
        flags: vec!["history".into(), "history".into()],
        ..v1::NewAccount::default()
    };
    let request = v1::CreateAccountsRequest {
        accounts: vec![account],
    };
    refused(
        grpc.wait(ledger.create_accounts(request)),
        "accounts[0].flags",
    );
    let ids = v1::Ids {
        ids: vec!["1".into(), String::new()],
    };
    refused(grpc.wait(ledger.lookup_accounts(ids.clone())), "ids[1]");
    refused(grpc.wait(ledger.lookup_transfers(ids)), "ids[1]");
    let ids = v1::Ids {
        ids: vec!["1".into(); 8190],
    };
    refused(grpc.wait(ledger.lookup_accounts(ids)), "ids");
    let filter = v1::AccountFilter::default();
    refused(
        grpc.wait(ledger.account_transfers(filter.clone())),
        "account_id",
    );
    refused(grpc.wait(ledger.account_balances(filter)), "account_id");
    let filter = v1::QueryFilter {
        code: 1 << 16,
        ..v1::QueryFilter::default()
    };
    refused(grpc.wait(ledger.query_accounts(filter.clone())), "code");
    refused(grpc.wait(ledger.query_transfers(filter)), "code");

    let branch = |gid: &str, legs| v1::NewBranch {
        gid: gid.into(),
        branch_id: "b".into(),
        timeout: 0,
        legs,
    };
    let bad_leg = v1::Leg {
        amount: "-5".into(),
        ..grpc_leg(1, 2)
    };
    for (branch, field) in [
        (branch("", vec![grpc_leg(1, 2)]), "branches[0].gid"),
        (
            branch(&"g".repeat(129), vec![grpc_leg(1, 2)]),
            "branches[0].gid",
        ),
        (branch("g", vec![]), "branches[0].legs"),
        (branch("g", vec![grpc_leg(1, 2); 65]), "branches[0].legs"),
        (
            branch("g", vec![grpc_leg(1, 2), bad_leg]),
            "branches[0].legs[1].amount",
        ),
    ] {
        let request = v1::TryRequest {
            branches: vec![branch],
        };
        refused(grpc.wait(branches.r#try(request)), field);
    }
    let confirm = v1::Confirmation {
        gid: "g".into(),
        branch_id: "b".into(),
        amounts: vec!["1".into(), String::new()],
    };
    let request = v1::ConfirmRequest {
        branches: vec![confirm],
    };
    refused(
        grpc.wait(branches.confirm(request)),
        "branches[0].amounts[1]",
    );
    let request = v1::CancelRequest {
        branches: vec![v1::BranchKey::default()],
    };
    refused(grpc.wait(branches.cancel(request)), "branches[0].gid");
    refused(grpc.wait(branches.get(v1::BranchKey::default())), "gid");
    let request = v1::ListOpenRequest {
        next: Some(v1::Next {
            after: "x".into(),
            after_tried_at: 0,
        }),
        ..v1::ListOpenRequest::default()
    };
    refused(grpc.wait(branches.list_open(request)), "next.after");
    assert_eq!(
        world.get("/branches").json()["branches"],
        serde_json::json!([])
    );
}

/// A request of these bytes to a method; its code, which an error has in the head.
fn raw(grpc: &Grpc, world: &World, path: &str, body: Body) -> (Code, String) {
    let request = ureq::http::Request::post(format!("http://{}{path}", world.http))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = grpc.wait(async {
        let mut channel = grpc.channel();
        let ready = channel.ready().await.unwrap();
        ready.call(request).await.unwrap()
    });
    let status = Status::from_header_map(response.headers()).unwrap();
    (status.code(), status.message().to_owned())
}

#[test]
fn bytes_that_are_no_message_are_the_callers_fault() {
    let world = World::new();
    let grpc = Grpc::new(&world);
    let get = "/giro.v1.Branches/Get";
    for message in [&b"\x0a\x02\xff\xfe"[..], b"\xff\xff\xff", b"\x0a\x7f"] {
        let body = framed(u32::try_from(message.len()).unwrap(), message);
        let (code, why) = raw(&grpc, &world, get, Body::new(Full::new(body)));
        assert_eq!(code, Code::InvalidArgument, "{why}");
        assert!(why.starts_with("message: "), "{why}");
    }
    let (code, why) = raw(&grpc, &world, get, Body::empty());
    assert_eq!(
        (code, &*why),
        (Code::InvalidArgument, "message: is missing")
    );
    let nowhere = "/giro.v1.Branches/Forget";
    let (code, _) = raw(&grpc, &world, nowhere, Body::empty());
    assert_eq!(code, Code::Unimplemented);
    let mut request = tonic::Request::new(v1::BranchKey::default());
    let metadata = request.metadata_mut();
    metadata.insert("grpc-timeout", "5 minutes".parse().unwrap());
    let answer = grpc.wait(grpc.branches().get(request));
    refused(answer, "grpc-timeout");
}

#[test]
fn slow_and_oversized_messages_are_cut_off() {
    let world = World::with(|options| {
        options.body_bytes_max = 1 << 16;
        options.body_timeout = Duration::from_millis(300);
    });
    let grpc = Grpc::new(&world);
    let create = "/giro.v1.Ledger/CreateTransfers";
    let body = framed(1 << 17, &vec![0; 1 << 17]);
    let (code, why) = raw(&grpc, &world, create, Body::new(Full::new(body)));
    assert!(matches!(code, Code::OutOfRange), "{code:?} {why}");
    // A message that is whole, and then no end.
    let part = |_| Ok::<_, Status>(Frame::data(vec![0; 1 << 12].into()));
    let first = tokio_stream::once(Ok(Frame::data(framed(0, &[]))));
    let endless = tokio_stream::StreamExt::chain(first, tokio_stream::iter((0..1 << 16).map(part)));
    let body = Body::new(BodyExt::boxed_unsync(StreamBody::new(endless)));
    let (code, why) = raw(&grpc, &world, create, body);
    assert_eq!(code, Code::ResourceExhausted, "{why}");

    let began = Instant::now();
    let first = tokio_stream::once(Ok::<_, Status>(Frame::data(framed(100, b"x"))));
    let slow = tokio_stream::StreamExt::chain(first, tokio_stream::pending());
    let body = Body::new(BodyExt::boxed_unsync(StreamBody::new(slow)));
    let (code, why) = raw(&grpc, &world, create, body);
    assert_eq!(code, Code::ResourceExhausted, "{why}");
    assert!(why.contains("did not come within"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(world.get("/readyz").status, 200);
}
