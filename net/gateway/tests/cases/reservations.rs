//! A reservation as a resource.

use serde_json::json;

use crate::common::{World, leg};

#[test]
fn put_confirms_and_delete_cancels() {
    let world = World::new();
    world.accounts();
    for (method, other) in [("PUT", "DELETE"), ("DELETE", "PUT")] {
        let made = world.post("/reservations", &json!({"legs": [leg(1, 2)]}));
        assert_eq!(made.status, 201, "{made:?}");
        let place = made.location.unwrap();
        assert_eq!(world.get(&place).json()["state"], "tried");
        for _ in 0..2 {
            let headers = [("content-type", "application/tcc")];
            let answer = world.send_with(method, &place, &headers, "");
            assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        }
        let answer = world.send(other, &place, None);
        assert_eq!(answer.status, 409, "{answer:?}");
    }
    assert_eq!(world.debits(1), ("0".into(), "5".into()));
}

#[test]
fn a_named_reservation_is_made_once() {
    let world = World::new();
    world.accounts();
    let body = json!({"gid": "order 7/8", "branch_id": "\u{e9}", "legs": [leg(1, 2)]});
    let places: Vec<_> = (0..2)
        .map(|_| {
            let made = world.post("/reservations", &body);
            assert_eq!(made.status, 201, "{made:?}");
            made.location.unwrap()
        })
        .collect();
    assert_eq!(places, ["/reservations/order%207%2F8/%C3%A9"; 2]);
    assert_eq!(world.debits(1), ("5".into(), "0".into()));
    let other = json!({"gid": "order 7/8", "branch_id": "\u{e9}", "legs": [leg(2, 1)]});
    assert_eq!(
        world.post("/reservations", &other).json()["error"],
        "differs"
    );
    let amounts = world.send("PUT", &places[0], Some(r#"{"amounts": [2]}"#));
    assert_eq!(amounts.status, 204, "{amounts:?}");
    assert_eq!(world.debits(1), ("0".into(), "2".into()));
    let more = world.send("PUT", &places[0], Some(r#"{"amounts": [3]}"#));
    assert_eq!(
        (more.status, &more.json()["error"]),
        (409, &json!("amounts_differ"))
    );
}

#[test]
fn what_was_never_made_cannot_be_confirmed() {
    let world = World::new();
    world.accounts();
    assert_eq!(world.get("/reservations/g/1").status, 404);
    assert_eq!(world.send("PUT", "/reservations/g/1", None).status, 404);
    assert_eq!(world.send("DELETE", "/reservations/g/1", None).status, 204);
    let late = json!({"gid": "g", "branch_id": "1", "legs": [leg(1, 2)]});
    let late = world.post("/reservations", &late);
    assert_eq!(
        (late.status, &late.json()["error"]),
        (409, &json!("suspended"))
    );
    let refused = world.post("/reservations", &json!({"legs": [leg(3, 2)]}));
    assert_eq!(
        (refused.status, &refused.json()["field"]),
        (409, &json!("legs[0]"))
    );
    let expiring = json!({"gid": "g", "branch_id": "2", "timeout": 1, "legs": [leg(1, 2)]});
    assert_eq!(world.post("/reservations", &expiring).status, 201);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let expired = world.send("PUT", "/reservations/g/2", None);
    assert_eq!(
        (expired.status, &expired.json()["error"]),
        (404, &json!("expired"))
    );
}

#[test]
fn a_reservation_whose_id_an_ordinary_transfer_has_is_refused() {
    // Ids are hashes of the key, so another ledger tells which one it will be.
    let body = json!({"gid": "g", "branch_id": "b", "legs": [leg(1, 2)]});
    let elsewhere = World::new();
    elsewhere.accounts();
    assert_eq!(elsewhere.post("/reservations", &body).status, 201);
    let id = elsewhere.get("/reservations/g/b").json()["id"].clone();

    let world = World::new();
    world.accounts();
    let mut transfer = leg(1, 2);
    transfer["id"] = id;
    let made = world.post("/transfers", &json!([transfer]));
    assert_eq!(made.json()[0]["status"], "created", "{made:?}");
    let refused = world.post("/reservations", &body);
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.json()["error"], "id_taken");
    let (pending, posted) = world.debits(1);
    assert_eq!((&*pending, &*posted), ("0", "5"), "only the transfer");
    // DTM asks for a cancel, which is no success: an operator has to look.
    let cancel = world.get("/dtm/cancel?gid=g&branch_id=b&op=cancel&trans_type=tcc");
    assert_eq!(cancel.status, 500, "{cancel:?}");
    assert_eq!(cancel.json()["error"], "anomaly");
}
