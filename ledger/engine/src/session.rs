//! Sessions: who may ask, what was asked last, and the answer to it.
//!
//! A session is opened by a logged operation and its last write's reply is rebuilt by replaying
//! the log, so a request that is sent again is answered and never executed twice, across restarts
//! too. `docs/internals/sessions.md` has the rules.

mod replies;
mod states;

use std::collections::{HashMap, HashSet};

use giro_base::{Operation, Timestamp};

use self::replies::Replies;

/// What a request says of itself.
#[derive(Clone, Copy, Debug)]
pub struct RequestMeta {
    /// Who asks; 0 for the library's own requests, which have no session.
    pub client: u128,
    /// The session's number; 0 for a register.
    pub session: u64,
    /// The request's number in its session; 0 for a register.
    pub request: u32,
    /// Tells a request sent again from another one with the same number.
    pub request_checksum: u128,
    /// Checksum of the body.
    pub checksum_body: u128,
    /// What is asked for.
    pub operation: Operation,
    /// The client's release.
    pub release: u32,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take it.
    Accept,
    /// It was executed: send the reply again ([`Sessions::last_reply`]).
    Resend,
    /// Say nothing.
    Drop(DropReason),
    /// The client must not go on with this session.
    Evict(EvictReason),
}

/// Why a request gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A request of the session is being executed, perhaps this one.
    InProgress,
    /// The session has answered later requests.
    Old,
    /// Another request with this number was answered.
    Different,
    /// The session's number lies in the future.
    SessionFromFuture,
    /// The table of sessions is full of busy ones.
    Full,
}

/// Why a client must give its session up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictReason {
    /// There is none.
    NoSession,
    /// The client has a newer one.
    SessionTooLow,
    /// It was opened by another release.
    ReleaseMismatch,
}

/// The answer to a write.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Whom it is for; 0 for the library's own requests.
    pub client: u128,
    /// The session's number.
    pub session: u64,
    /// The request's number.
    pub request: u32,
    /// The request's checksum, or the ticket of the library's own request.
    pub request_checksum: u128,
    /// What was asked for.
    pub operation: Operation,
    /// The client's release.
    pub release: u32,
    /// The operation's number.
    pub op: u64,
    /// The operation's timestamp (ns).
    pub timestamp: Timestamp,
    /// The body. Stays where it is until the session's next write is executed.
    pub body: &'a [u8],
}

/// All sessions.
pub struct Sessions {
    slots: Vec<Session>,
    by_client: HashMap<u128, u32>,
    free: Vec<u32>,
    /// Clients whose register is on its way.
    registering: HashSet<u128>,
    replies: Replies,
    /// Counts requests, to know which session has been quiet for longest.
    clock: u64,
}

#[derive(Clone, Debug)]
struct Session {
    client: u128,
    session: u64,
    request: u32,
    request_checksum: u128,
    operation: Operation,
    release: u32,
    op: u64,
    timestamp: Timestamp,
    reply_bytes: usize,
    /// A write of it is on its way through the log.
    in_progress: bool,
    /// A register on its way will take its place.
    leaving: bool,
    active: u64,
}

impl Session {
    /// Whether another client's register may take its place.
    fn is_quiet(&self) -> bool {
        self.session != 0 && !self.in_progress && !self.leaving
    }
}

impl Sessions {
    /// A table for `sessions_max` sessions.
    ///
    /// # Errors
    /// The system's when it has no address space for their replies.
    pub fn new(sessions_max: u32) -> std::io::Result<Self> {
        assert!(sessions_max > 0, "at least one session");
        Ok(Self {
            slots: Vec::with_capacity(sessions_max as usize),
            by_client: HashMap::with_capacity(sessions_max as usize),
            free: Vec::new(),
            registering: HashSet::new(),
            replies: Replies::new(sessions_max)?,
            clock: 0,
        })
    }

    /// Number of open sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// What to do with a request.
    #[must_use]
    pub fn check(&self, meta: &RequestMeta) -> Verdict {
        let session = self
            .by_client
            .get(&meta.client)
            .map(|slot| &self.slots[*slot as usize]);
        let Some(session) = session.filter(|session| !session.leaving) else {
            return self.check_stranger(meta);
        };
        if meta.operation != Operation::Register {
            if session.session > meta.session {
                return Verdict::Evict(EvictReason::SessionTooLow);
            }
            if session.session < meta.session {
                return Verdict::Drop(DropReason::SessionFromFuture);
            }
        }
        if session.release != meta.release {
            return Verdict::Evict(EvictReason::ReleaseMismatch);
        }
        if session.in_progress {
            return Verdict::Drop(DropReason::InProgress);
        }
        // Reads are not logged, so a request may be several numbers ahead of the last write.
        match meta.request.cmp(&session.request) {
            std::cmp::Ordering::Less => Verdict::Drop(DropReason::Old),
            std::cmp::Ordering::Greater => Verdict::Accept,
            std::cmp::Ordering::Equal if meta.request_checksum == session.request_checksum => {
                Verdict::Resend
            }
            std::cmp::Ordering::Equal => Verdict::Drop(DropReason::Different),
        }
    }

    fn check_stranger(&self, meta: &RequestMeta) -> Verdict {
        if meta.operation != Operation::Register {
            return Verdict::Evict(EvictReason::NoSession);
        }
        if self.registering.contains(&meta.client) {
            return Verdict::Drop(DropReason::InProgress);
        }
        let quiet = self.slots.iter().any(Session::is_quiet);
        let room = self.slots.len() - self.free.len() + self.registering.len();
        if room >= self.replies.slots_max() as usize && !quiet {
            return Verdict::Drop(DropReason::Full);
        }
        Verdict::Accept
    }

    /// Takes note that an accepted write is on its way, and returns the client whose session a
    /// register will displace, or 0.
    pub(crate) fn begin(&mut self, meta: &RequestMeta) -> u128 {
        if meta.client == 0 {
            return 0;
        }
        if meta.operation == Operation::Register {
            return self.begin_register(meta.client);
        }
        self.touch(meta.client);
        if let Some(slot) = self.by_client.get(&meta.client) {
            self.slots[*slot as usize].in_progress = true;
        }
        0
    }

    fn begin_register(&mut self, client: u128) -> u128 {
        let staying = self
            .slots
            .iter()
            .filter(|s| s.session != 0 && !s.leaving)
            .count();
        let full = staying + self.registering.len() >= self.replies.slots_max() as usize;
        self.registering.insert(client);
        if !full {
            return 0;
        }
        let quiet = self.slots.iter_mut().filter(|session| session.is_quiet());
        let victim = quiet.min_by_key(|session| session.active);
        let victim = victim.expect("`check` accepts a register only where there is one");
        victim.leaving = true;
        victim.client
    }

    /// Takes note that a client is there.
    pub(crate) fn touch(&mut self, client: u128) {
        self.clock += 1;
        if let Some(slot) = self.by_client.get(&client) {
            self.slots[*slot as usize].active = self.clock;
        }
    }

    /// No write is on its way any more: what was, is not known to be.
    pub(crate) fn abandon(&mut self) {
        self.registering.clear();
        for session in &mut self.slots {
            (session.in_progress, session.leaving) = (false, false);
        }
    }

    /// Opens the session of an executed register: its number is `op`.
    pub(crate) fn open(&mut self, meta: &RequestMeta, op: u64, evicted: u128) -> u32 {
        self.registering.remove(&meta.client);
        self.close(evicted);
        self.close(meta.client);
        if self.by_client.len() == self.replies.slots_max() as usize {
            // The log was written with room for more sessions than there is now.
            let open = self.slots.iter().filter(|session| session.session != 0);
            let oldest = open
                .min_by_key(|session| session.active)
                .map(|session| session.client);
            self.close(oldest.expect("a full table has sessions"));
        }
        self.clock += 1;
        let session = Session {
            client: meta.client,
            session: op,
            request: 0,
            request_checksum: meta.request_checksum,
            operation: Operation::Register,
            release: meta.release,
            op,
            timestamp: 0,
            reply_bytes: 0,
            in_progress: false,
            leaving: false,
            active: self.clock,
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = session;
            slot
        } else {
            self.slots.push(session);
            self.slots.len() as u32 - 1
        };
        assert!(
            slot < self.replies.slots_max(),
            "a full table evicts before it opens"
        );
        self.by_client.insert(meta.client, slot);
        slot
    }

    fn close(&mut self, client: u128) {
        if let Some(slot) = self.by_client.remove(&client) {
            self.slots[slot as usize].session = 0;
            self.free.push(slot);
        }
    }

    /// The slot and reply memory of a client's session, for the write being executed.
    pub(crate) fn reply_memory(&mut self, client: u128) -> Option<(u32, &mut [u8])> {
        let slot = *self.by_client.get(&client)?;
        Some((slot, self.replies.slot_mut(slot)))
    }

    /// Records that a session's write was executed and what it was answered.
    pub(crate) fn finish(&mut self, slot: u32, meta: &RequestMeta, executed: Executed) {
        let session = &mut self.slots[slot as usize];
        session.request = meta.request;
        session.request_checksum = meta.request_checksum;
        session.operation = meta.operation;
        session.op = executed.op;
        session.timestamp = executed.timestamp;
        session.reply_bytes = executed.reply_bytes;
        session.in_progress = false;
    }

    /// The answer to a client's last write.
    #[must_use]
    pub fn last_reply(&self, client: u128) -> Option<Reply<'_>> {
        let slot = *self.by_client.get(&client)?;
        let session = &self.slots[slot as usize];
        Some(Reply {
            client,
            session: session.session,
            request: session.request,
            request_checksum: session.request_checksum,
            operation: session.operation,
            release: session.release,
            op: session.op,
            timestamp: session.timestamp,
            body: &self.replies.slot(slot)[..session.reply_bytes],
        })
    }

    /// Open sessions' last replies, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Reply<'_>> {
        self.by_client
            .keys()
            .filter_map(|client| self.last_reply(*client))
    }
}

/// What executing a write came to.
#[derive(Clone, Copy)]
pub(crate) struct Executed {
    pub(crate) op: u64,
    pub(crate) timestamp: Timestamp,
    pub(crate) reply_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(client: u128, session: u64, request: u32) -> RequestMeta {
        RequestMeta {
            client,
            session,
            request,
            request_checksum: u128::from(request) + 1000,
            checksum_body: 0,
            operation: if session == 0 {
                Operation::Register
            } else {
                Operation::CreateTransfers
            },
            release: 7,
        }
    }

    fn register(sessions: &mut Sessions, client: u128, op: u64) -> u128 {
        let meta = meta(client, 0, 0);
        assert_eq!(sessions.check(&meta), Verdict::Accept);
        let evicted = sessions.begin(&meta);
        let slot = sessions.open(&meta, op, evicted);
        sessions.finish(
            slot,
            &meta,
            Executed {
                op,
                timestamp: op,
                reply_bytes: 64,
            },
        );
        evicted
    }

    fn write(sessions: &mut Sessions, meta: &RequestMeta, op: u64) {
        sessions.begin(meta);
        let slot = sessions.reply_memory(meta.client).unwrap().0;
        sessions.finish(
            slot,
            meta,
            Executed {
                op,
                timestamp: op,
                reply_bytes: 16,
            },
        );
    }

    #[test]
    fn a_request_is_executed_once_and_answered_again() {
        let mut sessions = Sessions::new(2).unwrap();
        register(&mut sessions, 1, 5);
        let first = meta(1, 5, 1);
        assert_eq!(sessions.check(&first), Verdict::Accept);
        sessions.begin(&first);
        assert_eq!(
            sessions.check(&first),
            Verdict::Drop(DropReason::InProgress)
        );
        write(&mut sessions, &first, 6);
        assert_eq!(sessions.check(&first), Verdict::Resend);
        assert_eq!(sessions.last_reply(1).unwrap().op, 6);
        let other = RequestMeta {
            request_checksum: 9,
            ..first
        };
        assert_eq!(sessions.check(&other), Verdict::Drop(DropReason::Different));
        write(&mut sessions, &meta(1, 5, 4), 7);
        assert_eq!(sessions.check(&first), Verdict::Drop(DropReason::Old));
    }

    #[test]
    fn wrong_sessions_and_releases_are_told_so() {
        let mut sessions = Sessions::new(2).unwrap();
        register(&mut sessions, 1, 5);
        let evict = Verdict::Evict;
        assert_eq!(
            sessions.check(&meta(2, 5, 1)),
            evict(EvictReason::NoSession)
        );
        assert_eq!(
            sessions.check(&meta(1, 4, 1)),
            evict(EvictReason::SessionTooLow)
        );
        assert_eq!(
            sessions.check(&meta(1, 6, 1)),
            Verdict::Drop(DropReason::SessionFromFuture)
        );
        let other = RequestMeta {
            release: 8,
            ..meta(1, 5, 1)
        };
        assert_eq!(sessions.check(&other), evict(EvictReason::ReleaseMismatch));
    }

    #[test]
    fn a_full_table_displaces_the_session_quiet_for_longest() {
        let mut sessions = Sessions::new(2).unwrap();
        assert_eq!(register(&mut sessions, 1, 1), 0);
        assert_eq!(register(&mut sessions, 2, 2), 0);
        sessions.touch(1);
        assert_eq!(register(&mut sessions, 3, 3), 2);
        assert_eq!(
            sessions.check(&meta(2, 2, 1)),
            Verdict::Evict(EvictReason::NoSession)
        );
        assert_eq!(sessions.len(), 2);
        sessions.begin(&meta(1, 1, 1));
        sessions.begin(&meta(3, 3, 1));
        assert_eq!(
            sessions.check(&meta(4, 0, 0)),
            Verdict::Drop(DropReason::Full)
        );
    }

    #[test]
    fn a_table_smaller_than_the_logs_keeps_the_newest_sessions() {
        let mut sessions = Sessions::new(2).unwrap();
        for client in 1..=4 {
            sessions.open(&meta(client, 0, 0), client as u64, 0);
        }
        assert_eq!(sessions.len(), 2);
        assert_eq!(
            sessions.check(&meta(2, 2, 1)),
            Verdict::Evict(EvictReason::NoSession)
        );
        assert_eq!(sessions.check(&meta(3, 3, 1)), Verdict::Accept);
        assert_eq!(sessions.check(&meta(4, 4, 1)), Verdict::Accept);
    }

    #[test]
    fn a_slot_that_was_given_up_is_no_session_to_displace() {
        let mut sessions = Sessions::new(2).unwrap();
        register(&mut sessions, 1, 1);
        register(&mut sessions, 2, 2);
        sessions.close(2);
        sessions.begin(&meta(1, 1, 1));
        assert_eq!(sessions.begin(&meta(3, 0, 0)), 0, "one slot is free");
        assert_eq!(
            sessions.check(&meta(4, 0, 0)),
            Verdict::Drop(DropReason::Full)
        );
    }
}
