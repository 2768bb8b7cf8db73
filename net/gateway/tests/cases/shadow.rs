//! Test traffic and real requests never meet.

use giro_gateway::v1;
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;

use crate::common::{Answer, Grpc, World, leg, of_dtm};

const OFFSET: u32 = 1000;
const MARK: (&str, &str) = ("baggage", "user=7, mark=T;p=1 ,x");
const JSON: (&str, &str) = ("content-type", "application/json");

fn world() -> World {
    World::with(|options| options.shadow_ledgers = Some(OFFSET))
}

fn test_post(world: &World, path: &str, body: &Value) -> Answer {
    world.send_with("POST", path, &[JSON, MARK], &body.to_string())
}

fn test_get(world: &World, path: &str) -> Answer {
    world.send_with("GET", path, &[MARK], "")
}

fn accounts() -> Value {
    json!([
        {"id": 1, "ledger": 1, "code": 1, "flags": ["history"]},
        {"id": 2, "ledger": 1, "code": 1},
    ])
}

fn transfer(id: u32, amount: u32) -> Value {
    json!([{
        "id": id, "debit_account_id": 1, "credit_account_id": 2,
        "amount": amount, "ledger": 1, "code": 1,
    }])
}

fn statuses(answer: &Answer) -> Vec<String> {
    let rows = answer.json();
    let rows = rows.as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let status = |row: &Value| row["status"].as_str().unwrap().to_owned();
    rows.iter().map(status).collect()
}

#[test]
fn the_same_ids_are_two_accounts_and_two_transfers() {
    let world = world();
    assert_eq!(
        statuses(&test_post(&world, "/accounts", &accounts())),
        ["created"; 2]
    );
    assert_eq!(world.get("/accounts/1").status, 404, "not a real one");
    assert_eq!(
        statuses(&world.post("/accounts", &accounts())),
        ["created"; 2]
    );
    assert_eq!(
        statuses(&test_post(&world, "/transfers", &transfer(7, 30))),
        ["created"]
    );
    assert_eq!(world.get("/transfers/7").status, 404);
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
    assert_eq!(
        statuses(&world.post("/transfers", &transfer(7, 5))),
        ["created"]
    );

    assert_eq!(world.debits(1), ("0".into(), "5".into()));
    let account = test_get(&world, "/accounts/1").json();
    assert_eq!(account["debits_posted"], "30");
    assert_eq!(
        (&account["id"], &account["ledger"]),
        (&json!("1"), &json!(1))
    );
    let found = test_get(&world, "/transfers/7").json();
    assert_eq!(found["amount"], "30");
    let two = (&found["debit_account_id"], &found["credit_account_id"]);
    assert_eq!(two, (&json!("1"), &json!("2")));
    assert_eq!((&found["id"], &found["ledger"]), (&json!("7"), &json!(1)));
    assert_eq!(world.get("/transfers/7").json()["amount"], "5");
}

#[test]
fn pending_transfers_are_posted_in_their_own_world() {
    let world = world();
    test_post(&world, "/accounts", &accounts());
    world.post("/accounts", &accounts());
    let mut pending = transfer(7, 30);
    pending[0]["flags"] = json!(["pending"]);
    assert_eq!(
        statuses(&test_post(&world, "/transfers", &pending)),
        ["created"]
    );
    let post = json!([{
        "id": 8, "pending_id": 7, "amount": 30, "flags": ["post_pending_transfer"],
    }]);
    assert_eq!(
        statuses(&world.post("/transfers", &post)),
        ["pending_transfer_not_found"]
    );
    assert_eq!(
        statuses(&test_post(&world, "/transfers", &post)),
        ["created"]
    );
    assert_eq!(test_get(&world, "/transfers/8").json()["pending_id"], "7");
    assert_eq!(
        test_get(&world, "/accounts/1").json()["debits_posted"],
        "30"
    );
}

#[test]
fn queries_show_one_world() {
    let world = world();
    test_post(&world, "/accounts", &accounts());
    world.post("/accounts", &accounts());
    for id in 1..=6 {
        // Three of one for one of the other, so that pages of two have gaps.
        test_post(&world, "/transfers", &transfer(id, 30));
        if id % 3 == 0 {
            world.post("/transfers", &transfer(id, 5));
        }
    }
    let ids = |answer: &Answer| -> Vec<String> {
        let rows = answer.json();
        let rows = rows.as_array().unwrap_or_else(|| panic!("{answer:?}"));
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    for query in [json!({"limit": 2}), json!({"limit": 2, "ledger": 1})] {
        let found = world.post("/query/transfers", &query);
        assert_eq!(ids(&found), ["3", "6"], "{query}");
        let found = test_post(&world, "/query/transfers", &query);
        assert_eq!(ids(&found), ["1", "2"], "{query}");
    }
    let newest = json!({"limit": 2, "reversed": true});
    assert_eq!(ids(&world.post("/query/transfers", &newest)), ["6", "3"]);
    assert_eq!(
        ids(&world.post("/query/accounts", &json!({"limit": 9}))),
        ["1", "2"]
    );
    assert_eq!(
        ids(&test_post(&world, "/query/accounts", &json!({"limit": 9}))),
        ["1", "2"]
    );
    assert_eq!(ids(&world.get("/accounts/1/transfers")), ["3", "6"]);
    assert_eq!(
        ids(&test_get(&world, "/accounts/1/transfers?limit=1")),
        ["1"]
    );
    let balances = test_get(&world, "/accounts/1/balances").json();
    assert_eq!(balances[5]["debits_posted"], "180");
    let balances = world.get("/accounts/1/balances").json();
    assert_eq!(balances.as_array().unwrap().len(), 2);
}

#[test]
fn branches_of_one_key_are_two() {
    let world = world();
    test_post(&world, "/accounts", &accounts());
    world.post("/accounts", &accounts());
    let branch = json!([{"gid": "g", "branch_id": "b", "legs": [leg(1, 2)]}]);
    assert_eq!(
        statuses(&test_post(&world, "/branches/try", &branch)),
        ["done"]
    );
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
    assert_eq!(world.get("/branches/g/b").status, 404);
    assert_eq!(world.get("/branches").json()["branches"], json!([]));
    let open = test_get(&world, "/branches?account_id=1").json();
    assert_eq!(open["branches"][0]["gid"], "g");
    // Its first leg, by its id.
    let info = test_get(&world, "/branches/g/b").json();
    assert_eq!(
        (&info["state"], &info["gid"]),
        (&json!("tried"), &json!("g"))
    );
    let id = info["id"].as_str().unwrap();
    let first = test_get(&world, &format!("/transfers/{id}")).json();
    assert_eq!(
        (&first["id"], &first["debit_account_id"]),
        (&json!(id), &json!("1"))
    );
    assert_eq!(world.get(&format!("/transfers/{id}")).status, 404);

    assert_eq!(statuses(&world.post("/branches/try", &branch)), ["done"]);
    let key = json!([{"gid": "g", "branch_id": "b"}]);
    assert_eq!(
        statuses(&test_post(&world, "/branches/confirm", &key)),
        ["done"]
    );
    assert_eq!(statuses(&world.post("/branches/cancel", &key)), ["done"]);
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
    assert_eq!(test_get(&world, "/accounts/1").json()["debits_posted"], "5");

    let made = test_post(&world, "/reservations", &json!({"legs": [leg(1, 2)]}));
    let place = made
        .location
        .unwrap_or_else(|| panic!("no location: {}", made.text));
    assert_eq!(world.get(&place).status, 404);
    assert_eq!(world.send("PUT", &place, None).status, 404);
    let confirmed = world.send_with("PUT", &place, &[MARK], "");
    assert_eq!(confirmed.status, 204, "{confirmed:?}");
}

#[test]
fn coordinators_send_the_mark_in_either_form() {
    let world = world();
    test_post(&world, "/accounts", &accounts());
    world.post("/accounts", &accounts());
    let dtm = |op: &str, mark| {
        let path = format!("/dtm/{op}?gid=g&branch_id=b&op={op}&trans_type=tcc");
        let body = json!({"legs": [leg(1, 2)]}).to_string();
        world.send_with("POST", &path, &[JSON, mark], &body).status
    };
    let (sofa, real) = (("baggage-mark", "T"), ("baggage-mark", "F"));
    assert_eq!(dtm("try", sofa), 200);
    assert_eq!(dtm("confirm", real), 500, "it was not tried");
    assert_eq!(dtm("confirm", MARK), 200);
    assert_eq!(world.debits(1), ("0".into(), "0".into()));

    let grpc = Grpc::new(&world);
    let mut cancel = of_dtm((), "cancel");
    let mark = "mark=T".parse().unwrap();
    cancel.metadata_mut().insert("baggage", mark);
    let confirmed = grpc.wait(grpc.dtm().cancel(cancel)).unwrap_err();
    assert_eq!(confirmed.code(), Code::Internal, "it is the confirmed one");
    let cancel = of_dtm((), "cancel");
    grpc.wait(grpc.dtm().cancel(cancel)).unwrap();
    assert_eq!(
        test_get(&world, "/branches/g/b").json()["state"],
        "confirmed"
    );
    assert_eq!(world.get("/branches/g/b").json()["state"], "suspended");
}

#[test]
fn real_requests_cannot_name_what_is_test_traffics() {
    let world = world();
    test_post(&world, "/accounts", &accounts());
    world.post("/accounts", &accounts());
    let bit = (1_u128 << 127).to_string();
    let change = |mut body: Value, field: &str, value: Value| {
        body[0][field] = value;
        body
    };
    let shadow_ledger = json!(OFFSET + 1);
    let branch = |gid: &str, leg: Value| json!([{"gid": gid, "branch_id": "b", "legs": [leg]}]);
    let mut shadow_leg = leg(1, 2);
    shadow_leg["ledger"] = shadow_ledger.clone();
    let long = "g".repeat(125);
    let cases = [
        (
            "/accounts",
            change(accounts(), "ledger", shadow_ledger.clone()),
            "[0].ledger",
        ),
        ("/accounts", change(accounts(), "id", json!(bit)), "[0].id"),
        (
            "/transfers",
            change(transfer(9, 1), "ledger", shadow_ledger.clone()),
            "[0].ledger",
        ),
        (
            "/transfers",
            change(transfer(9, 1), "id", json!(bit)),
            "[0].id",
        ),
        (
            "/transfers",
            change(transfer(9, 1), "pending_id", json!(bit)),
            "[0].pending_id",
        ),
        (
            "/transfers",
            change(transfer(9, 1), "debit_account_id", json!(bit)),
            "[0].debit_account_id",
        ),
        (
            "/branches/try",
            branch("g", shadow_leg.clone()),
            "[0].legs[0].ledger",
        ),
        ("/branches/try", branch("shadow:g", leg(1, 2)), "[0].gid"),
        (
            "/branches/cancel",
            json!([{"gid": "shadow:g", "branch_id": "b"}]),
            "[0].gid",
        ),
        (
            "/branches/confirm",
            json!([{"gid": "shadow:g", "branch_id": "b"}]),
            "[0].gid",
        ),
        ("/query/transfers", json!({"ledger": OFFSET + 1}), "ledger"),
    ];
    for (path, body, field) in cases {
        let answer = world.post(path, &body);
        assert_eq!(answer.status, 400, "{path} {answer:?}");
        assert_eq!(answer.json()["field"], field, "{path}");
    }
    // Test traffic has no further names either.
    let answer = test_post(&world, "/branches/try", &branch(&long, leg(1, 2)));
    assert_eq!(
        (answer.status, &answer.json()["field"]),
        (400, &json!("[0].gid"))
    );
    let answer = test_post(&world, "/branches/try", &branch("g", shadow_leg));
    assert_eq!(answer.status, 400);
    for path in [
        format!("/accounts/{bit}"),
        format!("/accounts/{bit}/transfers"),
        format!("/accounts/{bit}/balances"),
    ] {
        assert_eq!(world.get(&path).status, 400, "{path}");
    }
    assert_eq!(
        world.get(&format!("/branches?account_id={bit}")).status,
        400
    );
    assert_eq!(world.get("/branches/shadow:g/b").status, 400);
    let zero = test_post(&world, "/accounts", &change(accounts(), "id", json!(0)));
    assert_eq!(statuses(&zero)[0], "id_must_not_be_zero", "0 stays none");
}

#[test]
fn marks_that_are_none_or_contradict_each_other_are_refused() {
    let world = world();
    for headers in [
        [("baggage", "mark=t"), ("x", "")],
        [("baggage", "mark=T,mark=F"), ("x", "")],
        [("baggage-mark", "yes"), ("x", "")],
        [("baggage-mark", "F"), ("baggage", "mark=T")],
    ] {
        let answer = world.send_with("GET", "/accounts/1", &headers, "");
        assert_eq!(answer.status, 400, "{headers:?} {answer:?}");
        assert!(
            answer.json()["field"]
                .as_str()
                .unwrap()
                .starts_with("baggage")
        );
    }
    for headers in [
        ("baggage", "marker=T, a=b"),
        ("baggage", "mark=F"),
        ("baggage", ""),
    ] {
        let answer = world.send_with("GET", "/accounts/1", &[headers], "");
        assert_eq!(answer.status, 404, "{headers:?} {answer:?}");
    }
}

#[test]
fn test_traffic_without_a_place_for_it_is_refused() {
    let world = World::new();
    world.accounts();
    let answer = test_post(&world, "/transfers", &transfer(1, 5));
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (400, &json!("no_shadow"))
    );
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
    let grpc = Grpc::new(&world);
    let mut request = tonic::Request::new(v1::Ids::default());
    let mark = "mark=T".parse().unwrap();
    request.metadata_mut().insert("baggage", mark);
    let refused = grpc
        .wait(grpc.ledger().lookup_accounts(request))
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert_eq!(
        refused.get_details_error_info().unwrap().reason,
        "no_shadow"
    );
}
