//! Every rule of a header: what breaks it, and whether the connection survives.

mod common;

use common::{NAMES, captured, reseal};
use giro_wire::{
    Fault, HeaderBytes, Message, RefusalHeader, RefusalReason, Rejection, parse_header, verify_body,
};
use proptest::prelude::*;
use zerocopy::IntoBytes;

/// Changes a captured header at an offset, seals it again, and says what becomes of it.
fn changed(name: &str, at: usize, bytes: &[u8]) -> Option<Rejection> {
    let (mut header, _) = captured(name);
    header[at..at + bytes.len()].copy_from_slice(bytes);
    reseal(&mut header);
    parse_header(&header, 0).err()
}

fn ignored(name: &str, at: usize, bytes: &[u8]) -> Fault {
    match changed(name, at, bytes) {
        Some(Rejection::Ignore { fault, .. }) => fault,
        other => panic!("{name} with {bytes:?} at {at}: {other:?}"),
    }
}

#[test]
fn a_bit_flip_anywhere_closes_the_connection() {
    for name in NAMES {
        let (header, _) = captured(name);
        for bit in 0..header.len() * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let closed = Rejection::Close(Fault::HeaderChecksum);
            // The upper half of the checksum's field is a reserved field, covered like all.
            assert_eq!(
                parse_header(&flipped, 0).err(),
                Some(closed),
                "{name} {bit}"
            );
        }
    }
}

#[test]
fn faults_of_the_stream_close_it() {
    let closed = |at, bytes: &[u8]| changed("create_accounts_request", at, bytes);
    assert_eq!(
        closed(114, &[25]),
        Some(Rejection::Close(Fault::Command(25)))
    );
    for size in [0_u32, 255, 1_048_577, u32::MAX] {
        let expected = Some(Rejection::Close(Fault::Size(size)));
        assert_eq!(closed(96, &size.to_le_bytes()), expected);
    }
    let fault = Fault::Cluster {
        received: 1,
        own: 0,
    };
    assert_eq!(closed(80, &[1]), Some(Rejection::Close(fault)));
}

#[test]
fn a_damaged_body_is_noticed() {
    let (header, mut body) = captured("create_accounts_request");
    let giro_wire::Message::Request(request) = parse_header(&header, 0).unwrap() else {
        panic!("not a request");
    };
    assert_eq!(verify_body(&request.frame, &body), Ok(()));
    assert_eq!(
        verify_body(&request.frame, &body[1..]),
        Err(Fault::BodyChecksum)
    );
    body[7] ^= 1;
    assert_eq!(verify_body(&request.frame, &body), Err(Fault::BodyChecksum));
}

#[test]
fn rules_of_all_messages() {
    for name in NAMES {
        for reserved in [16, 31, 48, 63, 64, 79, 100, 116, 127] {
            assert_eq!(ignored(name, reserved, &[1]), Fault::Reserved, "{name}");
        }
        assert_eq!(ignored(name, 112, &[1]), Fault::Protocol(1));
        assert_eq!(ignored(name, 108, &[0; 4]), Fault::Field("release"));
        assert_eq!(ignored(name, 114, &[7]), Fault::ReplicaCommand(7));
    }
}

#[test]
fn rules_of_requests() {
    let on = |at, bytes: &[u8]| ignored("create_accounts_request", at, bytes);
    for reserved in [144, 159, 197, 199, 204, 255] {
        assert_eq!(on(reserved, &[1]), Fault::Reserved);
    }
    assert_eq!(on(115, &[1]), Fault::Field("replica"));
    assert_eq!(on(160, &[0; 16]), Fault::Field("client"));
    assert_eq!(on(176, &[0; 8]), Fault::Field("session"));
    assert_eq!(on(184, &[1]), Fault::Field("timestamp"));
    assert_eq!(on(192, &[0; 4]), Fault::Field("request"));
    for operation in [0, 1, 4, 5, 7, 99, 127] {
        assert_eq!(on(196, &[operation]), Fault::Field("operation"));
    }
    // A noop and a reconfigure with a body of the wrong length.
    for operation in [3, 6] {
        assert_eq!(on(196, &[operation]), Fault::Field("size"));
    }
    // An unknown operation of the ledger is a valid header: it gets an answer.
    assert_eq!(changed("create_accounts_request", 196, &[200]), None);
}

#[test]
fn rules_of_registers() {
    let on = |at, bytes: &[u8]| ignored("register_request", at, bytes);
    assert_eq!(on(96, &257_u32.to_le_bytes()), Fault::Field("size"));
    assert_eq!(on(128, &[1]), Fault::Field("parent"));
    assert_eq!(on(160, &[0; 16]), Fault::Field("client"));
    assert_eq!(on(176, &[1]), Fault::Field("session"));
    assert_eq!(on(192, &[1]), Fault::Field("request"));
    // Without a body, as the oldest clients sent it, it is valid.
    assert_eq!(
        changed("register_request", 96, &256_u32.to_le_bytes()),
        None
    );
}

#[test]
fn rules_of_pings_and_of_what_servers_send() {
    assert_eq!(ignored("ping", 96, &[1]), Fault::Field("size"));
    assert_eq!(ignored("ping", 32, &[1]), Fault::Field("checksum_body"));
    assert_eq!(ignored("ping", 104, &[1]), Fault::Field("view"));
    assert_eq!(ignored("ping", 115, &[1]), Fault::Field("replica"));
    assert_eq!(ignored("ping", 128, &[0; 16]), Fault::Field("client"));
    assert_eq!(changed("ping", 160, &[1]), None, "asks for refusals");
    assert_eq!(ignored("ping", 160, &[2]), Fault::Field("refusals"));
    assert_eq!(ignored("ping", 161, &[1]), Fault::Reserved);
    assert_eq!(ignored("pong", 255, &[1]), Fault::Reserved);
    assert_eq!(ignored("eviction", 255, &[0]), Fault::Field("reason"));
    assert_eq!(ignored("eviction", 255, &[9]), Fault::Field("reason"));
    assert_eq!(ignored("eviction", 254, &[1]), Fault::Reserved);
    let reply = |at, bytes: &[u8]| ignored("create_accounts_reply", at, bytes);
    assert_eq!(reply(144, &[1]), Fault::Reserved);
    assert_eq!(reply(208, &[9]), Fault::Field("op"));
    assert_eq!(reply(208, &[0; 16]), Fault::Field("commit"));
    assert_eq!(reply(224, &[0; 8]), Fault::Field("timestamp"));
    assert_eq!(reply(232, &[0; 4]), Fault::Field("request"));
    assert_eq!(ignored("register_reply", 96, &[0x41]), Fault::Field("size"));
}

#[test]
fn rules_of_refusals() {
    let (header, _) = captured("create_accounts_request");
    let Ok(Message::Request(request)) = parse_header(&header, 0) else {
        panic!("not a request");
    };
    let refusal = RefusalHeader::build(request, 1, RefusalReason::Busy);
    let sealed: HeaderBytes = refusal.as_bytes().try_into().unwrap();
    let Ok(Message::Refusal(parsed)) = parse_header(&sealed, 0) else {
        panic!("not a refusal");
    };
    assert_eq!(parsed.request_checksum, request.frame.checksum);
    assert_eq!(
        (parsed.client, parsed.request),
        (request.client, request.request)
    );
    for (at, fault) in [
        (144, Fault::Reserved),
        (180, Fault::Reserved),
        (254, Fault::Reserved),
        (255, Fault::Field("reason")),
    ] {
        let mut bad = sealed;
        bad[at] = 77;
        reseal(&mut bad);
        let rejected = parse_header(&bad, 0).err();
        assert!(
            matches!(rejected, Some(Rejection::Ignore { fault: found, .. }) if found == fault),
            "{at}: {rejected:?}"
        );
    }
}

proptest! {
    /// Whatever the bytes, parsing ends in a value.
    #[test]
    fn any_bytes_are_judged(
        bytes in any::<[u8; 32]>(), fill in any::<u8>(), seal in any::<bool>()
    ) {
        let mut header: HeaderBytes = [fill; 256];
        header[96..128].copy_from_slice(&bytes);
        if seal {
            reseal(&mut header);
        }
        let _ = parse_header(&header, 0);
    }

    /// Sealed headers with any change to a valid one: a value, and a size to skip in range.
    #[test]
    fn any_change_is_judged(
        which in 0..NAMES.len(), at in 16_usize..256, value in any::<[u8; 8]>()
    ) {
        let (mut header, body) = captured(NAMES[which]);
        let end = (at + 8).min(256);
        header[at..end].copy_from_slice(&value[..end - at]);
        reseal(&mut header);
        match parse_header(&header, 0) {
            Ok(giro_wire::Message::Request(request)) => {
                let _ = verify_body(&request.frame, &body);
                let _ = request.operation();
                prop_assert!(request.client.get() != 0);
            }
            Err(Rejection::Ignore { message_bytes, .. }) => {
                prop_assert!((256..=1 << 20).contains(&message_bytes));
            }
            Ok(_) | Err(Rejection::Close(_)) => {}
        }
    }
}
