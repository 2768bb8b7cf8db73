//! Replies that wait for a replica beside the majority.

use giro::{RequestMeta, Verdict};
use giro_base::{Operation, checksum};
use giro_node::{GateOptions, GateStatus};
use giro_replication::{Members, NodeId};

use crate::support::{CLIENT, Cluster, Node, member};

/// Three voters, and learners 4 and 5 in other regions; replies wait for one of `replicas`.
fn gated(replicas: &[NodeId], degrade_ticks: Option<u64>) -> Cluster {
    let mut members = Members::of_voters((1..=3).map(member).collect());
    members.learners = vec![4, 5];
    members.known = (1..=5).map(member).collect();
    members.id_max = 5;
    let nodes = (1..=5).map(|id| {
        let mut node = Node::new(id, &members);
        node.options.gate = Some(GateOptions {
            replicas: replicas.to_vec(),
            degrade_ticks,
        });
        node.start().unwrap();
        (id, node)
    });
    let mut cluster = Cluster::of(nodes.collect());
    cluster.begin();
    cluster.agree();
    cluster
}

impl Cluster {
    /// Hands a payment to the leader. Returns the leader, and the request.
    fn pay_unanswered(&mut self) -> (NodeId, u32, Vec<u8>) {
        let leader = self.elect();
        let body = self.transfers(1);
        let request = self.submit(leader, Operation::CreateTransfersUnbatched, &body);
        self.settle();
        (leader, request, body)
    }

    fn is_answered(&self, node: NodeId, request: u32) -> bool {
        let mut replies = self.nodes[&node].replies.iter();
        replies.any(|reply| reply.1 == request)
    }

    fn gate(&mut self, node: NodeId) -> GateStatus {
        self.node(node).replica().gate().expect("it has one")
    }

    /// What becomes of a request that is sent again.
    fn sent_again(&mut self, node: NodeId, request: u32, body: &[u8]) -> Verdict {
        let meta = RequestMeta {
            client: CLIENT,
            session: self.session,
            request,
            request_checksum: u128::from(request) + 1000,
            checksum_body: checksum(body),
            operation: Operation::CreateTransfersUnbatched,
            release: 1,
        };
        self.node(node).replica().engine().check(&meta)
    }
}

fn ticks(cluster: &mut Cluster, count: usize) {
    (0..count).for_each(|_| cluster.tick());
}

#[test]
fn a_reply_waits_for_the_gates_replica_and_nothing_else_does() {
    let mut cluster = gated(&[4], None);
    cluster.cut.push(4);
    let (leader, request, body) = cluster.pay_unanswered();
    ticks(&mut cluster, 200);
    // It is committed and executed, by all that can hear of it.
    for id in [1, 2, 3, 5] {
        assert_eq!(cluster.paid(id), 1);
    }
    assert!(!cluster.is_answered(leader, request));
    assert_eq!(cluster.sent_again(leader, request, &body), Verdict::Resend);
    assert!(!cluster.node(leader).replica().may_resend(CLIENT));
    let gate = cluster.gate(leader);
    assert_eq!((gate.held, gate.waited_ticks, gate.passed), (1, 200, 0));
    cluster.cut.clear();
    ticks(&mut cluster, 10);
    assert!(cluster.is_answered(leader, request));
    assert!(cluster.node(leader).replica().may_resend(CLIENT));
    assert_eq!(cluster.gate(leader).held, 0);
    cluster.agree();
}

#[test]
fn one_of_several_is_enough() {
    let mut cluster = gated(&[4, 5], None);
    cluster.cut.push(4);
    let (leader, request, _) = cluster.pay_unanswered();
    assert!(cluster.is_answered(leader, request));
    cluster.cut.push(5);
    let (leader, request, _) = cluster.pay_unanswered();
    assert!(!cluster.is_answered(leader, request));
}

#[test]
fn a_reply_waits_for_the_disk_of_the_gates_replica() {
    let mut cluster = gated(&[4], None);
    cluster.node(4).is_slow = true;
    let (leader, request, _) = cluster.pay_unanswered();
    assert_eq!(cluster.paid(leader), 1);
    assert!(!cluster.is_answered(leader, request));
    cluster.node(4).is_slow = false;
    cluster.settle();
    assert!(cluster.is_answered(leader, request));
}

#[test]
fn a_gate_with_a_limit_opens_and_closes_again() {
    let mut cluster = gated(&[4], Some(50));
    cluster.cut.push(4);
    let (leader, request, _) = cluster.pay_unanswered();
    ticks(&mut cluster, 48);
    assert!(!cluster.is_answered(leader, request));
    ticks(&mut cluster, 3);
    assert!(cluster.is_answered(leader, request));
    let gate = cluster.gate(leader);
    assert!(gate.is_degraded && gate.passed == 1, "{gate:?}");
    let (_, request, _) = cluster.pay_unanswered();
    assert!(cluster.is_answered(leader, request));
    cluster.cut.clear();
    ticks(&mut cluster, 10);
    assert!(!cluster.gate(leader).is_degraded);
    cluster.cut.push(4);
    let (_, request, _) = cluster.pay_unanswered();
    assert!(!cluster.is_answered(leader, request));
}

#[test]
fn what_an_old_leader_executed_and_did_not_answer_waits_at_the_next_one() {
    let mut cluster = gated(&[4], None);
    cluster.cut.push(4);
    let (old, request, body) = cluster.pay_unanswered();
    assert!(!cluster.is_answered(old, request));
    cluster.node(old).kill();
    let new = cluster.elect();
    assert_eq!(cluster.paid(new), 1);
    assert_eq!(cluster.sent_again(new, request, &body), Verdict::Resend);
    assert!(!cluster.node(new).replica().may_resend(CLIENT));
    cluster.cut.clear();
    ticks(&mut cluster, 10);
    assert!(cluster.is_answered(new, request), "it leaves by itself");
    assert!(cluster.node(new).replica().may_resend(CLIENT));
}

#[test]
fn the_leader_itself_can_be_the_gates_replica() {
    let mut cluster = gated(&[1, 2, 3], None);
    cluster.cut = vec![4, 5];
    let (leader, request, _) = cluster.pay_unanswered();
    assert!(cluster.is_answered(leader, request));
}

#[test]
fn replies_that_wait_are_lost_with_the_role_and_not_sent() {
    let mut cluster = gated(&[4], None);
    cluster.cut.push(4);
    let (old, request, _) = cluster.pay_unanswered();
    let new = (1..=3).find(|id| *id != old).unwrap();
    cluster.node(old).replica().hand_over(new).unwrap();
    cluster.settle();
    assert_eq!(cluster.elect(), new);
    cluster.cut.clear();
    ticks(&mut cluster, 10);
    assert!(!cluster.is_answered(old, request));
    assert!(cluster.node(new).replica().may_resend(CLIENT));
    cluster.agree();
}
