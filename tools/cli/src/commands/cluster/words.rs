//! What is said over a replica's socket, and what `--json` prints.

use giro_node::GateStatus;
use giro_replication::{Change, ChangeRefused, Member, NodeId, ProposeError, Role};
use giro_server::{Order, OrderError, Standings};
use serde::{Deserialize, Serialize};

use crate::commands::members::kind_of;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Asked {
    /// How things stand.
    Status,
    /// Adds a learner.
    Add { replica: u8, peer: String },
    /// A learner becomes a voter.
    Promote { replica: u8 },
    /// A replica leaves.
    Remove { replica: u8 },
    /// A learner takes a voter's place.
    Replace { lost: u8, replica: u8 },
    /// Another replica leads.
    Transfer { replica: u8 },
}

/// How a replica sees its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) replica: u8,
    pub(crate) role: String,
    pub(crate) term: u64,
    pub(crate) leader: Option<u8>,
    pub(crate) is_serving: bool,
    pub(crate) view: u32,
    /// Last entry of the log, and how far it has come.
    pub(crate) last: u64,
    pub(crate) durable: u64,
    pub(crate) committed: u64,
    pub(crate) executed: u64,
    /// The last op executed, and the digest of the state behind it: equal on all replicas.
    pub(crate) op: u64,
    pub(crate) digest: String,
    /// Why the group has not begun; none when it has.
    pub(crate) beginning: Option<String>,
    /// Milliseconds that the oldest write to disk has been under way.
    pub(crate) stalled_ms: u64,
    /// Bytes that are here of a checkpoint being fetched, and of all of it, once that is known.
    pub(crate) fetching_bytes: Option<u64>,
    pub(crate) fetching_bytes_total: Option<u64>,
    /// The gate for replies, if there is one; its figures are the leader's.
    pub(crate) gate: Option<ReportedGate>,
    /// A change of voters is under way.
    pub(crate) is_joint: bool,
    pub(crate) members: Vec<Reported>,
}

/// The gate that replies to writes wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportedGate {
    /// One of these must have a write before its reply leaves.
    pub(crate) replicas: Vec<u8>,
    /// Replies leave without, for now.
    pub(crate) is_degraded: bool,
    /// Replies that wait, and how long the oldest has been waiting.
    pub(crate) held: u64,
    pub(crate) waited_ms: u64,
    /// Replies that left without since the replica was started.
    pub(crate) passed: u64,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reported {
    pub(crate) replica: u8,
    /// `voter`, `learner` or `leaving`.
    pub(crate) kind: String,
    /// 16 hexadecimal digits; zeros until the group knows it.
    pub(crate) incarnation: String,
    /// Where other replicas reach it; empty: by its place in their `peers`.
    pub(crate) peer: String,
    /// It was heard of lately; only the leader knows.
    pub(crate) is_healthy: Option<bool>,
    /// Entries it lacks; only the leader knows.
    pub(crate) lag: Option<u64>,
    /// It takes no entries for now, because its execution does not keep up; only the leader knows.
    pub(crate) holds_back: Option<bool>,
}

/// The answer to an order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answered {
    /// How things stand behind it.
    Done(Box<Report>),
    /// Why it was not carried out.
    Refused(String),
    /// Why it cannot be carried out just now.
    Later(String),
}

/// Milliseconds of a tick of the group.
const TICK_MS: u64 = 20;

impl Asked {
    pub(crate) fn to_order(&self) -> Order {
        match self {
            Self::Status => Order::Status,
            Self::Add { replica, peer } => Order::Change(Change::AddLearner(Member {
                id: id_of(*replica),
                // The group learns it when it hears of the replica.
                incarnation: 0,
                name: peer.clone(),
            })),
            Self::Promote { replica } => Order::Change(Change::Promote(id_of(*replica))),
            Self::Remove { replica } => Order::Change(Change::Remove(id_of(*replica))),
            Self::Replace { lost, replica } => Order::Change(Change::Replace {
                promote: id_of(*replica),
                remove: id_of(*lost),
            }),
            Self::Transfer { replica } => Order::HandOver(id_of(*replica)),
        }
    }
}

impl Report {
    /// Whether the replica is a member.
    pub(crate) fn has(&self, replica: u8) -> bool {
        self.members.iter().any(|member| member.replica == replica)
    }

    /// Whether its vote counts.
    pub(crate) fn votes(&self, replica: u8) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.replica == replica && member.kind == "voter")
    }
}

impl From<&Standings> for Report {
    fn from(standings: &Standings) -> Self {
        let (status, members) = (&standings.status, &standings.members);
        let role = match status.role.role {
            Role::Leader => "leader",
            Role::Candidate => "candidate",
            Role::Follower if members.is_learner(status.node) => "learner",
            Role::Follower => "follower",
        };
        let reported = members.known.iter().map(|member| {
            let peer = status.peers.iter().find(|peer| peer.node == member.id);
            Reported {
                replica: replica_of(member.id),
                kind: kind_of(members, member.id).to_owned(),
                incarnation: format!("{:016x}", member.incarnation),
                peer: member.name.clone(),
                is_healthy: peer.map(|peer| peer.is_healthy),
                lag: peer.map(|peer| peer.lag),
                holds_back: peer.map(|peer| peer.holds_back),
            }
        });
        Self {
            replica: replica_of(status.node),
            role: role.to_owned(),
            term: status.role.term,
            leader: status.role.leader.map(replica_of),
            is_serving: status.role.serving,
            view: standings.view,
            last: status.last,
            durable: status.durable,
            committed: status.committed,
            executed: status.executed,
            op: standings.op,
            digest: standings.digest.to_string(),
            beginning: status.roll.as_ref().map(ToString::to_string),
            stalled_ms: status.stalled_ticks * TICK_MS,
            fetching_bytes: standings.fetching.map(|(bytes, _)| bytes),
            fetching_bytes_total: standings.fetching.map(|(_, total)| total),
            gate: standings.gate.as_ref().map(ReportedGate::from),
            is_joint: members.is_joint(),
            members: reported.collect(),
        }
    }
}

impl ReportedGate {
    /// For people.
    pub(crate) fn line(&self) -> String {
        let replicas: Vec<_> = self.replicas.iter().map(ToString::to_string).collect();
        let replicas = replicas.join(" or ");
        if self.is_degraded {
            let passed = self.passed;
            return format!(
                "ALARM: replica {replicas} does not keep up; replies leave without it ({passed} so \
                 far)"
            );
        }
        let (held, waited) = (self.held, self.waited_ms);
        format!("replies wait for replica {replicas}, too: {held} wait, the oldest for {waited} ms")
    }
}

impl From<&GateStatus> for ReportedGate {
    fn from(gate: &GateStatus) -> Self {
        Self {
            replicas: gate.replicas.iter().map(|id| replica_of(*id)).collect(),
            is_degraded: gate.is_degraded,
            held: gate.held as u64,
            waited_ms: gate.waited_ticks * TICK_MS,
            passed: gate.passed,
        }
    }
}

impl From<Result<Standings, OrderError>> for Answered {
    fn from(answer: Result<Standings, OrderError>) -> Self {
        use ChangeRefused::{Lagging, Propose, Silent, UnderWay};
        match answer {
            Ok(standings) => Self::Done(Box::new(Report::from(&standings))),
            Err(error) => {
                let why = explain(&error);
                let passes = matches!(
                    error,
                    OrderError::Refused(
                        UnderWay
                            | Silent(_)
                            | Lagging { .. }
                            // Somebody will soon, and it may be this one.
                            | Propose(
                                ProposeError::Busy(_) | ProposeError::NotLeader { leader: None }
                            )
                    )
                );
                if passes {
                    Self::Later(why)
                } else {
                    Self::Refused(why)
                }
            }
        }
    }
}

/// Why an order was not carried out, in the operator's numbers.
fn explain(error: &OrderError) -> String {
    let OrderError::Refused(refused) = error else {
        return error.to_string();
    };
    let n = |id: &NodeId| replica_of(*id);
    match refused {
        ChangeRefused::Propose(ProposeError::NotLeader { leader: Some(id) }) => {
            let id = n(id);
            format!("this replica does not lead: give the order in the directory of replica {id}")
        }
        ChangeRefused::Propose(ProposeError::NotLeader { leader: None }) => {
            "this replica does not lead, and knows nobody who does".to_owned()
        }
        ChangeRefused::IdTaken { id, next } => format!(
            "number {} was given before, and numbers are never given twice: format the new replica \
             with --replica={}",
            n(id),
            n(next)
        ),
        ChangeRefused::NoLearner(id) => format!("replica {} is no learner", n(id)),
        ChangeRefused::NoMember(id) => format!("replica {} is no member that can do this", n(id)),
        ChangeRefused::Lagging { id, lag } => format!(
            "replica {} lags {lag} entries behind: wait until it has caught up",
            n(id)
        ),
        ChangeRefused::Silent(id) => format!("replica {} was not heard of lately", n(id)),
        ChangeRefused::IsLeader(id) => format!(
            "replica {} leads: hand leadership over first (`giro cluster transfer`)",
            n(id)
        ),
        other => other.to_string(),
    }
}

/// Node ids begin with 1, replicas with 0.
fn id_of(replica: u8) -> NodeId {
    NodeId::from(replica) + 1
}

fn replica_of(id: NodeId) -> u8 {
    u8::try_from(id.saturating_sub(1)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_replicas_by_the_operators_numbers() {
        let leader = Some(3);
        let elsewhere = ChangeRefused::Propose(ProposeError::NotLeader { leader });
        let said = explain(&OrderError::Refused(elsewhere));
        assert!(said.ends_with("replica 2"), "{said}");
        let taken = ChangeRefused::IdTaken { id: 2, next: 5 };
        let said = explain(&OrderError::Refused(taken));
        assert!(
            said.starts_with("number 1 ") && said.ends_with("--replica=4"),
            "{said}"
        );
    }

    #[test]
    fn an_order_waits_out_a_moment_without_a_leader() {
        let refused = |leader| {
            let elsewhere = ChangeRefused::Propose(ProposeError::NotLeader { leader });
            Answered::from(Err(OrderError::Refused(elsewhere)))
        };
        assert!(matches!(refused(None), Answered::Later(_)));
        assert!(matches!(refused(Some(3)), Answered::Refused(_)));
    }

    #[test]
    fn orders_come_back_as_they_were_said() {
        let orders = [
            Asked::Status,
            Asked::Add {
                replica: 3,
                peer: "host:4003".to_owned(),
            },
            Asked::Replace {
                lost: 1,
                replica: 3,
            },
        ];
        for asked in orders {
            let text = serde_json::to_string(&asked).unwrap();
            assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked);
        }
        serde_json::from_str::<Asked>(r#"{"order":"remove","replica":1,"now":true}"#).unwrap_err();
    }
}
