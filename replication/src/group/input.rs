//! What goes into the group.

use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};

use super::Group;
use super::roll::ROLL_WRITE;
use super::types::Place;
use crate::NodeId;
use crate::codec::{Header, Incoming, decode};
use crate::entry::{Entry, EntryKind, Payload};
use crate::error::{Busy, ProposeError, ReceiveError, Refusal, Stop};
use crate::limits::ENTRY_BYTES_MAX;

impl Group {
    /// A tick of time passed (20 ms).
    pub fn tick(&mut self) {
        self.now += 1;
        self.is_touched = true;
        if !self.has_begun() {
            self.call_roll();
            return;
        }
        self.tell_durable();
        // No campaign while a checkpoint is being installed: the library would look for the
        // entries before it, which are gone.
        if !self.is_installing() {
            self.raw.tick();
        }
        self.reads.retry(self.now);
        self.after_call();
        self.leave_joint();
        self.bind();
        self.tell_silent();
    }

    /// Takes a frame as it came from a peer.
    ///
    /// # Errors
    /// [`ReceiveError::Refused`]: it was not taken, close the connection. [`ReceiveError::Stop`]:
    /// this node must end.
    pub fn receive(&mut self, frame: &Bytes) -> Result<(), ReceiveError> {
        self.receive_decoded(decode(frame)?)
    }

    /// As [`Self::receive`], for a frame whose parts were received one by one.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn receive_decoded(&mut self, incoming: Incoming) -> Result<(), ReceiveError> {
        self.is_touched = true;
        let header = incoming.header;
        let admitted = self.admit(&header);
        if let (Err(refused), Some(_)) = (&admitted, incoming.word()) {
            self.tell_refused(refused);
        }
        admitted?;
        // Who calls has no part in the group yet, and its vote cannot be counted on.
        if let Some(word) = incoming.word() {
            self.hear_word(&header, word);
            return Ok(());
        }
        if !self.has_begun() {
            // It has something for this node, and has to know.
            self.say_to(header.from);
            return Ok(());
        }
        self.tell_all();
        self.hear(header.from);
        self.hear_of_room(header.from, header.holds_back());
        self.meet(header.from, header.incarnation);
        self.check_promises(&incoming.message)?;
        let (from, index) = (header.from, header.digest_index);
        if self.digests.hear(from, index, header.digest) {
            let leader = self.raw.raft.leader_id;
            let compared = self.digests.compare(index, &self.members, leader);
            compared.map_err(Stop::from)?;
        }
        match incoming.message.get_msg_type() {
            MessageType::MsgSnapshot => self.take_offer(incoming.message),
            MessageType::MsgTimeoutNow if self.is_installing() => {}
            _ if self.is_only_life_sign(&incoming.message) => {}
            _ => self.step(self.without_what_is_too_much(incoming.message)),
        }
        Ok(())
    }

    /// Whether a checkpoint was put into place and its state is not executed from yet.
    fn is_installing(&self) -> bool {
        self.executed + 1 < self.raw.store().first()
    }

    fn step(&mut self, message: Message) {
        self.tell_all();
        // Answers of nodes that left are no error, and the only ones there can be.
        let _ = self.raw.step(message);
        self.after_call();
    }

    /// Takes what was fetched for this node.
    pub(super) fn step_fetched(&mut self, message: Message) {
        self.step(message);
    }

    fn admit(&self, header: &Header) -> Result<(), Refusal> {
        let from = header.from;
        if header.cluster != self.options.cluster {
            let found = header.cluster;
            return Err(Refusal::OtherCluster { from, found });
        }
        if header.origin != self.options.origin {
            return Err(Refusal::OtherOrigin { from });
        }
        if header.group != 0 {
            let found = header.group;
            return Err(Refusal::OtherGroup { from, found });
        }
        if header.to != self.options.node {
            let to = header.to;
            return Err(Refusal::NotForUs { from, to });
        }
        if from == self.options.node {
            return Err(Refusal::Ourselves);
        }
        if self.members.is_removed(from) {
            return Err(Refusal::Removed { from });
        }
        // A sender that is not known yet may be the leader of a group that this node lags behind.
        let known = self.known_incarnation(from);
        let expected = known.unwrap_or(header.incarnation);
        if expected != header.incarnation {
            let found = header.incarnation;
            return Err(Refusal::ReusedId {
                from,
                found,
                expected,
            });
        }
        Ok(())
    }

    /// Takes note of the incarnation under which a member is first heard of. Not of who is none
    /// yet: until it joins, its directory may be made anew and nobody was promised anything.
    fn meet(&mut self, from: NodeId, incarnation: u64) {
        let is_new = self.met.iter().all(|(id, _)| *id != from);
        // Nor while this node has nothing of a group that began: its first members may all be made
        // anew, as long as nothing was promised to anybody.
        if is_new && self.members.is_unbound(from) && self.knows_that_it_began() {
            self.met.push((from, incarnation));
        }
    }

    fn hear(&mut self, from: NodeId) {
        // There is no end to the numbers of others.
        if self.members.get(from).is_none() {
            return;
        }
        let now = self.now;
        match self.heard.iter_mut().find(|(id, _)| *id == from) {
            Some((_, at)) => *at = now,
            None => self.heard.push((from, now)),
        }
    }

    /// What a leader says must fit what this node had promised; else a log lost something, and the
    /// library would end the process without saying what.
    fn check_promises(&self, message: &Message) -> Result<(), Stop> {
        let log = &self.raw.raft.raft_log;
        if message.term < self.raw.raft.term {
            return Ok(());
        }
        let leader = message.from;
        let last = log.last_index();
        match message.get_msg_type() {
            MessageType::MsgHeartbeat if message.commit > last => Err(Stop::LostRecords {
                leader,
                committed: message.commit,
                last,
            }),
            MessageType::MsgSnapshot => {
                let metadata = message.get_snapshot().get_metadata();
                let (index, theirs) = (metadata.index, metadata.term);
                let ours = log.term(index).unwrap_or(0);
                let known = index <= log.committed && ours != 0;
                if known && ours != theirs {
                    return Err(Stop::Contradiction {
                        leader,
                        index,
                        theirs,
                        ours,
                    });
                }
                Ok(())
            }
            MessageType::MsgAppend if message.index <= log.committed => {
                let ours = log.term(message.index).unwrap_or(0);
                if ours != 0 && ours != message.log_term {
                    return Err(Stop::Contradiction {
                        leader,
                        index: message.index,
                        theirs: message.log_term,
                        ours,
                    });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The connection to a peer broke: what was on its way may be lost.
    pub fn unreachable(&mut self, peer: NodeId) {
        self.raw.report_unreachable(peer);
        self.after_call();
    }

    /// Where the next proposal will be; none when there can be none now.
    #[must_use]
    pub fn next_place(&self) -> Option<Place> {
        if let Some(lending) = &self.lending {
            return Some(self.place_of_lent(lending));
        }
        self.can_propose().ok()?;
        Some(self.place_of_next())
    }

    pub(super) fn place_of_next(&self) -> Place {
        let raft = &self.raw.raft;
        let known = || raft.raft_log.last_index() + 1;
        Place {
            term: raft.term,
            index: self.untold.end().unwrap_or_else(known),
        }
    }

    pub(super) fn can_propose(&self) -> Result<(), ProposeError> {
        if !self.is_leader() {
            // Before the library is asked: it would pass a proposal on to the leader silently.
            let leader = self.role.leader;
            return Err(ProposeError::NotLeader { leader });
        }
        if !self.role.serving {
            return Err(Busy::NotServing.into());
        }
        if self.raw.raft.lead_transferee.is_some() {
            return Err(Busy::Transferring.into());
        }
        Ok(())
    }

    /// Proposes a group of ops. Its ticket comes back with the [`Commit`](super::Commit), or as
    /// unknown.
    ///
    /// # Errors
    /// When it was not taken; nothing happened.
    ///
    /// # Panics
    /// When it has more bytes than a record.
    pub fn propose(&mut self, payload: Payload, ticket: u64) -> Result<Place, ProposeError> {
        assert!(
            payload.bytes.len() <= ENTRY_BYTES_MAX,
            "a group is a record"
        );
        self.can_propose()?;
        let place = self.place_of_next();
        let entry = Entry {
            index: 0,
            term: 0,
            kind: EntryKind::Ops,
            payload,
        };
        self.propose_entry(entry.to_raft(), Some(ticket))?;
        Ok(place)
    }

    pub(super) fn propose_entry(
        &mut self,
        entry: raft::eraftpb::Entry,
        ticket: Option<u64>,
    ) -> Result<(), ProposeError> {
        self.tell_all();
        let place = self.place_of_next();
        let taken = self.step_proposal(vec![entry]);
        self.after_call();
        match taken {
            Ok(()) => {}
            Err(raft::Error::ProposalDropped) => return Err(Busy::Full.into()),
            Err(error) => unreachable!("a leader takes proposals: {error}"),
        }
        assert_eq!(self.raw.raft.raft_log.last_index(), place.index);
        if let Some(ticket) = ticket {
            self.proposals.push(place.index, place.term, ticket);
        }
        Ok(())
    }

    pub(super) fn step_proposal(&mut self, entries: Vec<raft::eraftpb::Entry>) -> raft::Result<()> {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.options.node;
        message.set_entries(entries.into());
        self.raw.step(message)
    }

    /// Asks whether this node still leads. The ticket comes back when a read may be answered from
    /// executed state, or as refused.
    ///
    /// # Errors
    /// When this node does not lead, or its state is not that of the log's end yet.
    pub fn read(&mut self, ticket: u64) -> Result<(), ProposeError> {
        if !self.is_leader() {
            let leader = self.role.leader;
            return Err(ProposeError::NotLeader { leader });
        }
        // The library drops questions without a word until its term has a committed entry.
        if !self.role.serving {
            return Err(Busy::NotServing.into());
        }
        self.reads.push(ticket);
        self.is_touched = true;
        Ok(())
    }

    /// The write with this number, and every one before it, is on stable storage.
    ///
    /// # Panics
    /// When no such write is under way.
    pub fn persisted(&mut self, number: u64) {
        if number == ROLL_WRITE {
            self.is_touched = true;
            self.roll_written();
            return;
        }
        self.flights.set_durable(number);
        self.land();
    }

    /// Entries up to `index` are executed; the state has this digest.
    ///
    /// # Errors
    /// When the state is not the others': this node must end.
    ///
    /// # Panics
    /// When they were not handed out, or it goes back.
    pub fn executed(&mut self, index: u64, digest: u128) -> Result<(), Stop> {
        assert!(index > self.executed, "execution goes forward");
        assert!(index <= self.handed, "only what was handed out");
        self.advance(index);
        if self.digests.note(index, digest) {
            let leader = self.raw.raft.leader_id;
            self.digests.compare(index, &self.members, leader)?;
        }
        Ok(())
    }

    fn advance(&mut self, index: u64) {
        self.executed = index;
        self.untold.executed(index);
        self.is_touched |= !self.reads.is_empty();
        if self.library_executed < self.library_handed {
            self.note_executed();
        }
    }

    /// Tells the library what is executed, of what it has handed out, and lets go of that.
    pub(super) fn note_executed(&mut self) {
        let log = &self.raw.raft.raft_log;
        let known = log.committed.min(log.persisted).min(self.library_handed);
        let executed = self.executed.min(known);
        self.backlog.executed(self.executed);
        self.library_executed = self.library_executed.max(executed);
        if executed <= log.applied {
            return;
        }
        self.raw.advance_apply_to(executed);
        self.after_call();
        self.raw.mut_store().trim(executed + 1);
    }

    /// The entries of a fetch cannot be read now. The peer asks again.
    pub fn fetch_failed(&mut self, number: u64) {
        self.fetches.retain(|fetch| fetch.0 != number);
    }

    /// Entries that were to be read from the log: from the fetch's first one on, as many as fit.
    ///
    /// # Panics
    /// When they are other entries.
    pub fn fetched(&mut self, number: u64, entries: &[Entry]) {
        let place = self.fetches.iter().position(|fetch| fetch.0 == number);
        // The role was lost meanwhile, and nobody wants them any more.
        let Some(place) = place else { return };
        let (_, low, context) = self.fetches.remove(place).expect("found above");
        let first = entries.first().map(|entry| entry.index);
        assert_eq!(first, Some(low), "a fetch begins with its first entry");
        let entries = entries.iter().map(Entry::to_raft).collect();
        self.raw.mut_store().set_fetched(entries);
        self.raw.on_entries_fetched(context);
        self.raw.mut_store().set_fetched(Vec::new());
        self.after_call();
    }
}
