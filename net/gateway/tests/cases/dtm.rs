//! DTM's contract, line by line.

use serde_json::json;

use crate::common::{World, leg};

/// Phase, branch, expected status, expected `dtm_result`.
type Step = (&'static str, &'static str, u16, &'static str);

fn path(op: &str, branch: &str) -> String {
    format!("/dtm/{op}?gid=g&branch_id={branch}&op={op}&trans_type=tcc")
}

#[test]
fn every_state_and_phase_has_its_answer() {
    const STEPS: &[Step] = &[
        ("confirm", "01", 500, ""),
        ("try", "01", 200, "SUCCESS"),
        ("try", "01", 200, "SUCCESS"),
        ("confirm", "01", 200, "SUCCESS"),
        ("confirm", "01", 200, "SUCCESS"),
        ("try", "01", 200, "SUCCESS"),
        ("cancel", "01", 500, ""),
        ("cancel", "02", 200, "SUCCESS"),
        ("cancel", "02", 200, "SUCCESS"),
        ("try", "02", 409, "FAILURE"),
        ("confirm", "02", 500, ""),
        ("try", "03", 200, "SUCCESS"),
        ("cancel", "03", 200, "SUCCESS"),
        ("try", "03", 409, "FAILURE"),
        ("confirm", "03", 500, ""),
        ("cancel", "03", 200, "SUCCESS"),
    ];
    let world = World::new();
    world.accounts();
    let body = json!({"legs": [leg(1, 2)]});
    for (at, (op, branch, status, result)) in STEPS.iter().enumerate() {
        let answer = world.post(&path(op, branch), &body);
        assert_eq!(answer.status, *status, "step {at}: {answer:?}");
        if result.is_empty() {
            assert!(!answer.text.contains("FAILURE"), "{answer:?}");
            assert!(!answer.text.contains("ONGOING"), "{answer:?}");
        } else {
            assert_eq!(answer.json()["dtm_result"], *result, "step {at}");
        }
    }
    assert_eq!(world.debits(1), ("0".into(), "5".into()));
}

/// One can have a browser ask any address without a body, and so settle branches.
#[test]
fn phase_two_is_not_taken_from_a_page_in_a_browser() {
    let world = World::new();
    world.accounts();
    let body = json!({"legs": [leg(1, 2)]});
    assert_eq!(world.post(&path("try", "01"), &body).status, 200);
    let pages = [
        ("origin", "http://elsewhere.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        // To an address that it does not trust a browser sends no more.
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
    ];
    for header in pages {
        for (method, op) in [("GET", "cancel"), ("POST", "cancel"), ("GET", "confirm")] {
            let answer = world.send_with(method, &path(op, "01"), &[header], "");
            assert_eq!(answer.status, 403, "{header:?}: {answer:?}");
        }
    }
    let by_hand = [("sec-fetch-site", "none")];
    let answer = world.send_with("GET", &path("confirm", "01"), &by_hand, "");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn phase_two_comes_without_a_body_too() {
    let world = World::new();
    world.accounts();
    let body = json!({"legs": [leg(1, 2)]});
    for (branch, op) in [("01", "confirm"), ("02", "cancel")] {
        assert_eq!(world.post(&path("try", branch), &body).status, 200);
        let answer = world.get(&path(op, branch));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text, r#"{"dtm_result":"SUCCESS"}"#);
    }
    assert_eq!(world.get(&path("try", "03")).status, 405);
}

#[test]
fn a_business_failure_is_409_and_its_cancel_succeeds() {
    let world = World::new();
    world.accounts();
    let body = json!({"legs": [leg(3, 2)]});
    let answer = world.post(&path("try", "01"), &body);
    assert_eq!(answer.status, 409);
    let told = answer.json();
    assert_eq!(told["dtm_result"], "FAILURE");
    assert_eq!(told["leg_status"], "exceeds_credits");
    assert_eq!(world.post(&path("cancel", "01"), &body).status, 200);
    // Other content under the same key.
    assert_eq!(
        world
            .post(&path("try", "02"), &json!({"legs": [leg(1, 2)]}))
            .status,
        200
    );
    let other = world.post(&path("try", "02"), &json!({"legs": [leg(1, 3)]}));
    assert_eq!(
        (other.status, &other.json()["status"]),
        (409, &json!("differs"))
    );
}

#[test]
fn a_try_with_a_bad_body_can_be_cancelled_with_the_same_body() {
    let world = World::new();
    world.accounts();
    let bad = json!({"FAILURE": 1, "ONGOING": 2});
    let answer = world.post(&path("try", "01"), &bad);
    assert_eq!(answer.status, 400);
    assert!(!answer.text.contains("FAILURE"), "{answer:?}");
    assert!(!answer.text.contains("ONGOING"), "{answer:?}");
    assert_eq!(world.post(&path("cancel", "01"), &bad).status, 200);
    let cancelled = world.send_with("POST", &path("cancel", "01"), &[], "no json");
    assert_eq!(cancelled.status, 200);
}

#[test]
fn a_confirm_can_have_smaller_amounts() {
    let world = World::new();
    world.accounts();
    let body = json!({"legs": [leg(1, 2)], "amounts": ["3"]});
    assert_eq!(world.post(&path("try", "01"), &body).status, 200);
    assert_eq!(world.post(&path("confirm", "01"), &body).status, 200);
    assert_eq!(world.debits(1), ("0".into(), "3".into()));
}

/// DTM would ask for the confirm for ever.
#[test]
fn a_try_whose_amounts_can_never_be_confirmed_is_refused() {
    let world = World::new();
    world.accounts();
    for amounts in [json!(["6"]), json!(["1", "1"]), json!(vec!["1"; 65])] {
        let body = json!({"legs": [leg(1, 2)], "amounts": amounts});
        let answer = world.post(&path("try", "01"), &body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.json()["field"], "amounts", "{answer:?}");
    }
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
}

/// What no confirm or cancel can change is counted, so that somebody looks.
#[test]
fn every_alarm_of_phase_two_is_counted() {
    let world = World::new();
    world.accounts();
    let body = json!({"legs": [leg(1, 2)]});
    assert_eq!(world.post(&path("try", "01"), &body).status, 200);
    for (at, amounts) in [json!(["6"]), json!(["1", "1"])].iter().enumerate() {
        let body = json!({"amounts": amounts});
        let answer = world.post(&path("confirm", "01"), &body);
        assert_eq!(answer.status, 500, "{answer:?}");
        let metrics = world.get("/metrics").text;
        let line = format!("giro_http_branch_anomalies_total {}\n", at + 1);
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn a_cancel_is_taken_whatever_its_body_is() {
    let world = World::new();
    world.accounts();
    let large = "x".repeat(5 << 20);
    let json = ("content-type", "application/json");
    let answer = world.send_with("POST", &path("cancel", "01"), &[json], &large);
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = json!({"legs": [leg(1, 2)]});
    assert_eq!(world.post(&path("try", "01"), &body).status, 409);
}

#[test]
fn wrong_identity_is_refused_and_keeps_no_state() {
    let world = World::new();
    world.accounts();
    let body = json!({"legs": [leg(1, 2)]});
    let long = "g".repeat(129);
    let long = format!("gid={long}&branch_id=1&op=try&trans_type=tcc");
    for (query, field) in [
        ("branch_id=1&op=try&trans_type=tcc", "gid"),
        ("gid=&branch_id=1&op=try&trans_type=tcc", "gid"),
        ("gid=g&gid=h&branch_id=1&op=try&trans_type=tcc", "gid"),
        ("gid=%FF&branch_id=1&op=try&trans_type=tcc", "gid"),
        (&long, "gid"),
        ("gid=g&op=try&trans_type=tcc", "branch_id"),
        ("gid=g&branch_id=1&trans_type=tcc", "op"),
        ("gid=g&branch_id=1&op=confirm&trans_type=tcc", "op"),
        ("gid=g&branch_id=1&op=try", "trans_type"),
        ("gid=g&branch_id=1&op=try&trans_type=saga", "trans_type"),
    ] {
        let answer = world.post(&format!("/dtm/try?{query}"), &body);
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert_eq!(answer.json()["field"], field, "{query}");
    }
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
    let page = world.get("/branches").json();
    assert_eq!(page["branches"], json!([]));
    // Parameters of the caller's own are left alone.
    let path = format!("{}&mine=1&dtm=http%3A%2F%2Fdtm", path("try", "01"));
    assert_eq!(world.post(&path, &body).status, 200);
}
