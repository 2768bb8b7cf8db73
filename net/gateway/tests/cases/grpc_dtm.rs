//! DTM's contract over gRPC.

use giro_gateway::v1;
use prost::Message;
use tonic::Code;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

use crate::common::{Grpc, World, framed, grpc_leg, of_dtm};

fn tried(debit: u32) -> v1::DtmBranch {
    v1::DtmBranch {
        legs: vec![grpc_leg(debit, 2)],
        ..v1::DtmBranch::default()
    }
}

fn code<T>(answer: &Result<T, tonic::Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, tonic::Status::code)
}

#[test]
fn each_phase_is_done_once_however_often_it_is_asked_for() {
    let world = World::new();
    world.accounts();
    let grpc = Grpc::new(&world);
    let mut dtm = grpc.dtm();
    for _ in 0..2 {
        let answer = grpc.wait(dtm.r#try(of_dtm(tried(1), "try")));
        assert_eq!(code(&answer), Code::Ok, "{answer:?}");
    }
    assert_eq!(world.debits(1), ("5".into(), "0".into()));
    for _ in 0..2 {
        let answer = grpc.wait(dtm.confirm(of_dtm(tried(1), "confirm")));
        assert_eq!(code(&answer), Code::Ok, "{answer:?}");
    }
    assert_eq!(world.debits(1), ("0".into(), "5".into()));
    let cancel = grpc.wait(dtm.cancel(of_dtm((), "cancel")));
    assert_eq!(code(&cancel), Code::Internal, "{cancel:?}");
    let error = cancel.unwrap_err();
    assert_eq!(error.get_details_error_info().unwrap().reason, "anomaly");
}

#[test]
fn a_refused_try_is_aborted_and_phase_two_never_is() {
    let world = World::new();
    world.accounts();
    let grpc = Grpc::new(&world);
    let mut dtm = grpc.dtm();
    let refused = grpc.wait(dtm.r#try(of_dtm(tried(3), "try"))).unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Aborted, "FAILURE")
    );
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, "leg_refused");
    assert_eq!(info.metadata["leg_status"], "exceeds_credits");
    let confirm = grpc.wait(dtm.confirm(of_dtm(tried(3), "confirm")));
    assert_eq!(code(&confirm), Code::Internal, "{confirm:?}");
    for _ in 0..2 {
        let cancel = grpc.wait(dtm.cancel(of_dtm((), "cancel")));
        assert_eq!(code(&cancel), Code::Ok, "{cancel:?}");
    }
    let late = grpc.wait(dtm.r#try(of_dtm(tried(1), "try")));
    assert_eq!(code(&late), Code::Aborted, "{late:?}");
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
}

#[test]
fn the_coordinators_own_content_type_and_any_message_is_taken_in_phase_two() {
    let world = World::new();
    world.accounts();
    let grpc = Grpc::new(&world);
    let mut dtm = grpc.dtm();
    grpc.wait(dtm.r#try(of_dtm(tried(1), "try"))).unwrap();
    let phase_two = |method: &str, op: &'static str, message: Vec<u8>| {
        let (metadata, _, message) = of_dtm(message, op).into_parts();
        let mut request = ureq::http::Request::post(format!(
            "http://{}/giro.v1.DtmParticipant/{method}",
            world.http
        ));
        *request.headers_mut().unwrap() = metadata.into_headers();
        let framed = framed(message.len().try_into().unwrap(), &message);
        let request = request
            .header("content-type", "application/grpc+dtm_raw")
            .header("te", "trailers")
            .body(Body::new(http_body_util::Full::new(framed)))
            .unwrap();
        let response = grpc.wait(async {
            let mut channel = grpc.channel();
            let ready = channel.ready().await.unwrap();
            ready.call(request).await.unwrap()
        });
        assert_eq!(response.status(), 200);
        let content = response.headers()["content-type"].to_str().unwrap();
        assert!(content.starts_with("application/grpc"), "{content}");
        response.headers().get("grpc-status").cloned()
    };
    // A status in the head is an error; success has it behind the body.
    assert_eq!(
        phase_two("Confirm", "confirm", tried(1).encode_to_vec()),
        None
    );
    assert_eq!(world.debits(1), ("0".into(), "5".into()));
    let confirmed = phase_two("Cancel", "cancel", tried(1).encode_to_vec());
    assert_eq!(confirmed.unwrap(), "13");
}

fn set(metadata: &mut MetadataMap, name: &'static str, value: &str) {
    metadata.insert(name, value.parse().unwrap());
}

#[test]
fn identity_that_is_missing_twice_or_contradicting_is_refused_and_leaves_nothing() {
    let world = World::new();
    world.accounts();
    let grpc = Grpc::new(&world);
    let mut dtm = grpc.dtm();
    type Change = fn(&mut MetadataMap);
    let cases: [(&str, Change); 9] = [
        ("dtm-gid", |m| drop(m.remove("dtm-gid"))),
        ("dtm-branch_id", |m| drop(m.remove("dtm-branch_id"))),
        ("dtm-op", |m| drop(m.remove("dtm-op"))),
        ("dtm-trans_type", |m| drop(m.remove("dtm-trans_type"))),
        ("dtm-op", |m| set(m, "dtm-op", "confirm")),
        ("dtm-trans_type", |m| set(m, "dtm-trans_type", "saga")),
        ("dtm-gid", |m| {
            m.append("dtm-gid", "h".parse().unwrap());
        }),
        ("dtm-gid", |m| set(m, "dtm-gid", "")),
        ("dtm-branch_id", |m| {
            set(m, "dtm-branch_id", &"x".repeat(129));
        }),
    ];
    for (field, change) in cases {
        let mut request = of_dtm(tried(1), "try");
        change(request.metadata_mut());
        let error = grpc.wait(dtm.r#try(request)).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
        let details = error.get_details_bad_request().unwrap();
        assert_eq!(details.field_violations[0].field, field, "{error:?}");
    }
    assert_eq!(world.debits(1), ("0".into(), "0".into()));
    assert_eq!(
        world.get("/branches").json()["branches"],
        serde_json::json!([])
    );
}
