//! What is refused, with the field and the reason.

use serde_json::json;

use crate::common::{World, leg};

#[test]
fn every_bad_body_names_its_field() {
    let world = World::new();
    world.accounts();
    let transfer = |field: &str, value: &str| {
        let id = if field == "id" { "" } else { "\"id\": 1, " };
        let amount = if field == "amount" {
            ""
        } else {
            "\"amount\": 1, "
        };
        format!(r#"[{{{id}{amount}"{field}": {value}}}]"#)
    };
    let cases = [
        (transfer("amount", "1.5"), "[0].amount", "fraction"),
        (transfer("amount", "1e3"), "[0].amount", "exponent"),
        (transfer("amount", "-1"), "[0].amount", "negative"),
        (transfer("amount", "\"-1\""), "[0].amount", "negative"),
        (transfer("amount", "null"), "[0].amount", "digits"),
        (transfer("amount", &"9".repeat(40)), "[0].amount", "at most"),
        (transfer("amount", "NaN"), "body", "expected"),
        (transfer("code", "65536"), "[0].code", "at most 65535"),
        (transfer("id", "\"x\""), "[0].id", "digits"),
        (transfer("colour", "1"), "[0].colour", "unknown field"),
        (transfer("flags", "[\"branch\"]"), "[0].flags", "flag"),
        (transfer("flags", "3"), "[0].flags", "list of names"),
        ("[{\"amount\": 1}]".into(), "[0]", "missing field `id`"),
        ("{}".into(), "body", "sequence"),
        ("[".into(), "body", "EOF"),
        ("[] []".into(), "body", "trailing"),
        ("\u{feff}[]".into(), "body", "expected"),
        ("[".repeat(200_000), "body", ""),
    ];
    for (body, field, why) in &cases {
        let answer = world.send("POST", "/transfers", Some(body));
        let shown = &body[..body.len().min(80)];
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        let told = answer.json();
        assert_eq!(told["field"], *field, "{shown}: {told}");
        assert!(
            told["message"].as_str().unwrap().contains(why),
            "{shown}: {told}"
        );
    }
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
}

#[test]
fn bad_paths_queries_and_headers_are_refused() {
    let world = World::new();
    for (path, field) in [
        ("/accounts/x", "id"),
        ("/accounts/-1", "id"),
        ("/accounts/1.0", "id"),
        ("/transfers/340282366920938463463374607431768211456", "id"),
        ("/accounts/1/transfers?limit=x", "limit"),
        ("/accounts/1/transfers?limit=1&limit=2", "limit"),
        ("/accounts/1/transfers?limit=%FF", "limit"),
        ("/accounts/1/transfers?debits=1", "debits"),
        ("/accounts/%FF", "path"),
        ("/branches?colour=1", "colour"),
    ] {
        let answer = world.get(path);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert_eq!(answer.json()["field"], field, "{path}: {answer:?}");
    }
    for (value, why) in [
        ("0", "not be 0"),
        ("x", "digits"),
        ("999999999", "at most 10000"),
    ] {
        let answer = world.send_with("GET", "/accounts/1", &[("x-deadline-ms", value)], "");
        assert_eq!(answer.status, 400, "{value}");
        assert!(answer.text.contains(why), "{answer:?}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        world.send_with("POST", "/accounts", &form, "[]").status,
        415
    );
    assert_eq!(world.send("PATCH", "/accounts", None).status, 405);
}

#[test]
fn bad_branches_name_their_field() {
    let world = World::new();
    world.accounts();
    let branch = |gid: &str, legs: usize| {
        let legs = vec![leg(1, 2); legs];
        json!([{"gid": gid, "branch_id": "1", "legs": legs}])
    };
    for (body, field) in [
        (branch("", 1), "[0].gid"),
        (branch(&"g".repeat(129), 1), "[0].gid"),
        (branch("g", 0), "[0].legs"),
        (branch("g", 65), "[0].legs"),
    ] {
        let answer = world.post("/branches/try", &body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.json()["field"], field, "{answer:?}");
    }
    let account = json!({"id": 9, "ledger": 1, "code": 1});
    let answer = world.post("/accounts", &json!(vec![account; 8190]));
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("at most 8189"), "{answer:?}");
    assert_eq!(world.get("/accounts/9").status, 404);
}
