//! Clients: sessions with one request at a time, sent again until it is answered.

use giro::RequestMeta;
use giro_base::{Operation, checksum};
use giro_replication::NodeId;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::history::{Event, Outcome};
use crate::workload::{Payments, Request, create_accounts, look};

/// What a node answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Done, as op or at op, with this body.
    Reply {
        /// Which request.
        request_checksum: u128,
        /// The write's op, or the last op that a read saw.
        op: u64,
        /// The reply.
        body: Vec<u8>,
    },
    /// Ask another one.
    NotLeader {
        /// Which request.
        request_checksum: u128,
        /// Perhaps this one.
        hint: Option<NodeId>,
    },
    /// The session is gone.
    Evicted {
        /// Which request.
        request_checksum: u128,
    },
}

/// A client.
pub struct Client {
    /// Its place among the clients.
    pub place: usize,
    /// Changes when its session was evicted.
    id: u128,
    session: u64,
    request: u32,
    has_accounts: bool,
    /// What it asks for.
    pub payments: Payments,
    /// What it waits for.
    pub waits: Option<Wait>,
    /// Whom it asks.
    pub asks: NodeId,
    /// Another node has said since the last request that this one leads.
    pub is_told: bool,
    /// Requests answered.
    pub done: u64,
    /// Asks nothing new.
    pub is_closing: bool,
    /// Asks no other node, and only reads.
    pub pinned_to: Option<NodeId>,
    /// Takes a new id now and then, as a process that starts anew does.
    pub is_fickle: bool,
    /// Ids that it had before this one.
    pub past_ids: u64,
}

/// A request that is not answered.
#[derive(Clone, Debug)]
pub struct Wait {
    /// What goes with it.
    pub meta: RequestMeta,
    /// The request.
    pub request: Request,
    /// In the history.
    pub event: usize,
    /// Times it was sent.
    pub sent: u64,
}

const RELEASE: u32 = 1;
/// The share of requests before which a fickle client takes a new id.
const FICKLE: f64 = 0.03;

impl Client {
    /// A client that was never heard of.
    #[must_use]
    pub fn new(place: usize) -> Self {
        let id = place as u128 + 1;
        Self {
            place,
            id,
            session: 0,
            request: 0,
            has_accounts: false,
            payments: Payments::new(id),
            waits: None,
            asks: 1,
            is_told: false,
            done: 0,
            is_closing: false,
            pinned_to: None,
            is_fickle: false,
            past_ids: 0,
        }
    }

    /// Makes the next request, if it has none.
    pub fn begin(&mut self, rng: &mut ChaCha8Rng, history: &mut Vec<Event>, now_us: u64) {
        if self.waits.is_some() || self.is_closing {
            return;
        }
        if self.is_fickle && self.session != 0 && rng.random_bool(FICKLE) {
            self.begin_anew();
        }
        let request = if self.session == 0 {
            let (operation, body) = (Operation::Register, Vec::new());
            Request { operation, body }
        } else if !self.has_accounts {
            create_accounts()
        } else if self.pinned_to.is_some() || rng.random_bool(0.25) {
            look()
        } else {
            self.payments.next(rng)
        };
        if self.session != 0 {
            self.request += 1;
        }
        let meta = RequestMeta {
            client: self.id,
            session: self.session,
            request: self.request,
            request_checksum: rng.random::<u128>() | 1,
            checksum_body: checksum(&request.body),
            operation: request.operation,
            release: RELEASE,
        };
        let event = history.len();
        history.push(Event {
            client: self.place,
            request_checksum: meta.request_checksum,
            request: request.clone(),
            invoked_us: now_us,
            outcome: Outcome::Unknown,
        });
        self.waits = Some(Wait {
            meta,
            request,
            event,
            sent: 0,
        });
    }

    /// Takes an answer; whether it was for what it waits for.
    pub fn answer(&mut self, answer: Answer, history: &mut [Event], now_us: u64) -> bool {
        let Some(wait) = &self.waits else {
            return false;
        };
        let wanted = wait.meta.request_checksum;
        match answer {
            Answer::Reply {
                request_checksum,
                op,
                body,
            } if request_checksum == wanted => {
                match wait.request.operation {
                    Operation::Register => (self.session, self.request) = (op, 0),
                    Operation::CreateAccountsUnbatched => self.has_accounts = true,
                    _ => {}
                }
                history[wait.event].outcome = Outcome::Done {
                    op,
                    body,
                    returned_us: now_us,
                };
                self.waits = None;
                self.done += 1;
                true
            }
            Answer::NotLeader {
                request_checksum,
                hint,
            } if request_checksum == wanted => {
                self.is_told = hint.is_some();
                self.asks = hint.unwrap_or(self.asks);
                hint.is_some()
            }
            Answer::Evicted { request_checksum } if request_checksum == wanted => {
                // What it asked last is unknown.
                self.begin_anew();
                self.waits = None;
                true
            }
            _ => false,
        }
    }

    /// Another client takes over.
    fn begin_anew(&mut self) {
        self.past_ids += 1;
        self.id = (u128::from(self.past_ids) << 64) | (self.place as u128 + 1);
        (self.session, self.request) = (0, 0);
    }
}
