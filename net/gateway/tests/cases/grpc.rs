//! The services over gRPC, method by method.

use giro_gateway::v1;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::common::{Grpc, World, grpc_leg};

fn new_account(id: u128, flags: &[&str]) -> v1::NewAccount {
    v1::NewAccount {
        id: id.to_string(),
        ledger: 1,
        code: 1,
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        ..v1::NewAccount::default()
    }
}

fn new_transfer(id: u128, amount: u128) -> v1::NewTransfer {
    v1::NewTransfer {
        id: id.to_string(),
        debit_account_id: "1".into(),
        credit_account_id: (u128::MAX - 1).to_string(),
        amount: amount.to_string(),
        user_data_128: u128::MAX.to_string(),
        user_data_64: u64::MAX,
        ledger: 1,
        code: 2,
        ..v1::NewTransfer::default()
    }
}

#[test]
fn accounts_and_transfers_keep_every_digit() {
    let world = World::new();
    let grpc = Grpc::new(&world);
    let mut ledger = grpc.ledger();
    let accounts = vec![
        new_account(1, &["history"]),
        new_account(u128::MAX - 1, &[]),
        new_account(0, &[]),
    ];
    let request = v1::CreateAccountsRequest { accounts };
    let created = grpc.wait(ledger.create_accounts(request)).unwrap();
    let statuses = created.into_inner().results.into_iter().map(|r| r.status);
    let statuses: Vec<_> = statuses.collect();
    assert_eq!(statuses, ["created", "created", "id_must_not_be_zero"]);

    let large = u128::MAX / 2;
    let transfers = vec![new_transfer(10, large), new_transfer(11, 1)];
    let request = v1::CreateTransfersRequest { transfers };
    let created = grpc.wait(ledger.create_transfers(request.clone())).unwrap();
    let first = created.into_inner().results;
    assert_eq!(
        (&*first[0].status, &*first[1].status),
        ("created", "created")
    );
    let again = grpc.wait(ledger.create_transfers(request)).unwrap();
    let again = again.into_inner().results;
    assert_eq!(again[0].status, "exists");
    assert_eq!(again[0].timestamp, first[0].timestamp);

    let ids = v1::Ids {
        ids: vec!["10".into(), "99".into()],
    };
    let found = grpc.wait(ledger.lookup_transfers(ids)).unwrap();
    let found = found.into_inner().transfers;
    assert_eq!(found.len(), 1, "missing ones are left out");
    assert_eq!(found[0].amount, large.to_string());
    assert_eq!(found[0].user_data_128, u128::MAX.to_string());
    assert_eq!(found[0].user_data_64, u64::MAX);
    let ids = v1::Ids {
        ids: vec!["1".into()],
    };
    let found = grpc.wait(ledger.lookup_accounts(ids)).unwrap();
    let account = &found.into_inner().accounts[0];
    assert_eq!(account.debits_posted, (large + 1).to_string());
    assert_eq!(account.flags, ["history"]);
}

#[test]
fn queries_have_filters_and_limits() {
    let world = World::new();
    let grpc = Grpc::new(&world);
    let mut ledger = grpc.ledger();
    let accounts = vec![
        new_account(1, &["history"]),
        new_account(u128::MAX - 1, &[]),
    ];
    let request = v1::CreateAccountsRequest { accounts };
    grpc.wait(ledger.create_accounts(request)).unwrap();
    let transfers = (1..=3).map(|id| new_transfer(id, id)).collect();
    let request = v1::CreateTransfersRequest { transfers };
    grpc.wait(ledger.create_transfers(request)).unwrap();

    let mut filter = v1::AccountFilter {
        account_id: "1".into(),
        reversed: true,
        limit: 2,
        ..v1::AccountFilter::default()
    };
    let found = grpc.wait(ledger.account_transfers(filter.clone())).unwrap();
    let ids: Vec<_> = found.into_inner().transfers;
    let ids: Vec<_> = ids.iter().map(|transfer| &*transfer.id).collect();
    assert_eq!(ids, ["3", "2"]);
    filter.reversed = false;
    filter.limit = 0;
    let found = grpc.wait(ledger.account_balances(filter.clone())).unwrap();
    let balances = found.into_inner().balances;
    assert_eq!(balances.len(), 3, "no limit is the default");
    assert_eq!(balances[2].debits_posted, "6");
    filter.credits = true;
    let found = grpc.wait(ledger.account_transfers(filter)).unwrap();
    assert!(found.into_inner().transfers.is_empty());

    let filter = v1::QueryFilter {
        code: 2,
        ..v1::QueryFilter::default()
    };
    let found = grpc.wait(ledger.query_transfers(filter)).unwrap();
    assert_eq!(found.into_inner().transfers.len(), 3);
    let filter = v1::QueryFilter {
        ledger: 1,
        reversed: true,
        limit: 1,
        ..v1::QueryFilter::default()
    };
    let found = grpc.wait(ledger.query_accounts(filter)).unwrap();
    assert_eq!(
        found.into_inner().accounts[0].id,
        (u128::MAX - 1).to_string()
    );
}

fn key(branch_id: &str) -> v1::BranchKey {
    v1::BranchKey {
        gid: "g".into(),
        branch_id: branch_id.into(),
    }
}

#[test]
fn branches_are_tried_settled_got_and_listed() {
    let world = World::new();
    world.accounts();
    let grpc = Grpc::new(&world);
    let mut branches = grpc.branches();
    let new = |n: u32, debit| v1::NewBranch {
        gid: "g".into(),
        branch_id: n.to_string(),
        timeout: 0,
        legs: vec![grpc_leg(debit, 2)],
    };
    let request = v1::TryRequest {
        branches: vec![new(1, 1), new(2, 1), new(3, 1), new(4, 3)],
    };
    let tried = grpc.wait(branches.r#try(request)).unwrap().into_inner();
    let statuses: Vec<_> = tried.results.iter().map(|r| &*r.status).collect();
    assert_eq!(statuses, ["done", "done", "done", "leg_refused"]);
    assert_eq!(tried.results[3].leg, Some(0));
    assert_eq!(
        tried.results[3].leg_status.as_deref(),
        Some("exceeds_credits")
    );

    let mut request = v1::ListOpenRequest {
        account_id: "1".into(),
        limit: 2,
        ..v1::ListOpenRequest::default()
    };
    let page = grpc.wait(branches.list_open(request.clone())).unwrap();
    let page = page.into_inner();
    assert_eq!(page.branches.len(), 2);
    request.next = page.next;
    let rest = grpc.wait(branches.list_open(request)).unwrap().into_inner();
    assert_eq!(
        (rest.branches.len(), &*rest.branches[0].branch_id),
        (1, "3")
    );
    assert!(rest.next.is_none());

    let confirm = |n: &str, amounts: &[&str]| v1::Confirmation {
        gid: "g".into(),
        branch_id: n.into(),
        amounts: amounts.iter().map(|&amount| amount.to_owned()).collect(),
    };
    let request = v1::ConfirmRequest {
        branches: vec![confirm("1", &[]), confirm("2", &["2"]), confirm("9", &[])],
    };
    let confirmed = grpc.wait(branches.confirm(request)).unwrap().into_inner();
    let statuses: Vec<_> = confirmed.results.iter().map(|r| &*r.status).collect();
    assert_eq!(statuses, ["done", "done", "not_tried"]);
    let request = v1::CancelRequest {
        branches: vec![key("3")],
    };
    let cancelled = grpc.wait(branches.cancel(request)).unwrap().into_inner();
    assert_eq!(cancelled.results[0].status, "done");
    assert_eq!(world.debits(1), ("0".into(), "7".into()));
    let info = grpc.wait(branches.get(key("1"))).unwrap().into_inner();
    assert_eq!((&*info.state, info.legs), ("confirmed", 1));
    let missing = grpc.wait(branches.get(key("9"))).unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let metrics = world.get("/metrics").text;
    for line in [
        "giro_http_branch_anomalies_total 1",
        r#"giro_grpc_requests_total{route="/giro.v1.Branches/Get",code="5"} 1"#,
        r#"giro_grpc_requests_total{route="/giro.v1.Branches/Try",code="0"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn health_and_reflection_are_served_beside_http() {
    let world = World::new();
    let grpc = Grpc::new(&world);
    assert_eq!(world.get("/healthz").status, 200, "over HTTP/1.1");
    let mut health = HealthClient::new(grpc.channel());
    for (service, expected) in [
        ("", Some(ServingStatus::Serving)),
        ("giro.v1.Branches", Some(ServingStatus::Serving)),
        ("giro.v2.Branches", None),
    ] {
        let service = service.to_owned();
        let checked = grpc.wait(health.check(HealthCheckRequest { service }));
        let status = checked.ok().map(|response| response.into_inner().status());
        assert_eq!(status, expected);
    }
    let watched = health.watch(HealthCheckRequest::default());
    let mut watched = grpc.wait(watched).unwrap().into_inner();
    let first = grpc.wait(watched.message()).unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    let mut reflection = ServerReflectionClient::new(grpc.channel());
    let ask = |what| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(what),
    };
    let questions = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "giro.v1.Branches".into(),
        )),
    ];
    let (names, file) = grpc.wait(async {
        let stream = tokio_stream::iter(questions);
        let answers = reflection.server_reflection_info(stream).await.unwrap();
        let mut answers = answers.into_inner();
        let mut next = async || answers.message().await.unwrap().unwrap().message_response;
        (next().await.unwrap(), next().await.unwrap())
    });
    let MessageResponse::ListServicesResponse(names) = names else {
        panic!("{names:?}");
    };
    let names: Vec<_> = names.service.iter().map(|service| &*service.name).collect();
    for name in [
        "giro.v1.Ledger",
        "giro.v1.DtmParticipant",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(matches!(file, MessageResponse::FileDescriptorResponse(_)));
}
