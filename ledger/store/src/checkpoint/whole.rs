//! All pieces together: the state at the end of the last one, streamed.

use std::collections::HashMap;
use std::sync::Arc;

use giro_base::time::{NS_PER_S, TIMESTAMP_MAX};
use giro_base::{Account, TransferFlags};

use super::changes::set;
use super::format::{
    BranchRecord, ChangeRecord, GROUP_BYTES_MAX, PendingRecord, PiecePart, SessionRecord,
    StateRecord,
};
use super::mark::{Mark, SessionState};
use super::piece::{Piece, Stream};
use crate::error::StoreError;
use crate::reader::Reader;
use crate::replay::AccountState;

/// Accounts that changes are applied to at a time: each piece's changes in one go, which is many
/// times faster than asking all pieces about each account.
const BLOCK: usize = 4096;

/// The state that pieces have, which follow each other from generation 0 on.
#[derive(Clone, Copy)]
pub struct Whole<'a> {
    pieces: &'a [Arc<Piece>],
}

impl<'a> Whole<'a> {
    /// That of these pieces; none if there is none.
    #[must_use]
    pub fn of(pieces: &'a [Arc<Piece>]) -> Option<Self> {
        (!pieces.is_empty()).then_some(Self { pieces })
    }

    fn newest(&self) -> &'a Arc<Piece> {
        &self.pieces[self.pieces.len() - 1]
    }

    /// Last generation.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.newest().last()
    }

    /// The error that a section of the newest piece is not what it must be.
    #[must_use]
    pub fn damaged(&self, part: PiecePart, reason: &str) -> StoreError {
        self.newest().damaged(part, reason)
    }

    /// Where the ledger was at the end.
    #[must_use]
    pub fn state(&self) -> StateRecord {
        let timestamps = self.pieces.iter().map(|piece| piece.state().timestamp_last);
        StateRecord {
            timestamp_last: timestamps.max().unwrap_or(0),
            slot_first: 0,
            ..*self.newest().state()
        }
    }

    /// Hands over all accounts, by slot.
    ///
    /// # Errors
    /// The system's, that something is damaged, and `each`'s.
    pub fn accounts(
        &self,
        reader: &mut Reader,
        mut each: impl FnMut(&Account) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let changes = self
            .pieces
            .iter()
            .map(|piece| piece.stream(PiecePart::Changes));
        let mut changes: Vec<Stream<ChangeRecord>> = changes.collect();
        let mut block = Vec::with_capacity(BLOCK);
        let mut slot = 0;
        for (piece, behind) in self.pieces.iter().zip(1..) {
            if piece.state().slot_first != u64::from(slot) {
                let reason = "its accounts do not follow those of the piece before";
                return Err(piece.damaged(PiecePart::State, reason));
            }
            let mut accounts = piece.stream::<Account>(PiecePart::Accounts);
            loop {
                block.clear();
                while block.len() < BLOCK
                    && let Some(account) = accounts.next(reader)?
                {
                    block.push(account);
                }
                if block.is_empty() {
                    break;
                }
                // The last change counts.
                for changes in &mut changes[behind..] {
                    apply(changes, reader, slot, &mut block)?;
                }
                block.iter().try_for_each(&mut each)?;
                slot += block.len() as u32;
            }
        }
        for changes in &mut changes {
            if changes.peek(reader)?.is_some() {
                return Err(changes.damaged("a change belongs to no account"));
            }
        }
        Ok(())
    }

    /// Hands over all open pending transfers, by row.
    ///
    /// # Errors
    /// The system's, that something is damaged, and `each`'s.
    pub fn pendings(
        &self,
        reader: &mut Reader,
        mut each: impl FnMut(&PendingRecord) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let closed = self.closed(reader)?;
        let mut closed = closed.into_iter().peekable();
        let mut next_row = 0;
        for piece in self.pieces {
            let mut opened = piece.stream::<PendingRecord>(PiecePart::Opened);
            while let Some(pending) = opened.next(reader)? {
                if pending.row < next_row || !is_sound(&pending, piece.state()) {
                    return Err(opened.damaged("a pending transfer cannot be"));
                }
                next_row = pending.row + 1;
                if closed.next_if_eq(&pending.row).is_none() {
                    each(&pending)?;
                }
            }
        }
        // Both rise: what was passed over is still there.
        if closed.peek().is_none() {
            return Ok(());
        }
        let reason = "a pending transfer ends that never began";
        Err(self.newest().damaged(PiecePart::Closed, reason))
    }

    /// Hands over all open branches, by row.
    ///
    /// # Errors
    /// The system's, that something is damaged, and `each`'s.
    pub fn branches(
        &self,
        reader: &mut Reader,
        mut each: impl FnMut(&BranchRecord) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let pieces = self.pieces.iter();
        if pieces
            .clone()
            .all(|p| p.section(PiecePart::Branches).count == 0)
        {
            return Ok(());
        }
        let closed = self.closed(reader)?;
        let mut next_row = 0;
        for piece in pieces {
            let mut branches = piece.stream::<BranchRecord>(PiecePart::Branches);
            while let Some(branch) = branches.next(reader)? {
                if branch.row < next_row || branch.texts().is_none() {
                    return Err(branches.damaged("a branch cannot be"));
                }
                next_row = branch.row.saturating_add(1);
                if closed.binary_search(&branch.row).is_err() {
                    each(&branch)?;
                }
            }
        }
        Ok(())
    }

    /// Rows of pending transfers that ended in another piece than they began in, rising.
    fn closed(&self, reader: &mut Reader) -> Result<Vec<u64>, StoreError> {
        let mut closed = Vec::new();
        for piece in self.pieces {
            let mut rows = piece.stream::<u64>(PiecePart::Closed);
            while let Some(row) = rows.next(reader)? {
                closed.push(row);
            }
        }
        closed.sort_unstable();
        if closed.array_windows().any(|[a, b]| a == b) {
            let reason = "a pending transfer ends twice";
            return Err(self.newest().damaged(PiecePart::Closed, reason));
        }
        Ok(closed)
    }

    /// The mark, with all replies.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn mark(&self, reader: &mut Reader) -> Result<Mark, StoreError> {
        let replies = self.replies(reader)?;
        let mut sessions = Vec::new();
        let mut records = self.newest().stream::<SessionRecord>(PiecePart::Sessions);
        while let Some(record) = records.next(reader)? {
            let Some((piece, found)) = replies.get(&(record.client, record.op)) else {
                return Err(records.damaged("the reply of a session is in no piece"));
            };
            sessions.push(SessionState {
                client: record.client,
                session: record.session,
                request: record.request,
                request_checksum: record.request_checksum,
                operation: record.operation,
                release: record.release,
                op: record.op,
                timestamp: record.timestamp,
                reply: Some(read_reply(reader, piece, found)?),
            });
        }
        let state = self.newest().state();
        Ok(Mark {
            op: state.op,
            timestamp: state.timestamp,
            record: state.record,
            digest: state.digest,
            sessions,
            group: self.group(reader)?,
        })
    }

    /// The mark's part of the group of nodes; empty in a ledger alone.
    ///
    /// # Errors
    /// The system's, and that it is damaged.
    pub fn group(&self, reader: &mut Reader) -> Result<Vec<u8>, StoreError> {
        let piece = self.newest();
        let mut units = piece.stream::<u128>(PiecePart::Group);
        let Some(bytes) = units.next(reader)? else {
            return Ok(Vec::new());
        };
        let count = piece.section(PiecePart::Group).count - 1;
        let is_sound = (1..=GROUP_BYTES_MAX as u128).contains(&bytes)
            && bytes.div_ceil(16) == u128::from(count);
        if !is_sound {
            return Err(units.damaged("its length is wrong"));
        }
        let mut group = Vec::with_capacity(count as usize * 16);
        while let Some(unit) = units.next(reader)? {
            group.extend_from_slice(&unit.to_le_bytes());
        }
        group.truncate(bytes as usize);
        Ok(group)
    }

    /// Where replies are: the piece, and the session's record there, by client and op.
    fn replies(&self, reader: &mut Reader) -> Result<Replies<'a>, StoreError> {
        let mut replies = HashMap::new();
        for piece in self.pieces {
            let mut records = piece.stream::<SessionRecord>(PiecePart::Sessions);
            while let Some(record) = records.next(reader)? {
                if record.has_reply != 0 {
                    replies.insert((record.client, record.op), (piece, record));
                }
            }
        }
        Ok(replies)
    }
}

type Replies<'a> = HashMap<(u128, u64), (&'a Arc<Piece>, SessionRecord)>;

/// Whether a pending transfer can be open in a ledger that stands there.
fn is_sound(pending: &PendingRecord, state: &StateRecord) -> bool {
    let PendingRecord {
        transfer,
        row,
        debit,
        credit,
    } = *pending;
    let timeout = u64::from(transfer.timeout) * NS_PER_S;
    let due_at = transfer.timestamp.checked_add(timeout);
    row < state.rows_end
        && u64::from(debit.max(credit)) < state.slots_end
        && debit != credit
        && transfer.flags & TransferFlags::PENDING != 0
        && due_at.is_some_and(|at| at <= TIMESTAMP_MAX)
}

/// Applies the changes of a piece to accounts that follow each other, of which the first has
/// `slot`.
fn apply(
    changes: &mut Stream<ChangeRecord>,
    reader: &mut Reader,
    slot: u32,
    accounts: &mut [Account],
) -> Result<(), StoreError> {
    let mut done = 0;
    while let Some(change) = changes.peek(reader)? {
        let Some(place) = change.slot.checked_sub(slot) else {
            return Err(changes.damaged("changes are not by slot"));
        };
        let place = place as usize;
        if place >= accounts.len() {
            break;
        }
        if place < done {
            return Err(changes.damaged("changes are not by slot"));
        }
        let state = AccountState {
            balances: change.balances.into(),
            flags: change.flags,
        };
        set(&mut accounts[place], &state);
        done = place + 1;
        changes.pass();
    }
    Ok(())
}

fn read_reply(
    reader: &mut Reader,
    piece: &Piece,
    record: &SessionRecord,
) -> Result<Vec<u8>, StoreError> {
    let bytes = record.reply_bytes as usize;
    let units = (bytes as u64).div_ceil(16);
    let section = piece.section(PiecePart::Replies);
    let end = record.reply.checked_add(units);
    let Some(end) = end.filter(|end| *end <= section.count) else {
        return Err(piece.damaged(PiecePart::Sessions, "a reply lies behind its section"));
    };
    let units = reader.range::<u128>(piece.file(), section, record.reply..end)?;
    let mut reply: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    reply.truncate(bytes);
    Ok(reply)
}
