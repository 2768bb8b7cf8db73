//! What an operator asks of a running replica, from any thread.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use giro_core::Digest;
use giro_node::GateStatus;
use giro_replication::{Change, ChangeRefused, Members, NodeId, Status};
use thiserror::Error;

/// How long a replica may take to look at an order.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Clone, Debug)]
pub enum Order {
    /// How things stand.
    Status,
    /// A change of membership.
    Change(Change),
    /// To hand leadership over to this node.
    HandOver(NodeId),
}

/// How a replica sees its group.
#[derive(Clone, Debug)]
pub struct Standings {
    /// The group's view of itself.
    pub status: Status,
    /// Its members, as of the last entry handed out here.
    pub members: Members,
    /// The view that clients are told.
    pub view: u32,
    /// The last op executed here.
    pub op: u64,
    /// Digest of the state behind it.
    pub digest: Digest,
    /// Bytes that are here of a checkpoint being fetched, and of all of it.
    pub fetching: Option<(u64, u64)>,
    /// The gate for replies, if there is one.
    pub gate: Option<GateStatus>,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, Error)]
pub enum OrderError {
    /// The group refused it: nothing happened.
    #[error(transparent)]
    Refused(#[from] ChangeRefused),
    /// The replica has stopped, or is too busy to answer.
    #[error("the replica does not answer")]
    Silent,
}

type Answer = Result<Standings, OrderError>;

/// Gives orders to a replica; for any thread.
#[derive(Clone)]
pub struct Commander {
    orders: Sender<(Order, Sender<Answer>)>,
    wake: Arc<OwnedFd>,
    over: Arc<AtomicBool>,
}

/// The replica's end.
pub(crate) struct Orders {
    taken: Receiver<(Order, Sender<Answer>)>,
    over: Arc<AtomicBool>,
}

impl Commander {
    /// Both ends. An order wakes the replica by `wake`, an eventfd.
    pub(crate) fn new(wake: Arc<OwnedFd>) -> (Self, Orders) {
        let (orders, taken) = mpsc::channel();
        let over = Arc::<AtomicBool>::default();
        let commander = Self {
            orders,
            wake,
            over: Arc::clone(&over),
        };
        (commander, Orders { taken, over })
    }

    /// Whether the replica fetched a checkpoint, and its directory is to be opened again.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Gives an order and waits for its answer: how things stand behind it. A change that was taken
    /// counts when the members show it.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn order(&self, order: Order) -> Answer {
        let (answer, answered) = mpsc::channel();
        let given = self.orders.send((order, answer));
        given.map_err(|_| OrderError::Silent)?;
        let _ = rustix::io::write(&*self.wake, &1_u64.to_le_bytes());
        let answer = answered.recv_timeout(ANSWER_MAX);
        answer.map_err(|_| OrderError::Silent)?
    }
}

impl Orders {
    /// The replica's directory is to be opened again.
    pub(crate) fn set_superseded(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Answers what was ordered.
    pub(crate) fn answer(&self, mut carry_out: impl FnMut(Order) -> Answer) {
        while let Ok((order, answer)) = self.taken.try_recv() {
            // Who asked may have given up.
            let _ = answer.send(carry_out(order));
        }
    }
}
