//! Accounts, transfers, branches, and what tells of the service.

use serde_json::json;

use crate::common::{World, leg};

#[test]
fn the_service_tells_its_health_and_counts_requests() {
    let world = World::new();
    assert_eq!(world.get("/healthz").json(), json!({"status": "ok"}));
    assert_eq!(world.get("/readyz").json(), json!({"status": "ok"}));
    assert_eq!(world.get("/version").json()["name"], "giro");
    assert_eq!(world.get("/nowhere").status, 404);
    let metrics = world.get("/metrics").text;
    for line in [
        "giro_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1",
        "giro_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "giro_http_latency_seconds_count{route=\"/version\"} 1",
        "giro_http_connections 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[test]
fn the_page_for_prometheus_says_what_it_is() {
    let world = World::new();
    let page = world.get("/metrics");
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((page.status, &*page.content_type), (200, expected));
    assert!(page.text.ends_with("# EOF\n"), "{}", page.text);
}

#[test]
fn the_description_has_every_route() {
    let world = World::new();
    let api = world.get("/openapi.json").json();
    let paths = api["paths"].as_object().unwrap();
    for path in [
        "/accounts",
        "/accounts/{id}/balances",
        "/query/transfers",
        "/branches/{gid}/{branch_id}",
        "/dtm/confirm",
        "/reservations/{gid}/{branch_id}",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    assert!(paths["/dtm/cancel"]["get"].is_object());
    assert!(paths["/reservations/{gid}/{branch_id}"]["delete"].is_object());
    let amount = &api["components"]["schemas"]["NewTransfer"]["properties"]["amount"];
    assert!(amount.is_object(), "{amount}");
}

#[test]
fn payments_keep_every_digit() {
    let world = World::new();
    world.accounts();
    let large = "340282366920938463463374607431768211454";
    let body = format!(
        r#"[{{"id": {large}, "debit_account_id": 1, "credit_account_id": 2,
             "amount": 9007199254740993, "ledger": 1, "code": 7, "user_data_128": "{large}"}},
            {{"id": 5, "debit_account_id": 3, "credit_account_id": 2, "amount": 1,
             "ledger": 1, "code": 7}}]"#
    );
    let answer = world.send("POST", "/transfers", Some(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.json();
    assert_eq!(results[0]["status"], "created");
    assert_eq!(results[1]["status"], "exceeds_credits");
    let again = world.send("POST", "/transfers", Some(&body)).json();
    assert_eq!(again[0]["status"], "exists");
    assert_eq!(again[0]["timestamp"], results[0]["timestamp"]);

    let transfer = world.get(&format!("/transfers/{large}")).json();
    assert_eq!(transfer["id"], large);
    assert_eq!(transfer["user_data_128"], large);
    assert_eq!(transfer["amount"], "9007199254740993");
    assert_eq!(transfer["code"], 7);
    assert_eq!(world.get("/transfers/6").status, 404);
    assert_eq!(world.get("/accounts/6").status, 404);
    let account = world.get("/accounts/1").json();
    assert_eq!(account["debits_posted"], "9007199254740993");
    assert_eq!(account["flags"], json!(["history"]));
}

#[test]
fn queries_select_and_page() {
    let world = World::new();
    world.accounts();
    let pay = |id: u32| {
        json!({"id": id, "debit_account_id": 1, "credit_account_id": 2, "amount": id,
            "ledger": 1, "code": id % 2 + 1})
    };
    let transfers: Vec<_> = (1..=10).map(pay).collect();
    assert_eq!(world.post("/transfers", &json!(transfers)).status, 200);

    let ids = |path: &str| -> Vec<String> {
        let answer = world.get(path);
        assert_eq!(answer.status, 200, "{answer:?}");
        let rows = answer.json();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().into()).collect()
    };
    assert_eq!(
        ids("/accounts/1/transfers?limit=2&reversed=true"),
        ["10", "9"]
    );
    assert_eq!(
        ids("/accounts/2/transfers?credits=true&code=1&limit=2"),
        ["2", "4"]
    );
    assert!(ids("/accounts/2/transfers?debits=true").is_empty());
    let balances = world.get("/accounts/1/balances?limit=3").json();
    assert_eq!(balances[2]["debits_posted"], "6");
    let found = world
        .post("/query/transfers", &json!({"code": 2, "limit": 3}))
        .json();
    assert_eq!(found.as_array().unwrap().len(), 3);
    let found = world
        .post("/query/accounts", &json!({"ledger": "1"}))
        .json();
    assert_eq!(found.as_array().unwrap().len(), 3);
}

#[test]
fn branches_are_tried_settled_and_listed() {
    let world = World::new();
    world.accounts();
    let branch = |n: u32| json!({"gid": "a/b c", "branch_id": n.to_string(), "legs": [leg(1, 2)]});
    let tries: Vec<_> = (1..=3).map(branch).collect();
    let answer = world.post("/branches/try", &json!(tries));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()[2]["status"], "done");
    assert_eq!(world.debits(1), ("15".into(), "0".into()));

    let page = world.get("/branches?limit=2&account_id=1").json();
    assert_eq!(page["branches"].as_array().unwrap().len(), 2);
    assert_eq!(page["branches"][0]["gid"], "a/b c");
    let next = &page["next"];
    let rest = world
        .get(&format!(
            "/branches?limit=2&after={}&after_tried_at={}",
            next["after"].as_str().unwrap(),
            next["after_tried_at"].as_str().unwrap()
        ))
        .json();
    assert_eq!(rest["branches"][0]["branch_id"], "3");
    assert!(rest.get("next").is_none());

    let confirms = json!([
        {"gid": "a/b c", "branch_id": "1"},
        {"gid": "a/b c", "branch_id": "2", "amounts": ["2"]},
        {"gid": "a/b c", "branch_id": "9"},
    ]);
    let confirmed = world.post("/branches/confirm", &confirms).json();
    let statuses: Vec<_> = (0..3).map(|n| confirmed[n]["status"].clone()).collect();
    assert_eq!(statuses, ["done", "done", "not_tried"]);
    let cancels = json!([{"gid": "a/b c", "branch_id": "3"}]);
    assert_eq!(
        world.post("/branches/cancel", &cancels).json()[0]["status"],
        "done"
    );
    assert_eq!(world.debits(1), ("0".into(), "7".into()));
    let info = world.get("/branches/a%2Fb%20c/1").json();
    assert_eq!(info["state"], "confirmed");
    assert_eq!(world.get("/branches/a%2Fb%20c/9").status, 404);
    let metrics = world.get("/metrics").text;
    assert!(
        metrics.contains("giro_http_branch_anomalies_total 1"),
        "{metrics}"
    );
}
