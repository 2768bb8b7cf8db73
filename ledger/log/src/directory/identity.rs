//! `giro.format`: whose ledger a directory is. Written once, and once more when a ledger alone
//! begins a group.

use std::io;
use std::path::{Path, PathBuf};

use giro_base::limits::SECTOR_BYTES;
use giro_base::{BufferPool, checksum};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::error::LogError;
use crate::record::LogId;
use crate::segment::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::storage::{Access, RealStorage, Storage};

const MAGIC: [u8; 16] = *b"giro ledger\0\0\0\0\0";
/// A ledger that is alone, and a member of a group.
const VERSION_ALONE: u16 = 1;
const VERSION_MEMBER: u16 = 2;
const COPIES: usize = 2;

/// Who a ledger is and what was chosen for good when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Cluster id.
    pub cluster: u128,
    /// This replica's number, from 0. One that joins a group later has a number behind those of
    /// its first replicas.
    pub replica: u8,
    /// Replicas that the cluster began with.
    pub replica_count: u8,
    /// Random, for a replica of a group: a directory made anew is another node. 0 when alone.
    pub incarnation: u64,
    /// Random; keys the hash tables and marks the log's records. No client may know it.
    pub hash_key: [u64; 2],
    /// Bytes of a log segment, a multiple of 4,096.
    pub segment_bytes: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Block {
    checksum: u128,
    magic: [u8; 16],
    cluster: u128,
    hash_key: [u64; 2],
    segment_bytes: u64,
    version: u16,
    replica: u8,
    replica_count: u8,
    reserved: [u8; 4],
    incarnation: u64,
    reserved_more: [u8; 4008],
}

const _: () = assert!(size_of::<Block>() == SECTOR_BYTES);

impl Identity {
    /// What marks this ledger's records.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        LogId::new(self.cluster, self.hash_key)
    }

    /// Says what is wrong with the values, if anything is.
    pub(super) fn check(&self) -> Result<(), String> {
        let bytes = self.segment_bytes;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes)
            || !bytes.is_multiple_of(SECTOR_BYTES as u64)
        {
            return Err(format!(
                "a segment of {bytes} bytes is not possible: it must be a multiple of \
                 {SECTOR_BYTES} from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
            ));
        }
        let (replica, count) = (self.replica, self.replica_count);
        if self.incarnation == 0 && replica >= count {
            return Err(format!("replica {replica} is not one of {count} replicas"));
        }
        if count == 0 || (self.incarnation == 0 && count != 1) {
            return Err(format!("a ledger alone cannot be one of {count} replicas"));
        }
        Ok(())
    }

    fn block(&self) -> Block {
        let mut block = Block::new_zeroed();
        block.magic = MAGIC;
        block.cluster = self.cluster;
        block.hash_key = self.hash_key;
        block.segment_bytes = self.segment_bytes;
        block.version = if self.incarnation == 0 {
            VERSION_ALONE
        } else {
            VERSION_MEMBER
        };
        block.incarnation = self.incarnation;
        block.replica = self.replica;
        block.replica_count = self.replica_count;
        block.checksum = checksum(&block.as_bytes()[16..]);
        block
    }

    fn of_block(bytes: &[u8]) -> Result<Self, String> {
        let block = Block::read_from_bytes(bytes).map_err(|_| "it is too short".to_owned())?;
        if block.magic != MAGIC {
            return Err("it is not a ledger's identity".to_owned());
        }
        if block.checksum != checksum(&block.as_bytes()[16..]) {
            return Err(
                "both copies in it are damaged: restore it from a backup of this ledger".to_owned(),
            );
        }
        let version = block.version;
        let is_known = match version {
            VERSION_ALONE => block.incarnation == 0,
            VERSION_MEMBER => block.incarnation != 0,
            _ => false,
        };
        if !is_known || block.reserved != [0; 4] || block.reserved_more != [0; 4008] {
            return Err(format!(
                "it has version {version}: a newer Giro made this ledger"
            ));
        }
        let identity = Self {
            cluster: block.cluster,
            replica: block.replica,
            replica_count: block.replica_count,
            incarnation: block.incarnation,
            hash_key: block.hash_key,
            segment_bytes: block.segment_bytes,
        };
        identity.check().map(|()| identity)
    }

    /// Writes the file so that it is either there and whole, or not there.
    pub(super) fn write(&self, storage: &dyn Storage, dir: &Path) -> Result<(), LogError> {
        let path = identity_path(dir);
        let unready = path.with_extension("format.new");
        let written = (|| {
            let file = storage.create(&unready)?;
            let mut buffer = BufferPool::new(1)?.take().expect("a new pool has a buffer");
            for copy in 0..COPIES {
                let at = copy * SECTOR_BYTES;
                buffer[at..][..SECTOR_BYTES].copy_from_slice(self.block().as_bytes());
            }
            file.write_at(&buffer[..COPIES * SECTOR_BYTES], 0)?;
            file.sync()?;
            storage.rename(&unready, &path)?;
            storage.sync_dir(dir)
        })();
        written.map_err(LogError::io("write", &path))
    }
}

pub(super) fn identity_path(dir: &Path) -> PathBuf {
    dir.join("giro.format")
}

/// The identity of the ledger in `dir`.
///
/// # Errors
/// [`LogError::NotFormatted`] when it has none, [`LogError::BadIdentity`] when it is damaged or
/// of a newer version.
pub fn read_identity(dir: &Path) -> Result<Identity, LogError> {
    read_identity_on(&RealStorage, dir)
}

/// Makes a ledger of a directory that was filled by other means, a copy's for example. To be done
/// last: with it the directory is a ledger.
///
/// # Errors
/// [`LogError::BadIdentity`] for impossible values; [`LogError::Io`].
pub fn write_identity(
    storage: &dyn Storage,
    dir: &Path,
    identity: &Identity,
) -> Result<(), LogError> {
    if let Err(reason) = identity.check() {
        let path = identity_path(dir);
        return Err(LogError::BadIdentity { path, reason });
    }
    identity.write(storage, dir)
}

/// As [`read_identity`], on any storage.
///
/// # Errors
/// As [`read_identity`].
pub fn read_identity_on(storage: &dyn Storage, dir: &Path) -> Result<Identity, LogError> {
    let path = identity_path(dir);
    let file = match storage.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LogError::NotFormatted {
                dir: dir.to_owned(),
            });
        }
        Err(error) => return Err(LogError::io("open", &path)(error)),
    };
    let mut bytes = vec![0; COPIES * SECTOR_BYTES];
    let count = file
        .read_at(&mut bytes, 0)
        .map_err(LogError::io("read", &path))?;
    let mut reason = "it is empty".to_owned();
    for block in bytes[..count].chunks(SECTOR_BYTES) {
        match Identity::of_block(block) {
            Ok(identity) => return Ok(identity),
            Err(why) => reason = why,
        }
    }
    Err(LogError::BadIdentity { path, reason })
}
