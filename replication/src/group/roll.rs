//! Before a group begins: nothing reaches the library until the first voters know each other.

use smallvec::SmallVec;

use super::Group;
use super::types::{Outgoing, Output, Write};
use crate::NodeId;
use crate::codec::{self, Header};
use crate::entry::Hard;
use crate::error::Refusal;
use crate::limits::{ROLL_TICKS, TELL_TICKS};
use crate::roll::{RollStatus, Word};

/// The number of the write with the roll: none of the library's.
pub(super) const ROLL_WRITE: u64 = 0;

impl Group {
    /// Whether this node takes part in its group: votes, and takes entries.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.roll.is_none()
    }

    /// Why the group has not begun; none when it has.
    #[must_use]
    pub fn roll(&self) -> Option<RollStatus> {
        self.roll.as_ref().map(|roll| roll.status(self.now))
    }

    /// Time passes: the others are told that this node is there.
    pub(super) fn call_roll(&mut self) {
        let Some(roll) = &self.roll else { return };
        if self.now % ROLL_TICKS == 1 {
            self.words.extend(roll.others());
        }
    }

    /// Takes what a node says in a roll call.
    pub(super) fn hear_word(&mut self, header: &Header, word: Word) {
        let from = header.from;
        let Some(roll) = &mut self.roll else {
            // Who has begun tells those who have not.
            if !matches!(word, Word::Begun(_)) && self.knows_that_it_began() {
                self.say_to(from);
            }
            return;
        };
        if roll.hear(from, header.incarnation, word, self.now) {
            self.say_to(from);
        }
        self.begin_if_agreed();
    }

    /// Whether this node has anything of a group that began: one that is to join has not, at first.
    pub(super) fn knows_that_it_began(&self) -> bool {
        !self.first.is_empty() || self.handed > 0
    }

    /// Members that are not heard of may wait to be told that the group has begun, and not know who
    /// can tell them.
    pub(super) fn tell_silent(&mut self) {
        if !self.now.is_multiple_of(TELL_TICKS) || !self.knows_that_it_began() {
            return;
        }
        let own = self.options.node;
        let members = self.members.known.iter().map(|member| member.id);
        let silent = members.filter(|id| *id != own && !self.is_healthy(*id));
        for id in silent.collect::<Vec<_>>() {
            if self.known_incarnation(id).is_some() {
                self.say_to(id);
            }
        }
    }

    /// Somebody is refused, and is to know why its group does not begin.
    pub(super) fn tell_refused(&mut self, refused: &Refusal) {
        if let Refusal::ReusedId { from, .. } | Refusal::Removed { from } = refused
            && self.has_begun()
            && self.knows_that_it_began()
        {
            self.say_to(*from);
        }
    }

    /// The process stood still for longer than its ticks say.
    pub fn stood_still(&mut self) {
        if let Some(roll) = &mut self.roll {
            roll.forget_heard();
        }
    }

    /// Has this node's word sent.
    pub(super) fn say_to(&mut self, to: NodeId) {
        if !self.words.contains(&to) {
            self.words.push(to);
        }
    }

    /// The roll is durable.
    pub(super) fn roll_written(&mut self) {
        let roll = self.roll.as_mut().expect("its write was under way");
        roll.written();
        self.words.extend(roll.others());
        self.begin_if_agreed();
    }

    fn begin_if_agreed(&mut self) {
        let Some(roll) = self.roll.take_if(|roll| roll.has_begun()) else {
            return;
        };
        self.words.extend(roll.others());
        self.know_first(roll.roll().expect("none begins without one"));
    }

    /// The first voters are these, and nobody else.
    pub(super) fn know_first(&mut self, roll: Vec<(NodeId, u64)>) {
        let own = self.options.node;
        let unbound = |(id, _): &&(NodeId, u64)| *id != own && self.members.is_unbound(*id);
        self.met = roll.iter().filter(unbound).copied().collect();
        self.first = roll.into_iter().map(|(id, _)| id).collect();
    }

    /// Whether a first voter's incarnation is known by the roll, and not by an entry yet. A leader
    /// serves nothing before: when the beginning of the log is given up, the roll is gone with it.
    pub(super) fn has_unbound_first(&self) -> bool {
        self.first.iter().any(|id| self.members.is_unbound(*id))
    }

    /// Puts out what is to be said, and the roll, when all were heard.
    pub(super) fn poll_roll(&mut self, out: &mut Output) {
        let agreed = self.roll.as_mut().and_then(|roll| roll.agree(self.now));
        if let Some(roll) = agreed {
            out.writes.push(Write {
                number: ROLL_WRITE,
                hard: Hard::from_raft(&self.raw.raft.hard_state()),
                entries: SmallVec::new(),
                install: None,
                roll: Some(roll),
            });
        }
        for to in std::mem::take(&mut self.words) {
            let frame = self.frame_of_word(to);
            out.frames.push(Outgoing { to, frame });
        }
    }

    pub(super) fn frame_of_word(&self, to: NodeId) -> codec::Frame {
        let word = match &self.roll {
            Some(roll) => roll.word(),
            None => Word::Begun(self.known_incarnation(to).unwrap_or(0)),
        };
        codec::encode_word(&self.sender(), (self.options.node, to), word)
    }

    /// The incarnation of a member: that the group knows, or under which it was met.
    pub(super) fn known_incarnation(&self, id: NodeId) -> Option<u64> {
        let member = self.members.get(id)?;
        let met = self.met.iter().find(|(known, _)| *known == id);
        match member.incarnation {
            0 => met.map(|(_, incarnation)| *incarnation),
            known => Some(known),
        }
    }
}
