//! Disks in memory: what was written durably, and what is on its way.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use giro_base::Buffer;
use giro_log::storage::{Access, Removed, Storage, StorageFile};
use giro_log::{Disk, SegmentFile, Write};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

const SECTOR: usize = 4096;

type Sector = Box<[u8; SECTOR]>;

/// A node's files. Clones are the same files.
#[derive(Clone, Default)]
pub struct SimStorage(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Content>,
    /// No file can be made.
    is_full: bool,
    /// Counts sectors written by the log's disk.
    written: u64,
}

#[derive(Default)]
struct Content {
    /// Sectors that are not all zeros.
    sectors: BTreeMap<u64, Sector>,
    /// When each was written by the log's disk, in this life of the file.
    orders: BTreeMap<u64, u64>,
    bytes: u64,
}

impl Content {
    fn write(&mut self, bytes: &[u8], offset: u64) {
        let first = offset / SECTOR as u64;
        for (sector, bytes) in (first..).zip(bytes.as_chunks::<SECTOR>().0) {
            self.write_sector(sector, bytes);
        }
        self.bytes = self.bytes.max(offset + bytes.len() as u64);
    }

    fn write_sector(&mut self, sector: u64, bytes: &[u8; SECTOR]) {
        if bytes.iter().all(|byte| *byte == 0) {
            self.sectors.remove(&sector);
        } else {
            self.sectors.insert(sector, Box::new(*bytes));
        }
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> usize {
        let count = bytes
            .len()
            .min((self.bytes.saturating_sub(offset)) as usize);
        bytes[..count].fill(0);
        let end = offset + count as u64;
        let sectors = offset / SECTOR as u64..end.div_ceil(SECTOR as u64);
        for (sector, content) in self.sectors.range(sectors) {
            let start = sector * SECTOR as u64;
            let (from, to) = (start.max(offset), (start + SECTOR as u64).min(end));
            let source = &content[(from - start) as usize..(to - start) as usize];
            bytes[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
        }
        count
    }
}

impl State {
    /// What was written to the log and still counts, in its order.
    fn log_sectors(&mut self) -> Vec<&mut Sector> {
        let mut found = Vec::new();
        for content in self.files.values_mut() {
            for (sector, bytes) in &mut content.sectors {
                if let Some(order) = content.orders.get(sector) {
                    found.push((*order, bytes));
                }
            }
        }
        found.sort_unstable_by_key(|(order, _)| *order);
        found.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// A sector of the log reaches the disk.
    fn write_log(&mut self, path: &Path, sector: u64, bytes: &[u8; SECTOR]) {
        self.written += 1;
        let content = self.files.entry(path.to_owned()).or_default();
        content.write_sector(sector, bytes);
        content.orders.insert(sector, self.written);
    }
}

impl SimStorage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files can be made, or not.
    pub fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Flips one bit of a written sector of the log that is at least `behind` sectors before the
    /// last one written. False when there is none.
    pub fn flip_bit(&self, behind: usize, rng: &mut ChaCha8Rng) -> bool {
        let mut state = self.state();
        let mut sectors = state.log_sectors();
        let Some(count) = sectors.len().checked_sub(behind).filter(|count| *count > 0) else {
            return false;
        };
        // Not in the zeros at a record's end: those are checked, too, but let it be content.
        let sector = &mut sectors[rng.random_range(0..count)];
        let used: Vec<usize> = (0..SECTOR).filter(|at| sector[*at] != 0).collect();
        let at = *used.choose(rng).expect("a stored sector is not all zeros");
        sector[at] ^= 1 << rng.random_range(0..8);
        true
    }

    /// Writes one old sector over another: what a disk does that loses its way.
    pub fn misdirect(&self, behind: usize, rng: &mut ChaCha8Rng) -> bool {
        let mut state = self.state();
        let mut sectors = state.log_sectors();
        let count = sectors.len().saturating_sub(behind);
        if count < 2 {
            return false;
        }
        let (from, to) = (rng.random_range(0..count), rng.random_range(0..count));
        let bytes = sectors[from].clone();
        let differs = *sectors[to] != bytes;
        *sectors[to] = bytes;
        differs
    }

    /// The last sectors that were written are as if they never had been.
    pub fn forget(&self, count: usize) {
        let mut state = self.state();
        let newest = state.written.saturating_sub(count as u64);
        for content in state.files.values_mut() {
            let forgotten = content.orders.extract_if(.., |_, order| *order > newest);
            for (sector, _) in forgotten {
                content.sectors.remove(&sector);
            }
        }
    }
}

struct SimFile {
    storage: SimStorage,
    path: PathBuf,
}

impl SimFile {
    fn with<T>(&self, work: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut state = self.storage.state();
        let content = state.files.get_mut(&self.path);
        content.map(work).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl StorageFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|content| content.read(bytes, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|content| content.write(bytes, offset))
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        if self.storage.state().is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.with(|content| content.bytes = content.bytes.max(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        self.with(|content| content.bytes)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// What goes through here is durable at once: how files are made and renamed is what the log's own
/// crash images are for. The log's records go through [`SimDisk`].
impl Storage for SimStorage {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        if state.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.files.insert(path.to_owned(), Content::default());
        drop(state);
        self.open(path, Access::Write)
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Box<dyn StorageFile>> {
        if !self.state().files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (storage, path) = (self.clone(), path.to_owned());
        Ok(Box::new(SimFile { storage, path }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let here = state.files.keys().filter(|path| path.parent() == Some(dir));
        let names = here.filter_map(|path| path.file_name()?.to_str());
        Ok(names.map(str::to_owned).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let mut content = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        // A segment that is used again: what it has no longer counts.
        content.orders.clear();
        state.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        let removed = self.state().files.remove(path);
        removed
            .map(|_| Removed::default())
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The log's writes on their way.
pub struct SimDisk {
    storage: SimStorage,
    slots: BTreeMap<u32, PathBuf>,
    /// By record number.
    under_way: BTreeMap<u64, UnderWay>,
    /// Started since somebody asked.
    started: Vec<u64>,
}

struct UnderWay {
    path: PathBuf,
    offset: u64,
    bytes: Vec<u8>,
}

impl SimDisk {
    /// A disk with these files.
    #[must_use]
    pub fn new(storage: SimStorage) -> Self {
        Self {
            storage,
            slots: BTreeMap::new(),
            under_way: BTreeMap::new(),
            started: Vec::new(),
        }
    }

    /// Records whose writes were started since the last call.
    pub fn take_started(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.started)
    }

    /// Bytes of the write of this record, which is under way.
    ///
    /// # Panics
    /// When there is no such write.
    #[must_use]
    pub fn bytes_of(&self, record: u64) -> usize {
        self.under_way[&record].bytes.len()
    }

    /// The write of this record is durable. Returns its bytes' count.
    ///
    /// # Panics
    /// When there is no such write.
    pub fn complete(&mut self, record: u64) -> usize {
        let write = self.under_way.remove(&record).expect("it is under way");
        let mut state = self.storage.state();
        let first = write.offset / SECTOR as u64;
        for (sector, bytes) in (first..).zip(write.bytes.as_chunks::<SECTOR>().0) {
            state.write_log(&write.path, sector, bytes);
        }
        write.bytes.len()
    }

    /// Power fails: of each write under way nothing, all, the first sectors or any sectors are
    /// there.
    pub fn crash(mut self, rng: &mut ChaCha8Rng) {
        let mut state = self.storage.state();
        for write in std::mem::take(&mut self.under_way).into_values() {
            let sectors = write.bytes.as_chunks::<SECTOR>().0;
            let cut = rng.random_range(0..=sectors.len());
            let how = rng.random_range(0..4);
            let odds = rng.random_range(0.0..1.0);
            for (place, bytes) in sectors.iter().enumerate() {
                let kept = match how {
                    0 => false,
                    1 => true,
                    2 => place < cut,
                    _ => rng.random_bool(odds),
                };
                if kept {
                    let sector = write.offset / SECTOR as u64 + place as u64;
                    state.write_log(&write.path, sector, bytes);
                }
            }
        }
    }
}

impl Disk for SimDisk {
    fn attach(&mut self, slot: u32, segment: &SegmentFile) -> io::Result<()> {
        self.slots.insert(slot, segment.path.clone());
        Ok(())
    }

    fn start_write(&mut self, write: Write, buffer: &Buffer) {
        let path = self.slots[&write.slot].clone();
        let bytes = buffer[..write.bytes].to_vec();
        let offset = write.offset;
        self.started.push(write.index);
        self.under_way.insert(
            write.index,
            UnderWay {
                path,
                offset,
                bytes,
            },
        );
    }
}
