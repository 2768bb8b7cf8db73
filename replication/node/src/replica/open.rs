//! Opening: from the checkpoint and the log to a member that goes on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use giro::open::take_lock;
use giro::{AtCheckpoint, Engine, Progress};
use giro_log::directory::read_identity_on;
use giro_log::storage::{RealStorage, Storage};
use giro_log::{DirLock, Identity, Recovery};
use giro_replication::{Checkpoint, Group, Start};
use zerocopy::IntoBytes;

use super::Replica;
use crate::aligned::Copies;
use crate::error::NodeError;
use crate::found::FoundLog;
use crate::gate::Gate;
use crate::journal::Journal;
use crate::life::{Life, mark_of};
use crate::mark::GroupMark;
use crate::options::ReplicaOptions;
use crate::transfer::install;
use crate::wal::Wal;

/// What a replica is put together from.
pub struct Beginning {
    /// Where its files are.
    pub storage: Arc<dyn Storage>,
    /// Its directory.
    pub dir: PathBuf,
    /// Whose it is.
    pub identity: Identity,
    /// Its log, read.
    pub log: FoundLog,
    /// The state, as of the checkpoint.
    pub engine: Engine,
    /// Where that is; none when the state is empty.
    pub checkpoint: Option<Checkpoint>,
    /// Log segments are made in the caller's thread, when they are needed.
    pub inline: bool,
    /// Keeps other processes out.
    pub lock: Option<DirLock>,
}

impl Replica {
    /// Opens a member's directory, which stays locked until the replica is dropped. That of a
    /// ledger alone becomes a member's, for good.
    ///
    /// # Errors
    /// As [`Engine::open`], and when log and checkpoint do not fit together.
    pub fn open(
        dir: &Path,
        options: &ReplicaOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, NodeError> {
        let lock = take_lock(dir)?;
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        Self::open_with(&storage, dir, options, Some(lock), progress)
    }

    /// As [`open`](Self::open), on any storage, without a lock; log segments are made when they
    /// are needed. For simulations and tests.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        options: &ReplicaOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, NodeError> {
        Self::open_with(storage, dir, options, None, progress)
    }

    fn open_with(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        options: &ReplicaOptions,
        lock: Option<DirLock>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, NodeError> {
        let is_ours = |group: &[u8]| {
            let mark = GroupMark::decode(group);
            group.is_empty() || mark.is_some_and(|mark| mark.incarnation == options.incarnation)
        };
        let identity = read_identity_on(&**storage, dir)?;
        install::put_in_place(storage, dir, &identity)?;
        let found = Engine::open_at_checkpoint(storage, dir, &options.engine, &is_ours)?;
        let AtCheckpoint {
            engine,
            recovery,
            checkpoint,
            identity,
        } = found;
        let mark = checkpoint.map(|place| {
            let life = || Life::read(storage, dir, &identity, Recovery::next);
            mark_of(&place, options, life)
        });
        let mark = mark.transpose()?;
        // That in the middle of the first entry is none to the group.
        let checkpoint = mark.filter(|mark| mark.index > 0).map(|mark| Checkpoint {
            index: mark.index,
            term: mark.term,
            members: mark.members,
            manifest: Bytes::new(),
        });
        let applied = checkpoint.as_ref().map_or(0, |found| found.index);
        install::clear(&**storage, dir, applied)?;
        let log = FoundLog::read(recovery, applied, progress, &mut |_, _| {})?;
        let beginning = Beginning {
            storage: Arc::clone(storage),
            dir: dir.to_owned(),
            identity,
            log,
            engine,
            checkpoint,
            inline: lock.is_none(),
            lock,
        };
        Self::begin(beginning, options, &mut |_| {})
    }

    /// Puts a replica together from parts that were opened elsewhere. `look` sees what the group
    /// starts from, before anything on disk changes.
    ///
    /// # Errors
    /// When they do not fit together.
    pub fn begin(
        beginning: Beginning,
        options: &ReplicaOptions,
        look: &mut dyn FnMut(&mut Start),
    ) -> Result<Self, NodeError> {
        let Beginning {
            storage,
            dir,
            identity,
            log,
            engine,
            checkpoint,
            inline,
            lock,
        } = beginning;
        let executed_term = checkpoint.as_ref().map_or(0, |found| found.term);
        let FoundLog {
            recovery,
            replay,
            places,
        } = log;
        let mut start = replay.start(options.members.clone(), checkpoint)?;
        look(&mut start);
        let recovered = if inline {
            recovery.finish_inline()?
        } else {
            recovery.finish()?
        };
        let members = start.members.clone();
        let group = Group::new(group_options(&identity, options), start)?;
        let what = "message buffers";
        let no_memory = |source| giro::Error::Memory { what, source };
        let wal = Wal::new(recovered, places).map_err(no_memory)?;
        let known_op = engine.commit_op();
        let mut replica = Self {
            engine,
            wal,
            group,
            gate: options.gate.clone().map(Gate::new),
            options: options.clone(),
            storage,
            dir,
            identity,
            _lock: lock,
            out: Some(Box::default()),
            is_stirred: true,
            frames: Vec::new(),
            copies: Copies::new(),
            committed: VecDeque::new(),
            own: VecDeque::new(),
            undecided: 0,
            was_serving: false,
            full_ticks: 0,
            tickets: 0,
            answers: Vec::new(),
            members,
            executed_term,
            known_op,
            marks: VecDeque::new(),
            fetches: Vec::new(),
            installs: Vec::new(),
            offers: Vec::new(),
            wants_checkpoint: false,
            is_superseded: false,
            journal: Journal::default(),
            digest_mask: 0,
        };
        replica.engine.abandon();
        Ok(replica)
    }
}

fn group_options(identity: &Identity, options: &ReplicaOptions) -> giro_replication::Options {
    giro_replication::Options {
        cluster: identity.cluster,
        origin: origin_of(identity),
        node: options.node,
        incarnation: options.incarnation,
        seed: options.seed,
        priority: options.priority,
        window_bytes: options.window_bytes,
        backlog_bytes: options.backlog_bytes,
    }
}

/// Tells groups of one cluster id from each other: by the secret that their replicas share, and by
/// how many they began with. Half of a checksum, so that it does not tell the secret.
fn origin_of(identity: &Identity) -> u64 {
    let mut input = *b"giro group\0\0\0\0\0\0................\0";
    let (secret, count) = input[16..].split_at_mut(16);
    secret.copy_from_slice(identity.hash_key.as_bytes());
    count[0] = identity.replica_count;
    giro_base::checksum(&input) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_secret_or_another_beginning_is_another_group() {
        let identity = giro::open::new_replica(7, 2, 3, [1, 2]).unwrap();
        let origin = origin_of(&identity);
        let other = |other: Identity| assert_ne!(origin_of(&other), origin);
        other(Identity {
            hash_key: [1, 3],
            ..identity
        });
        other(Identity {
            replica_count: 1,
            ..identity
        });
        // Of the same group: a replica that joins later.
        let later = giro::open::new_replica(7, 3, 3, [1, 2]).unwrap();
        assert_eq!(origin_of(&later), origin);
    }
}
