//! Messages captured between the field's own programs: we accept each and, given the same
//! values, build the same bytes.

mod common;

use common::{captured, parse};
use giro_base::Operation;
use giro_wire::{
    EvictionHeader, EvictionReason, Message, NewReply, NewRequest, PingHeader, PongHeader, Release,
    ReplyHeader, RequestHeader, register, verify_body,
};
use zerocopy::IntoBytes;

const RELEASE: Release = Release::new(0, 17, 8);

fn request(name: &str) -> (RequestHeader, Vec<u8>) {
    let (header, body) = captured(name);
    let Message::Request(request) = parse(&header) else {
        panic!("{name} is not a request");
    };
    assert_eq!(verify_body(&request.frame, &body), Ok(()));
    assert_eq!(request.frame.release(), RELEASE);
    let rebuilt = RequestHeader::build(
        &NewRequest {
            cluster: 0,
            view: request.frame.view.get(),
            release: RELEASE,
            client: request.client.get(),
            session: request.session.get(),
            parent: request.parent.get(),
            request: request.request.get(),
            operation: request.operation().unwrap(),
            previous_request_latency: request.previous_request_latency.get(),
        },
        &body,
    );
    assert_eq!(rebuilt.as_bytes(), header);
    (*request, body)
}

fn reply(name: &str, to: &RequestHeader) -> (ReplyHeader, Vec<u8>) {
    let (header, body) = captured(name);
    let Message::Reply(reply) = parse(&header) else {
        panic!("{name} is not a reply");
    };
    assert_eq!(verify_body(&reply.frame, &body), Ok(()));
    let rebuilt = ReplyHeader::build(
        &NewReply {
            cluster: 0,
            view: 1,
            release: to.frame.release(),
            request_checksum: to.frame.checksum.get(),
            client: to.client.get(),
            op: reply.op.get(),
            timestamp: reply.timestamp.get(),
            request: to.request.get(),
            operation: to.operation().unwrap(),
        },
        &body,
    );
    assert_eq!(rebuilt.as_bytes(), header);
    (*reply, body)
}

#[test]
fn register_and_its_reply() {
    let (asked, body) = request("register_request");
    assert_eq!(asked.operation(), Some(Operation::Register));
    assert_eq!(body, [0; register::REGISTER_REQUEST_BYTES]);
    let (answered, body) = reply("register_reply", &asked);
    assert_eq!(answered.commit.get(), 2);
    assert_eq!(register::batch_size_limit(&body), Some(32_512));
}

#[test]
fn create_accounts_and_its_reply() {
    let (asked, body) = request("create_accounts_request");
    assert_eq!(asked.operation(), Some(Operation::CreateAccounts));
    assert_eq!(asked.session.get(), 2);
    assert_eq!(asked.previous_request_latency.get(), 598_469);
    assert_eq!(body.len(), 384);
    let (registered, _) = captured("register_reply");
    let Message::Reply(registered) = parse(&registered) else {
        panic!("not a reply");
    };
    assert_eq!(asked.parent, registered.context);
    reply("create_accounts_reply", &asked);
}

#[test]
fn create_transfers_and_its_reply() {
    let (asked, _) = request("create_transfers_request");
    assert_eq!(asked.operation(), Some(Operation::CreateTransfers));
    assert_eq!(asked.request.get(), 4);
    let (answered, _) = reply("create_transfers_reply", &asked);
    assert_eq!(answered.op.get(), 6);
}

#[test]
fn ping_and_a_pong() {
    let (ping_bytes, _) = captured("ping");
    let Message::Ping(ping) = parse(&ping_bytes) else {
        panic!("not a ping");
    };
    assert_eq!(ping.session.get(), 9);
    let time = ping.ping_timestamp_monotonic.get();
    let rebuilt = PingHeader::build(0, RELEASE, ping.client.get(), 9, time);
    assert_eq!(rebuilt.as_bytes(), ping_bytes);

    let (pong_bytes, _) = captured("pong");
    assert!(matches!(parse(&pong_bytes), Message::Pong(_)));
    assert_eq!(PongHeader::build(ping, 1).as_bytes(), pong_bytes);
}

#[test]
fn an_eviction() {
    let (bytes, _) = captured("eviction");
    let client = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;
    let Message::Eviction(eviction) = parse(&bytes) else {
        panic!("not an eviction");
    };
    assert_eq!(eviction.client.get(), client);
    let rebuilt = EvictionHeader::build(0, 2, client, EvictionReason::ClientReleaseTooLow);
    assert_eq!(rebuilt.as_bytes(), bytes);
}
