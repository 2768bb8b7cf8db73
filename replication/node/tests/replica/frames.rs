//! Frames with right checksums that say what cannot be.

use bytes::Bytes;
use giro::BadOps;
use giro_base::Operation;
use giro_log::OpHeader;
use giro_node::{ReceiveError, Refused};
use giro_replication::codec::{HEADER_BYTES, Header};
use zerocopy::{FromBytes, IntoBytes};

use crate::support::Cluster;

/// The frame with another payload in its one entry, all checksums right.
fn forged(frame: &Bytes, change: impl FnOnce(&mut [u8])) -> Bytes {
    let mut bytes = frame.to_vec();
    let header = Header::read_from_bytes(&bytes[..HEADER_BYTES]).unwrap();
    let rest = HEADER_BYTES + header.rest_bytes();
    change(&mut bytes[rest..]);
    let sum = giro_base::checksum(&bytes[rest..]);
    bytes[HEADER_BYTES..HEADER_BYTES + 16].copy_from_slice(&sum.to_le_bytes());
    let mut header = header;
    header.checksum_rest = giro_base::checksum(&bytes[HEADER_BYTES..rest]);
    let sum = giro_base::checksum(&header.as_bytes()[16..]);
    header.checksum = sum;
    bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    bytes.into()
}

fn with_header(payload: &mut [u8], change: impl FnOnce(&mut OpHeader)) {
    let mut header = OpHeader::read_from_bytes(&payload[..256]).unwrap();
    change(&mut header);
    payload[..256].copy_from_slice(header.sealed().as_bytes());
}

/// An append with one payment, on its way from the leader to a follower.
fn append(cluster: &mut Cluster) -> (u64, Bytes) {
    cluster.begin();
    cluster.agree();
    let leader = cluster.leader().unwrap();
    let body = cluster.transfers(2);
    cluster.submit(leader, Operation::CreateTransfersUnbatched, &body);
    let node = cluster.node(leader);
    let replica = node.up.as_mut().unwrap();
    replica.flush(&mut node.disk).unwrap();
    let frame = replica.frames().remove(0);
    (frame.to, frame.frame.to_bytes())
}

fn refused(change: impl FnOnce(&mut [u8])) -> BadOps {
    let mut cluster = Cluster::new(3);
    let (to, frame) = append(&mut cluster);
    let forged = forged(&frame, change);
    let replica = cluster.node(to).replica();
    let before = replica.status();
    let refused = replica.receive(&forged).unwrap_err();
    assert_eq!(replica.status().last, before.last);
    replica.receive(&frame).unwrap();
    assert_eq!(replica.status().last, before.last + 1);
    match refused {
        ReceiveError::Refused(Refused::Ops { reason, .. }) => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn an_entry_of_garbage_is_refused() {
    let reason = refused(|payload| payload.fill(0x5a));
    assert!(matches!(reason, BadOps::Defect(_)), "{reason}");
}

#[test]
fn an_entry_whose_ops_leave_out_a_number_is_refused() {
    let reason = refused(|payload| with_header(payload, |header| header.op += 1));
    assert!(matches!(reason, BadOps::Order { .. }), "{reason}");
}

#[test]
fn an_entry_whose_time_goes_back_is_refused() {
    let reason = refused(|payload| with_header(payload, |header| header.timestamp = 5));
    assert!(matches!(reason, BadOps::Order { .. }), "{reason}");
}

#[test]
fn an_entry_with_a_read_is_refused() {
    let read = u8::from(Operation::LookupAccountsUnbatched);
    let reason = refused(|payload| with_header(payload, |header| header.operation = read));
    assert!(matches!(reason, BadOps::Request(_)), "{reason}");
}

#[test]
fn an_entry_with_an_unknown_operation_is_refused() {
    let reason = refused(|payload| with_header(payload, |header| header.operation = 255));
    assert!(matches!(reason, BadOps::Request(_)), "{reason}");
}

#[test]
fn an_entry_whose_body_is_no_request_is_refused() {
    let reason = refused(|payload| {
        let operation = u8::from(Operation::CreateTransfers);
        with_header(payload, |header| header.operation = operation);
    });
    assert!(matches!(reason, BadOps::Request(_)), "{reason}");
}
