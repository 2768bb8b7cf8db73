//! Sessions as a checkpoint has them.

use giro_base::Operation;
use giro_store::SessionState;

use super::{Session, Sessions};

impl Sessions {
    /// All open sessions, that quiet for longest first, with the replies to writes behind op
    /// `since`.
    pub(crate) fn states_since(&self, since: u64) -> Vec<SessionState> {
        let mut slots: Vec<u32> = self.by_client.values().copied().collect();
        slots.sort_unstable_by_key(|slot| self.slots[*slot as usize].active);
        let state = |slot: u32| {
            let session = &self.slots[slot as usize];
            let reply = &self.replies.slot(slot)[..session.reply_bytes];
            SessionState {
                client: session.client,
                session: session.session,
                request: session.request,
                request_checksum: session.request_checksum,
                operation: session.operation.into(),
                release: session.release,
                op: session.op,
                timestamp: session.timestamp,
                reply: (session.op > since).then(|| reply.to_vec()),
            }
        };
        slots.into_iter().map(state).collect()
    }

    /// Opens the sessions that a checkpoint has, which come with all replies. Of more than there
    /// is room for, the newest stay. None if one of them cannot be.
    pub(crate) fn restore(&mut self, states: &[SessionState]) -> Option<()> {
        let room = self.replies.slots_max() as usize;
        for state in &states[states.len().saturating_sub(room)..] {
            let reply = state.reply.as_ref()?;
            let slot = self.slots.len() as u32;
            self.replies
                .slot_mut(slot)
                .get_mut(..reply.len())?
                .copy_from_slice(reply);
            self.clock += 1;
            self.slots.push(Session {
                client: state.client,
                session: state.session,
                request: state.request,
                request_checksum: state.request_checksum,
                operation: Operation::try_from(state.operation).ok()?,
                release: state.release,
                op: state.op,
                timestamp: state.timestamp,
                reply_bytes: reply.len(),
                in_progress: false,
                leaving: false,
                active: self.clock,
            });
            self.by_client.insert(state.client, slot);
        }
        Some(())
    }
}
